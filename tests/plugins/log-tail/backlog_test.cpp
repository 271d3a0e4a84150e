// The last lines when the file of a name has too few of them: they come from those that were rotated before it.
#include "backlog.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <random>

#include "demand_rig.hpp"
#include "system_calls.hpp"
#include "tail_rig.hpp"

namespace weir::log_tail::test {
namespace {

std::string numbered(int from, int to) {
  std::string text;
  for (int i = from; i <= to; ++i) text += std::to_string(i) + "\n";
  return text;
}

class BacklogTest : public ::testing::TestWithParam<bool> {
 protected:
  BacklogTest() { rig.options.places = GetParam(); }
  void expect(const Items& expected) {
    EXPECT_EQ(rig.read(), expected);
    folder.append("a.log", "new\n");
    EXPECT_EQ(rig.read(), Items{"new"});
    EXPECT_EQ(rig.sink.losses, Items{});
  }
  TailRig rig;
  const LogFolder& folder = rig.folder;
};

TEST_P(BacklogTest, JustAfterARotationItBeginsInTheOldFile) {
  rig.options.backlog = 5;
  folder.append("a.log.1", numbered(1, 100));
  folder.append("a.log", numbered(101, 102));
  rig.start({"a.log"});
  expect({"98", "99", "100", "<renamed>", "101", "102"});
}

TEST_P(BacklogTest, TheOldFileMayBePacked) {
  rig.options.backlog = 5;
  folder.append("a.log.1", numbered(1, 50'000));
  folder.gzip("a.log.1");
  folder.append("a.log", numbered(50'001, 50'002));
  rig.start({"a.log"});
  expect({"49998", "49999", "50000", "<renamed>", "50001", "50002"});
}

TEST_P(BacklogTest, AfterTwoRotationsItGoesThroughBothOfThem) {
  rig.options.backlog = 7;
  folder.append("a.log.3", numbered(1, 9));
  folder.append("a.log.2", numbered(10, 100));
  folder.gzip("a.log.2");
  folder.append("a.log.1", numbered(101, 103));
  folder.append("a.log", "104\n");
  rig.start({"a.log"});
  expect({"98", "99", "100", "<renamed>", "101", "102", "103", "<renamed>", "104"});
}

TEST_P(BacklogTest, ABacklogLongerThanEverythingIsEverything) {
  folder.append("a-20260101.log", numbered(1, 2));
  folder.gzip("a-20260101.log");
  folder.append("a-20260102.log", "3\nwithout its end");
  folder.append("a.log", "5\n");
  rig.start({"a.log"});
  expect({"1", "2", "<renamed>", "3", "without its end +partial", "<renamed>", "5"});
}

TEST_P(BacklogTest, ALineWithoutItsEndCountsInAnOldFile) {
  rig.options.backlog = 2;
  folder.append("a.log.2", "1\n2\n3");
  folder.gzip("a.log.2");
  folder.append("a.log.1", "4\n5");
  folder.append("a.log", "");
  rig.start({"a.log"});
  expect({"4", "5 +partial", "<renamed>"});
  rig.options.backlog = 3;
  folder.overwrite("a.log", "");
  rig.kill();
  rig.tailer = std::make_unique<Tailer>(rig.options, rig.sink, rig.now);
  expect({"3 +partial", "<renamed>", "4", "5 +partial", "<renamed>"});
}

TEST_P(BacklogTest, EnoughLinesLeaveTheOldFilesAlone) {
  rig.options.backlog = 2;
  folder.append("a.log.1", "old\n");
  folder.append("a.log", "1\n2\n");
  rig.start({"a.log"});
  expect({"1", "2"});
}

TEST_P(BacklogTest, NoneIsNone) {
  rig.options.backlog = 0;
  folder.append("a.log.1", "old\n");
  folder.append("a.log", "");
  rig.start({"a.log"});
  expect({});
}

TEST_P(BacklogTest, OldFilesThatAreFollowedOrLeftOutOrUnclearAreNotTaken) {
  folder.append("a.log.3", "followed itself\n");
  folder.append("a.log.2", "left out\n");
  folder.append("a.log.1", "left out as well\n");
  folder.gzip("a.log.1");
  folder.append("a.log.old", "who knows\n");
  folder.append("a.log", "1\n");
  rig.options.exclude = {"a.log.2", folder.at("a.log.1")};
  rig.start({"a.log", "a.log.3"});
  EXPECT_EQ(rig.read(), (Items{"1", "followed itself"}));
  EXPECT_EQ(rig.sink.origins, (Items{"a.log", "a.log.3"}));
}

TEST_P(BacklogTest, EventsOfSeveralLinesDoNotGoOnInTheNextFile) {
  rig.options.backlog = 4;
  rig.options.multiline.continuation = "^ ";
  folder.append("a.log.2", "one\n more\ntwo\n more of two\n");
  folder.gzip("a.log.2");
  folder.append("a.log.1", "three\n");
  folder.append("a.log", " of another\n");
  rig.start({"a.log"});
  rig.pass(2000);
  EXPECT_EQ(rig.sink.take(), (Items{"two\n more of two", "<renamed>", "three", "<renamed>", " of another"}));
}

TEST_P(BacklogTest, ARotationMeanwhileTakesNothingAway) {
  rig.options.backlog = 5;
  folder.append("a.log.1", numbered(1, 9));
  folder.gzip("a.log.1");
  folder.append("a.log", "10\n");
  rig.sink.room = 0;  // it is opened and not read yet
  rig.start({"a.log"});
  folder.rename("a.log.1.gz", "a.log.2.gz");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "11\n");
  rig.settle();
  rig.sink.room = SIZE_MAX;
  rig.settle();
  // The packed one lost the name under which it was to be opened, which is said before anything else.
  EXPECT_EQ(rig.sink.take(), (Items{"<lost>", "10", "<renamed>", "11"}));
  EXPECT_EQ(rig.sink.losses, Items{"what was logged before is left out: a.log.1.gz got another name meanwhile"});
}

TEST_P(BacklogTest, OneThatCanNotBeReadIsSaid) {
  const SystemCalls calls;
  folder.append("a.log.2", "1\n");
  folder.append("a.log.1", "2\n");
  folder.append("a.log", "3\n");
  SystemCalls::break_opening(folder.at("a.log.1"), EACCES);
  rig.start({"a.log"});
  EXPECT_EQ(rig.sink.take(), (Items{"<lost>", "3"}));
  EXPECT_EQ(rig.sink.losses, Items{"what was logged before is left out: a.log.1 can't be opened: Permission denied"});
}

TEST_P(BacklogTest, ADamagedOneGivesWhatItHasAndIsSaid) {
  rig.options.backlog = 4;
  folder.append("a.log.1", numbered(1, 100'000));
  folder.gzip("a.log.1");
  std::filesystem::resize_file(folder.at("a.log.1.gz"), std::filesystem::file_size(folder.at("a.log.1.gz")) / 2);
  folder.append("a.log", "new\n");
  rig.start({"a.log"});
  const Items got = rig.sink.take();
  ASSERT_EQ(got.size(), 6U);
  EXPECT_TRUE(got[3].ends_with(" +partial")) << got[3];
  EXPECT_EQ((Items{got[2], got[4], got[5]}), (Items{"<lost>", "<renamed>", "new"}));
  EXPECT_EQ(std::stoi(got[1]), std::stoi(got[0]) + 1);
  EXPECT_EQ(rig.sink.losses, Items{folder.at("a.log.1.gz") + " can't be unpacked: it ends in the middle"});
}

TEST_P(BacklogTest, ItIsNotLookedForWithoutEnd) {
  rig.options.backlog = 1000;
  const std::string wide(10'000, 'x');
  std::string text;
  for (int i = 0; i < 600; ++i) text += wide + "\n";
  folder.append("a.log.2", "beyond the four MiB\n");
  folder.append("a.log.1", text);
  folder.gzip("a.log.1");
  folder.append("a.log", text.substr(0, 100 * (wide.size() + 1)));
  rig.start({"a.log"});
  EXPECT_EQ(rig.sink.take().size(), kBacklogBytesMax / (wide.size() + 1) + 1) << "with one rotation";
}

TEST_P(BacklogTest, ManyLogsLookOneAfterTheOther) {
  constexpr int kLogs = 100;
  for (int i = 0; i < kLogs; ++i) {
    const std::string name = std::to_string(i) + ".log";
    for (const char* const ending : {".3", ".2", ".1", ""}) folder.append(name + ending, "line\n");
    folder.gzip(name + ".3");
  }
  rig.options.open_max = 16;
  rig.sink.room = 50;
  rig.start({"*.log"});
  std::size_t came = 0;
  for (std::size_t turn = 0; came < kLogs * 7 && turn < 10'000; ++turn) {
    EXPECT_LE(rig.tailer->open_files(), rig.options.open_max + 4);
    came += rig.sink.take().size();
    rig.pass(rig.options.poll_ms);
  }
  EXPECT_EQ(came, kLogs * 7U);
  EXPECT_EQ(rig.sink.losses, Items{});
}

TEST_P(BacklogTest, ARestartInTheMiddleOfItGoesOn) {
  if (!rig.options.places) return;
  rig.options.backlog = 6;
  folder.append("a.log.2", numbered(1, 9));
  folder.gzip("a.log.2");
  folder.append("a.log.1", numbered(10, 12));
  folder.append("a.log", "13\n");
  rig.sink.room = 1;
  rig.start({"a.log"});
  Items all;
  for (int turn = 0; turn < 100 && all.size() < 8; ++turn) {
    for (std::string& item : rig.sink.take()) all.push_back(std::move(item));
    rig.restart();
  }
  std::erase(all, "<renamed>");
  EXPECT_EQ(all, (Items{"8", "9", "10", "11", "12", "13"}));
  rig.sink.room = SIZE_MAX;
  rig.restart();
  EXPECT_EQ(rig.sink.take(), Items{});
  EXPECT_EQ(rig.sink.losses, Items{});
}

// Whatever is packed and however lines lie in files: it is the end of everything that was written.
TEST_P(BacklogTest, RandomRotationsEndInTheSameLines) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const std::string name = std::to_string(seed) + ".log";
    Items written;
    for (int i = static_cast<int>(random() % 5); i >= 0; --i) {
      const std::string file = i == 0 ? name : name + "." + std::to_string(i);
      std::string text;
      for (auto lines = random() % 30; lines > 0; --lines) {
        written.push_back(std::to_string(written.size()) + std::string(random() % 5000, '.'));
        text += written.back() + "\n";
      }
      if (i != 0 && !text.empty() && random() % 3 == 0) {
        text.pop_back();
        written.back() += " +partial";
      }
      folder.append(file, text);
      if (i != 0 && random() % 2 == 0) folder.gzip(file);
    }
    rig.options.files = {folder.at(name)};
    rig.options.backlog = random() % 100;
    rig.tailer = std::make_unique<Tailer>(rig.options, rig.sink, rig.now);
    rig.settle();
    Items got = rig.sink.take();
    std::erase(got, "<renamed>");
    const auto wanted = static_cast<std::ptrdiff_t>(std::min(rig.options.backlog, written.size()));
    EXPECT_EQ(got, Items(written.end() - wanted, written.end()));
    rig.kill();
  }
  EXPECT_EQ(rig.sink.losses, Items{});
}

INSTANTIATE_TEST_SUITE_P(, BacklogTest, ::testing::Bool(),
                         [](const auto& p) { return p.param ? "WithPlaces" : "WithoutPlaces"; });

TEST_F(DemandTest, TheLastLinesComeFromRotatedFilesAsWell) {
  folder.make_folder("root/a");
  folder.append("root/a/out.log.2", numbered(1, 5000));
  folder.gzip("root/a/out.log.2");
  folder.append("root/a/out.log.1", numbered(5001, 5500));
  folder.append("root/a/out-2.log", "of another\n");
  folder.append("root/a/out.log", "5501\n");
  start(R"(,"backlog":1000)");
  for (int round = 0; round < 2; ++round) {
    hub.events.clear();
    const std::uint64_t token = source->activate("a/out.log");
    ASSERT_TRUE(hub.run_until([&] {
      EXPECT_TRUE(hub.answers.count(token) == 0 || seen("a/out.log").size() == 1002);
      return hub.answers.count(token) != 0;
    }));
    const Lines got = seen("a/out.log");
    ASSERT_EQ(got.size(), 1002U);
    EXPECT_EQ((Lines{got[0], got[498], got[499], got[500], got[501], got[1000], got[1001]}),
              (Lines{"4502", "5000", "<renamed>", "5001", "5002", "<renamed>", "5501"}));
    source->deactivate("a/out.log");
    EXPECT_EQ(open_below(folder.at("root")), 0U);
  }
  EXPECT_EQ(hub.gaps.size(), 0U);
}

TEST_F(DemandTest, WhatIsLeftOutGivesNoLastLines) {
  folder.append("root/a.log.2", "secret\n");
  folder.gzip("root/a.log.2");
  folder.append("root/a.log.1", "secret\n");
  folder.append("root/a.log", "one\n");
  start(R"(,"exclude":["a.log.*"])");
  ASSERT_EQ(status_of("a.log"), WEIR_OK);
  EXPECT_EQ(seen("a.log"), Lines{"one"});
}

}  // namespace
}  // namespace weir::log_tail::test
