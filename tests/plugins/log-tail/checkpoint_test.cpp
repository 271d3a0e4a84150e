// The text of a checkpoint, and how it gets onto the disk.
#include "checkpoint.hpp"

#include <atomic>

#include "checkpoint_writer.hpp"
#include "log_files.hpp"
#include "progress.hpp"

namespace weir::log_tail::test {
namespace {

TrackPtr track(const std::string& path, std::uint64_t offset) {
  const auto t = std::make_shared<Track>();
  t->path = path;
  t->birth = {{7, 4711 + offset}, 1'790'000'000'123'456'789};
  t->modified_ns = 1'790'000'001'000'000'000;
  t->seen_s = 1'790'000'002;
  t->head = {256, 0xfedcba9876543210};
  t->read = t->accepted = {offset, 0x0123456789abcdef};
  t->order = 3;
  return t;
}

std::string sample() {
  return to_text(1'790'000'003'000'000'000, {track("/var/log/a b%\n\xff.log", 12), track("/b", 0)});
}

TEST(CheckpointTest, WhatIsWrittenIsRead) {
  Checkpoint read;
  std::string why;
  ASSERT_EQ(parse_checkpoint(sample(), read, why), Reading::fine) << why;
  EXPECT_EQ(read.saved_ns, 1'790'000'003'000'000'000);
  ASSERT_EQ(read.files.size(), 2U);
  const Track& a = read.files[0];
  const TrackPtr wanted = track("/var/log/a b%\n\xff.log", 12);
  EXPECT_EQ(a.path, wanted->path);
  EXPECT_EQ(a.birth, wanted->birth);
  EXPECT_EQ(a.modified_ns, wanted->modified_ns);
  EXPECT_EQ(a.seen_s, wanted->seen_s);
  EXPECT_EQ(a.head, wanted->head);
  EXPECT_EQ(a.accepted, wanted->accepted);
  EXPECT_EQ(a.read, wanted->accepted);
  EXPECT_EQ(a.order, 3U);
  EXPECT_FALSE(a.finished);
}

TEST(CheckpointTest, AFileIsReadOnlyWhenTheHubHasAllOfIt) {
  const TrackPtr t = track("/a", 5);
  t->finished = true;
  t->read.offset = 9;
  Checkpoint read;
  std::string why;
  ASSERT_EQ(parse_checkpoint(to_text(1, {t}), read, why), Reading::fine);
  EXPECT_FALSE(read.files[0].finished);
  EXPECT_EQ(read.files[0].accepted.offset, 5U);
  t->accepted = t->read;
  ASSERT_EQ(parse_checkpoint(to_text(1, {t}), read, why), Reading::fine);
  EXPECT_TRUE(read.files[0].finished);
}

TEST(CheckpointTest, EveryCutAndEveryChangedByteIsNoticed) {
  const std::string whole = sample();
  Checkpoint read;
  std::string why;
  for (std::size_t n = 0; n < whole.size(); ++n) {
    EXPECT_NE(parse_checkpoint(whole.substr(0, n), read, why), Reading::fine) << n;
    std::string changed = whole;
    changed[n] = static_cast<char>(changed[n] ^ 1);
    EXPECT_NE(parse_checkpoint(changed, read, why), Reading::fine) << n;
    EXPECT_TRUE(read.files.empty());
  }
}

TEST(CheckpointTest, ANewerVersionIsNotDamage) {
  Checkpoint read;
  std::string why;
  EXPECT_EQ(parse_checkpoint("weir-log-tail 2 something else\n", read, why), Reading::newer);
  EXPECT_EQ(why, "it is of version 2; this plugin knows 1");
}

TEST(CheckpointTest, AMissingFileIsNoMistakeButAFolderIs) {
  const LogFolder folder;
  Checkpoint read;
  std::string why;
  EXPECT_EQ(read_checkpoint(folder.at("none"), read, why), Reading::fine);
  EXPECT_EQ(read.saved_ns, 0);
  EXPECT_EQ(read_checkpoint(folder.path(), read, why), Reading::unreadable);
  EXPECT_EQ(why, "Is a directory");
}

TEST(CheckpointWriterTest, TheNewestOfThoseThatWaitIsWritten) {
  const LogFolder folder;
  std::atomic<int> written{0};
  CheckpointWriter writer(folder.at("place"), [&](const std::string& problem) {
    EXPECT_EQ(problem, "");
    ++written;
  });
  for (int i = 0; i < 1000; ++i) writer.offer("text " + std::to_string(i));
  writer.finish();
  EXPECT_EQ(folder.read("place"), "text 999");
  EXPECT_GE(written, 1);
  EXPECT_FALSE(std::filesystem::exists(folder.at("place.new")));
}

TEST(CheckpointWriterTest, WhatCanNotBeWrittenIsSaidAndTheOldOneStays) {
  const LogFolder folder;
  EXPECT_EQ(write_whole(folder.at("place"), "old"), "");
  folder.make_folder("place.new");
  EXPECT_EQ(write_whole(folder.at("place"), "new"),
            "can't write the checkpoint " + folder.at("place.new") + ": Is a directory");
  EXPECT_EQ(folder.read("place"), "old");
  EXPECT_NE(write_whole(folder.at("nowhere/place"), "new").find("No such file or directory"), std::string::npos);
  EXPECT_NE(write_whole("/dev/full/place", "new").find("Not a directory"), std::string::npos);
}

TEST(ProgressTest, WhatIsAcceptedMovesAllBefore) {
  Progress progress;
  const TrackPtr a = track("/a", 0), b = track("/b", 0);
  EXPECT_EQ(progress.add(a, {10, 0}), 1U);
  EXPECT_EQ(progress.add(b, {20, 0}), 2U);
  EXPECT_EQ(progress.add(a, {30, 0}), 3U);
  EXPECT_TRUE(progress.accepted(2));
  EXPECT_EQ(a->accepted.offset, 10U);
  EXPECT_EQ(b->accepted.offset, 20U);
  EXPECT_FALSE(progress.accepted(2)) << "told twice";
  EXPECT_TRUE(progress.accepted(99));
  EXPECT_EQ(a->accepted.offset, 30U);
}

TEST(ProgressTest, WhatTheHubRefusedHoldsUpNothing) {
  Progress progress;
  const TrackPtr a = track("/a", 0);
  progress.add(a, {10, 0});
  progress.add(a, {20, 0});
  progress.add(a, {30, 0});
  EXPECT_FALSE(progress.refused(2)) << "the first one is not accepted yet";
  EXPECT_TRUE(progress.accepted(1));
  EXPECT_EQ(a->accepted.offset, 20U);
  EXPECT_TRUE(progress.refused(3));
  EXPECT_EQ(a->accepted.offset, 30U);
  EXPECT_FALSE(progress.refused(3));
}

}  // namespace
}  // namespace weir::log_tail::test
