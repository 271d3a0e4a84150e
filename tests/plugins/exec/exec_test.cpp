// Real programs: what they write, how they end, what becomes of those that do not.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>

#include "child.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace weir::exec {
namespace {

using sdk::testing::FakeHost;
using sdk::testing::SourceRig;

// What a splitter makes of `bytes`, fed `step` at a time.
std::vector<std::string> split(std::string_view bytes, std::size_t step, std::size_t most = 64,
                               std::uint64_t* cut = nullptr) {
  LineSplitter splitter(most);
  std::vector<std::string> lines;
  const auto line = [&](std::string_view l) { lines.emplace_back(l); };
  for (std::size_t i = 0; i < bytes.size(); i += step) splitter.feed(bytes.substr(i, step), line);
  splitter.end(line);
  if (cut != nullptr) *cut = splitter.cut();
  return lines;
}

TEST(LineSplitterTest, LinesComeOutTheSameHoweverTheyAreCutIntoReads) {
  const std::string bytes = "one\ntwo\r\n\n\r\nthree \r x\n" + std::string(64, 'a') + "\n" + std::string(64, 'b') +
                            "\r\n" + std::string(65, 'c') + "\n" + std::string(66, 'd') + "\r\nlast";
  const std::vector<std::string> expected = {"one",
                                             "two",
                                             "three \r x",
                                             std::string(64, 'a'),
                                             std::string(64, 'b'),
                                             std::string(64, 'c'),
                                             std::string(64, 'd'),
                                             "last"};
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    std::uint64_t cut = 0;
    ASSERT_EQ(split(bytes, step, 64, &cut), expected) << step;
    ASSERT_EQ(cut, 2u) << step;
  }
}

// A line that was cut within a character was no text any more: its event was {"base64":...}.
TEST(LineSplitterTest, ALineIsNotCutWithinACharacter) {
  const std::string a(62, 'a'), e = "\xc3\xa9", face = "\xf0\x9f\x98\x80";
  EXPECT_EQ(split(a + e + "x", 1), std::vector<std::string>{a + e});
  EXPECT_EQ(split(a + "a" + e + "x", 1), std::vector<std::string>{a + "a"});
  EXPECT_EQ(split(a + face, 1), std::vector<std::string>{a});
  const std::string bytes(70, '\x80');  // no text: no character is longer than that
  EXPECT_EQ(split(bytes, 1), std::vector<std::string>{bytes.substr(0, 61)});
}

struct ExecTest : testing::Test {
  ~ExecTest() override { EXPECT_TRUE(hub.mistakes.empty()) << hub.mistakes.front(); }
  static std::string shell(const std::string& script, const std::string& more = "") {
    return R"({"command":["sh","-c",)" + sdk::json::quoted(script) + "]" + more + "}";
  }
  bool reaches(std::int32_t state) {
    return hub.run_until([&] { return hub.last_state() == state; }, 20'000);
  }
  std::string reason() const { return hub.states.empty() ? "" : hub.states.back().reason; }
  // Waits until the program has ended, without the hub's doing anything, and leaves it to the plugin.
  void wait_for_its_end() const {
    ASSERT_EQ(reason().rfind("process ", 0), 0u) << reason();
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(std::stoi(reason().substr(8))), &info, WEXITED | WNOWAIT), 0);
  }
  FakeHost hub;
};

TEST_F(ExecTest, LinesBecomeEventsAndTheEndIsTold) {
  SourceRig exec(hub, weir_plugin_entry,
                 shell("echo plain; echo '{\"n\":1}'; echo oops >&2; printf 'no end'; exit 3",
                       R"(,"restart":"never","subject":"s")"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_FAILED));
  ASSERT_EQ(hub.events.size(), 3u);
  EXPECT_EQ(hub.events[0].data, "plain");
  EXPECT_EQ(hub.events[0].kind, WEIR_DATA_ANY);
  EXPECT_EQ(hub.events[0].subject, "s");
  EXPECT_EQ(hub.events[1].data, "{\"n\":1}");
  EXPECT_EQ(hub.events[2].data, "no end");
  EXPECT_TRUE(hub.logged("oops"));
  EXPECT_NE(reason().find("exited with status 3; it is not started again"), std::string::npos) << reason();
}

TEST_F(ExecTest, StandardErrorMayBeEvents) {
  SourceRig exec(hub, weir_plugin_entry, shell("echo oops >&2", R"(,"restart":"never","stderr":"event")"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }));
  EXPECT_EQ(hub.events[0].event, "stderr");
}

