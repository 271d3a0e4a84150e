#include "routing/lag.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace weir {
namespace {

EventPtr event(SequenceId id, const std::string& key = "", std::size_t size = 10) {
  Draft d;
  d.event = "e";
  d.id = "i";
  d.key = key;
  d.data = '"' + std::string(size, 'x') + '"';
  return Event::make("c", "k", id, d);
}
constexpr std::size_t kPlenty = 1 << 20;

// What a subscriber is told and gets, in order: "3" an event, "4-6x2" a gap of two events.
std::vector<std::string> all(Lag& lag) {
  std::vector<std::string> out;
  while (const auto item = lag.next()) {
    const Lag::Hole& h = item->before;
    if (h.count != 0)
      out.push_back(std::to_string(h.from) + "-" + std::to_string(h.to) + "x" + std::to_string(h.count));
    if (item->event) out.push_back(std::to_string(item->event->sequence_id()));
  }
  EXPECT_TRUE(lag.empty());
  EXPECT_EQ(lag.bytes(), 0U);
  return out;
}
using Texts = std::vector<std::string>;

TEST(LagTest, DropNewestKeepsNothingAndCountsEverything) {
  Lag lag(OverflowPolicy::drop_newest, event(5), kPlenty);
  for (const SequenceId id : {7U, 8U, 12U}) lag.add(event(id), kPlenty);  // 6 and 9 to 11 were not wanted
  EXPECT_EQ(lag.first(), 5U);
  EXPECT_EQ(lag.bytes(), 0U);
  EXPECT_EQ(all(lag), Texts{"5-12x4"});
}

TEST(LagTest, DropOldestKeepsTheNewestThatFit) {
  const std::size_t one = event(1)->memory();
  Lag lag(OverflowPolicy::drop_oldest, event(1), 3 * one);
  for (SequenceId id = 2; id <= 6; ++id) lag.add(event(id), 3 * one);
  EXPECT_EQ(lag.bytes(), 3 * one);
  EXPECT_EQ(lag.first(), 1U);
  const Lag::Hole hole = lag.all();
  EXPECT_EQ(hole.from, 1U);
  EXPECT_EQ(hole.to, 6U);
  EXPECT_EQ(hole.count, 6U);
  EXPECT_EQ(all(lag), (Texts{"1-3x3", "4", "5", "6"}));
}

TEST(LagTest, WithoutAnyRoomDropOldestIsOneGap) {
  Lag lag(OverflowPolicy::drop_oldest, event(1), 0);
  lag.add(event(2), 0);
  EXPECT_EQ(all(lag), Texts{"1-2x2"});
}

TEST(LagTest, RoomThatShrinksLetsTheOldestGo) {
  const std::size_t one = event(1)->memory();
  Lag lag(OverflowPolicy::drop_oldest, event(1), 3 * one);
  lag.add(event(2), 3 * one);
  lag.add(event(3), one);
  EXPECT_EQ(all(lag), (Texts{"1-2x2", "3"}));
}

TEST(LagTest, LatestKeepsTheNewestOfEachKeyAndSaysWhatItSuperseded) {
  Lag lag(OverflowPolicy::latest, event(1, "a"), kPlenty);
  lag.add(event(2, "b"), kPlenty);
  lag.add(event(3, "a"), kPlenty);
  lag.add(event(4, "a"), kPlenty);
  lag.add(event(6, "c"), kPlenty);
  lag.add(event(7, "b"), kPlenty);
  EXPECT_EQ(lag.first(), 1U);
  EXPECT_EQ(all(lag), (Texts{"1-3x3", "4", "6", "7"}));
}

TEST(LagTest, LatestSaysEachRunOfSupersededEventsAtItsPlace) {
  Lag lag(OverflowPolicy::latest, event(1, "a"), kPlenty);
  lag.add(event(2, "b"), kPlenty);
  lag.add(event(3, "c"), kPlenty);
  lag.add(event(4, "b"), kPlenty);
  EXPECT_EQ(all(lag), (Texts{"1", "2-2x1", "3", "4"}));
}

TEST(LagTest, LatestBeyondTheRoomLosesTheOldestKeys) {
  const std::size_t one = event(1, "a")->memory();
  Lag lag(OverflowPolicy::latest, event(1, "a"), 2 * one);
  lag.add(event(2, "b"), 2 * one);
  lag.add(event(3, "c"), 2 * one);
  lag.add(event(4, "a"), 2 * one);  // its first one is gone already
  EXPECT_EQ(all(lag), (Texts{"1-2x2", "3", "4"}));
}

TEST(LagTest, GoesOnAfterSomeOfItWasTaken) {
  Lag lag(OverflowPolicy::latest, event(1, "a"), kPlenty);
  lag.add(event(2, "b"), kPlenty);
  ASSERT_EQ(lag.next()->event->sequence_id(), 1U);
  lag.add(event(3, "a"), kPlenty);  // the first one was delivered: nothing is superseded
  lag.add(event(4, "b"), kPlenty);
  EXPECT_EQ(lag.first(), 2U);
  EXPECT_EQ(all(lag), (Texts{"2-2x1", "3", "4"}));
}

}  // namespace
}  // namespace weir
