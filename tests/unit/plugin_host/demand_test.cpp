// Which subjects are active, with the strand, its timers and the source's answers in the test's hands.
#include "plugin_host/demand.hpp"

#include <gtest/gtest.h>

#include <deque>

namespace weir {
namespace {

class DemandTest : public ::testing::Test {
 protected:
  DemandTest()
      : demand(10'000, {[this](const std::string& subject, std::uint32_t activation) {
                          told.push_back("+" + subject);
                          answers[subject].push_back(activation);
                        },
                        [this](const std::string& subject) { told.push_back("-" + subject); },
                        [this](std::function<void()> task) { tasks.push_back(std::move(task)); },
                        [this](std::int64_t ms, std::function<void()> call) {
                          waits.push_back(ms);
                          timers[++ids] = std::move(call);
                          return ids;
                        },
                        [this](std::uint64_t id) { timers.erase(id); }}) {}
  void want(const std::string& subject, const std::string& who) {
    demand.want(
        subject, who,
        [this, who](const Result<void>& how, bool late) {
          heard.push_back(who + (how ? late ? " awake late" : " awake" : " " + how.error().message));
        },
        [this, who] { heard.push_back(who + " asleep"); });
  }
  void run() {
    while (!tasks.empty()) {
      auto task = std::move(tasks.front());
      tasks.pop_front();
      task();
    }
  }
  void answer(const std::string& subject, Result<void> how = {}) {
    auto& waiting = answers[subject];
    ASSERT_FALSE(waiting.empty());
    const std::uint32_t first = waiting.front();
    waiting.pop_front();
    demand.answered(first, std::move(how));
    run();
  }
  void linger() {
    auto due = std::move(timers);
    timers.clear();
    for (auto& [id, call] : due) call();
    run();
  }
  using Texts = std::vector<std::string>;

  std::deque<std::function<void()>> tasks;
  std::map<std::uint64_t, std::function<void()>> timers;
  std::map<std::string, std::deque<std::uint32_t>> answers;
  std::uint64_t ids = 0;
  std::vector<std::int64_t> waits;  // of all timers
  Texts told, heard;                // the source; the channels
  Demand demand;
};

