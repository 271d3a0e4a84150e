// The functions that a script's table may have. Private to this layer.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace weir::rules {

enum class Hook : std::uint8_t {
  filter,
  transform,
  initial,
  reduce,
  snapshot,
  migrate,
  on_subscribe,
  on_publish,
  on_request,
  on_timer,
  on_stop,
  check
};

// In the order of Hook.
inline constexpr std::array<const char*, 12> kHookNames = {"filter",     "transform", "initial",      "reduce",
                                                           "snapshot",   "migrate",   "on_subscribe", "on_publish",
                                                           "on_request", "on_timer",  "on_stop",      "check"};
inline constexpr std::size_t kHooks = kHookNames.size();
inline constexpr std::size_t index(Hook hook) { return static_cast<std::size_t>(hook); }

}  // namespace weir::rules
