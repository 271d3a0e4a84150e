// Time that moves only when a test says so.
// Threads: one.
#pragma once
#include "base/clock.hpp"

namespace weir::testing {

class ManualClock final : public Clock {
 public:
  static constexpr UnixMs kStartUnixMs = 1'770'000'000'000;
  SteadyMs steady_ms() const override { return steady_; }
  UnixMs unix_ms() const override { return kStartUnixMs + steady_; }
  void advance(std::int64_t ms) { steady_ += ms; }

 private:
  SteadyMs steady_ = 1'000'000;
};

}  // namespace weir::testing