TEST_F(ExecTest, WhatEndsIsStartedAgain) {
  SourceRig exec(hub, weir_plugin_entry, shell("echo $$; kill -9 $$"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 3; }, 20'000));
  EXPECT_NE(hub.events[0].data, hub.events[1].data);
  EXPECT_TRUE(std::any_of(hub.states.begin(), hub.states.end(),
                          [](const auto& s) { return s.reason.find("was killed by signal 9") != std::string::npos; }));
}

TEST_F(ExecTest, OnFailureLeavesWhatEndedWell) {
  SourceRig exec(hub, weir_plugin_entry, shell("echo x; exit 0", R"(,"restart":"on-failure")"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return reason().find("not started again") != std::string::npos; }));
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
}

TEST_F(ExecTest, AProgramThatIsNotThereIsNamed) {
  SourceRig exec(hub, weir_plugin_entry, R"({"command":["no-such-program-anywhere"]})");
  ASSERT_EQ(exec.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(reason().find("no-such-program-anywhere can't be started: "), std::string::npos) << reason();
  EXPECT_NE(reason().find("No such file"), std::string::npos) << reason();
}

TEST_F(ExecTest, TheEnvironmentAndTheFolderAreTheOnesGiven) {
  SourceRig exec(hub, weir_plugin_entry,
                 shell("echo \"$HOME|$WORD\"; pwd; ls /proc/$$/fd | tr '\\n' ' '",
                       R"(,"restart":"never","directory":"/","env":{"WORD":"a b","HOME":"/h"})"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 3; }));
  EXPECT_EQ(hub.events[0].data, "/h|a b");
  EXPECT_EQ(hub.events[1].data, "/");
  EXPECT_EQ(hub.events[2].data.substr(0, 6), "0 1 2 ");
  EXPECT_LE(hub.events[2].data.size(), 9u);  // and the shell's own pipe, but none of ours
}

TEST_F(ExecTest, AFullHubHoldsTheProgramAndNothingIsLost) {
  hub.take_only(100);
  SourceRig exec(
      hub, weir_plugin_entry,
      shell("i=0; while [ $i -lt 50000 ]; do echo $i; i=$((i+1)); done; echo end >&2", R"(,"restart":"never")"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 100; }));
  EXPECT_FALSE(hub.run_until([&] { return hub.logged("end"); }, 300));  // it waits in the middle of its work
  exec.resume();
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 50000; }, 20'000));
  for (std::size_t i = 0; i < 50000; ++i) ASSERT_EQ(hub.events[i].data, std::to_string(i));
  EXPECT_TRUE(hub.gaps.empty());
}

TEST_F(ExecTest, StopTakesTheProgramAndItsChildrenAlong) {
  pid_t child = 0;
  {
    SourceRig exec(hub, weir_plugin_entry, shell("trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000"));
    ASSERT_EQ(exec.start(), WEIR_OK);
    ASSERT_TRUE(hub.run_until([&] { return !hub.events.empty(); }));
    child = std::stoi(hub.events[0].data);
    ASSERT_EQ(::kill(child, 0), 0);
  }
  // It is not ours, so it goes when whoever adopted it looks; a zombie has no more threads that run.
  EXPECT_TRUE(hub.run_until([&] {
    if (::kill(child, 0) != 0) return true;
    char state = 0;
    if (FILE* file = std::fopen(("/proc/" + std::to_string(child) + "/stat").c_str(), "r")) {
      if (std::fscanf(file, "%*d %*s %c", &state) != 1) state = 0;
      std::fclose(file);
    }
    return state == 'Z' || state == 0;
  }));
}

// In a container whose first process waits for nobody, each stop took the two seconds that are there for the living.
TEST_F(ExecTest, ZombiesThatAreNotOursAreNotWaitedFor) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);  // orphans come to us, who leave them as they are
  pid_t orphan = 0;
  std::vector<std::string> lines;
  Child::Told told{[&](std::string_view line) { lines.emplace_back(line); }, [](std::string_view) {},
                   [](bool, const std::string&) {}};
  ChildConfig config;
  config.command = {"sh", "-c", "sleep 1000 & echo $!; wait"};
  Child child(sdk::Host(hub.raw()), config, told);
  child.start();
  ASSERT_TRUE(hub.run_until([&] { return !lines.empty(); }));
  orphan = std::stoi(lines[0]);
  const pid_t program = child.pid();
  int asked_for_nothing = 0;
  child.stop([&] {
    siginfo_t info{};
    const bool zombie =
        ::waitid(P_PID, static_cast<id_t>(orphan), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == orphan;
    asked_for_nothing += zombie && ::kill(program, 0) != 0 ? 1 : 0;
    return true;
  });
  EXPECT_LE(asked_for_nothing, 4);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  EXPECT_EQ(::waitpid(orphan, nullptr, 0), orphan);
}

