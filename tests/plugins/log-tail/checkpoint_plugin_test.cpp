// Checkpoints, joined lines and full hubs, through the plugin as the hub holds it.
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <fstream>

#include "checkpoint.hpp"
#include "checkpoint_lock.hpp"
#include "checkpoint_writer.hpp"
#include "log_files.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace weir::log_tail::test {
namespace {

using sdk::testing::FakeHost;
using sdk::testing::SeenEvent;
using sdk::testing::SourceRig;

class CheckpointPluginTest : public ::testing::Test {
 protected:
  std::string config(const std::string& more = "") const {
    return "{\"files\":[" + sdk::json::quoted(folder.at("*.log")) +
           "],\"checkpoint\":" + sdk::json::quoted(folder.at("place")) + more + "}";
  }
  // One life of the hub: until the lines are there, then all but the last `unaccepted` are accepted.
  std::vector<std::string> life(std::size_t lines, std::size_t unaccepted = 0, const std::string& more = "") {
    FakeHost hub;
    SourceRig source(hub, weir_plugin_entry, config(more));
    EXPECT_EQ(source.start(), WEIR_OK);
    const auto count = [&] {
      return static_cast<std::size_t>(
          std::count_if(hub.events.begin(), hub.events.end(), [](const SeenEvent& e) { return e.event == "line"; }));
    };
    EXPECT_TRUE(hub.run_until([&] { return count() >= lines; })) << count() << " of " << lines;
    hub.run_ready();
    if (hub.events.size() > unaccepted) source.accepted(hub.events[hub.events.size() - 1 - unaccepted].cursor);
    source.stop();
    std::vector<std::string> out;
    for (const SeenEvent& e : hub.events) {
      if (e.event == "line") out.push_back(sdk::json::parse(e.data).required("line").as_string());
    }
    gaps += hub.gaps.size();
    EXPECT_EQ(hub.mistakes, std::vector<std::string>{});
    return out;
  }

  LogFolder folder;
  std::size_t gaps = 0;
  using Lines = std::vector<std::string>;
};

TEST_F(CheckpointPluginTest, EveryEventHasACursorAndARestartGoesOnBehindTheAcceptedOnes) {
  folder.append("a.log", "one\ntwo\nthree\n");
  EXPECT_EQ(life(3, 1), (Lines{"one", "two", "three"}));
  EXPECT_EQ(life(1), Lines{"three"});
  EXPECT_EQ(life(0), Lines{});
  folder.append("a.log", "four\n");
  folder.rename("a.log", "a.log.1");
  folder.gzip("a.log.1");
  folder.append("a.log", "five\n");
  EXPECT_EQ(life(2), (Lines{"four", "five"}));
  EXPECT_EQ(gaps, 0U);
}

TEST_F(CheckpointPluginTest, TheCheckpointIsNoLogEvenWhereEveryFileIsOne) {
  folder.append("a.log", "one\n");
  for (int round = 0; round < 2; ++round) {
    FakeHost hub;
    SourceRig source(hub, weir_plugin_entry,
                     "{\"files\":[" + sdk::json::quoted(folder.at("*")) +
                         "],\"poll\":\"100ms\",\"checkpoint\":" + sdk::json::quoted(folder.at("place")) + "}");
    source.start();
    ASSERT_TRUE(hub.run_until([&] { return hub.metrics["checkpoints"] >= 1 && hub.metrics["files"] >= 1; }));
    EXPECT_EQ(hub.metrics["files"], 1);
  }
}

TEST_F(CheckpointPluginTest, ACrashCostsNoLine) {
  folder.append("a.log", "one\n");
  FakeHost hub;
  {
    SourceRig source(hub, weir_plugin_entry, config());
    source.start();
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }));
    source.accepted(hub.events[0].cursor);
    ASSERT_TRUE(hub.run_until([&] { return hub.metrics["checkpoints"] >= 1; }));
    folder.append("a.log", "two\n");
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 2; }));
    std::filesystem::copy_file(folder.at("place"), folder.at("place.crash"));  // what a crash here would leave
  }
  folder.rename("place.crash", "place");
  const Lines again = life(1);
  EXPECT_EQ(again.back(), "two");
}

