// Every limit of the hub, with its default. Nothing here grows without one. See limits.def for units and reasons.
// Threads: [any] once set at start.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace weir {

struct Limits {
#define WEIR_LIMIT(name, value, low, high, unit, effect, why) std::int64_t name = value;
#include "base/limits.def"
#undef WEIR_LIMIT
};

enum class LimitUnit : std::uint8_t { count, bytes, ms };

struct LimitInfo {
  std::string_view name;
  std::int64_t fallback, lowest, highest;
  LimitUnit unit;
  std::string_view effect, why;
  std::int64_t Limits::*member;
};
std::span<const LimitInfo> all_limits();

}  // namespace weir
