#include "net/loop.hpp"

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace weir::net {
namespace {

// Rules that take their time made handlers of many milliseconds, and what was owed to readers left after 128 of them.
TEST(LoopTest, WhatIsOwedLeavesBetweenLongHandlers) {
  const auto cpu_ms = [] {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1'000 + t.tv_nsec / 1'000'000;
  };
  constexpr int kHandlers = 200;
  Loop loop;
  int ran = 0, before = 0, longest = 0;
  for (int i = 0; i < kHandlers; ++i)
    loop.post([&] {
      for (const auto begin = cpu_ms(); cpu_ms() < begin + 3;) {
      }
      if (++ran == kHandlers) loop.stop();
    });
  loop.run([&]() -> std::optional<std::int64_t> {
    longest = std::max(longest, ran - std::exchange(before, ran));
    return std::nullopt;
  });
  EXPECT_EQ(ran, kHandlers);
  EXPECT_LT(longest, 64);
}

}  // namespace
}  // namespace weir::net