TEST_F(CheckpointPluginTest, ADamagedCheckpointIsSaidAndWrittenAnew) {
  folder.append("a.log", "one\n");
  folder.append("place", "what is this\n");
  {
    FakeHost hub;
    SourceRig source(hub, weir_plugin_entry, config());
    EXPECT_EQ(source.start(), WEIR_OK);
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1 && hub.last_state() == WEIR_STATE_DEGRADED; }));
    EXPECT_EQ(hub.states.back().reason, "the checkpoint " + folder.at("place") +
                                            " can't be used: it does not begin as a checkpoint does; files are " +
                                            "read as if there was none, and it is written anew; the old one is " +
                                            folder.at("place.damaged") + " now");
    source.accepted(hub.events[0].cursor);
  }
  EXPECT_EQ(folder.read("place.damaged"), "what is this\n");
  EXPECT_EQ(life(0), Lines{});
}

// A hub that ran once as another user made it, and the places were overwritten because they could not be read.
TEST_F(CheckpointPluginTest, ACheckpointThatCanNotBeReadIsWaitedForAndLeftAlone) {
  ASSERT_EQ(::chmod(folder.path().c_str(), 0755), 0);
  folder.append("a.log", "one\n");
  EXPECT_EQ(life(1), Lines{"one"});
  folder.append("a.log", "two\n");
  const std::string places = folder.read("place");
  ASSERT_EQ(::chmod(folder.at("place").c_str(), 0), 0);
  const int before = ::setfsuid(65534);  // root may read everything; others only stay who they are
  FakeHost hub;
  SourceRig source(hub, weir_plugin_entry, config());
  EXPECT_EQ(source.start(), WEIR_OK);
  hub.run_ready();
  hub.advance(5000);
  ::setfsuid(static_cast<uid_t>(before));
  ASSERT_EQ(hub.states.size(), 1U);
  EXPECT_EQ(hub.states[0].state, WEIR_STATE_DEGRADED);
  EXPECT_EQ(hub.states[0].reason,
            "can't read the checkpoint " + folder.at("place") + ": Permission denied; no file is read before");
  const std::uint64_t token = source.activate("a.log");
  ASSERT_TRUE(hub.run_until([&] { return hub.answers.count(token) != 0; }));
  EXPECT_EQ(hub.answers[token].status, WEIR_E_UNAVAILABLE);
  source.deactivate("a.log");
  ASSERT_EQ(::chmod(folder.at("place").c_str(), 0600), 0);
  EXPECT_EQ(hub.events.size(), 0U);
  EXPECT_EQ(folder.read("place"), places);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1 && hub.last_state() == WEIR_STATE_RUNNING; }));
  EXPECT_EQ(sdk::json::parse(hub.events[0].data).required("line").as_string(), "two");
}

// Two hubs with one checkpoint wrote over each other's places, and nobody noticed.
TEST_F(CheckpointPluginTest, ACheckpointThatSomebodyElseUsesIsWaitedFor) {
  folder.append("a.log", "one\n");
  FakeHost first_hub, second_hub;
  SourceRig first(first_hub, weir_plugin_entry, config()), second(second_hub, weir_plugin_entry, config());
  EXPECT_EQ(first.start(), WEIR_OK);
  ASSERT_TRUE(first_hub.run_until([&] { return first_hub.events.size() == 1; }));
  EXPECT_EQ(second.start(), WEIR_OK);
  second_hub.run_ready();
  second_hub.advance(5000);
  ASSERT_EQ(second_hub.states.size(), 1U);
  EXPECT_EQ(second_hub.states[0].state, WEIR_STATE_RETRYING);
  EXPECT_EQ(second_hub.states[0].reason, "the checkpoint " + folder.at("place") +
                                             " is used by another instance of this hub; each instance needs one of " +
                                             "its own, and no file is read before it is free");
  EXPECT_EQ(second_hub.events.size(), 0U);
  first.accepted(first_hub.events[0].cursor);
  first.stop();
  folder.append("a.log", "two\n");
  ASSERT_TRUE(second_hub.run_until(
      [&] { return second_hub.events.size() == 1 && second_hub.last_state() == WEIR_STATE_RUNNING; }));
  EXPECT_EQ(sdk::json::parse(second_hub.events[0].data).required("line").as_string(), "two");
}

