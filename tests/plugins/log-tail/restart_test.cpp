// What is found again after a restart, and where reading goes on: exactly behind what the hub had accepted.

#include <fcntl.h>

#include <algorithm>

#include "system_calls.hpp"
#include "tail_rig.hpp"

namespace weir::log_tail::test {
namespace {

class RestartTest : public ::testing::Test {
 protected:
  RestartTest() { rig.options.places = true; }
  TailRig rig;
  const LogFolder& folder = rig.folder;
};

TEST_F(RestartTest, ReadingGoesOnBehindWhatWasAcceptedNotBehindWhatWasRead) {
  folder.append("a.log", "");
  rig.start({"a.log"});
  folder.append("a.log", "one\ntwo\n");
  EXPECT_EQ(rig.read(), (Items{"one", "two"}));
  rig.sink.accepts = false;
  folder.append("a.log", "three\nfour\n");
  EXPECT_EQ(rig.read(), (Items{"three", "four"}));
  rig.restart();
  EXPECT_EQ(rig.sink.take(), (Items{"three", "four"}));
  rig.sink.accept_all();
  rig.restart();
  EXPECT_EQ(rig.sink.take(), Items{});
}

TEST_F(RestartTest, RotatedFilesThatWereNotAcceptedYetComeAgainInTheirOrder) {
  rig.start_behind("zero\n");
  rig.sink.accepts = false;
  folder.append("a.log", "one\n");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "two\n");
  rig.settle();
  folder.rename("a.log.1", "a.log.2");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "three\n");
  EXPECT_EQ(rig.read(), (Items{"one", "<renamed>", "two", "<renamed>", "three"}));
  rig.restart();
  EXPECT_EQ(rig.sink.take(), (Items{"one", "<renamed>", "two", "<renamed>", "three"}));
}

// The newest 37 were never read, and nobody was told.
TEST_F(RestartTest, AHundredRotationsWhileItWasStoppedAreReadInTheirOrder) {
  rig.start_behind("0\n");
  rig.stop();
  folder.rename("a.log", "a.log.100");
  Items expected;
  for (int i = 1; i <= 100; ++i) {
    const std::string name = i == 100 ? "a.log" : "a.log." + std::to_string(100 - i);
    folder.append(name, std::to_string(i) + "\n");
    expected.emplace_back("<renamed>");
    expected.push_back(std::to_string(i));
  }
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), expected);
  // Another rotation is noticed as ever, and nothing is left for the next restart.
  folder.rename("a.log", "a.log.0");
  folder.append("a.log", "101\n");
  EXPECT_EQ(rig.read(), (Items{"<renamed>", "101"}));
  rig.restart();
  EXPECT_EQ(rig.sink.take(), Items{});
  EXPECT_EQ(rig.sink.losses, Items{});
}

TEST_F(RestartTest, AnUnfinishedLineIsReadWholeAfterTheRestart) {
  rig.start_behind("one\nbeg");
  rig.restart();
  EXPECT_EQ(rig.sink.take(), Items{});
  folder.append("a.log", "un\n");
  EXPECT_EQ(rig.read(), Items{"begun"});
}

TEST_F(RestartTest, AFileThatAppearedMeanwhileIsReadFromItsBeginning) {
  rig.options.backlog = 1;
  folder.append("a.log", "one\ntwo\n");
  rig.start({"*.log"});
  EXPECT_EQ(rig.read(), Items{"two"});
  rig.stop();
  folder.append("b.log", "b1\nb2\nb3\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"b1", "b2", "b3"}));
}

// All but its last lines were skipped.
TEST_F(RestartTest, WithoutTimesOfBirthAFileThatAppearedMeanwhileIsKnownByItsLastChange) {
  const SystemCalls calls;
  SystemCalls::births = false;
  rig.options.backlog = 1;
  folder.append("a.log", "one\n");
  rig.start({"*.log"});
  rig.sink.take();
  rig.stop();
  folder.append("b.log", "b1\nb2\n");
  folder.append("old.log", "o1\no2\n");
  const timespec long_ago[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, folder.at("old.log").c_str(), long_ago, 0), 0);
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"b1", "b2", "o2"}));
}

