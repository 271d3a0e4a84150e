// What can't be read for a while is read when it can be again, once and in its order; what can't be read for good is
// said.
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

#include <cerrno>

#include "system_calls.hpp"
#include "tail_rig.hpp"

namespace weir::log_tail::test {
namespace {

class UnreadableTest : public ::testing::TestWithParam<bool> {
 protected:
  UnreadableTest() {
    rig.options.places = true;
    rig.options.inotify = GetParam();
  }
  std::string reason() const { return rig.sink.states.empty() ? "" : rig.sink.states.back(); }
  // Rotated while nothing was read; the old file, a.log.1 now, has a line that can't be read.
  void rotate_unread(int error = EIO) {
    rig.start_behind("one\n");
    rig.sink.room = 0;
    folder.append("a.log", "two\n");
    rig.settle();
    folder.rename("a.log", "a.log.1");
    folder.append("a.log", "three\n");
    rig.settle();
    calls.break_file(folder.at("a.log.1"), error);
    rig.sink.room = SIZE_MAX;
    rig.settle();
    EXPECT_EQ(rig.sink.take(), Items{});
  }

  // The file can't be read at the start, and can be after a while.
  void start_again_without(const std::string& name) {
    calls.break_file(folder.at(name), EIO);
    rig.start_again();
    rig.pass(2000);
    EXPECT_EQ(rig.sink.take(), Items{});
    EXPECT_EQ(reason(), "can't read " + folder.at(name) + ": Input/output error");
    calls.mend();
    rig.pass(1000);
  }

  SystemCalls calls;
  TailRig rig;
  const LogFolder& folder = rig.folder;
};

// The whole file came a second time, behind "truncated".
TEST_P(UnreadableTest, AFileThatCanNotBeReadForAWhileWasNotCut) {
  rig.start_behind("one\n");
  calls.break_file(folder.at("a.log"), EIO);
  folder.append("a.log", "two\n");
  rig.settle();
  rig.pass(2000);
  EXPECT_EQ(rig.sink.take(), Items{});
  EXPECT_EQ(reason(), "can't read " + folder.at("a.log") + ": Input/output error");
  const std::size_t states = rig.sink.states.size();
  rig.pass(5000);
  EXPECT_EQ(rig.sink.states.size(), states) << "it is told once";
  calls.mend();
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), Items{"two"});
  EXPECT_EQ(reason(), "running");
}

TEST_P(UnreadableTest, ADescriptorThatIsStaleIsExchanged) {
  rig.start_behind("one\n");
  calls.break_descriptors(folder.at("a.log"), ESTALE);
  folder.append("a.log", "two\n");
  rig.pass(2000);
  EXPECT_EQ(rig.sink.take(), Items{"two"});
  EXPECT_EQ(reason(), "running");
}

// It was taken for another content: a gap, and the file from its beginning.
TEST_P(UnreadableTest, ARestartWaitsForWhatItHasToLookInto) {
  rig.start_behind("one\n");
  rig.stop();
  folder.append("a.log", "two\n");
  start_again_without("a.log");
  EXPECT_EQ(rig.sink.take(), Items{"two"});
  rig.stop();
  folder.append("a.log", "three\n");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "four\n");
  start_again_without("a.log.1");
  EXPECT_EQ(rig.sink.take(), (Items{"three", "<renamed>", "four"}));
  EXPECT_EQ(rig.sink.losses, Items{});
}

// Its rest was lost without a word.
TEST_P(UnreadableTest, ARotatedFileIsWaitedForWhileItHasAName) {
  rotate_unread();
  rig.pass(60'000);
  EXPECT_EQ(rig.sink.take(), Items{});
  EXPECT_NE(reason().find("Input/output error"), std::string::npos) << reason();
  calls.mend();
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), (Items{"two", "<renamed>", "three"}));
  EXPECT_EQ(reason(), "running");
}

TEST_P(UnreadableTest, ARotatedFileThatStaysUnreadableIsGivenUpAndSaid) {
  rotate_unread();
  rig.pass(Follower::kGoneKeepMs + 1000);
  EXPECT_EQ(rig.sink.take(), (Items{"<lost>", "<renamed>", "three"}));
  EXPECT_NE(rig.sink.losses.at(0).find("Input/output error; what was not read of it is gone"), std::string::npos);
  EXPECT_EQ(reason(), "running");
  folder.append("a.log", "four\n");
  EXPECT_EQ(rig.read(), Items{"four"});
}