TEST_F(CheckpointPluginTest, WhoUsesACheckpointIsNamedAndALockThatCanNotBeHadIsSaid) {
  folder.append("place.lock", "4242 elsewhere\n");
  const int other = ::open(folder.at("place.lock").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(other, LOCK_EX | LOCK_NB), 0);
  CheckpointLock lock;
  std::string why;
  EXPECT_EQ(lock.take(folder.at("place"), why), CheckpointLock::Taking::held);
  EXPECT_EQ(why, "process 4242 on elsewhere");
  ::close(other);  // as when it was killed
  EXPECT_EQ(lock.take(folder.at("place"), why), CheckpointLock::Taking::taken);
  EXPECT_TRUE(folder.read("place.lock").starts_with(std::to_string(::getpid()) + " ")) << folder.read("place.lock");
  lock.release();

  folder.remove("place.lock");
  folder.make_folder("place.lock");
  folder.append("a.log", "one\n");
  EXPECT_EQ(life(1), Lines{"one"});
  EXPECT_EQ(life(0), Lines{});
  FakeHost hub;
  SourceRig source(hub, weir_plugin_entry, config());
  EXPECT_EQ(source.start(), WEIR_OK);
  EXPECT_TRUE(hub.logged("can't be locked: Is a directory"));
}

// It vanished without a gap.
TEST_F(CheckpointPluginTest, ALineThatTheHubDoesNotTakeIsAGapAndHoldsUpNothing) {
  for (const bool with_checkpoint : {true, false}) {
    folder.overwrite("a.log", "");
    FakeHost hub;
    hub.data_bytes_max = 100;
    SourceRig source(hub, weir_plugin_entry,
                     with_checkpoint ? config() : "{\"files\":[" + sdk::json::quoted(folder.at("a.log")) + "]}");
    source.start();
    hub.run_ready();
    folder.append("a.log", "one\n" + std::string(100, 'x') + "\n");
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1 && hub.gaps.size() == 1; }));
    EXPECT_EQ(hub.gaps[0].subject, "a.log");
    EXPECT_EQ(hub.gaps[0].count, 1U);
    EXPECT_TRUE(hub.run_until([&] { return hub.metrics["lost"] == 1; }));
    if (!with_checkpoint) continue;
    source.accepted(hub.events[0].cursor);
    source.stop();
    EXPECT_EQ(life(0), Lines{});
  }
}

TEST_F(CheckpointPluginTest, ALineThatFoundNoPlaceInTheHubIsAGap) {
  folder.append("a.log", "one\n");
  folder.append("b.log", "two\n");
  FakeHost hub;
  SourceRig source(hub, weir_plugin_entry, config());
  source.start();
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 2; }));
  source.accepted(hub.events[0].cursor);
  source.refused(hub.events[1].cursor);
  source.accepted(hub.events[1].cursor);
  ASSERT_EQ(hub.gaps.size(), 1U);
  EXPECT_EQ(hub.gaps[0].subject, hub.events[1].subject);
}

TEST_F(CheckpointPluginTest, ACheckpointOfANewerVersionIsSaidAndLeftAlone) {
  const std::string newer = "weir-log-tail 2 of tomorrow\n";
  folder.append("a.log", "one\n");
  folder.append("place", newer);
  {
    FakeHost hub;
    SourceRig source(hub, weir_plugin_entry, config());
    EXPECT_EQ(source.start(), WEIR_OK);
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1 && hub.last_state() == WEIR_STATE_DEGRADED; }));
    EXPECT_NE(hub.states.back().reason.find("it is of version 2"), std::string::npos);
  }
  EXPECT_EQ(folder.read("place"), newer);
}

TEST_F(CheckpointPluginTest, ACheckpointThatCanNotBeWrittenIsAStateUntilItCan) {
  folder.append("a.log", "one\n");
  folder.make_folder("place.new");  // in the way of the temporary file
  FakeHost hub;
  SourceRig source(hub, weir_plugin_entry, config());
  source.start();
  ASSERT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_DEGRADED; }));
  EXPECT_NE(hub.states.back().reason.find("can't write the checkpoint"), std::string::npos);
  EXPECT_EQ(hub.events.size(), 1U) << "lines come all the same";
  folder.remove("place.new");
  EXPECT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_RUNNING; }));
  EXPECT_TRUE(hub.run_until([&] { return std::filesystem::exists(folder.at("place")); }));
}

TEST_F(CheckpointPluginTest, LinesThatAreJoinedLeaveAfterTheTimeoutOfTheirOwn) {
  folder.append("a.log", "");
  FakeHost hub;
  SourceRig source(hub, weir_plugin_entry,
                   config(R"(,"poll":"60s","multiline":{"continuation":"^[ \\t]","timeout":"20ms"})"));
  source.start();
  hub.run_ready();
  folder.append("a.log", "Error\n\tat x\n");
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }));
  EXPECT_EQ(hub.events[0].data, R"({"line":"Error\n\tat x","file":"a.log","lines":2})");
}