// Lines that the hub had not accepted when their file was cut did not come again, though the copy had them.
TEST_F(RestartTest, WhatWasNotAcceptedWhenItWasCutComesFromTheCopy) {
  rig.start_behind("zero\n");
  rig.sink.accepts = false;
  const auto write_and_cut = [&](const std::string& line, const std::string& copy) {
    folder.append("a.log", line);
    rig.settle();
    folder.copy("a.log", copy);
    folder.overwrite("a.log", "");
    rig.settle();
  };
  write_and_cut("one\n", "a.log.2");
  write_and_cut("two\n", "a.log.1");
  folder.append("a.log", "three\n");
  rig.settle();
  EXPECT_EQ(rig.sink.take(), (Items{"one", "<truncated>", "two", "<truncated>", "three"}));
  for (int round = 0; round < 2; ++round) {
    rig.restart();
    const Items again = rig.sink.take();
    ASSERT_EQ(again.size(), 5U);
    EXPECT_EQ((Items{again[0], again[2], again[4]}), (Items{"one", "two", "three"}));
  }
  rig.sink.accept_all();
  rig.restart();
  EXPECT_EQ(rig.sink.take(), Items{});
  EXPECT_EQ(rig.sink.losses, Items{});
  EXPECT_EQ(rig.tailer->tracks().size(), 3U);
}

TEST_F(RestartTest, WhatWasNotAcceptedWhenItWasCutIsSaidWhenThereIsNoCopy) {
  rig.start_behind("zero\n");
  rig.sink.accepts = false;
  folder.append("a.log", "one\n");
  rig.settle();
  folder.overwrite("a.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"one", "<truncated>", "two"}));
  rig.restart();
  EXPECT_EQ(rig.sink.take(), (Items{"<lost>", "two"}));
}

TEST_F(RestartTest, OnceAcceptedWhatWasCutIsForgotten) {
  folder.append("a.log", "zero\n");
  rig.start({"a.log"});
  rig.sink.accepts = false;
  for (int i = 0; i < 50; ++i) {
    folder.overwrite("a.log", "line " + std::to_string(i) + "\n");
    rig.settle();
  }
  EXPECT_GT(rig.tailer->tracks().size(), 1U);
  rig.sink.accept_all();
  EXPECT_EQ(rig.tailer->tracks().size(), 1U);
}

TEST_F(RestartTest, TwoFilesThatChangedTheirNamesAreNotMistakenForEachOther) {
  folder.append("a.log", "same first line\na\n");
  folder.append("b.log", "same first line\nbbb\n");
  rig.start({"*.log"});
  rig.sink.take();
  rig.stop();
  folder.rename("a.log", "x");
  folder.rename("b.log", "a.log");
  folder.rename("x", "b.log");
  folder.append("a.log", "b again\n");
  folder.append("b.log", "a again\n");
  rig.start_again();
  Items got = rig.sink.take();
  std::erase_if(got, [](const std::string& item) { return item.front() == '<'; });
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, (Items{"a again", "b again"}));
}

// The inode's number and the beginning are those of the file that was read; only its birth and its end are not.
TEST_F(RestartTest, AnInodeThatWasUsedAgainIsAnotherFile) {
  rig.start_behind("header\none\n");
  rig.stop();
  struct stat st {};
  ASSERT_EQ(::stat(folder.at("a.log").c_str(), &st), 0);
  const std::string inode = std::to_string(st.st_ino);
  folder.remove("a.log");
  folder.append("a.log", "header\nTWO\nthree\n");
  ASSERT_EQ(::stat(folder.at("a.log").c_str(), &st), 0);
  // Where the file system did not use it again by itself, the checkpoint is made to say that it did.
  Checkpoint checkpoint;
  std::string why;
  ASSERT_EQ(parse_checkpoint(rig.saved, checkpoint, why), Reading::fine);
  ASSERT_EQ(checkpoint.files.size(), 1U);
  for (const std::int64_t born_ns : {checkpoint.files[0].birth.born_ns, std::int64_t{0}}) {
    const auto track = std::make_shared<Track>(checkpoint.files[0]);
    track->birth.id.inode = st.st_ino;
    track->birth.born_ns = born_ns;
    rig.saved = to_text(checkpoint.saved_ns, {track});
    rig.start_again();
    EXPECT_EQ(rig.sink.take(), (Items{"<lost>", "header", "TWO", "three"})) << "born " << born_ns;
    rig.kill();
  }
}

