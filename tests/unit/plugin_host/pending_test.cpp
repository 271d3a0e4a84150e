#include "plugin_host/pending.hpp"

#include <gtest/gtest.h>

#include <atomic>

#include "support/fact.hpp"

namespace weir::test {
namespace {

using How = PendingCalls::How;

struct PendingTest : testing::Test {
  PendingCalls calls;
};

TEST_F(PendingTest, AnAnswerArrivesOnceAndARepeatIsLate) {
  std::string got;
  const auto token = calls.add(60'000, [&](How how, std::uint64_t, std::int32_t status, std::string_view json) {
    got += (how == How::answered ? "answered " : "? ") + std::to_string(status) + " " + std::string(json);
  });
  EXPECT_NE(token, 0u);
  EXPECT_TRUE(calls.waiting(token));
  EXPECT_TRUE(calls.answer(token, -7, "{}"));
  EXPECT_FALSE(calls.answer(token, 0, "{}"));
  EXPECT_EQ(got, "answered -7 {}");
  EXPECT_EQ(calls.late(), 1u);
}

TEST_F(PendingTest, AReusedPlaceHasAnotherToken) {
  const auto first = calls.add(60'000, [](How, std::uint64_t, std::int32_t, std::string_view) {});
  calls.answer(first, 0, "");
  bool second_called = false;
  const auto second =
      calls.add(60'000, [&](How, std::uint64_t, std::int32_t, std::string_view) { second_called = true; });
  EXPECT_NE(first, second);
  EXPECT_EQ(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(second));  // the same place
  EXPECT_FALSE(calls.answer(first, 0, ""));
  EXPECT_FALSE(second_called);
  EXPECT_TRUE(calls.answer(second, 0, ""));
}

TEST_F(PendingTest, TheDeadlineComesEvenIfALaterOneWasSetFirst) {
  std::atomic<int> slow{0};
  Fact<std::uint64_t> expired;
  calls.add(60'000, [&](How, std::uint64_t, std::int32_t, std::string_view) { ++slow; });
  const auto token = calls.add(5, [&](How how, std::uint64_t its, std::int32_t, std::string_view) {
    expired.set(how == How::deadline ? its : 0);
  });
  EXPECT_TRUE(expired.wait_for(token));
  EXPECT_EQ(slow, 0);
  EXPECT_FALSE(calls.answer(token, 0, ""));
  calls.close();  // tells the other one, while what it writes to is still there
  EXPECT_EQ(slow, 1);
}

TEST_F(PendingTest, CloseTellsAllAndTakesNoMore) {
  int closed = 0;
  for (int i = 0; i < 10; ++i)
    calls.add(60'000,
              [&](How how, std::uint64_t, std::int32_t, std::string_view) { closed += how == How::closed ? 1 : 100; });
  calls.close();
  EXPECT_EQ(closed, 10);
  EXPECT_EQ(calls.add(1, [](How, std::uint64_t, std::int32_t, std::string_view) {}), 0u);
}

TEST_F(PendingTest, TooManyAreRefused) {
  for (std::size_t i = 0; i < PendingCalls::kWaitingMax; ++i)
    ASSERT_NE(calls.add(600'000, [](How, std::uint64_t, std::int32_t, std::string_view) {}), 0u);
  EXPECT_EQ(calls.add(600'000, [](How, std::uint64_t, std::int32_t, std::string_view) {}), 0u);
}

TEST_F(PendingTest, NonsenseTokensFindNobody) {
  for (const std::uint64_t token : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}, std::uint64_t{1} << 32})
    EXPECT_FALSE(calls.answer(token, 0, ""));
  EXPECT_EQ(calls.late(), 4u);
}

}  // namespace
}  // namespace weir::test