// A timer was started every millisecond.
TEST_F(CheckpointPluginTest, AFullHubIsNotAskedAgainAndAgainForLinesThatAreJoined) {
  folder.append("a.log", "Error\n");
  FakeHost hub;
  static int started;
  static decltype(weir_host::timer_start) start_timer;
  weir_host& calls = const_cast<weir_host&>(*hub.raw());
  start_timer = std::exchange(calls.timer_start, [](void* ctx, std::uint64_t delay_ms, std::uint64_t period_ms,
                                                    weir_task_fn call, void* argument) {
    ++started;
    return start_timer(ctx, delay_ms, period_ms, call, argument);
  });
  SourceRig source(hub, weir_plugin_entry,
                   config(R"(,"poll":"60s","multiline":{"continuation":"^[ \\t]","timeout":"20ms"})"));
  source.start();
  hub.run_ready();
  source.pause();
  started = 0;
  hub.advance(1000);
  EXPECT_LT(started, 10);
  EXPECT_EQ(hub.events.size(), 0U);
  source.resume();
  EXPECT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }));
}

TEST_F(CheckpointPluginTest, WithoutACheckpointWhatWaitsForItsRestLeavesAtTheEnd) {
  folder.append("a.log", "Error\n\tat x\n");
  FakeHost hub;
  SourceRig source(hub, weir_plugin_entry,
                   "{\"files\":[" + sdk::json::quoted(folder.at("a.log")) +
                       R"(],"multiline":{"continuation":"^[ \\t]","timeout":"60s"}})");
  source.start();
  hub.run_ready();
  EXPECT_EQ(hub.events.size(), 0U);
  source.stop();
  EXPECT_EQ(hub.events.size(), 1U);
}

std::size_t memory_kib() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

// Credit: a full hub stops the reading, whatever waits in files, plain or packed.
TEST_F(CheckpointPluginTest, ABacklogOf200MegabytesCostsNoMemoryWhileTheHubIsFull) {
  folder.append("a.log", "begin\n");
  EXPECT_EQ(life(1), Lines{"begin"});
  const std::string megabyte = [] {
    std::string text;
    for (int i = 0; text.size() < 1 << 20; ++i) text += "line " + std::to_string(i * 7919 % 99991) + "\n";
    return text;
  }();
  const auto grow = [&](const std::string& name) {
    for (int i = 0; i < 100; ++i) folder.append(name, megabyte);
  };
  grow("a.log");
  folder.rename("a.log", "a.log.1");
  folder.gzip("a.log.1");
  grow("a.log");
  FakeHost hub;
  hub.take_only(10, WEIR_E_FULL);
  SourceRig source(hub, weir_plugin_entry, config());
  const std::size_t before = memory_kib();
  source.start();
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 10; }, 60'000));
  for (int i = 0; i < 20; ++i) {
    hub.run_ready();
    hub.advance(1000);
  }
  EXPECT_LT(memory_kib(), before + 32 * 1024);
  EXPECT_EQ(hub.events.size(), 10U);
}

