#include "weir/sdk/emitter.hpp"

#include <gtest/gtest.h>

#include "weir/sdk/testing.hpp"

namespace weir::sdk {
namespace {

struct EmitterTest : ::testing::Test {
  weir::sdk::testing::FakeHost hub;
  Emitter emitter{Host(hub.raw())};
  bool add(int n) {
    const std::string data = std::to_string(n);
    return emitter.add({.subject = "s", .event = "e", .data = data, .cursor = data});
  }
  void expect_in_order(std::size_t count) const {
    ASSERT_EQ(hub.events.size(), count);
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(hub.events[i].data, std::to_string(i));
  }
};

TEST_F(EmitterTest, WhatComesSeldomLeavesAtOnceAndMoreOfItAsABatchAWhileLater) {
  EXPECT_TRUE(add(0));
  EXPECT_TRUE(add(1));
  EXPECT_TRUE(hub.events.empty()) << "what is added in one call leaves together";
  hub.advance(0);
  expect_in_order(2);
  hub.advance(1);
  EXPECT_TRUE(add(2));
  hub.advance(1);
  EXPECT_TRUE(add(3));
  expect_in_order(2);
  hub.advance(1);
  expect_in_order(4);
  hub.advance(3);
  EXPECT_TRUE(add(4));
  hub.advance(0);
  expect_in_order(5);
}

TEST_F(EmitterTest, AFullBatchLeavesAtOnce) {
  for (int i = 0; i < 63; ++i) EXPECT_TRUE(add(i));
  EXPECT_TRUE(hub.events.empty());
  EXPECT_TRUE(add(63));
  expect_in_order(64);
}

TEST_F(EmitterTest, ABatchOfManyBytesLeavesAtOnce) {
  const std::string big = "\"" + std::string(70'000, 'x') + "\"";
  EXPECT_TRUE(emitter.add({.event = "e", .data = big}));
  EXPECT_EQ(hub.events.size(), 1u);
}

TEST_F(EmitterTest, WhatWasNotTakenIsOfferedAfterResume) {
  hub.take_only(10, WEIR_E_FULL);
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(add(i));
  EXPECT_TRUE(emitter.full());
  EXPECT_EQ(emitter.kept(), 54u);
  EXPECT_TRUE(add(64));  // what was read already still finds a place
  hub.take_only(20, WEIR_E_FULL);
  EXPECT_FALSE(emitter.resume());
  hub.take_all();
  EXPECT_TRUE(emitter.resume());
  EXPECT_FALSE(emitter.full());
  expect_in_order(65);
}

TEST_F(EmitterTest, WhatFitsIsKeptAsAWhole) {
  hub.take_only(0);
  const std::string data = "\"" + std::string(1000, 'x') + "\"";
  const auto event = [&] { return emitter.add({.subject = "s", .event = "e", .data = data}); };
  EXPECT_TRUE(emitter.fits(1, std::size_t{1} << 40));  // a single one always finds its place
  EXPECT_FALSE(emitter.fits(2, Emitter::kKeptBytesMax));
  EXPECT_FALSE(emitter.fits(Emitter::kKeptEventsMax + 1, 0));
  while (emitter.fits(10, 10 * (data.size() + 2)))
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(event());
  EXPECT_GT(emitter.kept(), 3000u);
  EXPECT_FALSE(emitter.fits(1, std::size_t{1} << 40));
  hub.close();
  EXPECT_FALSE(emitter.resume());
  EXPECT_FALSE(emitter.fits(1, 1));
}

TEST_F(EmitterTest, PauseMeansAllWasTaken) {
  hub.take_only(64, WEIR_PAUSE);
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(add(i));
  EXPECT_TRUE(emitter.full());
  EXPECT_EQ(emitter.kept(), 0u);
}

TEST_F(EmitterTest, WhatItKeepsHasALimit) {
  emitter.pause();
  std::size_t taken = 0;
  while (taken < 100'000 && add(static_cast<int>(taken))) ++taken;
  EXPECT_EQ(taken, Emitter::kKeptEventsMax);
  EXPECT_TRUE(emitter.resume());
  expect_in_order(taken);
}

TEST_F(EmitterTest, WhatTheHubHasNotTakenCanBeTakenBack) {
  EXPECT_EQ(emitter.next_cursor(), "");
  hub.take_only(1);
  for (const char* cursor : {"1", "2", "3", "4"})
    EXPECT_TRUE(emitter.add({.subject = "s", .event = "e", .data = "1", .cursor = cursor}));
  emitter.flush();
  EXPECT_EQ(emitter.next_cursor(), "2");
  emitter.drop_if([](const weir_event& e) { return to_view(e.cursor) < "4"; });
  EXPECT_EQ(emitter.next_cursor(), "4");
  EXPECT_EQ(emitter.kept(), 1u);
  hub.take_all();
  EXPECT_TRUE(emitter.resume());
  ASSERT_EQ(hub.events.size(), 2u);
  EXPECT_EQ(hub.events[1].cursor, "4");
  EXPECT_TRUE(emitter.fits(2, Emitter::kKeptBytesMax / 2));
}

// A gap was told before events that stand before it, where the hub had taken a part of them only.
TEST_F(EmitterTest, AGapHasItsPlaceAmongTheEvents) {
  EXPECT_TRUE(add(0));
  emitter.gap("a", 1, "why");
  expect_in_order(1);
  ASSERT_EQ(hub.gaps.size(), 1u);
  hub.take_only(1);
  EXPECT_TRUE(add(1));
  EXPECT_TRUE(add(2));
  emitter.gap("b", 2, "why");
  emitter.gap("b", 3, "why");
  EXPECT_TRUE(add(3));
  emitter.gap("c", 0, "why");
  emitter.drop_if([](const weir_event&) { return false; });
  EXPECT_EQ(hub.gaps.size(), 1u);
  hub.take_only(1, WEIR_PAUSE);
  EXPECT_FALSE(emitter.resume());  // takes the event before the gap, and wants no more
  ASSERT_EQ(hub.gaps.size(), 2u);
  EXPECT_EQ(hub.gaps[1].subject, "b");
  EXPECT_EQ(hub.gaps[1].count, 5u);
  EXPECT_EQ(hub.events.size(), 3u);
  hub.take_all();
  EXPECT_TRUE(emitter.resume());
  expect_in_order(4);
  ASSERT_EQ(hub.gaps.size(), 3u);
  EXPECT_EQ(hub.gaps[2].subject, "c");
  EXPECT_EQ(hub.gaps[2].count, 0u);
  EXPECT_EQ(hub.gaps[2].reason, "why");
  EXPECT_TRUE(emitter.fits(Emitter::kKeptEventsMax, 0));  // nothing of them is left behind
}

TEST_F(EmitterTest, WhatItKeepsOfGapsHasALimit) {
  emitter.pause();
  EXPECT_TRUE(add(0));
  for (int i = 0; i < 10'000; ++i) emitter.gap(std::to_string(i), 1, "why");
  EXPECT_EQ(emitter.kept(), Emitter::kKeptEventsMax);
  EXPECT_FALSE(add(1));
  EXPECT_TRUE(emitter.resume());
  ASSERT_EQ(hub.gaps.size(), Emitter::kKeptEventsMax - 1);
  EXPECT_EQ(hub.gaps[0].subject, "0");
  EXPECT_EQ(hub.gaps.back().subject, "");
  std::uint64_t all = 0;
  for (const auto& gap : hub.gaps) all += gap.count;
  EXPECT_EQ(all, 10'000u);
}

TEST_F(EmitterTest, AWrongEventIsLeftOutAndTheOthersGoOn) {
  EXPECT_TRUE(add(0));
  EXPECT_TRUE(emitter.add({.event = "e", .data = "{broken"}));
  EXPECT_TRUE(add(1));
  emitter.flush();
  expect_in_order(2);
  EXPECT_EQ(emitter.invalid(), 1u);
}

TEST_F(EmitterTest, AClosedHubEndsIt) {
  EXPECT_TRUE(add(0));
  hub.close();
  emitter.flush();
  EXPECT_TRUE(emitter.closed());
  EXPECT_FALSE(add(1));
  EXPECT_EQ(emitter.kept(), 0u);
}

}  // namespace
}  // namespace weir::sdk
