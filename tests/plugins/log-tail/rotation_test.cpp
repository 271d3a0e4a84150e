// What happens to log files, once with inotify and once by looking only: every line comes once and in order.
#include "tail_rig.hpp"

namespace weir::log_tail::test {
namespace {

class RotationTest : public ::testing::TestWithParam<bool> {
 protected:
  RotationTest() { rig.options.inotify = GetParam(); }
  TailRig rig;
  const LogFolder& folder = rig.folder;
};

TEST_P(RotationTest, ARenamedFileIsReadToItsEndBeforeTheNewOne) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  folder.append("a.log", "two\n");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "three\n");
  EXPECT_EQ(rig.read(), (Items{"one", "two", "<renamed>", "three"}));
  folder.append("a.log", "four\n");
  EXPECT_EQ(rig.read(), (Items{"four"}));
}

TEST_P(RotationTest, AWriterThatHasNotNoticedTheRenameIsStillHeard) {
  const Writer old(folder.at("a.log"));
  rig.start({"a.log"});
  folder.rename("a.log", "a.log.1");
  old.write("still here\n");
  EXPECT_EQ(rig.read(), (Items{"still here"}));
  folder.append("a.log", "");
  EXPECT_EQ(rig.read(), (Items{"<renamed>"}));
  old.write("late\n");
  EXPECT_EQ(rig.read(), (Items{"late"}));
  folder.append("a.log", "new\n");
  old.write("very late\n");
  EXPECT_EQ(rig.read(), (Items{"very late", "new"}));
}

TEST_P(RotationTest, AWriterThatStaysWithTheOldFileForMinutesIsHeardWhileTheNewOneIsEmpty) {
  const Writer old(folder.at("a.log"));
  rig.start({"a.log"});
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "");
  EXPECT_EQ(rig.read(), (Items{"<renamed>"}));
  rig.pass(60'000);
  old.write("late\n");
  EXPECT_EQ(rig.read(), (Items{"late"}));
  folder.append("a.log", "new\n");
  EXPECT_EQ(rig.read(), (Items{"new"}));
  rig.pass(Follower::kLateMs + 1000);
  old.write("too late\n");
  EXPECT_EQ(rig.read(), Items{});
}

TEST_P(RotationTest, AnUnfinishedLineWaitsForItsEndWhileTheNewFileIsEmpty) {
  const Writer old(folder.at("a.log"));
  rig.start({"a.log"});
  old.write("begun");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "");
  EXPECT_EQ(rig.read(), Items{});
  old.write(" and ended\n");
  EXPECT_EQ(rig.read(), (Items{"begun and ended", "<renamed>"}));
}

TEST_P(RotationTest, AnUnfinishedLineIsDeliveredAsPartialWhenTheNewFileHasLines) {
  folder.append("a.log", "one\nbegun");
  rig.start({"a.log"});
  EXPECT_EQ(rig.read(), (Items{"one"}));
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "new\n");
  EXPECT_EQ(rig.read(), (Items{"begun +partial", "<renamed>", "new"}));
}

TEST_P(RotationTest, AnUnfinishedLineIsDeliveredAsPartialAfterAWhileEvenIfTheNewFileStaysEmpty) {
  folder.append("a.log", "begun");
  rig.start({"a.log"});
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "");
  EXPECT_EQ(rig.read(), Items{});
  rig.pass(Follower::kUnfinishedGraceMs + 500);
  EXPECT_EQ(rig.read(), (Items{"begun +partial", "<renamed>"}));
}

TEST_P(RotationTest, TwoRotationsBetweenTwoLooksLoseNothing) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "two\n");
  folder.rename("a.log.1", "a.log.2");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "three\n");
  EXPECT_EQ(rig.read(), (Items{"one", "<renamed>", "two", "<renamed>", "three"}));
}

TEST_P(RotationTest, FiveRotationsBetweenTwoLooksComeInOrder) {
  folder.append("a.log.1", "long ago\n");
  rig.start_behind("0\n");
  for (int i = 1; i <= 5; ++i) {
    for (int n = i; n >= 1; --n) folder.rename("a.log." + std::to_string(n), "a.log." + std::to_string(n + 1));
    folder.rename("a.log", "a.log.1");
    folder.append("a.log", std::to_string(i) + "\n");
  }
  EXPECT_EQ(rig.read(),
            (Items{"<renamed>", "1", "<renamed>", "2", "<renamed>", "3", "<renamed>", "4", "<renamed>", "5"}));
}

TEST_P(RotationTest, MoreRotationsThanTheRowHoldsComeInOrder) {
  constexpr int kRotations = static_cast<int>(3 * Follower::kGenerationsMax);
  folder.append("a.log", "0\n");
  rig.start({"a.log"});
  Items expected{"0"};
  for (int i = 1; i <= kRotations; ++i) {
    for (int n = i - 1; n >= 1; --n) folder.rename("a.log." + std::to_string(n), "a.log." + std::to_string(n + 1));
    folder.rename("a.log", "a.log.1");
    folder.append("a.log", std::to_string(i) + "\n");
    expected.push_back("<renamed>");
    expected.push_back(std::to_string(i));
  }
  EXPECT_EQ(rig.read(), expected);
}

