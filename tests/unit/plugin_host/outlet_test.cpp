// The queue before a sink, with the sink's answers given by the test: what is taken, kept, tried again and handed on.
#include "plugin_host/outlet.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <vector>

namespace weir {
namespace {

struct Answer {
  weir_status status = WEIR_OK;
  std::uint32_t taken = UINT32_MAX;  // all
};

class OutletTest : public ::testing::Test {
 protected:
  std::unique_ptr<Outlet> outlet(Outlet::Bounds bounds = {}) {
    return std::make_unique<Outlet>(
        bounds, Outlet::Ports{[this](const weir_event* events, std::uint32_t count, std::uint32_t* taken) {
                                return deliver(events, count, taken);
                              },
                              [this] { ++posts; }, [this](std::int64_t ms) { retries.push_back(ms); },
                              [this] { ++rooms; }, [this](const std::string& what) { complaints.push_back(what); }});
  }
  weir_status deliver(const weir_event* events, std::uint32_t count, std::uint32_t* taken) {
    offered.push_back(count);
    Answer answer;
    if (!answers.empty()) {
      answer = answers.front();
      answers.pop_front();
    }
    *taken = answer.taken == UINT32_MAX ? count : answer.taken;
    for (std::uint32_t i = 0; i < std::min(*taken, count); ++i)
      got.emplace_back(events[i].data.ptr, static_cast<std::size_t>(events[i].data.size));
    if (const auto call = within) call();  // which may forget itself
    return answer.status;
  }
  static std::vector<Outgoing> events(int first, int count, std::size_t bytes = 0) {
    std::vector<Outgoing> out;
    for (int i = first; i < first + count; ++i) {
      Draft d;
      d.event = "e";
      d.data = std::to_string(i) + std::string(bytes, ' ');
      out.push_back({Event::make("c", "k", static_cast<SequenceId>(i), d), std::make_shared<const std::string>("s")});
    }
    return out;
  }
  static std::size_t offer(Outlet& to, int first, int count, std::size_t bytes = 0) {
    auto some = events(first, count, bytes);
    return to.offer(some);
  }
  std::vector<std::string> numbers(int first, int last) const {
    std::vector<std::string> out;
    for (int i = first; i <= last; ++i) out.push_back(std::to_string(i));
    return out;
  }

