// The times that file systems keep, as one number. Threads: pure functions, [any].
#pragma once
#include <cstdint>
#include <ctime>

namespace weir::log_tail {

inline constexpr std::int64_t kTimestampSlackNs = 20'000'000;  // file times move in steps of up to 10 ms

inline std::int64_t to_ns(const timespec& t) { return t.tv_sec * 1'000'000'000LL + t.tv_nsec; }

}  // namespace weir::log_tail