TEST_P(RotationTest, DatesInTheNamesOfRotatedFilesKeepTheirOrder) {
  folder.append("a.log", "0\n");
  rig.start({"a.log"});
  folder.rename("a.log", "a.log-20261119");
  folder.append("a.log", "1\n");
  folder.rename("a.log", "a.log-20261120");
  folder.append("a.log", "2\n");
  folder.rename("a.log", "a.log-20261121");
  folder.append("a.log", "3\n");
  EXPECT_EQ(rig.read(), (Items{"0", "<renamed>", "1", "<renamed>", "2", "<renamed>", "3"}));
}

TEST_P(RotationTest, OldAndCompressedBrothersAreNotReadAgain) {
  rig.options.backlog = 1;
  folder.append("a.log.1", "older\n");
  folder.append("a.log.2", "oldest\n");
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  folder.rename("a.log.2", "a.log.3");
  folder.rename("a.log.1", "a.log.2");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log.2.gz", "\x1f\x8b not text");
  folder.append("a.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"one", "<renamed>", "two"}));
}

TEST_P(RotationTest, ACopyMadeBeforeARotationIsNotTakenForALogInBetween) {
  rig.start_behind("one\n");
  folder.copy("a.log", "a.log.backup");
  rig.settle();
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"<renamed>", "two"}));
}

TEST_P(RotationTest, RenamingAndCreatingBackAndForthIsUnderstood) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"one", "<renamed>", "two"}));
  folder.remove("a.log");
  folder.rename("a.log.1", "a.log");
  folder.append("a.log", "one again\n");
  EXPECT_EQ(rig.read(), (Items{"<replaced>", "one again"}));
  folder.append("a.log", "and on\n");
  EXPECT_EQ(rig.read(), (Items{"and on"}));
}

TEST_P(RotationTest, CopyTruncateIsNoticedByItsSize) {
  folder.append("a.log", "one\ntwo\n");
  rig.start({"a.log"});
  folder.copy("a.log", "a.log.1");
  folder.overwrite("a.log", "");
  EXPECT_EQ(rig.read(), (Items{"one", "two", "<truncated>"}));
  folder.append("a.log", "three\n");
  EXPECT_EQ(rig.read(), (Items{"three"}));
}

TEST_P(RotationTest, ATruncatedFileThatGrewBeyondTheOldPlaceIsNoticedByItsContent) {
  rig.start_behind("one\n");
  folder.overwrite("a.log", "a much longer first line\nand a second\n");
  EXPECT_EQ(rig.read(), (Items{"<truncated>", "a much longer first line", "and a second"}));
}

TEST_P(RotationTest, ATruncatedFileWithTheSameHeaderIsNoticedByItsLastBytes) {
  const std::string header = std::string(300, '#') + "\n";
  rig.start_behind(header + "one\n");
  folder.overwrite("a.log", header + "two and more\nthree\n");
  EXPECT_EQ(rig.read(), (Items{"<truncated>", std::string(300, '#'), "two and more", "three"}));
}

