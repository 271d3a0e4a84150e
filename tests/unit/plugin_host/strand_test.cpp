#include "plugin_host/strand.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

#include "abi/hub_rig.hpp"
#include "weir/abi/host.h"

namespace weir::test {
namespace {

struct StrandTest : testing::Test {
  // Runs `call` on the strand and waits for it.
  void on_strand(const std::function<void()>& call) {
    std::atomic<bool> done{false};
    strand.post_always("test", [&] {
      call();
      done = true;
    });
    ASSERT_TRUE(wait_until([&] { return done.load(); }));
  }
  Strand strand{"strand-test"};
};

TEST_F(StrandTest, TasksRunInTheOrderOfTheirPosts) {
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) strand.post("test", [&order, i] { order.push_back(i); });
  on_strand([] {});
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST_F(StrandTest, PostsFromManyThreadsAllRunOneAtATime) {
  int count = 0;  // not atomic on purpose: the strand is the lock
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) strand.post("test", [&] { ++count; });
    });
  for (auto& thread : threads) thread.join();
  on_strand([&] { EXPECT_EQ(count, 4000); });
}

TEST_F(StrandTest, KnowsItsOwnThread) {
  EXPECT_FALSE(strand.here());
  on_strand([&] { EXPECT_TRUE(strand.here()); });
}

TEST_F(StrandTest, TimersFireInTheOrderOfTheirTime) {
  std::vector<int> order;
  std::atomic<bool> last{false};
  on_strand([&] {
    strand.timer_start(20, 0, [&] {
      order.push_back(2);
      last = true;
    });
    strand.timer_start(5, 0, [&] { order.push_back(1); });
    strand.timer_start(0, 0, [&] { order.push_back(0); });
  });
  ASSERT_TRUE(wait_until([&] { return last.load(); }));
  on_strand([&] { EXPECT_EQ(order, (std::vector<int>{0, 1, 2})); });
}

TEST_F(StrandTest, ATimerMayCancelItselfAndOthers) {
  std::atomic<int> fired{0}, others{0};
  std::uint64_t self = 0, other = 0;
  on_strand([&] {
    other = strand.timer_start(1, 1, [&] { ++others; });
    self = strand.timer_start(0, 1, [&] {
      if (++fired == 3) {
        strand.timer_cancel(self);
        strand.timer_cancel(other);
        strand.timer_cancel(987654);  // unknown: ignored
      }
    });
  });
  ASSERT_TRUE(wait_until([&] { return fired >= 3; }));
  const int seen = others;
  std::atomic<bool> later{false};
  on_strand([&] { strand.timer_start(10, 0, [&] { later = true; }); });
  ASSERT_TRUE(wait_until([&] { return later.load(); }));
  EXPECT_EQ(fired, 3);
  EXPECT_EQ(others, seen);
}

TEST_F(StrandTest, AWatchSeesDataAndTheEnd) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  std::string got;
  std::atomic<bool> finished{false};
  std::uint64_t id = 0;
  on_strand([&] {
    id = strand.watch_fd(ends[0], WEIR_WATCH_READ, [&](std::uint32_t events) {
      EXPECT_TRUE(events & WEIR_WATCH_READ);
      char buffer[16];
      const auto n = ::read(ends[0], buffer, sizeof buffer);
      if (n > 0) got.append(buffer, static_cast<std::size_t>(n));
      if (n != 0) return;
      strand.unwatch_fd(id);
      finished = true;
    });
  });
  EXPECT_NE(id, 0u);
  ASSERT_EQ(::write(ends[1], "hello", 5), 5);
  ::close(ends[1]);
  ASSERT_TRUE(wait_until([&] { return finished.load(); }));
  EXPECT_EQ(got, "hello");
  ::close(ends[0]);
}

TEST_F(StrandTest, OneDescriptorCanHaveTwoWatches) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  std::atomic<int> first{0}, second{0};
  std::uint64_t a = 0, b = 0;
  on_strand([&] {
    a = strand.watch_fd(ends[1], WEIR_WATCH_WRITE, [&](std::uint32_t) { ++first; });
    b = strand.watch_fd(ends[1], WEIR_WATCH_WRITE, [&](std::uint32_t) { ++second; });
  });
  EXPECT_TRUE(a != 0 && b != 0 && a != b);
  EXPECT_TRUE(wait_until([&] { return first > 0 && second > 0; }));
  on_strand([&] { strand.unwatch_fd(a); });
  const int seen = second;
  EXPECT_TRUE(wait_until([&] { return second > seen; }));
  on_strand([&] { strand.unwatch_fd(b); });
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(StrandTest, WhatCantBeWatchedGivesZero) {
  on_strand([&] {
    EXPECT_EQ(strand.watch_fd(-1, WEIR_WATCH_READ, [](std::uint32_t) {}), 0u);
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(strand.watch_fd(file, WEIR_WATCH_READ, [](std::uint32_t) {}), 0u);  // epoll takes no regular files
    ::close(file);
  });
}

TEST_F(StrandTest, PostsBeyondTheLimitAreRefusedButNotTheHubs) {
  std::atomic<bool> go{false}, blocked{false};
  strand.post("test", [&] {
    blocked = true;
    wait_until([&] { return go.load(); });
  });
  ASSERT_TRUE(wait_until([&] { return blocked.load(); }));
  for (std::size_t i = 0; i < Strand::kPostedMax; ++i) ASSERT_EQ(strand.post("test", [] {}), Strand::Posted::yes);
  EXPECT_EQ(strand.post("test", [] {}), Strand::Posted::full);
  EXPECT_EQ(strand.post_always("test", [] {}), Strand::Posted::yes);
  go = true;
  on_strand([] {});
}

TEST_F(StrandTest, ACallbackThatTakesTooLongIsCounted) {
  EXPECT_EQ(strand.slow_callbacks(), 0u);
  std::atomic<bool> go{false}, inside{false};
  strand.post("test callback", [&] {
    inside = true;
    wait_until([&] { return go.load(); });
  });
  ASSERT_TRUE(wait_until([&] { return inside && strand.busy_ms() > Strand::kSlowMs; }));
  EXPECT_STREQ(strand.busy_with(), "test callback");
  go = true;
  EXPECT_TRUE(wait_until([&] { return strand.slow_callbacks() == 1; }));
}

TEST_F(StrandTest, AfterCloseNothingRuns) {
  std::atomic<int> ran{0};
  on_strand([&] {
    strand.timer_start(0, 1, [&] { ++ran; });
    strand.post("test", [&] { ++ran; });
    strand.close();
  });
  EXPECT_TRUE(strand.wait_closed(20'000));
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(strand.post("test", [] {}), Strand::Posted::closed);
}

}  // namespace
}  // namespace weir::test
