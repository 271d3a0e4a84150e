#include "routing/memory_log.hpp"

#include <gtest/gtest.h>

#include "support/manual_clock.hpp"

namespace weir {
namespace {

class Committed final : public ChannelLog::Sink {
 public:
  void committed(EventPtr event, Ticket&&) override { events.push_back(std::move(event)); }
  void refused(Ticket&&, Error error) override { ADD_FAILURE() << error.message; }
  std::vector<EventPtr> events;
};

class MemoryLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<MemoryLog> log(const HistoryRule& rule, const std::string& channel = "c") {
    return std::make_unique<MemoryLog>(channel, "k", rule, *budget, sink, clock, ids);
  }
  // `channel` has one letter, so that all events of one payload have one size.
  std::size_t append(MemoryLog& to, std::size_t payload = 1, int count = 1) {
    for (int i = 0; i < count; ++i) {
      Draft d;
      d.event = "e";
      d.data = "\"" + std::string(payload, 'x') + "\"";
      to.append(std::move(d), {});
    }
    return sink.events.back()->memory();
  }
  std::vector<SequenceId> read(MemoryLog& from, SequenceId since, std::size_t events_max = 100,
                               std::size_t bytes_max = 1 << 20) {
    std::vector<SequenceId> found;
    int calls = 0;
    from.read(since, events_max, bytes_max, [&](ChannelLog::Slice slice) {
      ++calls;
      upto = slice.upto;
      for (const EventPtr& e : slice.events) found.push_back(e->sequence_id());
    });
    EXPECT_EQ(calls, 1);
    return found;
  }
  using Ids = std::vector<SequenceId>;