TEST_P(RotationTest, AFileOfTheSameLengthWithAnotherContentIsNoticed) {
  rig.start_behind("one\n");
  folder.overwrite("a.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"<truncated>", "two"}));
}

TEST_P(RotationTest, AnUnfinishedLineSurvivesTruncation) {
  rig.start_behind("one\nbegun");
  folder.overwrite("a.log", "new\n");
  EXPECT_EQ(rig.read(), (Items{"begun +partial", "<truncated>", "new"}));
}

TEST_P(RotationTest, TheHoleThatAWriterWithoutAppendLeavesIsNotALine) {
  const int fd = ::open(folder.at("a.log").c_str(), O_WRONLY | O_CREAT, 0644);
  const std::string before(100'000, 'x');
  ASSERT_EQ(::write(fd, (before + "\n").data(), before.size() + 1), static_cast<ssize_t>(before.size() + 1));
  rig.start({"a.log"});
  rig.sink.take();
  ASSERT_EQ(::truncate(folder.at("a.log").c_str(), 0), 0);
  ASSERT_EQ(::write(fd, "after\n", 6), 6);
  ::close(fd);
  EXPECT_EQ(rig.read(), (Items{"<truncated>", "after"}));
}

TEST_P(RotationTest, WhatWasCutBeforeItWasReadIsSaidToBeLost) {
  rig.start_behind("one\n");
  rig.sink.room = 0;
  folder.append("a.log", "two\n");
  rig.pass(500);
  folder.overwrite("a.log", "3\n");
  rig.pass(500);
  rig.sink.room = SIZE_MAX;
  rig.pass(500);
  EXPECT_EQ(rig.read(), (Items{"<lost>", "<truncated>", "3"}));
}

TEST_P(RotationTest, ADeletedFileThatIsMadeAnewIsSaidToBeDeleted) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  folder.remove("a.log");
  rig.settle();
  folder.append("a.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"one", "<deleted>", "two"}));
}

TEST_P(RotationTest, ADeletedFileIsReadOnUntilItsSuccessorAppears) {
  const Writer old(folder.at("a.log"));
  rig.start({"a.log"});
  old.write("one\n");
  folder.remove("a.log");
  EXPECT_EQ(rig.read(), (Items{"one"}));
  old.write("two\nbegun");
  EXPECT_EQ(rig.read(), (Items{"two"}));
  folder.append("a.log", "three\n");
  EXPECT_EQ(rig.read(), (Items{"begun +partial", "<deleted>", "three"}));
}

TEST_P(RotationTest, ADeletedFileIsLetGoAfterALongQuietTime) {
  folder.append("a.log", "one\nbegun");
  rig.start({"a.log"});
  folder.remove("a.log");
  rig.pass(Follower::kUnfinishedGraceMs + 1000);
  EXPECT_EQ(rig.read(), (Items{"one", "begun +partial"}));
  EXPECT_EQ(rig.tailer->files(), 1U);
  rig.pass(Follower::kGoneKeepMs + 1000);
  EXPECT_EQ(rig.read(), (Items{"<deleted>"}));
  EXPECT_EQ(rig.tailer->files(), 0U);
  folder.append("a.log", "two\n");
  rig.pass(Tailer::kLookMs);
  EXPECT_EQ(rig.read(), (Items{"two"}));
}

TEST_P(RotationTest, AFileMovedOverTheOldOneReplacesIt) {
  rig.start_behind("one\ntwo\nthree\n");
  folder.append("a.tmp", "short\n");
  folder.rename("a.tmp", "a.log");
  EXPECT_EQ(rig.read(), (Items{"<replaced>", "short"}));
}

TEST_P(RotationTest, ALinkThatIsTurnedToAnotherFileReplacesIt) {
  folder.append("1.txt", "one\n");
  folder.append("2.txt", "two\n");
  folder.link("1.txt", "a.log");
  rig.start({"a.log"});
  folder.append("1.txt", "one more\n");
  EXPECT_EQ(rig.read(), (Items{"one", "one more"}));
  folder.link("2.txt", "new-link");
  folder.rename("new-link", "a.log");
  EXPECT_EQ(rig.read(), (Items{"<replaced>", "two"}));
  folder.append("2.txt", "two more\n");
  EXPECT_EQ(rig.read(), (Items{"two more"}));
}

TEST_P(RotationTest, TheTargetOfALinkMayBeRotatedTwiceInItsOwnFolder) {
  folder.make_folder("data");
  folder.append("data/real.log", "one\n");
  folder.link("data/real.log", "a.log");
  rig.start({"a.log"});
  folder.rename("data/real.log", "data/real.log.1");
  folder.append("data/real.log", "two\n");
  folder.rename("data/real.log.1", "data/real.log.2");
  folder.rename("data/real.log", "data/real.log.1");
  folder.append("data/real.log", "three\n");
  EXPECT_EQ(rig.read(), (Items{"one", "<renamed>", "two", "<renamed>", "three"}));
}

TEST_P(RotationTest, ARotatedFileThatMatchesThePatternsItselfIsReadOnce) {
  folder.append("a.log", "one\n");
  rig.start({"a.log*"});
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"one", "<renamed>", "two"}));
  rig.pass(Follower::kLateMs + 2000);
  folder.append("a.log.1", "late\n");
  EXPECT_EQ(rig.read(), (Items{"late"}));
}

TEST_P(RotationTest, AFileThatAppearsAndIsRotatedBeforeAnybodyLooksIsReadFromItsBeginning) {
  rig.start({"a.log"});
  folder.append("a.log", "one\n");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"one", "<renamed>", "two"}));
}

TEST_P(RotationTest, RotationsAreNoticedWhileNothingMayBeRead) {
  const Writer first(folder.at("a.log"));
  rig.start({"a.log"});
  rig.sink.room = 0;
  first.write("one\n");
  for (const char* text : {"two\n", "three\n"}) {
    rig.settle();
    folder.remove("a.log");
    rig.settle();
    folder.append("a.log", text);
  }
  rig.settle();
  folder.remove("a.log");
  rig.sink.room = SIZE_MAX;
  EXPECT_EQ(rig.read(), (Items{"one", "<deleted>", "two", "<deleted>", "three"}));
}

INSTANTIATE_TEST_SUITE_P(, RotationTest, ::testing::Values(true, false),
                         [](const auto& p) { return p.param ? "WithInotify" : "ByLooking"; });

}  // namespace
}  // namespace weir::log_tail::test
