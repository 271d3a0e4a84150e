// Files that are followed on demand: the last lines, what follows, rotation, and the end of it.
#include "demand_rig.hpp"

namespace weir::log_tail::test {
namespace {

std::string numbered(int from, int to) {
  std::string text;
  for (int i = from; i <= to; ++i) text += std::to_string(i) + "\n";
  return text;
}

TEST_F(DemandTest, TheLastLinesAreThereBeforeTheAnswerAndNewOnesFollow) {
  folder.make_folder("root/a");
  folder.append("root/a/out.log", numbered(1, 500));
  start(R"(,"backlog":3)");
  EXPECT_EQ(open_below(folder.at("root")), 0U) << "nobody watches";
  const std::uint64_t token = source->activate("a/out.log");
  ASSERT_TRUE(hub.run_until([&] {
    EXPECT_TRUE(hub.answers.count(token) == 0 || seen("a/out.log").size() == 3);
    return hub.answers.count(token) != 0;
  }));
  EXPECT_EQ(hub.answers[token].status, WEIR_OK);
  EXPECT_EQ(seen("a/out.log"), (Lines{"498", "499", "500"}));
  EXPECT_EQ(hub.events[0].data, R"({"line":"498","file":"a/out.log"})");
  folder.append("root/a/out.log", "501\n");
  ASSERT_TRUE(comes("a/out.log", {"498", "499", "500", "501"}));
}

TEST_F(DemandTest, ALineThatIsWrittenNeedsNoPoll) {
  folder.append("root/a.log", "");
  start(R"(,"poll":"60s")");
  ASSERT_EQ(status_of("a.log"), WEIR_OK);
  folder.append("root/a.log", "one\n");
  ASSERT_TRUE(comes("a.log", {"one"}));
}

TEST_F(DemandTest, NothingComesOfALogThatIsLetGoOfAndItsFileIsClosed) {
  folder.append("root/a.log", numbered(1, 5));
  start(R"(,"backlog":2,"poll":"100ms")");
  ASSERT_EQ(status_of("a.log"), WEIR_OK);
  EXPECT_EQ(open_below(folder.at("root")), 1U);
  source->deactivate("a.log");
  EXPECT_EQ(open_below(folder.at("root")), 0U) << "at once";
  folder.append("root/a.log", "6\n");
  folder.rename("root/a.log", "root/a.log.1");
  folder.append("root/a.log", "7\n8\n9\n");
  settle();
  EXPECT_EQ(seen("a.log"), (Lines{"4", "5"}));
  hub.events.clear();
  ASSERT_EQ(status_of("a.log"), WEIR_OK);
  EXPECT_EQ(seen("a.log"), (Lines{"8", "9"})) << "it begins with the last lines again";
}

TEST_F(DemandTest, ARotationIsToldAndTheNewFileFollowed) {
  folder.append("root/a.log", "one\n");
  start(R"(,"poll":"100ms")");
  ASSERT_EQ(status_of("a.log"), WEIR_OK);
  const Writer old(folder.at("root/a.log"));
  folder.rename("root/a.log", "root/a.log.1");
  old.write("late\n");
  folder.append("root/a.log", "two\n");
  ASSERT_TRUE(comes("a.log", {"one", "late", "<renamed>", "two"}));
  folder.overwrite("root/a.log", "cut\n");
  ASSERT_TRUE(comes("a.log", {"one", "late", "<renamed>", "two", "<truncated>", "cut"}));
  folder.remove("root/a.log");
  settle();
  folder.append("root/a.log", "again\n");
  ASSERT_TRUE(comes("a.log", {"one", "late", "<renamed>", "two", "<truncated>", "cut", "<deleted>", "again"}));
}

TEST_F(DemandTest, AFolderOnTheWayMayBeMadeAnew) {
  folder.make_folder("root/a");
  folder.append("root/a/out.log", "one\n");
  start(R"(,"poll":"100ms")");
  ASSERT_EQ(status_of("a/out.log"), WEIR_OK);
  folder.rename("root/a", "root/b");
  folder.make_folder("root/a");
  folder.append("root/a/out.log", "two\n");
  ASSERT_TRUE(comes("a/out.log", {"one", "<renamed>", "two"}));
}

// A second program's log must not get into the first one's, and be it in the moment of a rotation.
TEST_F(DemandTest, ANewLogBesideOneThatIsRotatedIsNotTakenForAnOldOne) {
  folder.append("root/a.log", "one\n");
  start(R"(,"poll":"100ms")");
  ASSERT_EQ(status_of("a.log"), WEIR_OK);
  folder.append("root/a-2.log", "of another program\n");
  folder.rename("root/a.log", "root/a.log.1");
  folder.append("root/a.log", "two\n");
  ASSERT_TRUE(comes("a.log", {"one", "<renamed>", "two"}));
}

TEST_F(DemandTest, TheLastLinesOfALargeFileAreFoundFromItsEnd) {
  // Sparse: were it read from the front, a hundred gigabytes of zeros would have to be.
  const int fd = ::open(folder.at("root/a.log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  ASSERT_EQ(::lseek(fd, 100'000'000'000, SEEK_SET), 100'000'000'000);
  const std::string text = "\n" + numbered(1, 2000);
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::close(fd);
  start(R"(,"backlog":1000)");
  ASSERT_EQ(status_of("a.log"), WEIR_OK);
  ASSERT_EQ(seen("a.log").size(), 1000U);
  EXPECT_EQ(seen("a.log").front(), "1001");
  EXPECT_EQ(seen("a.log").back(), "2000");
}

TEST_F(DemandTest, TheAnswerWaitsForAHubThatIsFull) {
  folder.append("root/a.log", numbered(1, 1000));
  start(R"(,"backlog":1000)");
  hub.take_only(10, WEIR_E_FULL);
  const std::uint64_t token = source->activate("a.log");
  hub.run_ready();
  hub.advance(1000);
  EXPECT_EQ(hub.answers.count(token), 0U);
  hub.take_all();
  source->resume();
  ASSERT_TRUE(hub.run_until([&] { return hub.answers.count(token) != 0; }));
  EXPECT_EQ(seen("a.log").size(), 1000U);
}

TEST_F(DemandTest, ButNotForEver) {
  folder.append("root/a.log", numbered(1, 1000));
  start(R"(,"backlog":1000,"poll":"60s")");
  source->pause();
  const std::uint64_t token = source->activate("a.log");
  hub.run_ready();
  EXPECT_EQ(hub.answers.count(token), 0U);
  hub.advance(2000);
  ASSERT_EQ(hub.answers.count(token), 1U);
  EXPECT_EQ(hub.answers[token].status, WEIR_OK);
  EXPECT_EQ(seen("a.log").size(), 0U);
  source->resume();
  ASSERT_TRUE(hub.run_until([&] { return seen("a.log").size() == 1000; }));
}

// What the hub had no room for must not turn up in the subject's next life.
TEST_F(DemandTest, WhatWaitsForAFullHubGoesWithTheLog) {
  folder.append("root/a.log", numbered(1, 100));
  folder.append("root/b.log", "b\n");
  start();
  ASSERT_EQ(status_of("b.log"), WEIR_OK);
  hub.take_only(10, WEIR_E_FULL);
  source->activate("a.log");
  hub.run_ready();
  folder.append("root/b.log", "c\n");
  source->deactivate("a.log");
  hub.take_all();
  source->resume();
  ASSERT_TRUE(comes("b.log", {"b", "c"}));
  EXPECT_EQ(seen("a.log").size(), 10U);
  hub.events.clear();
  ASSERT_EQ(status_of("a.log"), WEIR_OK);
  EXPECT_EQ(seen("a.log").size(), 100U);
  EXPECT_EQ(seen("a.log").front(), "1");
}

TEST_F(DemandTest, TheLastEventOfSeveralLinesBelongsToThePast) {
  folder.append("root/a.log", "one\n  more of one\ntwo\n  more of two\n");
  const timespec long_ago[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, folder.at("root/a.log").c_str(), long_ago, 0), 0);
  start(R"(,"multiline":{"continuation":"^ ","timeout":"60s"})");
  ASSERT_EQ(status_of("a.log"), WEIR_OK);
  EXPECT_EQ(seen("a.log"), (Lines{"one\n  more of one", "two\n  more of two"}));
}

TEST_F(DemandTest, WhatFilesFollowsIsActiveAlready) {
  folder.append("root/a.log", "one\n");
  folder.make_folder("root/deep");
  folder.append("root/deep/b.log", "deep\n");
  start(",\"files\":[" + sdk::json::quoted(folder.at("root/*.log")) + "]");
  ASSERT_TRUE(comes("a.log", {"one"}));
  EXPECT_EQ(status_of("a.log"), WEIR_OK);
  folder.append("root/a.log", "two\n");
  ASSERT_TRUE(comes("a.log", {"one", "two"}));
  source->deactivate("a.log");
  folder.append("root/a.log", "three\n");
  ASSERT_TRUE(comes("a.log", {"one", "two", "three"}));
  EXPECT_EQ(status_of("b.log"), WEIR_E_NOT_FOUND);
  EXPECT_EQ(status_of("deep/b.log"), WEIR_OK);
  EXPECT_EQ(seen("deep/b.log"), (Lines{"deep"}));
}

TEST_F(DemandTest, TwoNamesOfOneFileAreTwoLogs) {
  folder.append("root/a.log", "one\n");
  folder.link("a.log", "root/current");
  start(R"(,"poll":"100ms")");
  ASSERT_EQ(status_of("a.log"), WEIR_OK);
  ASSERT_EQ(status_of("current"), WEIR_OK);
  folder.append("root/a.log", "two\n");
  ASSERT_TRUE(comes("a.log", {"one", "two"}));
  ASSERT_TRUE(comes("current", {"one", "two"}));
  source->deactivate("a.log");
  // Its target lost its name, so both had a watch on the file itself.
  folder.rename("root/a.log", "root/b.log");
  folder.append("root/b.log", "three\n");
  folder.append("root/a.log", "four\n");
  ASSERT_TRUE(comes("current", {"one", "two", "three", "<renamed>", "four"}));
  EXPECT_EQ(seen("a.log"), (Lines{"one", "two"}));
}

TEST_F(DemandTest, TheCheckpointKnowsNothingOfIt) {
  folder.append("root/a.log", "one\n");
  const std::string more = ",\"checkpoint\":" + sdk::json::quoted(folder.at("root/places")) + ",\"poll\":\"100ms\"";
  start(more);
  ASSERT_EQ(status_of("a.log"), WEIR_OK);
  source->stop();
  EXPECT_EQ(folder.read("root/places").find("a.log"), std::string::npos) << folder.read("root/places");
  EXPECT_NE(folder.read("root/places"), "");
  sdk::testing::FakeHost next;
  sdk::testing::SourceRig again(next, weir_plugin_entry,
                                "{\"root\":" + sdk::json::quoted(folder.at("root")) + more + "}");
  ASSERT_EQ(again.start(), WEIR_OK);
  const std::uint64_t token = again.activate("a.log");
  ASSERT_TRUE(next.run_until([&] { return next.answers.count(token) != 0; }));
  EXPECT_EQ(next.events.size(), 1U);
  EXPECT_EQ(next.answers[again.activate("places")].status, WEIR_E_NOT_FOUND);
}

TEST_F(DemandTest, ThousandsOfLogsAtOnceAndStormsOfThem) {
  constexpr int kLogs = 2000, kOpen = 64;
  for (int i = 0; i < kLogs; ++i) folder.append("root/" + std::to_string(i) + ".log", "first\n");
  start(R"(,"max_open":64,"poll":"1s")");
  const auto name = [](int i) { return std::to_string(i) + ".log"; };
  for (int round = 0; round < 3; ++round) {
    hub.events.clear();
    hub.answers.clear();
    std::vector<std::uint64_t> tokens;
    for (int i = 0; i < kLogs; ++i) {
      const std::uint64_t token = source->activate(name(i));
      if (i % 3 == round) {  // gone again before anything was read
        source->deactivate(name(i));
        continue;
      }
      tokens.push_back(token);
    }
    ASSERT_TRUE(hub.run_until(
        [&] {
          return std::all_of(tokens.begin(), tokens.end(),
                             [&](std::uint64_t token) { return hub.answers.count(token) != 0; });
        },
        60'000));
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == tokens.size(); }, 60'000));
    EXPECT_LE(open_below(folder.at("root")), static_cast<std::size_t>(kOpen));
    for (int i = 0; i < kLogs; ++i) {
      if (i % 3 != round) source->deactivate(name(i));
    }
    EXPECT_EQ(open_below(folder.at("root")), 0U);
  }
}

TEST_F(DemandTest, TheRootMayBeMadeLater) {
  std::filesystem::remove(folder.at("root"));
  start(R"(,"poll":"100ms")");
  ASSERT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_DEGRADED; }));
  EXPECT_EQ(hub.states.back().reason, "can't open the root " + folder.at("root") + ": No such file or directory");
  EXPECT_EQ(status_of("a.log"), WEIR_E_NOT_FOUND);
  folder.make_folder("root");
  folder.append("root/a.log", "one\n");
  EXPECT_EQ(status_of("a.log"), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_RUNNING; }));
}

TEST_F(DemandTest, ARootThatCanBeNoneIsRefused) {
  folder.append("file", "");
  const auto refusal = [](const std::string& json) {
    sdk::testing::FakeHost other;
    const sdk::testing::SourceRig rig(other, weir_plugin_entry, json);
    EXPECT_EQ(rig.status(), WEIR_E_CONFIG) << json;
    return std::string(rig.error().message);
  };
  EXPECT_NE(refusal("{\"root\":" + sdk::json::quoted(folder.at("file")) + "}").find("expected a folder"),
            std::string::npos);
  EXPECT_NE(refusal("{}").find("there is neither files nor root"), std::string::npos);
}

}  // namespace
}  // namespace weir::log_tail::test
