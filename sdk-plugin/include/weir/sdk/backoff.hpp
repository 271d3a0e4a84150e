// How long to wait before the next attempt: twice as long each time, up to a bound, and between half and all of it, so
// that many hubs that lost the same server do not come back as one.
// Threads: plain values.
#pragma once
#include <algorithm>
#include <cstdint>
#include <random>

namespace weir::sdk {

class Backoff {
 public:
  explicit Backoff(std::uint64_t first_ms = 100, std::uint64_t most_ms = 8'000)
      : first_ms_(first_ms), most_ms_(most_ms) {}
  std::uint64_t next_ms() { return wait_ms(attempts_++); }
  std::uint64_t wait_ms(std::uint32_t attempt) {  // attempt: from 0, for who counts by himself
    const std::uint64_t most = std::min(most_ms_, first_ms_ << std::min(attempt, 20U));
    return std::uniform_int_distribution<std::uint64_t>(most / 2, most)(random_);
  }
  void reset() { attempts_ = 0; }  // it worked
  std::uint32_t attempts() const { return attempts_; }

 private:
  std::uint64_t first_ms_, most_ms_;
  std::uint32_t attempts_ = 0;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace weir::sdk
