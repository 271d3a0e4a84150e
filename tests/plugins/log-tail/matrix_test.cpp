// The rotations that there are, each while the instance runs and each while it is stopped, with inotify and by looking:
// every line comes once and in order, and where that can't be, a loss is told.
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <sched.h>
#include <csignal>

#include <fstream>

#include "tail_rig.hpp"

namespace weir::log_tail::test {
namespace {

enum class When { running, stopped };

class MatrixTest : public ::testing::TestWithParam<std::tuple<When, bool>> {
 protected:
  MatrixTest() {
    rig.options.places = true;
    rig.options.inotify = std::get<1>(GetParam());
  }
  bool stopped() const { return std::get<0>(GetParam()) == When::stopped; }
  // Does it while the instance runs, or between its end and its next beginning.
  template <class Action>
  void meanwhile(Action&& action) {
    if (stopped()) rig.stop();
    action();
    stopped() ? rig.start_again() : rig.settle();
  }
  // Everything that came since the last call, without the news of rotations.
  Items lines() {
    Items out;
    for (std::string& item : rig.sink.take()) {
      if (item == "<lost>") ++losses;
      if (item.front() != '<') out.push_back(std::move(item));
    }
    return out;
  }
  // The instance goes on as ever.
  void expect_it_goes_on(const std::string& name = "a.log") {
    folder.append(name, "afterwards\n");
    rig.settle();
    EXPECT_EQ(lines(), Items{"afterwards"});
    rig.restart();
    EXPECT_EQ(lines(), Items{}) << "nothing comes twice after one more restart";
  }

