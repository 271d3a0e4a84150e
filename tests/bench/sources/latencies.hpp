// How long things took: a histogram with buckets of 3 % and an exact maximum, so that millions cost nothing.
// Nanoseconds. Threads: one at a time.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace weir::bench {

class Latencies {
 public:
  void add(std::int64_t ns) {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(0, ns));
    ++buckets_[bucket(value)];
    ++count_;
    most_ = std::max(most_, value);
  }
  std::uint64_t count() const { return count_; }
  double most_ms() const { return static_cast<double>(most_) / 1e6; }

  // What the share `part` of all stayed below; 0 when there are none.
  double at_ms(double part) const {
    const auto wanted = static_cast<std::uint64_t>(part * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i)
      if ((seen += buckets_[i]) > wanted) return static_cast<double>(std::min(end_of(i), most_)) / 1e6;
    return most_ms();
  }

 private:
  static constexpr unsigned kFine = 5;  // 32 buckets for each doubling
  static std::size_t bucket(std::uint64_t value) {
    if (value < (1U << kFine)) return static_cast<std::size_t>(value);
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kFine - 1;
    return (std::size_t{shift} << kFine) + static_cast<std::size_t>(value >> shift);
  }
  static std::uint64_t end_of(std::size_t index) {
    if (index < (2U << kFine)) return index;
    const std::size_t shift = (index >> kFine) - 1;
    return (((index & ((1U << kFine) - 1)) + (1U << kFine) + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (64 - kFine + 1) << kFine> buckets_{};
  std::uint64_t count_ = 0, most_ = 0;
};

}  // namespace weir::bench
