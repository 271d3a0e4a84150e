#include "weir/sdk/host.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "weir/sdk/testing.hpp"

namespace weir::sdk {
namespace {

struct SdkHostTest : ::testing::Test {
  weir::sdk::testing::FakeHost hub;
  Host host{hub.raw()};
};

TEST_F(SdkHostTest, PostedTasksRunInOrderAlsoFromOtherThreads) {
  std::vector<int> order;
  host.post([&] { order.push_back(1); });
  std::thread([&] { host.post([&] { order.push_back(2); }); }).join();
  EXPECT_TRUE(order.empty());
  hub.run_ready();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST_F(SdkHostTest, ATaskThatNeverRanIsFreedWithItsHost) {
  auto held = std::make_shared<int>(1);
  {
    auto own = std::make_unique<Host>(hub.raw());
    own->post([held] {});
    EXPECT_EQ(held.use_count(), 2);
    hub.close();
    EXPECT_FALSE(own->post([held] {}));
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(SdkHostTest, ATimerMayDestroyItself) {
  auto timer = std::make_unique<Timer>();
  int fired = 0;
  timer->start(host, 1, 1, [&] {
    ++fired;
    timer.reset();
    ++fired;  // what it captured is still alive
  });
  hub.advance(10);
  EXPECT_EQ(fired, 2);
}

TEST_F(SdkHostTest, ATimerThatDiesIsCancelled) {
  int fired = 0;
  {
    const Timer timer(host, 1, 0, [&] { ++fired; });
  }
  hub.advance(10);
  EXPECT_EQ(fired, 0);
  Timer once(host, 1, 0, [&] { ++fired; });
  EXPECT_TRUE(once.running());
  hub.advance(10);
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(once.running());
}

TEST_F(SdkHostTest, ATimerMayRestartItself) {
  Timer timer;
  int fired = 0;
  std::function<void()> again = [&] {
    if (++fired < 3) timer.start(host, 1, 0, again);
  };
  timer.start(host, 1, 0, again);
  hub.advance(10);
  EXPECT_EQ(fired, 3);
}

TEST_F(SdkHostTest, AWatchEndsWithItsObject) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
  auto watch = std::make_unique<FdWatch>();
  int called = 0;
  EXPECT_TRUE(watch->start(host, ends[0], WEIR_WATCH_READ, [&](std::uint32_t) {
    ++called;
    watch.reset();
  }));
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_TRUE(hub.run_until([&] { return called == 1; }));
  hub.run_ready();
  EXPECT_EQ(called, 1);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(SdkHostTest, ExceptionsInCallbacksBecomeLogLines) {
  host.post([] { throw std::runtime_error("oh"); });
  Timer timer(host, 0, 0, [] { throw 1; });
  hub.advance(1);
  EXPECT_TRUE(hub.logged("exception in a posted task: oh"));
  EXPECT_TRUE(hub.logged("exception of unknown type in a timer"));
}

TEST_F(SdkHostTest, TheFakeHubNoticesWhatBreaksTheRules) {
  std::thread([&] {
    hub.raw()->timer_start(
        hub.raw()->ctx, 1, 0, [](void*) {}, nullptr);
  }).join();
  host.metric("Bad Name", 1);
  EXPECT_EQ(hub.mistakes.size(), 2u);
}

}  // namespace
}  // namespace weir::sdk