// 15,000 lines do not fit into a pipe: who is not read waits in the middle of its last words until it is killed.
TEST_F(ExecTest, WhatAProgramWritesWhenItIsToldToGoIsRead) {
  SourceRig exec(hub, weir_plugin_entry, shell("trap 'seq 15000; exit' TERM; sleep 1000 & echo ready; wait"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return !hub.events.empty(); }));
  exec.stop();
  ASSERT_EQ(hub.events.size(), 15'001u);
  for (std::size_t i = 1; i <= 15'000; ++i) ASSERT_EQ(hub.events[i].data, std::to_string(i));
  EXPECT_TRUE(hub.gaps.empty());
}

TEST_F(ExecTest, WhatAFullHubDoesNotTakeBeforeTheEndIsAGap) {
  hub.take_only(10);
  SourceRig exec(hub, weir_plugin_entry, shell("seq 9000; printf last"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  wait_for_its_end();
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 10; }));
  exec.stop();
  EXPECT_EQ(hub.events.size(), 10u);
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].count, 8'991u);
  EXPECT_EQ(hub.gaps[0].subject, "exec");
}

TEST_F(ExecTest, AHubThatStoodStillWhenTheProgramEndedReadsAllOfIt) {
  SourceRig exec(hub, weir_plugin_entry, shell("seq 9000", R"(,"restart":"never")"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  wait_for_its_end();
  hub.run_ready();     // sees the end, and the first lines
  hub.advance(2'000);  // as after a SIGSTOP: what is due comes first
  ASSERT_TRUE(hub.run_until([&] { return reason().find("not started again") != std::string::npos; }));
  ASSERT_EQ(hub.events.size(), 9'000u);
  EXPECT_EQ(hub.events.back().data, "9000");
}

// Its process group has the number of the program: were that given away before all is read, whoever has it would be
// killed.
TEST_F(ExecTest, TheNumberOfAProgramIsKeptUntilAllIsRead) {
  hub.take_only(2);
  SourceRig exec(hub, weir_plugin_entry, shell("seq 9000", R"(,"restart":"never")"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  wait_for_its_end();
  const pid_t pid = std::stoi(reason().substr(8));
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 2; }));
  hub.run_ready();
  EXPECT_EQ(::kill(-pid, 0), 0);
  exec.resume();
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 9'000; }));
  ASSERT_TRUE(hub.run_until([&] { return ::kill(-pid, 0) != 0; }));
}

TEST_F(ExecTest, ALineThatTheHubDoesNotTakeIsAGap) {
  hub.data_bytes_max = 100;
  SourceRig exec(hub, weir_plugin_entry,
                 shell("echo one; printf '%0200d\\n' 0; echo two", R"(,"restart":"never","subject":"s")"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 2; }));
  EXPECT_EQ(hub.events[1].data, "two");
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].subject, "s");
  EXPECT_EQ(hub.gaps[0].count, 1u);
  hub.advance(1'000);
  EXPECT_EQ(hub.metrics["lines_not_taken"], 1);
}

// It began anew with each program.
TEST_F(ExecTest, WhatIsCutIsCountedOverAllPrograms) {
  SourceRig exec(hub, weir_plugin_entry, shell("printf '%0200d\\n' 0", R"(,"line_bytes_max":64)"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  EXPECT_TRUE(hub.run_until([&] { return hub.metrics["lines_cut"] >= 2; }, 20'000));
}

TEST_F(ExecTest, AnOutputThatSomebodyElseKeepsOpenIsNotWaitedForForEver) {
  SourceRig exec(hub, weir_plugin_entry, shell("setsid sleep 30 & sleep 0.2; echo started", R"(,"restart":"never")"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return reason().find("exited with status 0") != std::string::npos; }, 10'000));
  EXPECT_EQ(hub.events.size(), 1u);
}

TEST_F(ExecTest, WhatWasWrittenBeforeTheEndIsReadHoweverLongTheHubIsFull) {
  hub.take_only(2);
  SourceRig exec(
      hub, weir_plugin_entry,
      shell("i=0; while [ $i -lt 9000 ]; do echo $i; i=$((i+1)); done; printf last", R"(,"restart":"never")"));
  ASSERT_EQ(exec.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 2; }));
  hub.advance(5'000);
  exec.resume();
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 9001; }, 20'000)) << hub.events.size();
  EXPECT_EQ(hub.events.back().data, "last");
  EXPECT_TRUE(hub.gaps.empty());
}

TEST_F(ExecTest, WrongConfigsAreNamed) {
  for (const char* wrong : {R"({"command":[""]})", R"({"command":[]})", "{}"}) {
    SourceRig exec(hub, weir_plugin_entry, wrong);
    EXPECT_EQ(exec.status(), WEIR_E_CONFIG) << wrong;
  }
}

}  // namespace
}  // namespace weir::exec
