#include "plugin_host/strand.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "support/fact.hpp"
#include "weir/abi/host.h"

namespace weir::test {
namespace {

struct StrandTest : testing::Test {
  // Runs `call` on the strand and waits for it.
  void on_strand(const std::function<void()>& call) {
    Fact<bool> done;
    strand.post_always("test", [&] {
      call();
      done.set(true);
    });
    ASSERT_TRUE(done.wait_for(true));
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
  Fact<bool> last;
  on_strand([&] {
    strand.timer_start(20, 0, [&] {
      order.push_back(2);
      last.set(true);
    });
    strand.timer_start(5, 0, [&] { order.push_back(1); });
    strand.timer_start(0, 0, [&] { order.push_back(0); });
  });
  ASSERT_TRUE(last.wait_for(true));
  on_strand([&] { EXPECT_EQ(order, (std::vector<int>{0, 1, 2})); });
}

TEST_F(StrandTest, ATimerMayCancelItselfAndOthers) {
  Fact<int> fired;
  std::atomic<int> others{0};
  std::uint64_t self = 0, other = 0;
  on_strand([&] {
    other = strand.timer_start(1, 1, [&] { ++others; });
    self = strand.timer_start(0, 1, [&] {
      fired.add(1);
      if (fired.get() == 3) {
        strand.timer_cancel(self);
        strand.timer_cancel(other);
        strand.timer_cancel(987654);  // unknown: ignored
      }
    });
  });
  ASSERT_TRUE(fired.wait([](int times) { return times >= 3; }));
  on_strand([] {});  // the third is over
  const int seen = others;
  Fact<bool> later;
  on_strand([&] { strand.timer_start(10, 0, [&] { later.set(true); }); });
  ASSERT_TRUE(later.wait_for(true));
  EXPECT_EQ(fired.get(), 3);
  EXPECT_EQ(others, seen);
}

TEST_F(StrandTest, AWatchSeesDataAndTheEnd) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  std::string got;
  Fact<bool> finished;
  std::uint64_t id = 0;
  on_strand([&] {
    id = strand.watch_fd(ends[0], WEIR_WATCH_READ, [&](std::uint32_t events) {
      EXPECT_TRUE(events & WEIR_WATCH_READ);
      char buffer[16];
      const auto n = ::read(ends[0], buffer, sizeof buffer);
      if (n > 0) got.append(buffer, static_cast<std::size_t>(n));
      if (n != 0) return;
      strand.unwatch_fd(id);
      finished.set(true);
    });
  });
  EXPECT_NE(id, 0u);
  ASSERT_EQ(::write(ends[1], "hello", 5), 5);
  ::close(ends[1]);
  ASSERT_TRUE(finished.wait_for(true));
  EXPECT_EQ(got, "hello");
  ::close(ends[0]);
}

TEST_F(StrandTest, OneDescriptorCanHaveTwoWatches) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  Fact<int> first, second;
  std::uint64_t a = 0, b = 0;
  on_strand([&] {
    a = strand.watch_fd(ends[1], WEIR_WATCH_WRITE, [&](std::uint32_t) { first.add(1); });
    b = strand.watch_fd(ends[1], WEIR_WATCH_WRITE, [&](std::uint32_t) { second.add(1); });
  });
  EXPECT_TRUE(a != 0 && b != 0 && a != b);
  EXPECT_TRUE(first.wait([](int times) { return times > 0; }));
  EXPECT_TRUE(second.wait([](int times) { return times > 0; }));
  on_strand([&] { strand.unwatch_fd(a); });
  const int seen = second.get();
  EXPECT_TRUE(second.wait([seen](int times) { return times > seen; }));
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
  Fact<bool> go, blocked;
  strand.post("test", [&] {
    blocked.set(true);
    go.wait_for(true);
  });
  ASSERT_TRUE(blocked.wait_for(true));
  for (std::size_t i = 0; i < Strand::kPostedMax; ++i) ASSERT_EQ(strand.post("test", [] {}), Strand::Posted::yes);
  EXPECT_EQ(strand.post("test", [] {}), Strand::Posted::full);
  EXPECT_EQ(strand.post_always("test", [] {}), Strand::Posted::yes);
  go.set(true);
  on_strand([] {});
}

TEST_F(StrandTest, ACallbackThatTakesTooLongIsCounted) {
  EXPECT_EQ(strand.slow_callbacks(), 0u);
  Fact<bool> go, inside, late;
  strand.post("test callback", [&] {
    inside.set(true);
    go.wait_for(true);
  });
  ASSERT_TRUE(inside.wait_for(true));
  Strand watch{"watch"};  // another strand's timer says when the time is over
  watch.post("test", [&] { watch.timer_start(Strand::kSlowMs + 1, 0, [&] { late.set(true); }); });
  EXPECT_TRUE(late.wait_for(true));
  EXPECT_GT(strand.busy_ms(), Strand::kSlowMs);
  EXPECT_STREQ(strand.busy_with(), "test callback");
  go.set(true);
  on_strand([] {});
  EXPECT_EQ(strand.slow_callbacks(), 1u);
}

// A program that needs a while to go was "plugin misbehaving: stop() held up its strand".
TEST_F(StrandTest, ACallbackThatClosesItHoldsUpNobody) {
  Fact<bool> go, inside, late;
  strand.post("test callback", [&] {
    strand.close();
    inside.set(true);
    go.wait_for(true);
  });
  ASSERT_TRUE(inside.wait_for(true));
  Strand watch{"watch"};
  watch.post("test", [&] { watch.timer_start(Strand::kSlowMs + 1, 0, [&] { late.set(true); }); });
  EXPECT_TRUE(late.wait_for(true));
  EXPECT_GT(strand.busy_ms(), Strand::kSlowMs);
  go.set(true);
  ASSERT_TRUE(strand.wait_closed(10'000));
  EXPECT_EQ(strand.slow_callbacks(), 0u);
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