TEST_P(UnreadableTest, ARotatedFileThatIsDeletedAndStaleIsSaidSoon) {
  rotate_unread(ESTALE);
  folder.remove("a.log.1");
  rig.pass(Follower::kLateMs + 1000);
  EXPECT_EQ(rig.sink.take(), (Items{"<lost>", "<renamed>", "three"}));
}

TEST_P(UnreadableTest, ARotatedFileThatIsCutBeforeItsLateLinesWereReadIsSaid) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "two\n");
  EXPECT_EQ(rig.read(), (Items{"one", "<renamed>", "two"}));
  folder.append("a.log.1", "late\nlater\n");
  rig.sink.room = 1;
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), Items{"late"});
  folder.overwrite("a.log.1", "x\n");
  rig.sink.room = SIZE_MAX;
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), Items{"<lost>"});
}

// The state said "running" while it was silent.
TEST_P(UnreadableTest, AClosedFileThatCanNotBeOpenedAgainIsAState) {
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  rig.options.open_max = 16;
  for (int i = 10; i < 50; ++i) folder.append(std::to_string(i) + ".log", "begin\n");
  rig.start({"*.log"});
  EXPECT_EQ(rig.sink.take().size(), 40U);
  folder.append("10.log", "more\n");
  ASSERT_EQ(::chmod(folder.at("10.log").c_str(), 0), 0);
  const int before = ::setfsuid(65534);  // root may read everything; others only stay who they are
  rig.settle();
  rig.pass(2000);
  ::setfsuid(static_cast<uid_t>(before));
  EXPECT_EQ(rig.sink.take(), Items{});
  EXPECT_EQ(reason(), "can't open " + folder.at("10.log") + ": Permission denied");
  ASSERT_EQ(::chmod(folder.at("10.log").c_str(), 0644), 0);
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), Items{"more"});
  EXPECT_EQ(reason(), "running");
}

// The folder counted as empty and the old file as one without a name, so its rest was given up after five seconds.
TEST_P(UnreadableTest, ARotatedFileIsWaitedForWhileItsFolderCanNotBeListed) {
  rotate_unread();
  calls.break_opening(folder.path(), EIO);
  rig.pass(60'000);
  EXPECT_EQ(rig.sink.take(), Items{});
  EXPECT_NE(reason().find("Input/output error"), std::string::npos) << reason();
  calls.mend();
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), (Items{"two", "<renamed>", "three"}));
  EXPECT_EQ(rig.sink.losses, Items{});
  EXPECT_EQ(reason(), "running");
}

// The file in the middle was lost, and nobody was told.
TEST_P(UnreadableTest, ARotationIsTakenInOnlyWithItsFolder) {
  rig.start_behind("one\n");
  calls.break_opening(folder.path(), EMFILE);
  folder.rename("a.log", "a.log.2");
  folder.append("a.log.1", "two\n");
  folder.append("a.log", "three\n");
  rig.settle();
  rig.pass(2000);
  EXPECT_EQ(rig.sink.take(), Items{});
  EXPECT_EQ(reason(), "can't read the folder " + folder.path() + ": Too many open files");
  calls.mend();
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), (Items{"<renamed>", "two", "<renamed>", "three"}));
  EXPECT_EQ(reason(), "running");
}

// It was told as lost.
TEST_P(UnreadableTest, AFileThatCameBetweenIsWaitedForWhileItCanNotBeOpened) {
  rig.start_behind("one\n");
  folder.rename("a.log", "a.log.2");
  folder.append("a.log.1", "two\n");
  folder.append("a.log", "three\n");
  calls.break_opening(folder.at("a.log.1"), EMFILE);
  rig.settle();
  rig.pass(2000);
  EXPECT_EQ(rig.sink.take(), Items{});
  EXPECT_EQ(reason(), "can't open " + folder.at("a.log.1") + ": Too many open files");
  calls.mend();
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), (Items{"<renamed>", "two", "<renamed>", "three"}));
  EXPECT_EQ(rig.sink.losses, Items{});
}

// It was told as deleted, though it was there.
TEST_P(UnreadableTest, ARestartWaitsForWhatItHasToOpen) {
  for (const int error : {EMFILE, EIO}) {
    SCOPED_TRACE(error);
    const std::string name = std::to_string(error) + ".log";
    folder.append(name, "one\n");
    error == EMFILE ? rig.start({"*.log"}) : rig.settle();
    EXPECT_EQ(rig.sink.take(), Items{"one"});
    rig.stop();
    folder.append(name, "two\n");
    folder.rename(name, name + ".2");
    folder.append(name + ".1", "three\n");
    folder.append(name, "four\n");
    Items expected{"two", "<renamed>", "three", "<renamed>", "four"};
    for (const std::string& broken : {folder.path(), folder.at(name + ".2"), folder.at(name + ".1")}) {
      SCOPED_TRACE(broken);
      calls.break_opening(broken, error);
      rig.start_again();
      rig.pass(2000);
      EXPECT_EQ(rig.sink.take(), Items{});
      EXPECT_NE(reason().find(broken + ": "), std::string::npos) << reason();
      rig.stop();
    }
    calls.mend();
    rig.start_again();
    EXPECT_EQ(rig.sink.take(), expected);
    EXPECT_EQ(rig.sink.losses, Items{});
  }
}

