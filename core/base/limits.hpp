// Every limit of the hub, with its default. Nothing here grows without one. See limits.def for units and reasons.
// Threads: [any]; a reload may change a value under those who read it, each by itself.
#pragma once
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

namespace weir {

// A number that is read by many threads while another one sets it; costs what a plain one costs.
class LimitValue {
 public:
  LimitValue(std::int64_t value) : value_(value) {}
  LimitValue(const LimitValue& other) : value_(static_cast<std::int64_t>(other)) {}
  LimitValue& operator=(const LimitValue& other) { return *this = static_cast<std::int64_t>(other); }
  LimitValue& operator=(std::int64_t value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  operator std::int64_t() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_;
};

struct Limits {
#define WEIR_LIMIT(name, value, low, high, unit, effect, why) LimitValue name = value;
#include "base/limits.def"
#undef WEIR_LIMIT
};

enum class LimitUnit : std::uint8_t { count, bytes, ms };

struct LimitInfo {
  std::string_view name;
  std::int64_t fallback, lowest, highest;
  LimitUnit unit;
  std::string_view effect, why;
  LimitValue Limits::*member;
};
std::span<const LimitInfo> all_limits();

}  // namespace weir
