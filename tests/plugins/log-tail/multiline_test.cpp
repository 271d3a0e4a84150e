// Lines that belong together become one event.
#include "multiline.hpp"

#include "tail_rig.hpp"

namespace weir::log_tail::test {
namespace {

class MultilineTest : public ::testing::Test {
 protected:
  MultilineTest() {
    rig.options.places = true;
    rig.options.multiline.continuation = "^[ \t]";
  }
  void by_start(const std::string& pattern) {
    rig.options.multiline.continuation.clear();
    rig.options.multiline.start = pattern;
  }
  TailRig rig;
  const LogFolder& folder = rig.folder;
};

const std::string kTrace = "java.lang.Error: no\n\tat a.B.c(B.java:1)\n\tat a.B.d(B.java:2)";

TEST_F(MultilineTest, LinesThatBeginWithWhiteSpaceBelongToTheOneBefore) {
  rig.start({"a.log"});
  folder.append("a.log", "one\n" + kTrace + "\ntwo\n");
  EXPECT_EQ(rig.read(), (Items{"one", kTrace})) << "the last one may go on";
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), Items{"two"});
}

TEST_F(MultilineTest, APatternSaysWhereAnEventBegins) {
  by_start(R"(^\d{4}-\d\d-\d\d )");
  rig.start({"a.log"});
  folder.append("a.log", "of before\n2026-01-01 one\nmore\n\nmore\n2026-01-02 two\n");
  EXPECT_EQ(rig.read(), (Items{"of before", "2026-01-01 one\nmore\n\nmore"}));
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), Items{"2026-01-02 two"});
}

TEST_F(MultilineTest, AnEventWaitsForItsRestAsLongAsTheTimeout) {
  rig.options.multiline.timeout_ms = 3000;
  rig.start({"a.log"});
  folder.append("a.log", "one\n");
  rig.settle();
  rig.pass(2500);
  folder.append("a.log", " more\n");
  rig.settle();
  rig.pass(2500);
  EXPECT_EQ(rig.sink.take(), Items{}) << "it counts from the last line";
  rig.pass(500);
  EXPECT_EQ(rig.sink.take(), Items{"one\n more"});
  folder.append("a.log", " too late\n");
  rig.pass(4000);
  EXPECT_EQ(rig.sink.take(), Items{" too late"});
}

TEST_F(MultilineTest, WhatIsTooLongLeavesInPieces) {
  rig.options.multiline.lines_max = 3;
  rig.options.multiline.bytes_max = 64;
  rig.start({"a.log"});
  folder.append("a.log", "a\n 1\n 2\n 3\n 4\nb\n");
  EXPECT_EQ(rig.read(), (Items{"a\n 1\n 2 +continued", " 3\n 4"}));
  const std::string wide(40, 'x');
  folder.append("a.log", "b\n " + wide + "\n " + wide + "\nc\n");
  EXPECT_EQ(rig.read(), (Items{"b", "b\n " + wide + " +continued", " " + wide}));
}

TEST_F(MultilineTest, ALineThatIsLongerThanAnEventMayBeStaysWhole) {
  rig.options.multiline.bytes_max = 64;
  rig.start({"a.log"});
  folder.append("a.log", "a\n " + std::string(200, 'x') + "\nb\n");
  EXPECT_EQ(rig.read(), (Items{"a +continued", " " + std::string(200, 'x')}));
}

TEST_F(MultilineTest, ACutLineInAnEventIsMarked) {
  rig.options.line_bytes_max = 64;
  rig.start({"a.log"});
  folder.append("a.log", "a\n" + std::string(70, ' ') + "\nb\n");
  EXPECT_EQ(rig.read(), Items{"a\n" + std::string(64, ' ') + " +72"});
}

TEST_F(MultilineTest, AnEventEndsWithItsFile) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  folder.append("a.log", " more\n last");
  rig.settle();
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", " of another file\ntwo\n");
  EXPECT_EQ(rig.read(), (Items{"one\n more\n last +partial", "<renamed>", " of another file"}));
}