  TailRig rig;
  const LogFolder& folder = rig.folder;
  int losses = 0;
};

TEST_P(MatrixTest, Rename) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  meanwhile([&] {
    folder.append("a.log", "two\n");
    folder.rename("a.log", "a.log.1");
    folder.append("a.log", "three\n");
  });
  EXPECT_EQ(lines(), (Items{"one", "two", "three"}));
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

TEST_P(MatrixTest, RenameWithoutASuccessorYet) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  meanwhile([&] {
    folder.append("a.log", "two\n");
    folder.rename("a.log", "a.log.1");
  });
  EXPECT_EQ(lines(), (Items{"one", "two"}));
  folder.append("a.log.1", "late\n");
  folder.append("a.log", "three\n");
  rig.settle();
  EXPECT_EQ(lines(), (Items{"late", "three"}));
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

TEST_P(MatrixTest, CopyTruncate) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  if (!stopped()) {  // what is written between the last look and the cut is lost by design, so all is read before
    folder.append("a.log", "two\n");
    rig.settle();
  }
  meanwhile([&] {
    if (stopped()) folder.append("a.log", "two\n");
    folder.copy("a.log", "a.log.1");
    folder.overwrite("a.log", "three\n");
  });
  EXPECT_EQ(lines(), (Items{"one", "two", "three"}));
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

// They were lost, and nobody was told.
TEST_P(MatrixTest, CopyTruncateWithUnreadLines) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  for (const std::string& round : Items{"1", "2"}) {
    meanwhile([&] {
      folder.append("a.log", "two " + round + "\nthree " + round + "\n");
      if (round == "2") folder.rename("a.log.1", "a.log.2");
      folder.copy("a.log", "a.log.1");
      folder.overwrite("a.log", "four " + round + "\n");
    });
  }
  EXPECT_EQ(lines(), (Items{"one", "two 1", "three 1", "four 1", "two 2", "three 2", "four 2"}));
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

TEST_P(MatrixTest, CopyTruncateInTheMiddleOfALine) {
  folder.append("a.log", "one\ntw");
  rig.start({"a.log"});
  meanwhile([&] {
    folder.append("a.log", "o\nthree\n");
    folder.copy("a.log", "a.log-20260101");
    folder.overwrite("a.log", "");
  });
  folder.append("a.log", "four\n");
  rig.settle();
  EXPECT_EQ(lines(), (Items{"one", "two", "three", "four"}));
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

// Before the hub has accepted them the instance ends, or is ended.
TEST_P(MatrixTest, CopyTruncateWithUnreadLinesThatAreNotAccepted) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  EXPECT_EQ(lines(), Items{"one"});
  rig.sink.accepts = false;
  meanwhile([&] {
    folder.append("a.log", "two\n");
    folder.copy("a.log", "a.log.1");
    folder.overwrite("a.log", "three\n");
  });
  EXPECT_EQ(lines(), (Items{"two", "three"}));
  rig.restart();
  EXPECT_EQ(lines(), (Items{"two", "three"}));
  rig.sink.accepts = true;
  rig.restart();
  EXPECT_EQ(lines(), (Items{"two", "three"}));
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

TEST_P(MatrixTest, CopyTruncateWithoutTheCopyIsToldAsLost) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  meanwhile([&] {
    folder.append("a.log", "two\n");
    if (!stopped()) rig.pass(rig.options.poll_ms);
    folder.overwrite("a.log", "3\n");
  });
  EXPECT_EQ(lines(), (stopped() ? Items{"one", "3"} : Items{"one", "two", "3"}));
  EXPECT_EQ(losses, stopped() ? 1 : 0);
  expect_it_goes_on();
}

// Unread lines are in a file without a name then, to which a descriptor leads.
TEST_P(MatrixTest, Delete) {
  for (const bool unread : {false, true}) {
    const std::string name = unread ? "unread.log" : "read.log";
    folder.append(name, "one\n");
    unread ? rig.settle() : rig.start({"*.log"});
    meanwhile([&] {
      folder.append(name, "two\n");
      if (!stopped() && !unread) rig.settle();
      folder.remove(name);
      folder.append(name, "three\n");
    });
    EXPECT_EQ(lines(), (stopped() ? Items{"one", "three"} : Items{"one", "two", "three"}));
    EXPECT_EQ(losses, stopped() ? 1 : 0) << "nobody can read a file that was deleted while nobody had it open";
    losses = 0;
  }
  expect_it_goes_on("unread.log");
}

TEST_P(MatrixTest, AnotherFileInItsPlaceWhileItHasUnreadLines) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  meanwhile([&] {
    folder.append("a.log", "two\n");
    folder.append("a.tmp", "three\n");
    folder.rename("a.tmp", "a.log");
  });
  EXPECT_EQ(lines(), (stopped() ? Items{"one", "three"} : Items{"one", "two", "three"}));
  EXPECT_EQ(losses, stopped() ? 1 : 0);
  expect_it_goes_on();
}

class Replaced : public MatrixTest {
 protected:
  void by(const Items& content) {
    folder.append("a.log", "one\ntwo\n");
    rig.start({"a.log"});
    std::string text;
    for (const std::string& line : content) text += line + "\n";
    meanwhile([&] {
      folder.append("a.tmp", text);
      folder.rename("a.tmp", "a.log");
    });
    Items expected{"one", "two"};
    expected.insert(expected.end(), content.begin(), content.end());
    EXPECT_EQ(lines(), expected);
    EXPECT_EQ(losses, stopped() ? 1 : 0) << "that all of it was read before nobody can know";
    expect_it_goes_on();
  }
};

TEST_P(Replaced, ByAShorterFile) { by({"x"}); }
TEST_P(Replaced, ByAFileOfTheSameLength) { by({"six", "ten"}); }
TEST_P(Replaced, ByALongerFile) { by({"three", "four", "five"}); }
TEST_P(Replaced, ByAFileThatBeginsAlike) { by({"one", "two", "three"}); }

TEST_P(MatrixTest, TwoRotationsWithinTenMilliseconds) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  meanwhile([&] {
    folder.append("a.log", "two\n");
    folder.rename("a.log", "a.log.1");
    folder.append("a.log", "three\n");
    folder.rename("a.log.1", "a.log.2");
    folder.rename("a.log", "a.log.1");
    folder.append("a.log", "four\n");
  });
  EXPECT_EQ(lines(), (Items{"one", "two", "three", "four"}));
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

TEST_P(MatrixTest, AChainOfRenames) {
  rig.options.backlog = 1;
  folder.append("a.log.2", "long ago\n");
  folder.append("a.log.1", "before\n");
  folder.append("a.log", "0\n");
  rig.start({"a.log"});
  Items expected{"0"};
  for (int i = 1; i <= 4; ++i) {
    meanwhile([&] {
      for (int n = i + 1; n >= 1; --n) folder.rename("a.log." + std::to_string(n), "a.log." + std::to_string(n + 1));
      folder.append("a.log", std::to_string(i) + " old\n");
      folder.rename("a.log", "a.log.1");
      folder.append("a.log", std::to_string(i) + " new\n");
    });
    expected.push_back(std::to_string(i) + " old");
    expected.push_back(std::to_string(i) + " new");
  }
  EXPECT_EQ(lines(), expected);
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

// Most programs begin every log with the same lines.
TEST_P(MatrixTest, FilesThatAllBeginWithTheSameHeader) {
  rig.options.backlog = 2;
  const std::string header(400, '#');
  folder.append("a.log.1", header + "\nlong ago\n");
  folder.append("a.log", header + "\none\n");
  rig.start({"a.log"});
  meanwhile([&] {
    folder.append("a.log", "two\n");
    folder.rename("a.log.1", "a.log.3");
    folder.rename("a.log", "a.log.2");
    folder.append("a.log.1", header + "\nthree\n");
    folder.append("a.log", header + "\n");
  });
  EXPECT_EQ(lines(), (stopped() ? Items{header, "one", "two", header, "three", header}
                                : Items{header, "one", "two", header, "three", header}));
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

TEST_P(MatrixTest, FilesWithNothingButTheSameShortLine) {
  folder.append("a.log", "-\n");
  rig.start({"a.log"});
  for (int i = 0; i < 3; ++i) {
    meanwhile([&] {
      for (int n = i; n >= 1; --n) folder.rename("a.log." + std::to_string(n), "a.log." + std::to_string(n + 1));
      folder.rename("a.log", "a.log.1");
      folder.append("a.log", "-\n");
    });
  }
  EXPECT_EQ(lines(), (Items{"-", "-", "-", "-"}));
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

TEST_P(MatrixTest, ALinkThatIsTurnedToAnotherFile) {
  for (const std::string& name : Items{"read", "unread"}) {
    folder.append(name + "1.txt", "one\n");
    folder.append(name + "2.txt", "three\n");
    folder.link(name + "1.txt", name + ".log");
    name == "read" ? rig.start({"*.log"}) : rig.settle();
    meanwhile([&] {
      folder.append(name + "1.txt", "two\n");
      if (!stopped() && name == "read") rig.settle();
      folder.link(name + "2.txt", "new-link");
      folder.rename("new-link", name + ".log");
    });
    // The old target is no rotated form of the new one: after a restart nothing leads to it any more.
    EXPECT_EQ(lines(), (stopped() ? Items{"one", "three"} : Items{"one", "two", "three"})) << name;
    EXPECT_EQ(losses, stopped() ? 1 : 0) << name;
    losses = 0;
  }
  expect_it_goes_on("unread2.txt");
}

// fs.inotify.max_queued_events is how many news the kernel keeps for a reader that does not come.
TEST_P(MatrixTest, MoreNewsThanTheKernelKeeps) {
  std::size_t kept = 16384;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> kept;
  const std::size_t wanted =
      std::min<std::size_t>(kept + 1000, 300'000);  // beyond it FollowingTest has the same by hand
  folder.append("a.log", "");
  folder.append("b.log", "");
  rig.start({"*.log"});
  const Writer a(folder.at("a.log")), b(folder.at("b.log"));
  Items expected;
  meanwhile([&] {
    for (std::size_t i = 0; i < wanted; i += 2) {  // in turns, because the same news twice count once
      a.write(std::to_string(i) + "\n");
      b.write("-\n");
      expected.push_back(std::to_string(i));
    }
    folder.rename("a.log", "a.log.1");
    folder.append("a.log", "after the rotation\n");
    folder.append("c.log", "new file\n");
    if (stopped() || !rig.options.inotify || wanted <= kept) return;
    // One piece of news of a file with so short a name takes 32 bytes, so these are fewer than there were.
    int waiting = 0;
    ASSERT_EQ(::ioctl(rig.tailer->fd(), FIONREAD, &waiting), 0);
    EXPECT_GE(static_cast<std::size_t>(waiting), kept * sizeof(inotify_event)) << "the queue is full";
    EXPECT_LT(static_cast<std::size_t>(waiting) / 32, wanted) << "and the kernel let some go";
  });
  Items got = lines();
  EXPECT_EQ(std::count(got.begin(), got.end(), "-"), static_cast<std::ptrdiff_t>(wanted + 1) / 2);
  EXPECT_EQ(std::count(got.begin(), got.end(), "new file"), 1);
  std::erase(got, "-");
  std::erase(got, "new file");
  expected.emplace_back("after the rotation");
  EXPECT_TRUE(got == expected);
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

// A disk that is full cuts a line wherever it is; its rest comes when there is room again.
TEST_P(MatrixTest, AFullDisk) {
  folder.append("a.log", "one\n");
  rig.start({"a.log"});
  const std::string line(5000, 'x');
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const int fd = ::open(folder.at("a.log").c_str(), O_WRONLY | O_APPEND);
  ssize_t written = 0;
  meanwhile([&] {
    const rlimit full{3000, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
    written = ::write(fd, line.data(), line.size());
    EXPECT_EQ(::write(fd, "y", 1), -1);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  });
  EXPECT_EQ(lines(), Items{"one"});
  ASSERT_EQ(written, 3000 - 4) << "the system takes what it has room for";
  meanwhile([&] { ASSERT_EQ(::write(fd, (line.substr(2996) + "\n").data(), 2005), 2005); });
  ::close(fd);
  EXPECT_EQ(lines(), Items{line});
  EXPECT_EQ(losses, 0);
  expect_it_goes_on();
}

INSTANTIATE_TEST_SUITE_P(, MatrixTest,
                         ::testing::Combine(::testing::Values(When::running, When::stopped), ::testing::Bool()),
                         [](const auto& p) {
                           return std::string(std::get<0>(p.param) == When::running ? "Running" : "Restarted") +
                                  (std::get<1>(p.param) ? "WithInotify" : "ByLooking");
                         });
INSTANTIATE_TEST_SUITE_P(, Replaced,
                         ::testing::Combine(::testing::Values(When::running, When::stopped), ::testing::Bool()),
                         [](const auto& p) {
                           return std::string(std::get<0>(p.param) == When::running ? "Running" : "Restarted") +
                                  (std::get<1>(p.param) ? "WithInotify" : "ByLooking");
                         });

}  // namespace
}  // namespace weir::log_tail::test