TEST_F(CheckpointPluginTest, AWrongConfigIsExplained) {
  const auto refusal = [&](const std::string& more) {
    FakeHost hub;
    const SourceRig source(hub, weir_plugin_entry, config(more));
    EXPECT_EQ(source.status(), WEIR_E_CONFIG) << more;
    return std::string(source.error().message);
  };
  EXPECT_NE(refusal(R"(,"multiline":{})").find("neither start nor continuation"), std::string::npos);
  EXPECT_NE(refusal(R"(,"multiline":{"start":"a","continuation":"b"})").find("both"), std::string::npos);
  EXPECT_NE(refusal(R"(,"multiline":{"start":"("})").find("multiline.start is \"(\", which is no pattern"),
            std::string::npos);
  EXPECT_NE(refusal(R"(,"multiline":{"start":"a","max_lines":1})").find("2 to 10000"), std::string::npos);
  EXPECT_NE(refusal(R"(,"multiline":{"start":"a","timeout":"1h"})").find("10 to 60000"), std::string::npos);
  EXPECT_NE(refusal(R"(,"max_open":1)").find("16 to 65536"), std::string::npos);
  FakeHost hub;
  const SourceRig source(hub, weir_plugin_entry, R"({"files":["a"],"checkpoint":"state/"})");
  EXPECT_EQ(source.status(), WEIR_E_CONFIG);
}

// In a process of its own with a small disk of its own. 77: this machine lets nobody mount one.
int on_a_small_disk(const std::string& folder) {
  const std::string user = std::to_string(::geteuid()), group = std::to_string(::getegid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) {
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << "0 " + user + " 1";
    std::ofstream("/proc/self/gid_map") << "0 " + group + " 1";
  } else if (::unshare(CLONE_NEWNS) != 0) {
    return 77;
  }
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
  if (::mount("small", folder.c_str(), "tmpfs", 0, "size=256k") != 0) return 77;
  const std::string log = folder + "/a.log", place = folder + "/place";
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) return 1;
  std::ofstream(folder + "/ballast") << std::string(64 * 1024, 'x');
  FakeHost hub;
  SourceRig source(hub, weir_plugin_entry, "{\"files\":[\"" + log + "\"],\"checkpoint\":\"" + place + "\"}");
  source.start();
  hub.run_ready();
  const std::string line = std::string(999, 'x') + "\n";
  std::size_t written = 0;
  for (ssize_t n = 0; (n = ::write(fd, line.data() + written % 1000, 1000 - written % 1000)) > 0;)
    written += static_cast<std::size_t>(n);
  if (errno != ENOSPC) return 2;
  if (!hub.run_until([&] { return hub.events.size() == written / 1000; })) return 3;
  source.accepted(hub.events.back().cursor);
  if (!hub.run_until([&] { return hub.last_state() == WEIR_STATE_DEGRADED; })) return 4;
  if (hub.states.back().reason.find("No space left on device") == std::string::npos) return 5;
  // The line that the full disk tore is completed when there is room again, and comes whole and once.
  if (written % 1000 == 0 || ::unlink((folder + "/ballast").c_str()) != 0) return 12;
  if (::write(fd, line.data() + written % 1000, 1000 - written % 1000) <= 0) return 13;
  if (!hub.run_until([&] { return hub.events.size() == written / 1000 + 1; })) return 14;
  if (hub.events.back().data != R"({"line":")" + std::string(999, 'x') + R"(","file":"a.log"})") return 15;
  if (!hub.run_until([&] { return hub.last_state() == WEIR_STATE_RUNNING; })) return 16;
  // And full again.
  while (::write(fd, line.data(), line.size()) == 1000) written += 1000;
  if (!hub.run_until([&] { return hub.events.size() == written / 1000 + 1; })) return 17;
  source.accepted(hub.events.back().cursor);
  if (!hub.run_until([&] { return hub.last_state() == WEIR_STATE_DEGRADED; })) return 18;
  // A cut makes room, as those who are called for a full disk do; what was read is not read again.
  if (::ftruncate(fd, 0) != 0 || ::write(fd, "after\n", 6) != 6) return 6;
  const std::size_t lines = hub.events.size();
  if (!hub.run_until([&] { return hub.events.size() >= lines + 2; })) return 7;
  if (hub.events.back().data.find("after") == std::string::npos) return 8;
  source.accepted(hub.events.back().cursor);
  if (!hub.run_until([&] { return hub.last_state() == WEIR_STATE_RUNNING; })) return 9;
  source.stop();
  Checkpoint saved;
  std::string why;
  if (read_checkpoint(place, saved, why) != Reading::fine || saved.files.size() != 1) return 10;
  return saved.files[0].accepted.offset == 6 ? 0 : 11;
}

TEST_F(CheckpointPluginTest, AFullDiskStopsTheCheckpointButNotTheLines) {
  folder.make_folder("disk");
  std::fflush(nullptr);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(on_a_small_disk(folder.at("disk")));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  if (WEXITSTATUS(status) != 77) {
    EXPECT_EQ(WEXITSTATUS(status), 0);
    return;
  }
  // Nobody may mount here: a limit on the size of files refuses the checkpoint in the middle as a full disk does.
  std::printf("no mount is allowed here: a limit on the size of files stands for the full disk\n");
  EXPECT_EQ(write_whole(folder.at("place"), "old"), "");
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit full{100, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  const std::string problem = write_whole(folder.at("place"), std::string(1000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_NE(problem.find("File too large"), std::string::npos) << problem;
  EXPECT_EQ(folder.read("place"), "old");
}

}  // namespace
}  // namespace weir::log_tail::test