// Everything is as it was but the bytes before the place: the inode, its birth, and a beginning longer than is
// remembered.
TEST_F(RestartTest, AFileThatWasCutAndBeginsWithTheSameHeaderIsReadFromItsBeginning) {
  const std::string header(300, '#');
  rig.start_behind(header + "\none\n");
  rig.stop();
  folder.overwrite("a.log", header + "\ntwo and more\n");
  folder.append("a.log.1", header + "\nof another program\n");  // no copy of it, though it begins alike
  rig.start_again();
  Items got = rig.sink.take();
  ASSERT_GE(got.size(), 3U);
  EXPECT_EQ(got.front(), "<lost>");
  EXPECT_EQ(got.back(), "two and more");
  EXPECT_EQ(got[got.size() - 2], header);
}

TEST_F(RestartTest, AFileThatWasRestoredFromABackupIsFoundByItsContent) {
  rig.start_behind("one\n");
  rig.stop();
  folder.copy("a.log", "a.log.1");  // another inode with the same content, as a copy to a new disk has
  folder.append("a.log.1", "two\n");
  folder.remove("a.log");
  folder.append("a.log", "three\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"two", "<renamed>", "three"}));
}

TEST_F(RestartTest, RotatedFilesThatMatchThePatternThemselvesAreNotReadAgain) {
  folder.append("a.log.1", "old\n");
  folder.append("a.log", "one\n");
  rig.start({"a.log*"});
  EXPECT_EQ(rig.read(), (Items{"one", "old"}));
  rig.stop();
  folder.append("a.log", "two\n");
  folder.rename("a.log.1", "a.log.2");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "three\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"two", "<renamed>", "three"}));
  rig.pass(Follower::kLateMs + 2000);
  rig.restart();
  EXPECT_EQ(rig.sink.take(), Items{});
  folder.append("a.log.1", "late\n");
  EXPECT_EQ(rig.read(), Items{"late"});
}

TEST_F(RestartTest, AProgramThatStillWritesToTheRotatedFileIsHeard) {
  const Writer old(folder.at("a.log"));
  old.write("one\n");
  rig.start({"a.log"});
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"one", "<renamed>", "two"}));
  rig.stop();
  old.write("late\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"late", "<renamed>"}));
}

TEST_F(RestartTest, WhatIsGoneIsForgottenAfterAWeekOfLooking) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  rig.stop();
  folder.remove("a.log");
  rig.start_again();
  EXPECT_EQ(rig.tailer->tracks().size(), 1U) << "it may come back";
  Checkpoint checkpoint;
  std::string why;
  rig.stop();
  ASSERT_EQ(parse_checkpoint(rig.saved, checkpoint, why), Reading::fine);
  const auto track = std::make_shared<Track>(checkpoint.files.at(0));
  track->seen_s -= FileBook::kForgetS + 1;
  rig.saved = to_text(checkpoint.saved_ns, {track});
  rig.start_again();
  EXPECT_TRUE(rig.tailer->tracks().empty());
}

TEST_F(RestartTest, ACheckpointOfManyFilesThatAreGoneIsBounded) {
  FileBook book;
  for (std::size_t i = 0; i < kTracksMax + 100; ++i) {
    const TrackPtr track = book.begin("/a.log", {{1, i + 1}, static_cast<std::int64_t>(i)});
    track->finished = true;
    book.leave(track);
  }
  EXPECT_EQ(book.all(1).size(), kTracksMax);
}

// What was packed while the instance was stopped.
class PackedTest : public RestartTest {};