TEST_F(MultilineTest, AnEventEndsWhereItsFileIsCut) {
  folder.append("a.log", "one\n more\n");
  rig.start({"a.log"});
  rig.settle();
  folder.overwrite("a.log", " new\nx\n");
  EXPECT_EQ(rig.read(), (Items{"one\n more", "<truncated>", " new"}));
}

TEST_F(MultilineTest, AnEventThatWasNotWholeIsReadFromItsFirstLineAfterARestart) {
  folder.append("a.log", "zero\none\n more\n");
  rig.start({"a.log"});
  EXPECT_EQ(rig.read(), Items{"zero"});
  rig.stop();
  folder.append("a.log", " and more\ntwo\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), Items{"one\n more\n and more"});
}

TEST_F(MultilineTest, AnEventThatWasNotWholeSurvivesARestartAndARotation) {
  folder.append("a.log", "zero\none\n more\n");
  rig.start({"a.log"});
  EXPECT_EQ(rig.read(), Items{"zero"});
  rig.stop();
  folder.append("a.log", " and more\n");
  folder.rename("a.log", "a.log.1");
  folder.gzip("a.log.1");
  folder.append("a.log", "two\nthree\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"one\n more\n and more", "<renamed>", "two"}));
}

TEST_F(MultilineTest, AFullSinkDoesNotTearAnEventApart) {
  folder.append("a.log", "");
  rig.start({"a.log"});
  std::string text;
  Items expected;
  for (int i = 0; i < 500; ++i) {
    expected.push_back(std::to_string(i) + "\n more");
    text += expected.back() + "\n";
  }
  folder.append("a.log", text);
  Items all;
  for (int turn = 0; all.size() < 500 && turn < 5000; ++turn) {
    rig.sink.room = 1;
    rig.settle();
    rig.pass(2000);
    EXPECT_LE(rig.sink.items.size(), 1U);
    for (std::string& item : rig.sink.take()) all.push_back(std::move(item));
  }
  EXPECT_EQ(all, expected);
}

TEST_F(MultilineTest, ManyEventsThatWaitCostBoundedMemory) {
  rig.options.multiline.timeout_ms = 60'000;
  rig.start({"*.log"});
  const std::string wide(60'000, 'x');
  for (int i = 0; i < 200; ++i) folder.append(std::to_string(i) + ".log", wide + "\n");
  rig.settle();
  EXPECT_GE(rig.sink.items.size(), 200 - Multiline::kWaitingBytesMax / wide.size());
  rig.pass(61'000);
  EXPECT_EQ(rig.sink.items.size(), 200U);
}

TEST(LinePatternTest, PatternsSeeBytes) {
  const LinePattern pattern("^caf.$");
  EXPECT_TRUE(pattern.found_in("caf\xe9"));
  EXPECT_FALSE(pattern.found_in("caf\xc3\xa9"));
  EXPECT_EQ(pattern.problem(), "");
}

TEST(LinePatternTest, AWrongPatternIsExplained) {
  EXPECT_NE(LinePattern("(").problem().find("missing"), std::string::npos) << LinePattern("(").problem();
  EXPECT_NE(LinePattern("(a)\\1").problem(), "") << "what can't be matched in linear time is no pattern";
}

// With backtracking each takes longer than the universe is old, or the whole stack.
TEST(LinePatternTest, PatternsThatExplodeElsewhereAreLinear) {
  const std::string line(60'000, 'a');
  EXPECT_FALSE(LinePattern("^(a+)+$").found_in(line + "!"));
  EXPECT_FALSE(LinePattern("(a|aa)+b").found_in(line));
  EXPECT_TRUE(LinePattern("^(.|x)*$").found_in(line));
}

}  // namespace
}  // namespace weir::log_tail::test