// Its follower was let go of, and nothing came.
TEST_P(UnreadableTest, ARestartWaitsForARotatedFileThatNobodySucceededYet) {
  rig.start_behind("one\n");
  rig.stop();
  folder.append("a.log", "two\n");
  folder.rename("a.log", "a.log.1");
  for (const std::string& broken : {folder.path(), folder.at("a.log.1")}) {
    SCOPED_TRACE(broken);
    calls.break_opening(broken, EIO);
    rig.start_again();
    rig.pass(2000);
    EXPECT_EQ(rig.sink.take(), Items{});
    EXPECT_NE(reason().find(broken + ": Input/output error"), std::string::npos) << reason();
    calls.mend();
    rig.pass(1000);
    if (broken == folder.path()) {
      rig.sink.forget_unaccepted();
      EXPECT_EQ(rig.sink.take(), Items{"two"});
      rig.kill();  // the checkpoint is still that of before
    }
  }
  EXPECT_EQ(rig.sink.take(), Items{"two"});
  EXPECT_EQ(rig.sink.losses, Items{});
}

// It was told as deleted while it was closed.
TEST_P(UnreadableTest, AClosedFileThatIsRotatedIsWaitedForWhileItCanNotBeOpened) {
  rig.options.open_max = 16;
  for (int i = 10; i < 50; ++i) folder.append(std::to_string(i) + ".log", "begin\n");
  rig.start({"*.log"});
  EXPECT_EQ(rig.sink.take().size(), 40U);
  const std::string old = folder.at("10.log.1");
  calls.open_error = [&](const std::string& path, int flags) {
    return (path == old || path == folder.at("10.log")) && (flags & O_WRONLY) == 0 ? EMFILE : 0;
  };
  folder.append("10.log", "more\n");
  rig.settle();
  EXPECT_EQ(rig.sink.take(), Items{});
  folder.rename("10.log", "10.log.1");
  folder.append("10.log", "new\n");
  rig.settle();
  rig.pass(2000);
  calls.break_opening(old, EMFILE);
  rig.pass(2000);
  EXPECT_EQ(rig.sink.take(), Items{});
  EXPECT_EQ(reason(), "can't open " + old + ": Too many open files");
  calls.mend();
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), (Items{"more", "<renamed>", "new"}));
  EXPECT_EQ(rig.sink.losses, Items{});
  EXPECT_EQ(reason(), "running");
}

// A folder whose files are known by name alone (mode 0711) has no brothers to wait for.
TEST_P(UnreadableTest, AFolderThatMayNotBeListedHoldsUpNothing) {
  folder.append("a.log", "one\n");
  calls.break_opening(folder.path(), EACCES);
  rig.start({"a.log"});
  EXPECT_EQ(rig.sink.take(), Items{"one"});
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "two\n");
  rig.settle();
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), (Items{"<renamed>", "two"}));
  EXPECT_EQ(reason(), "running");
}

// A gap and a warning at every look, for ten minutes.
TEST_P(UnreadableTest, ADamagedPackedFileThatNobodySucceededYetIsSaidOnce) {
  rig.start_behind("one\n");
  rig.stop();
  folder.append("a.log", "two\n");
  folder.rename("a.log", "a.log.1");
  folder.gzip("a.log.1");
  std::filesystem::resize_file(folder.at("a.log.1.gz"), std::filesystem::file_size(folder.at("a.log.1.gz")) - 8);
  rig.start_again();
  rig.pass(5000);
  EXPECT_EQ(rig.sink.losses.size(), 1U);
  rig.sink.take();
  folder.append("a.log", "three\n");
  rig.settle();
  rig.pass(1000);
  EXPECT_EQ(rig.sink.take(), Items{"three"});
  EXPECT_EQ(rig.sink.losses.size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(, UnreadableTest, ::testing::Bool(),
                         [](const auto& p) { return p.param ? "WithInotify" : "ByLooking"; });

}  // namespace
}  // namespace weir::log_tail::test