TEST_F(PackedTest, TheRestOfARotatedFileIsReadFromItsPackedForm) {
  rig.start_behind("one\n");
  rig.stop();
  folder.append("a.log", "two\nthree\n");
  folder.rename("a.log", "a.log.1");
  folder.gzip("a.log.1");
  folder.append("a.log", "four\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"two", "three", "<renamed>", "four"}));
  rig.restart();
  EXPECT_EQ(rig.sink.take(), Items{});
}

TEST_F(PackedTest, FilesThatCameAndWerePackedMeanwhileAreReadWhole) {
  folder.append("a.log.1", "old\n");
  folder.gzip("a.log.1");
  rig.start_behind("one\n");
  rig.stop();
  folder.rename("a.log.1.gz", "a.log.4.gz");
  folder.append("a.log", "two\n");
  folder.rename("a.log", "a.log.3");
  folder.gzip("a.log.3");
  folder.append("a.log.2", "three\nfour\n");
  folder.gzip("a.log.2");
  folder.append("a.log.1", "five\n");
  folder.append("a.log", "six\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"two", "<renamed>", "three", "four", "<renamed>", "five", "<renamed>", "six"}));
  rig.restart();
  EXPECT_EQ(rig.sink.take(), Items{});
}

TEST_F(PackedTest, DatesInNamesWorkAsNumbersDo) {
  rig.start_behind("one\n");
  rig.stop();
  folder.append("a.log", "two\n");
  folder.rename("a.log", "a.log-20260101");
  folder.gzip("a.log-20260101");
  folder.append("a.log", "three\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"two", "<renamed>", "three"}));
}

TEST_F(PackedTest, OlderPackedFilesWithTheSameHeaderAreNotTakenForIt) {
  const std::string header(300, '#');
  folder.append("a.log.1", header + "\nlong ago\n");
  folder.gzip("a.log.1");
  rig.start_behind(header + "\none\n");
  rig.stop();
  folder.rename("a.log.1.gz", "a.log.2.gz");
  folder.append("a.log", "two\n");
  folder.rename("a.log", "a.log.1");
  folder.gzip("a.log.1");
  folder.append("a.log", header + "\nthree\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"two", "<renamed>", header, "three"}));
}

TEST_F(PackedTest, ALongBeginningIsPassedWithoutBeingHandedOver) {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += "line " + std::to_string(i) + "\n";
  folder.append("a.log", "");
  rig.start({"a.log"});
  folder.append("a.log", text);
  EXPECT_EQ(rig.read().size(), 50'000U);
  rig.stop();
  folder.append("a.log", "the rest\n");
  folder.rename("a.log", "a.log.1");
  folder.gzip("a.log.1");
  folder.append("a.log", "new\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"the rest", "<renamed>", "new"}));
}

TEST_F(PackedTest, AFullSinkStopsInTheMiddleOfAPackedFile) {
  rig.start_behind("one\n");
  rig.stop();
  std::string text;
  Items expected;
  for (int i = 0; i < 3000; ++i) {
    expected.push_back("line " + std::to_string(i));
    text += expected.back() + "\n";
  }
  folder.append("a.log", text);
  folder.rename("a.log", "a.log.1");
  folder.gzip("a.log.1");
  folder.append("a.log", "new\n");
  expected.emplace_back("<renamed>");
  expected.emplace_back("new");
  rig.sink.room = 7;
  rig.start_again();
  Items all;
  for (int turn = 0; all.size() < expected.size() && turn < 10'000; ++turn) {
    EXPECT_LE(rig.sink.items.size(), 8U);
    for (std::string& item : rig.sink.take()) all.push_back(std::move(item));
    if (turn == 200) {
      rig.stop();
      rig.start_again();
      continue;
    }
    rig.settle();
  }
  EXPECT_TRUE(all == expected);
}

TEST_F(PackedTest, ADamagedFileGivesWhatItHasAndSaysSo) {
  rig.start_behind("one\n");
  rig.stop();
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i * 7919 % 99991) + "\n";
  folder.append("a.log", text);
  folder.rename("a.log", "a.log.1");
  folder.gzip("a.log.1");
  std::filesystem::resize_file(folder.at("a.log.1.gz"), std::filesystem::file_size(folder.at("a.log.1.gz")) / 2);
  folder.append("a.log", "new\n");
  rig.start_again();
  const Items got = rig.sink.take();
  EXPECT_GT(got.size(), 1000U);
  EXPECT_EQ(got.back(), "new");
  ASSERT_EQ(rig.sink.losses.size(), 1U);
  EXPECT_EQ(rig.sink.losses[0], folder.at("a.log.1.gz") + " can't be unpacked: it ends in the middle");
}

TEST_F(PackedTest, APackedFileThatOnlyBeginsAlikeIsReadFromItsBeginning) {
  const std::string header(300, '#');
  rig.start_behind(header + "\none\n");
  rig.stop();
  folder.remove("a.log");
  folder.append("a.log.1", header + "\nsomething else that is longer\n");
  folder.gzip("a.log.1");
  folder.append("a.log", "new\n");
  rig.start_again();
  EXPECT_EQ(rig.sink.take(), (Items{"<lost>", header, "something else that is longer", "<renamed>", "new"}));
}

}  // namespace
}  // namespace weir::log_tail::test