  testing::ManualClock clock;
  IdMaker ids{1};
  Committed sink;
  std::unique_ptr<HistoryBudget> budget = std::make_unique<HistoryBudget>(1 << 30);
  SequenceId upto = 0;
};

TEST_F(MemoryLogTest, AnEmptyLogBeginsBeforeItsFirstEvent) {
  const auto l = log({});
  EXPECT_EQ(l->head(), 0U);
  EXPECT_EQ(l->first(), 1U);
  EXPECT_EQ(read(*l, 0), Ids());
  EXPECT_EQ(upto, 0U);
}

TEST_F(MemoryLogTest, KeepsAsManyEventsAsTheRuleSays) {
  const auto l = log({.events_max = 3});
  append(*l, 1, 3);
  EXPECT_EQ(l->first(), 1U);
  append(*l);
  EXPECT_EQ(l->head(), 4U);
  EXPECT_EQ(l->first(), 2U);
  EXPECT_EQ(read(*l, 0), (Ids{2, 3, 4}));
  EXPECT_EQ(sink.events.size(), 4U);
}

TEST_F(MemoryLogTest, KeepsNoMoreBytesThanTheRuleSays) {
  const auto probe = log({});
  const std::size_t size = append(*probe);
  const auto exact = log({.bytes_max = 2 * size}), less = log({.bytes_max = 2 * size - 1});
  append(*exact, 1, 3);
  EXPECT_EQ(exact->events(), 2U);
  EXPECT_EQ(exact->bytes(), 2 * size);
  append(*less, 1, 3);
  EXPECT_EQ(less->events(), 1U);
  EXPECT_EQ(less->first(), 3U);
}

TEST_F(MemoryLogTest, AnEventThatIsTooLargeToKeepLeavesNoHoleInHistory) {
  const auto l = log({.bytes_max = 4096});
  append(*l, 1, 3);
  append(*l, 8192);
  EXPECT_EQ(l->head(), 4U);
  EXPECT_EQ(l->first(), 5U);
  EXPECT_EQ(l->bytes(), 0U);
  EXPECT_EQ(budget->bytes(), 0U);
  EXPECT_EQ(sink.events.size(), 4U) << "it is delivered all the same";
  append(*l);
  EXPECT_EQ(read(*l, 0), Ids{5});
}

TEST_F(MemoryLogTest, WithoutHistoryEventsGetTheirPlaceAndAreNotKept) {
  const auto l = log({.events_max = 0});
  append(*l, 1, 2);
  EXPECT_EQ(l->head(), 2U);
  EXPECT_EQ(l->first(), 3U);
  EXPECT_EQ(l->events(), 0U);
  EXPECT_EQ(read(*l, 0), Ids());
  EXPECT_EQ(upto, 2U);
  EXPECT_EQ(sink.events.back()->sequence_id(), 2U);
}

TEST_F(MemoryLogTest, LetsGoOfWhatIsOlderThanTheRuleSays) {
  const auto l = log({.age_max_ms = 1000});
  append(*l);
  clock.advance(500);
  append(*l);
  clock.advance(500);
  l->prune(clock.steady_ms());
  EXPECT_EQ(l->first(), 1U) << "exactly that old is not older";
  clock.advance(1);
  l->prune(clock.steady_ms());
  EXPECT_EQ(l->first(), 2U);
  clock.advance(10'000);
  EXPECT_EQ(read(*l, 0), Ids()) << "reading never shows what is too old";
  EXPECT_EQ(upto, 2U);
  EXPECT_EQ(budget->bytes(), 0U);
  append(*l);
  EXPECT_EQ(l->first(), 3U);
}

TEST_F(MemoryLogTest, WithoutAnAgeNothingGrowsOld) {
  const auto l = log({});
  append(*l);
  clock.advance(1'000'000'000);
  l->prune(clock.steady_ms());
  EXPECT_EQ(l->events(), 1U);
}

TEST_F(MemoryLogTest, ReadsAtTheEdges) {
  const auto l = log({.events_max = 3});
  append(*l, 1, 5);
  EXPECT_EQ(read(*l, 1), (Ids{3, 4, 5})) << "what has left is skipped";
  EXPECT_EQ(read(*l, 2), (Ids{3, 4, 5}));
  EXPECT_EQ(read(*l, 4), Ids{5});
  EXPECT_EQ(upto, 5U);
  EXPECT_EQ(read(*l, 5), Ids());
  EXPECT_EQ(upto, 5U);
  EXPECT_EQ(read(*l, 9), Ids()) << "a position that is not yet";
  EXPECT_EQ(read(*l, 0, 2), (Ids{3, 4}));
  EXPECT_EQ(upto, 4U);
  EXPECT_EQ(read(*l, 0, 100, 1), Ids{3}) << "at least one, however large";
  const std::size_t frame = sink.events.back()->frame().size();
  EXPECT_EQ(read(*l, 0, 100, 2 * frame), (Ids{3, 4}));
  EXPECT_EQ(read(*l, 0, 100, 2 * frame - 1), Ids{3});
}

TEST_F(MemoryLogTest, WalksBackFromTheNewestWhileAsked) {
  const auto l = log({});
  append(*l, 1, 4);
  Ids seen;
  l->walk_back([&](const EventPtr& e) {
    seen.push_back(e->sequence_id());
    return seen.size() < 2;
  });
  EXPECT_EQ(seen, (Ids{4, 3}));
}

TEST_F(MemoryLogTest, TheSharedBudgetDropsTheOldestOfAllChannels) {
  const std::size_t size = append(*log({}));
  budget = std::make_unique<HistoryBudget>(4 * size);
  const auto a = log({}, "a"), b = log({}, "b");
  append(*a);
  append(*b);
  append(*a, 1, 2);
  EXPECT_EQ(budget->bytes(), 4 * size);
  append(*b);
  EXPECT_EQ(a->first(), 2U);
  EXPECT_EQ(b->first(), 1U);
  append(*a);
  EXPECT_EQ(a->first(), 2U);
  EXPECT_EQ(b->first(), 2U);
  append(*b, 1, 4);
  EXPECT_EQ(a->events(), 0U) << "a quiet channel gives way to a busy one";
  EXPECT_EQ(a->first(), a->head() + 1);
  EXPECT_EQ(b->events(), 4U);
  EXPECT_EQ(budget->bytes(), 4 * size);
}

TEST_F(MemoryLogTest, AnEventLargerThanTheBudgetIsNotKept) {
  budget = std::make_unique<HistoryBudget>(4096);
  const auto a = log({}, "a"), b = log({}, "b");
  append(*a);
  append(*b, 8192);
  EXPECT_EQ(budget->bytes(), 0U);
  EXPECT_EQ(b->first(), 2U);
  EXPECT_EQ(sink.events.size(), 2U);
}

TEST_F(MemoryLogTest, TheBudgetForgetsChannelsThatAreGone) {
  const std::size_t size = append(*log({}));
  budget = std::make_unique<HistoryBudget>(3 * size);
  auto a = log({}, "a");
  const auto b = log({}, "b");
  append(*a, 1, 2);
  append(*b);
  a.reset();
  EXPECT_EQ(budget->bytes(), size);
  append(*b, 1, 3);
  EXPECT_EQ(b->first(), 2U);
}

TEST_F(MemoryLogTest, TheBudgetHoldsOverALongRun) {
  budget = std::make_unique<HistoryBudget>(20'000);
  const auto ring = log({.events_max = 2}, "a"), other = log({}, "b");
  for (int i = 0; i < 10'000; ++i) {
    append(i % 7 == 0 ? *other : *ring);
    ASSERT_LE(budget->bytes(), 20'000U);
    ASSERT_EQ(budget->bytes(), ring->bytes() + other->bytes());
  }
  EXPECT_EQ(ring->events(), 2U);
  EXPECT_GT(other->events(), 2U);
}

}  // namespace
}  // namespace weir
