// Thousands of files in one folder: few descriptors, one watch, and nothing is lost by closing what is idle.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>

#include "tail_rig.hpp"

namespace weir::log_tail::test {
namespace {

std::size_t watches_of(int inotify_fd) {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(inotify_fd));
  std::size_t count = 0;
  for (std::string line; std::getline(info, line);) count += line.starts_with("inotify wd:");
  return count;
}

class ManyFilesTest : public ::testing::TestWithParam<bool> {
 protected:
  ManyFilesTest() {
    rig.options.places = true;
    rig.options.inotify = GetParam();
    rig.options.open_max = 16;
  }
  static std::string name(int i) { return "app-" + std::to_string(i) + ".log"; }
  // Works in slices and never has more than a few files open beyond the limit.
  void settle() {
    if (!rig.options.inotify) {
      rig.now += rig.options.poll_ms;
      rig.tailer->tick(rig.now);
    }
    rig.tailer->drain();
    while (rig.tailer->work(rig.now)) EXPECT_LE(rig.tailer->open_files(), rig.options.open_max + beyond);
    EXPECT_LE(rig.tailer->open_files(), rig.options.open_max + beyond);
  }
  Items lines() {
    Items got = rig.sink.take();
    std::sort(got.begin(), got.end());
    return got;
  }
  TailRig rig;
  const LogFolder& folder = rig.folder;
  std::size_t beyond = 8;  // the limit
};

TEST_P(ManyFilesTest, FiveThousandFilesShareAFewDescriptorsAndOneWatch) {
  constexpr int kFiles = 5000;
  for (int i = 0; i < kFiles; ++i) folder.append(name(i), std::to_string(i) + "\n");
  rig.options.files = {folder.at("*.log")};
  rig.tailer = std::make_unique<Tailer>(rig.options, rig.sink, rig.now);
  settle();
  EXPECT_EQ(rig.sink.take().size(), static_cast<std::size_t>(kFiles));
  EXPECT_EQ(rig.tailer->files(), static_cast<std::size_t>(kFiles));
  if (rig.options.inotify) {
    EXPECT_EQ(watches_of(rig.tailer->fd()), 1U);
  }
  Items expected;
  for (int i = 0; i < kFiles; i += 7) {
    folder.append(name(i), "more " + std::to_string(i) + "\n");
    expected.push_back("more " + std::to_string(i));
  }
  settle();
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(lines(), expected);
  EXPECT_TRUE(rig.sink.losses.empty());
}

// Where looking at all of them takes longer than a poll, nothing but looking was done, again and again at the first.
TEST_P(ManyFilesTest, LooksThatComeTooFastDoNotKeepFilesFromBeingReadNorTheStateFromBeingTold) {
  constexpr std::size_t kFiles = 30;
  rig.options.open_max = 2 * kFiles;
  rig.options.slice_ms = 0;  // over after one look and one reading
  for (std::size_t i = 0; i < kFiles; ++i) folder.append(name(static_cast<int>(i)), "line\n");
  rig.options.files = {folder.at("*.log")};
  rig.tailer = std::make_unique<Tailer>(rig.options, rig.sink, rig.now);
  rig.tailer->set_problem("something");
  std::size_t slices = 0;
  for (; (rig.sink.items.size() < kFiles || rig.sink.states.empty()) && slices < 10 * kFiles; ++slices) {
    rig.now += rig.options.poll_ms;
    rig.tailer->tick(rig.now);
    rig.tailer->work(rig.now);
  }
  EXPECT_EQ(rig.sink.items.size(), kFiles) << slices;
  EXPECT_EQ(rig.sink.states, Items{"something"});
}

TEST_P(ManyFilesTest, AClosedFileThatIsRotatedIsFoundAgain) {
  for (int i = 0; i < 40; ++i) folder.append(name(i), "begin\n");
  rig.start({"*.log"});
  settle();
  rig.sink.take();
  Items expected;
  for (int i = 0; i < 40; ++i) {
    folder.append(name(i), std::to_string(i) + " old\n");
    folder.rename(name(i), name(i) + ".1");
    folder.append(name(i), std::to_string(i) + " new\n");
    expected.push_back(std::to_string(i) + " old");
    expected.push_back(std::to_string(i) + " new");
    expected.emplace_back("<renamed>");
  }
  beyond = 80;  // while the old files may still be written to
  settle();
  rig.pass(10'000);
  EXPECT_LE(rig.tailer->open_files(), rig.options.open_max);
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(lines(), expected);
  EXPECT_TRUE(rig.sink.losses.empty());
}

TEST_P(ManyFilesTest, AClosedFileThatIsCutIsNoticed) {
  for (int i = 0; i < 40; ++i) folder.append(name(i), "begin\n");
  rig.start({"*.log"});
  settle();
  rig.sink.take();
  for (int i = 0; i < 40; ++i) folder.overwrite(name(i), "cut!!\n");
  settle();
  EXPECT_EQ(rig.sink.items.size(), 80U);
  EXPECT_EQ(std::count(rig.sink.items.begin(), rig.sink.items.end(), "cut!!"), 40);
  EXPECT_EQ(std::count(rig.sink.items.begin(), rig.sink.items.end(), "<truncated>"), 40);
}

TEST_P(ManyFilesTest, AnUnfinishedLineOfAClosedFileIsKept) {
  for (int i = 0; i < 40; ++i) folder.append(name(i), "beg");
  rig.start({"*.log"});
  settle();
  EXPECT_EQ(rig.sink.take(), Items{});
  for (int i = 0; i < 40; ++i) folder.append(name(i), "un\n");
  settle();
  EXPECT_EQ(lines(), Items(40, "begun"));
}

TEST_P(ManyFilesTest, ThousandsOfRotatedFilesArePackedAndResumedOneAfterTheOther) {
  constexpr int kFiles = 200;
  for (int i = 0; i < kFiles; ++i) folder.append(name(i), std::to_string(i) + " begin\n");
  rig.start({"*.log"});
  settle();
  rig.sink.take();
  rig.stop();
  Items expected;
  for (int i = 0; i < kFiles; ++i) {
    folder.append(name(i), std::to_string(i) + " old\n");
    folder.rename(name(i), name(i) + ".1");
    folder.gzip(name(i) + ".1");
    folder.append(name(i), std::to_string(i) + " new\n");
    expected.push_back(std::to_string(i) + " old");
    expected.push_back(std::to_string(i) + " new");
  }
  rig.start_again();
  Items got = lines();
  std::erase(got, "<renamed>");
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(got, expected);
}

TEST_P(ManyFilesTest, TwoPatternsAndALinkToTheSameFileReadItOnce) {
  folder.append("a.log", "one\n");
  folder.link("a.log", "b.log");
  folder.make_folder("sub");
  folder.link("../a.log", "sub/c.log");
  rig.start({"*.log", "a*", "sub/*.log"});
  settle();
  EXPECT_EQ(rig.sink.take(), Items{"one"});
  EXPECT_EQ(rig.tailer->open_files(), 1U);
  folder.append("a.log", "two\n");
  settle();
  EXPECT_EQ(rig.sink.take(), Items{"two"});
}

TEST_P(ManyFilesTest, AFolderWithTwoNamesTellsBothOfThem) {
  folder.make_folder("real");
  folder.link("real", "other");
  folder.append("real/a.log", "a\n");
  folder.append("real/b.txt", "b\n");
  rig.start({"real/*.log", "other/*.txt"});
  settle();
  EXPECT_EQ(lines(), (Items{"a", "b"}));
  folder.append("real/a.log", "a2\n");
  folder.append("real/b.txt", "b2\n");
  settle();
  EXPECT_EQ(lines(), (Items{"a2", "b2"}));
}

// Such a folder was read again at every slice of work.
TEST(FolderNamesTest, AFolderWhoseTimeIsAheadIsNotReadAgainAndAgain) {
  const LogFolder folder;
  folder.append("a.log", "");
  timespec later{};
  ::clock_gettime(CLOCK_REALTIME, &later);
  later.tv_sec += 3600;
  const timespec times[2] = {later, later};
  ASSERT_EQ(::utimensat(AT_FDCWD, folder.path().c_str(), times, 0), 0);
  FolderNames names;
  EXPECT_EQ(names.now(folder.path()).changed_ns, 0) << "it may change at this very time again";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (names.now(folder.path()).changed_ns == 0) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  folder.append("b.log", "");
  EXPECT_EQ(names.now(folder.path()).names.size(), 4U) << "with . and ..";
}

INSTANTIATE_TEST_SUITE_P(, ManyFilesTest, ::testing::Bool(),
                         [](const auto& p) { return p.param ? "WithInotify" : "ByLooking"; });

}  // namespace
}  // namespace weir::log_tail::test