TEST_F(DemandTest, TheFirstActivatesAndTheLastLetsGoAfterAWhile) {
  want("s", "a");
  want("s", "b");
  run();
  EXPECT_EQ(told, Texts{"+s"});
  EXPECT_TRUE(heard.empty());
  answer("s");
  EXPECT_EQ(heard, (Texts{"a awake", "b awake"}));
  heard.clear();
  want("s", "c");
  run();
  EXPECT_EQ(heard, Texts{"c awake"});  // at once: it is active
  demand.unwant("s", "a");
  demand.unwant("s", "b");
  run();
  EXPECT_TRUE(timers.empty());
  demand.unwant("s", "c");
  run();
  EXPECT_EQ(timers.size(), 1U);
  EXPECT_EQ(waits, std::vector<std::int64_t>{10'000});
  heard.clear();
  linger();
  EXPECT_EQ(told, (Texts{"+s", "-s"}));
  EXPECT_EQ(heard, (Texts{"a asleep", "b asleep", "c asleep"}));
}

TEST_F(DemandTest, WhoComesBackWithinTheWhileFindsItActive) {
  want("s", "a");
  run();
  answer("s");
  demand.unwant("s", "a");
  run();
  want("s", "a");
  run();
  EXPECT_TRUE(timers.empty());
  EXPECT_EQ(told, Texts{"+s"});
  EXPECT_EQ(heard, (Texts{"a awake", "a awake"}));
}

TEST_F(DemandTest, ANoIsToldToThoseWhoWaitAndTheNextIsAskedAnew) {
  want("s", "a");
  want("s", "b");
  run();
  answer("s", fail(Errc::not_found, "no"));
  EXPECT_EQ(heard, (Texts{"a no", "b no"}));
  want("s", "c");
  run();
  EXPECT_EQ(told, (Texts{"+s", "+s"}));
  answer("s");
  EXPECT_EQ(heard.back(), "c awake");
}

// A pattern has nobody who would subscribe to it again: it stayed without its source until somebody else watched.
TEST_F(DemandTest, WhatCantBeNowIsAskedForAgainWhileSomebodyWantsIt) {
  want("s", "a");
  run();
  for (int i = 0; i < 7; ++i) {
    answer("s", fail(Errc::unavailable, "not now"));
    EXPECT_EQ(timers.size(), 1U);
    linger();
  }
  EXPECT_EQ(waits, (std::vector<std::int64_t>{1'000, 2'000, 4'000, 8'000, 16'000, 30'000, 30'000}));
  EXPECT_EQ(told.size(), 8U);
  heard.clear();
  answer("s");
  EXPECT_EQ(heard, Texts{"a awake late"});
  want("s", "b");
  run();
  EXPECT_EQ(heard.back(), "b awake");
  EXPECT_TRUE(timers.empty());
}

TEST_F(DemandTest, WhoComesBetweenTwoAttemptsMakesOneAtOnce) {
  want("s", "a");
  run();
  answer("s", fail(Errc::unavailable, "not now"));
  auto cancelled_too_late = timers;
  want("s", "b");
  run();
  EXPECT_TRUE(timers.empty());
  for (auto& [id, call] : cancelled_too_late) call();
  run();
  EXPECT_EQ(told, (Texts{"+s", "+s"}));
  heard.clear();
  answer("s");
  EXPECT_EQ(heard, (Texts{"a awake late", "b awake late"}));
}

TEST_F(DemandTest, WhatFailedIsNotAskedForAgainOnceNobodyWantsItOrTheAnswerIsNo) {
  want("s", "a");
  run();
  answer("s", fail(Errc::unavailable, "not now"));
  demand.unwant("s", "a");
  run();
  EXPECT_EQ(heard, Texts{"a not now"}) << "who comes back within the while finds its channel";
  linger();
  EXPECT_TRUE(timers.empty());
  EXPECT_EQ(told, Texts{"+s"}) << "what never was active is not let go of";
  EXPECT_EQ(heard, (Texts{"a not now", "a asleep"}));
  want("s", "a");
  run();
  answer("s", fail(Errc::unavailable, "not now"));
  linger();
  answer("s", fail(Errc::not_found, "no"));
  EXPECT_TRUE(timers.empty());
  EXPECT_EQ(heard.back(), "a no");
}

TEST_F(DemandTest, ANoToOneWhoHasLeftEndsTheWhile) {
  want("s", "a");
  run();
  demand.unwant("s", "a");
  run();
  EXPECT_EQ(timers.size(), 1U);
  answer("s", fail(Errc::not_found, "no"));
  EXPECT_TRUE(timers.empty());
  EXPECT_EQ(heard, Texts{"a asleep"});
  want("s", "a");
  run();
  linger();  // nothing of the life before
  EXPECT_EQ(told, (Texts{"+s", "+s"}));
}

TEST_F(DemandTest, AnAnswerToALifeBeforeIsNoneToThisOne) {
  want("s", "a");
  run();
  demand.unwant("s", "a");
  run();
  linger();
  EXPECT_EQ(told, (Texts{"+s", "-s"}));
  EXPECT_EQ(heard, Texts{"a asleep"});
  want("s", "b");
  run();
  heard.clear();
  answer("s", fail(Errc::not_found, "late"));  // to the first
  EXPECT_TRUE(heard.empty());
  answer("s");
  EXPECT_EQ(heard, Texts{"b awake"});
}

TEST_F(DemandTest, OfWishesThatComeFasterThanTheStrandWorksTheLastCounts) {
  for (int i = 0; i < 100; ++i) {
    want("s", "a");
    demand.unwant("s", "a");
  }
  EXPECT_EQ(tasks.size(), 1U);
  run();
  EXPECT_TRUE(told.empty());
  EXPECT_EQ(heard, Texts{"a asleep"});  // for all that it knows it was asked for
  heard.clear();
  want("s", "a");
  demand.unwant("s", "a");
  want("s", "a");
  run();
  EXPECT_EQ(told, Texts{"+s"});
  answer("s");
  EXPECT_EQ(heard, Texts{"a awake"});
}

// Subjects that were wanted at once stood behind one another until their deadline had passed, and then never began.
TEST_F(DemandTest, AnActivationIsMadeAndItsAnswerTakenHoweverLateItIs) {
  for (const char* subject : {"s", "t", "u"}) want(subject, "a");
  ASSERT_EQ(tasks.size(), 1U);
  tasks.front()();
  tasks.pop_front();
  EXPECT_TRUE(told.empty()) << "each is a task of its own";
  want("v", "a");  // between them
  run();
  EXPECT_EQ(told, (Texts{"+s", "+t", "+u", "+v"}));
  answer("u", fail(Errc::unavailable, "not now"));
  EXPECT_EQ(heard, Texts{"a not now"});
  want("u", "a");
  run();
  EXPECT_EQ(told.back(), "+u") << "what is not active is asked for again";
  EXPECT_EQ(told.size(), 5U);
}

TEST_F(DemandTest, WhoLeftBetweenTwoWishesIsToldWhenItIsLetGo) {
  want("s", "a");
  run();
  answer("s");
  heard.clear();
  want("s", "b");
  demand.unwant("s", "b");  // the strand never saw that it was wanted
  run();
  EXPECT_TRUE(heard.empty());
  demand.unwant("s", "a");
  run();
  linger();
  EXPECT_EQ(heard, (Texts{"a asleep", "b asleep"}));
}

TEST_F(DemandTest, AnswersThatNobodyWaitsForDoNothing) {
  demand.answered(7, {});
  want("s", "a");
  run();
  answer("s");
  demand.answered(1, fail(Errc::not_found, "twice"));
  run();
  EXPECT_EQ(heard, Texts{"a awake"});
  want("s", "b");
  run();
  EXPECT_EQ(heard, (Texts{"a awake", "b awake"}));
}

// Symptom: each round of a client that came and left while the source had not answered left one more who waits.
TEST_F(DemandTest, WhoComesAndLeavesAgainAndAgainWaitsOnce) {
  for (int i = 0; i < 100; ++i) {
    want("s", "a");
    run();
    demand.unwant("s", "a");
    run();
  }
  want("s", "a");
  run();
  EXPECT_EQ(told, Texts{"+s"});
  answer("s");
  EXPECT_EQ(heard, Texts{"a awake"});
  linger();
  EXPECT_EQ(told, Texts{"+s"}) << "it is wanted";
}

// Symptom: clients that went through ever new names filled the memory while the strand hung.
TEST_F(DemandTest, WishesBeyondTheirNumberAreRefusedAtOnceAndTakenAgainLater) {
  int awake = 0, refused = 0;
  const auto wants = [&](const std::string& who) {
    return demand.want(
        "s", who, [&](const Result<void>& how, bool) { ++(how ? awake : refused); }, [] {});
  };
  for (std::size_t i = 0; i < Demand::kWishesMax; ++i) ASSERT_TRUE(wants(std::to_string(i)));
  EXPECT_FALSE(wants("one too many"));
  EXPECT_EQ(refused, 1);
  demand.unwant("s", "0");
  EXPECT_TRUE(wants("0")) << "of each the last wish counts";
  run();
  answer("s");
  EXPECT_EQ(awake, static_cast<int>(Demand::kWishesMax));
  EXPECT_TRUE(wants("one too many"));
  run();
  EXPECT_EQ(awake, static_cast<int>(Demand::kWishesMax) + 1);
  EXPECT_EQ(refused, 1);
}

// Symptom: a source that said the same again and again made the queue of its strand grow, and nothing showed it.
TEST_F(DemandTest, AnAnswerThatWasGivenBeforeIsCountedAndDoesNotReachTheStrand) {
  want("s", "a");
  run();
  answer("s");
  for (int i = 0; i < 100; ++i) demand.answered(1, {});
  demand.answered(2, {});
  EXPECT_TRUE(tasks.empty());
  EXPECT_EQ(demand.late(), 101U);
  EXPECT_EQ(heard, Texts{"a awake"});
}

TEST_F(DemandTest, SubjectsAreApart) {
  want("s", "a");
  want("t", "a");
  run();
  answer("t");
  EXPECT_EQ(heard, Texts{"a awake"});
  demand.unwant("t", "a");
  run();
  linger();
  EXPECT_EQ(told, (Texts{"+s", "+t", "-t"}));
}

}  // namespace
}  // namespace weir