  std::deque<Answer> answers;  // then it takes all
  std::function<void()> within;
  std::vector<std::uint32_t> offered;
  std::vector<std::string> got, complaints;
  std::vector<std::int64_t> retries;
  int posts = 0, rooms = 0;
};

TEST_F(OutletTest, GivesAllInOrderAndIsPostedOnceForMany) {
  auto out = outlet();
  EXPECT_EQ(offer(*out, 1, 2), 2U);
  EXPECT_EQ(offer(*out, 3, 2), 2U);
  EXPECT_EQ(posts, 1);
  EXPECT_FALSE(out->empty());
  out->pump();
  EXPECT_EQ(got, numbers(1, 4));
  EXPECT_TRUE(out->empty());
  EXPECT_EQ(out->counts().sent, 4U);
  EXPECT_EQ(offer(*out, 5, 1), 1U);
  EXPECT_EQ(posts, 2);
}

TEST_F(OutletTest, TakesNoMoreThanItsBoundsAndSaysWhenThereIsRoom) {
  auto out = outlet({4, 1 << 20});
  EXPECT_EQ(offer(*out, 1, 6), 4U);
  EXPECT_EQ(offer(*out, 5, 1), 0U);
  EXPECT_EQ(rooms, 0);
  answers = {{WEIR_E_FULL, 1}};
  out->pump();
  EXPECT_EQ(rooms, 0);  // three of four still wait
  out->ready();
  answers = {{WEIR_E_FULL, 1}};
  out->pump();
  EXPECT_EQ(rooms, 1);  // half of it is free
  out->ready();
  out->pump();
  EXPECT_EQ(rooms, 1);  // nobody was refused since
  EXPECT_EQ(got, numbers(1, 4));
}

TEST_F(OutletTest, OneThatIsLargerThanAllTheRoomGoesAlone) {
  auto out = outlet({100, 1000});
  EXPECT_EQ(offer(*out, 1, 2, 5000), 1U);
  EXPECT_EQ(offer(*out, 2, 1), 0U);
  out->pump();
  EXPECT_EQ(offer(*out, 2, 1), 1U);
  EXPECT_EQ(rooms, 1);
}

TEST_F(OutletTest, ASinkWithoutRoomIsAskedAgainWhenItSaysSo) {
  auto out = outlet();
  offer(*out, 1, 3);
  answers = {{WEIR_E_FULL, 2}};
  out->pump();
  out->pump();
  EXPECT_EQ(offered, (std::vector<std::uint32_t>{3}));  // not before it is ready
  const int before = posts;
  out->ready();
  EXPECT_EQ(posts, before + 1);
  out->pump();
  EXPECT_EQ(got, numbers(1, 3));
}

TEST_F(OutletTest, AReadyThatComesWhileItReturnsIsNotMissed) {
  auto out = outlet();
  offer(*out, 1, 3);
  answers = {{WEIR_E_FULL, 1}};
  within = [&] {
    within = nullptr;
    out->ready();
  };
  out->pump();
  EXPECT_EQ(got, numbers(1, 3));
}

TEST_F(OutletTest, PauseWithAllTakenHoldsTheNext) {
  auto out = outlet();
  offer(*out, 1, 2);
  answers = {{WEIR_PAUSE}};
  out->pump();
  offer(*out, 3, 1);
  out->pump();
  EXPECT_EQ(got, numbers(1, 2));
  out->ready();
  out->pump();
  EXPECT_EQ(got, numbers(1, 3));
  EXPECT_TRUE(complaints.empty());
}

TEST_F(OutletTest, OneThatCanNeverBeSentIsLeftOutAndCounted) {
  auto out = outlet();
  offer(*out, 1, 3);
  answers = {{WEIR_E_INVALID, 1}};
  out->pump();
  EXPECT_EQ(got, (std::vector<std::string>{"1", "3"}));
  EXPECT_EQ(out->counts().sent, 2U);
  EXPECT_EQ(out->counts().undeliverable, 1U);
}

TEST_F(OutletTest, AnotherStatusIsTriedAgainLater) {
  auto out = outlet();
  offer(*out, 1, 2);
  answers = {{WEIR_E_UNAVAILABLE, 0}};
  out->pump();
  EXPECT_EQ(retries.size(), 1U);
  EXPECT_TRUE(complaints.empty());
  out->retry();
  answers = {{WEIR_E_INTERNAL, 1}};
  out->pump();
  EXPECT_EQ(retries.size(), 2U);
  EXPECT_EQ(complaints.size(), 1U);
  out->retry();
  out->pump();
  EXPECT_EQ(got, numbers(1, 2));
}

TEST_F(OutletTest, WhatASinkClaimsToHaveTakenBeyondTheBatchDoesNoHarm) {
  auto out = outlet();
  offer(*out, 1, 2);
  answers = {{WEIR_OK, 7}};
  out->pump();
  EXPECT_TRUE(out->empty());
  EXPECT_EQ(out->counts().sent, 2U);
  EXPECT_EQ(complaints.size(), 1U);
  offer(*out, 3, 2);
  answers = {{WEIR_OK, 1}};  // and one that does not say why it took less
  out->pump();
  EXPECT_EQ(complaints.size(), 2U);
  out->ready();
  out->pump();
  EXPECT_TRUE(out->empty());
}

TEST_F(OutletTest, ManyWaitForTheStrandsOtherTasks) {
  auto out = outlet({100'000, 1 << 30});
  offer(*out, 1, 5000);
  out->pump();
  EXPECT_LT(got.size(), 5000U);
  EXPECT_EQ(posts, 2);  // it goes on behind them
  while (!out->empty()) out->pump();
  EXPECT_EQ(got, numbers(1, 5000));
}

TEST_F(OutletTest, WhatIsLeftGoesToTheNextBeforeWhatThatHas) {
  auto before = outlet(), next = outlet();
  offer(*before, 1, 3);
  offer(*next, 4, 2);
  EXPECT_EQ(before->hand_on(next.get()), 0U);
  EXPECT_EQ(offer(*before, 9, 1), 0U);
  EXPECT_TRUE(before->empty());
  next->pump();
  EXPECT_EQ(got, numbers(1, 5));
  offer(*next, 6, 2);
  EXPECT_EQ(next->hand_on(nullptr), 2U);  // lost, and told how many
}

// One whose deliver() hangs while it is replaced: what it returns then takes nothing away from the next.
TEST_F(OutletTest, ADeliveryThatReturnsAfterTheEndChangesNothing) {
  auto before = outlet(), next = outlet();
  offer(*before, 1, 2);
  within = [&] {
    within = nullptr;
    EXPECT_EQ(before->hand_on(next.get()), 0U);
  };
  before->pump();
  got.clear();
  next->pump();
  EXPECT_EQ(got, numbers(1, 2));
}

}  // namespace
}  // namespace weir
