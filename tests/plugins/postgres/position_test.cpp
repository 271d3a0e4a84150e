#include "position.hpp"

#include <gtest/gtest.h>

namespace weir::postgres {
namespace {

struct PostgresProgressTest : testing::Test {
  PostgresProgressTest() { progress.reset({std::make_shared<const Batch>(Batch{"P", {}}), 0, 0}); }
  std::string done() const {
    const Position& at = progress.done();
    return at.batch->seen + " " + at.batch->reading + " " + std::to_string(at.last) + " " + std::to_string(at.top);
  }
  Progress progress;
};

TEST_F(PostgresProgressTest, WhatTheHubHasIsDoneInTheOrderOfReading) {
  progress.begin("S");
  const auto a = progress.add(7, 100), b = progress.add(9, 100), c = progress.add(10, 100);
  EXPECT_FALSE(progress.changed());
  EXPECT_EQ(done(), "P  0 0");
  progress.refused(b);
  EXPECT_EQ(done(), "P  0 0");
  progress.accepted(a);
  EXPECT_EQ(done(), "P S 9 9");
  EXPECT_TRUE(progress.changed());
  progress.finish();
  EXPECT_EQ(done(), "P S 9 9");
  progress.accepted(c);
  EXPECT_EQ(done(), "S  0 10");
  EXPECT_EQ(progress.in_flight(), 0u);
}

TEST_F(PostgresProgressTest, BatchesUnderWayAtOnceKeepTheirPlaces) {
  progress.begin("S");
  const auto a = progress.add(5, 100);
  progress.finish();
  progress.begin("T");
  const auto b = progress.add(3, 100);
  progress.finish();
  progress.accepted(a);
  EXPECT_EQ(done(), "P S 5 5");
  progress.accepted(b);
  EXPECT_EQ(done(), "T  0 5");
}

TEST_F(PostgresProgressTest, WhatBecomesNoEventIsPassed) {
  progress.begin("S");
  progress.skip(4, 100);
  EXPECT_TRUE(progress.changed());
  EXPECT_EQ(done(), "P S 4 4");
}

TEST_F(PostgresProgressTest, OtherNumbersCountOnceEverythingBeforeIsThere) {
  progress.begin("S");
  const auto a = progress.add(5, 100), b = progress.add(6, 100);
  progress.renumber({std::make_shared<const Batch>(Batch{"p", "s"}), 6, 6});
  progress.accepted(a);
  EXPECT_EQ(done(), "P  0 0");
  progress.accepted(b);
  EXPECT_EQ(done(), "p s 6 6");
}

TEST_F(PostgresProgressTest, AfterAResetOldNumbersMeanNothing) {
  progress.begin("S");
  const auto a = progress.add(5, 100);
  progress.reset({std::make_shared<const Batch>(Batch{"X", {}}), 0, 2});
  const auto b = progress.add(8, 100);
  progress.accepted(a);
  EXPECT_EQ(done(), "X  0 2");
  progress.accepted(b);
  EXPECT_EQ(done(), "X  8 8");
}

}  // namespace
}  // namespace weir::postgres
