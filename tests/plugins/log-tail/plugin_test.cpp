// The plugin as the hub holds it: events, batches, pauses, states, and a writer that rotates while it is read.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <thread>

#include "log_files.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace weir::log_tail::test {
namespace {

using sdk::testing::FakeHost;
using sdk::testing::SeenEvent;
using sdk::testing::SourceRig;

std::string config(const std::string& files, const std::string& more = "") {
  return "{\"files\":[" + sdk::json::quoted(files) + "]" + more + "}";
}

std::string line_of(const SeenEvent& event) { return sdk::json::parse(event.data).required("line").as_string(); }

class LogTailTest : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(hub.mistakes, std::vector<std::string>{}); }
  // What create() says about a config that it refuses.
  std::string refusal(const std::string& json) {
    FakeHost other;
    const SourceRig source(other, weir_plugin_entry, json);
    EXPECT_EQ(source.status(), WEIR_E_CONFIG) << json;
    return source.error().message;
  }
  bool events(std::size_t count) {
    return hub.run_until([&] { return hub.events.size() >= count; });
  }

  LogFolder folder;
  FakeHost hub;
};

TEST_F(LogTailTest, ALineBecomesAnEvent) {
  hub.set_now_ms(1'790'000'000'123);
  folder.append("dpkg.log", "installed \"weir\"\n");
  SourceRig source(hub, weir_plugin_entry, config(folder.at("*.log")));
  EXPECT_EQ(source.start(), WEIR_OK);
  ASSERT_TRUE(events(1));
  const SeenEvent& e = hub.events[0];
  EXPECT_EQ(e.subject, "dpkg.log");
  EXPECT_EQ(e.event, "line");
  EXPECT_EQ(e.data, R"({"line":"installed \"weir\"","file":"dpkg.log"})");
  EXPECT_EQ(e.cursor, "");
  EXPECT_EQ(e.id, "");
  EXPECT_GE(e.time_ms, 1'790'000'000'123);
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
}

TEST_F(LogTailTest, ALineThatIsWrittenWhileItRunsNeedsNoTimer) {
  folder.append("a.log", "");
  SourceRig source(hub, weir_plugin_entry, config(folder.at("*.log")));
  source.start();
  hub.run_ready();
  folder.append("a.log", "one\n");
  hub.run_ready();
  ASSERT_EQ(hub.events.size(), 1U) << "no clock has moved";
  folder.append("a.log", "two\n");
  hub.run_ready();
  EXPECT_EQ(hub.events.size(), 1U) << "a busy file rests for batch_ms";
  hub.advance(10);
  hub.run_ready();
  EXPECT_EQ(hub.events.size(), 2U);
}

TEST_F(LogTailTest, MarksStandInTheData) {
  folder.append("a.log", std::string(70, 'x') + "\ncaf\xe9\n\nbegun");
  SourceRig source(hub, weir_plugin_entry, config(folder.at("a.log"), R"(,"line_bytes_max":64)"));
  source.start();
  ASSERT_TRUE(events(3));
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "new\n");
  ASSERT_TRUE(events(6));
  EXPECT_EQ(hub.events[0].data,
            "{\"line\":\"" + std::string(64, 'x') + "\",\"file\":\"a.log\",\"truncated\":true,\"bytes\":70}");
  EXPECT_EQ(hub.events[1].data, "{\"line\":\"caf\uFFFD\",\"file\":\"a.log\",\"invalid_utf8\":true}");
  EXPECT_EQ(hub.events[2].data, R"({"line":"","file":"a.log"})");
  EXPECT_EQ(hub.events[3].data, R"({"line":"begun","file":"a.log","partial":true})");
  EXPECT_EQ(hub.events[4].event, "rotated");
  EXPECT_EQ(hub.events[4].data, R"({"reason":"renamed","file":"a.log"})");
  EXPECT_EQ(hub.events[5].data, R"({"line":"new","file":"a.log"})");
}

TEST_F(LogTailTest, TheNameOfAFileNeedNotBeUtf8) {
  folder.append("caf\xe9.log", "one\n");
  SourceRig source(hub, weir_plugin_entry, config(folder.at("*.log")));
  source.start();
  ASSERT_TRUE(events(1));
  EXPECT_EQ(hub.events[0].subject, "caf\uFFFD.log");
}

TEST_F(LogTailTest, AMissingFileIsAStateUntilItAppears) {
  SourceRig source(hub, weir_plugin_entry, config(folder.at("later/*.log")));
  source.start();
  ASSERT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_DEGRADED; }));
  EXPECT_EQ(hub.states.back().reason, "nothing matches " + folder.at("later/*.log"));
  folder.make_folder("later");
  folder.append("later/a.log", "one\n");
  ASSERT_TRUE(events(1));
  ASSERT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_RUNNING; }));
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["files"] == 1 && hub.metrics["lines"] == 1; }));
}

TEST_F(LogTailTest, AFullHubGetsEveryLineOnceItHasRoom) {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i) + "\n";
  folder.append("a.log", "");
  SourceRig source(hub, weir_plugin_entry, config(folder.at("a.log")));
  source.start();
  hub.run_ready();
  std::size_t room = 1;
  for (int round = 0; hub.events.size() < 50'000 && round < 10'000; ++round) {
    const std::size_t before = hub.events.size();
    hub.take_only(room, round % 2 == 0 ? WEIR_E_FULL : WEIR_PAUSE);
    if (round == 0) folder.append("a.log", text);
    ASSERT_TRUE(events(std::min<std::size_t>(before + room, 50'000)));
    hub.run_ready();
    hub.advance(1000);
    ASSERT_LE(hub.events.size(), before + room);
    room = room * 2 % 4099;
    source.resume();
    if (hub.events.size() > 50'000) break;
  }
  ASSERT_TRUE(events(50'000));
  for (int i = 0; i < 50'000; ++i) ASSERT_EQ(line_of(hub.events[static_cast<std::size_t>(i)]), std::to_string(i));
  EXPECT_EQ(hub.events.size(), 50'000U);
}

TEST_F(LogTailTest, APausedSourceReadsNothingAndLosesNoRotation) {
  folder.append("a.log", "one\n");
  SourceRig source(hub, weir_plugin_entry, config(folder.at("a.log")));
  source.start();
  ASSERT_TRUE(events(1));
  source.pause();
  folder.append("a.log", "two\n");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "three\n");
  hub.run_ready();
  hub.advance(5000);
  hub.run_ready();
  EXPECT_EQ(hub.events.size(), 1U);
  folder.remove("a.log.1");
  source.resume();
  ASSERT_TRUE(events(4));
  EXPECT_EQ(line_of(hub.events[1]), "two");
  EXPECT_EQ(hub.events[2].event, "rotated");
  EXPECT_EQ(line_of(hub.events[3]), "three");
}

TEST_F(LogTailTest, WhatIsKnownToBeLostIsToldAsAGap) {
  folder.append("a.log", "one\n");
  SourceRig source(hub, weir_plugin_entry, config(folder.at("a.log")));
  source.start();
  ASSERT_TRUE(events(1));
  source.pause();
  folder.append("a.log", "two\n");
  hub.advance(1000);
  folder.overwrite("a.log", "3\n");
  source.resume();
  ASSERT_TRUE(events(3));
  ASSERT_EQ(hub.gaps.size(), 1U);
  EXPECT_EQ(hub.gaps[0].subject, "a.log");
  EXPECT_EQ(hub.events[1].data, R"({"reason":"truncated","file":"a.log"})");
}

// It stood before lines that were read before it, where the hub had no room for these.
TEST_F(LogTailTest, AGapStandsBehindTheLinesThatTheHubHadNoRoomFor) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i) + "\n";
  folder.append("a.log.1", text);
  folder.gzip("a.log.1");
  std::filesystem::resize_file(folder.at("a.log.1.gz"), std::filesystem::file_size(folder.at("a.log.1.gz")) / 2);
  folder.append("a.log", "new\n");
  hub.take_only(1);
  SourceRig source(hub, weir_plugin_entry, config(folder.at("a.log"), R"(,"backlog":4)"));
  source.start();
  ASSERT_TRUE(events(1));
  EXPECT_TRUE(hub.gaps.empty());
  source.resume();
  ASSERT_TRUE(events(5));
  EXPECT_EQ(hub.gaps.size(), 1U);
}

// UBSan asks the kernel about memory through a pipe of its own; without a free descriptor it takes every object for a
// wrong one.
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
#define WEIR_TEST_WITH_UBSAN
#endif
#endif

#ifndef WEIR_TEST_WITH_UBSAN
TEST_F(LogTailTest, WithoutInotifyItLooksByItself) {
  folder.append("a.log", "one\n");
  SourceRig source(hub, weir_plugin_entry, config(folder.at("a.log"), R"(,"poll":"100ms")"));
  // No descriptor is free for a moment: inotify_init1 fails as it does when all instances of the user are taken, which
  // a test must not do, because its neighbours need them.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(next);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  source.start();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(events(1));
  EXPECT_TRUE(hub.logged("looking every 100 ms instead"));
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
  folder.append("a.log", "two\n");
  folder.rename("a.log", "a.log.1");
  folder.append("a.log", "three\n");
  EXPECT_TRUE(events(4));
}
#endif

TEST_F(LogTailTest, AfterStopNothingComesAnyMore) {
  folder.append("a.log", "one\n");
  SourceRig source(hub, weir_plugin_entry, config(folder.at("a.log")));
  source.start();
  ASSERT_TRUE(events(1));
  source.stop();
  folder.append("a.log", "two\n");
  hub.run_ready();
  hub.advance(10'000);
  EXPECT_EQ(hub.events.size(), 1U);
}

TEST_F(LogTailTest, AnInstanceThatWasNeverStartedCanBeStoppedAndDestroyed) {
  const SourceRig source(hub, weir_plugin_entry, config("/var/log/*.log"));
  EXPECT_EQ(source.status(), WEIR_OK);
}

TEST_F(LogTailTest, AWrongConfigIsExplained) {
  EXPECT_NE(refusal("{}").find("files"), std::string::npos);
  EXPECT_NE(refusal(R"({"files":[]})").find("at least one"), std::string::npos);
  EXPECT_NE(refusal(R"({"files":["/var/log/"]})").find("files[0] is \"/var/log/\""), std::string::npos);
  EXPECT_NE(refusal(R"({"files":["a"],"backlog":1001})").find("0 to 1000"), std::string::npos);
  EXPECT_NE(refusal(R"({"files":["a"],"backlog":-1})").find("0 to 1000"), std::string::npos);
  EXPECT_NE(refusal(R"({"files":["a"],"batch_ms":101})").find("0 to 100"), std::string::npos);
  EXPECT_NE(refusal(R"({"files":["a"],"line_bytes_max":63})").find("64 to 65536"), std::string::npos);
  EXPECT_NE(refusal(R"({"files":["a"],"poll":"1ms"})").find("100 to 60000"), std::string::npos);
  EXPECT_NE(refusal(R"({"files":["a"],"poll":"soon"})").find("soon"), std::string::npos);
}

TEST_F(LogTailTest, TheManifestIsJsonAndDescribesEveryKey) {
  const auto manifest = sdk::json::parse(weir_plugin_entry.manifest_json);
  const auto& properties = manifest.required("config_schema").required("properties");
  EXPECT_EQ(properties.members.size(), 10U);
  for (const auto& property : properties.members)
    EXPECT_NE(property.value.find("description"), nullptr) << property.key;
}

// A writer as they are: pieces of any size, and a rotation now and then without asking anybody.
class Stress : public LogTailTest {
 protected:
  static constexpr int kLines = 100'000;

  // Writes all lines; calls between(i) where a rotation is wanted.
  template <class Between>
  void write_all(Between&& between) {
    std::mt19937 random(1);
    auto writer = std::make_unique<Writer>(folder.at("a.log"));
    std::string pending;
    for (int i = 0; i < kLines; ++i) {
      pending += "line " + std::to_string(i) + std::string(random() % 80, '.') + "\n";
      while (pending.size() > 4096) {
        const std::size_t n = 1 + random() % 4096;
        writer->write(pending.substr(0, n));
        pending.erase(0, n);
      }
      if (i != kLines / 3 && i != kLines / 3 + 10 && i != kLines * 2 / 3) continue;
      writer->write(std::exchange(pending, {}));
      between();
      writer = std::make_unique<Writer>(folder.at("a.log"));
    }
    writer->write(pending);
  }
  void expect_all_in_order(std::size_t rotations) {
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() >= kLines + rotations; }, 60'000)) << hub.events.size();
    int next = 0;
    std::size_t rotated = 0;
    for (const SeenEvent& event : hub.events) {
      if (event.event == "rotated") {
        ++rotated;
        continue;
      }
      const std::string expected = "line " + std::to_string(next++);
      ASSERT_EQ(line_of(event).substr(0, expected.size()), expected);
    }
    EXPECT_EQ(next, kLines);
    EXPECT_EQ(rotated, rotations);
    EXPECT_TRUE(hub.gaps.empty());
  }
};

TEST_F(Stress, AHundredThousandLinesThroughThreeRenamesComeAllInOrderOnce) {
  SourceRig source(hub, weir_plugin_entry, config(folder.at("a.log")));
  source.start();
  hub.run_ready();
  std::jthread writer([&] {
    write_all([&, n = 0]() mutable {
      for (int i = n; i >= 1; --i) folder.rename("a.log." + std::to_string(i), "a.log." + std::to_string(i + 1));
      ++n;
      folder.rename("a.log", "a.log.1");
    });
  });
  expect_all_in_order(3);
}

// Rotations as fast as the writer can make them: most files are rotated away before anybody saw them under their name.
TEST_F(Stress, RotationsFasterThanAnybodyCanLookLoseNothing) {
  SourceRig source(hub, weir_plugin_entry, config(folder.at("a.log"), R"(,"poll":"100ms")"));
  source.start();
  hub.run_ready();
  constexpr int kRotations = 40;
  std::jthread writer([&] {
    for (int file = 0, line = 0; file <= kRotations; ++file) {
      std::string text;
      for (const int end = kLines * (file + 1) / (kRotations + 1); line < end; ++line)
        text += "line " + std::to_string(line) + "\n";
      if (file != 0) {
        for (int i = file - 1; i >= 1; --i)
          folder.rename("a.log." + std::to_string(i), "a.log." + std::to_string(i + 1));
        folder.rename("a.log", "a.log.1");
      }
      folder.append("a.log", text);
    }
  });
  expect_all_in_order(kRotations);
}

TEST_F(Stress, AHundredThousandLinesThroughCopyTruncateComeAllInOrderOnce) {
  SourceRig source(hub, weir_plugin_entry, config(folder.at("a.log")));
  source.start();
  hub.run_ready();
  // The race of copytruncate is not the reader's to win: the writer rests until all was read, as a quiet log does.
  std::atomic<int> cuts_wanted{0}, cuts_done{0};
  std::thread writer([&] {
    write_all([&] {
      ++cuts_wanted;
      cuts_wanted.notify_one();
      cuts_done.wait(cuts_wanted - 1);
    });
  });
  const int places[] = {kLines / 3, kLines / 3 + 10, kLines * 2 / 3};
  for (int cut = 0; cut < 3; ++cut) {
    const std::size_t lines = static_cast<std::size_t>(places[cut]) + 1 + static_cast<std::size_t>(cut);
    EXPECT_TRUE(hub.run_until([&] { return cuts_wanted > cut && hub.events.size() >= lines; }, 60'000));
    folder.copy("a.log", "a.log." + std::to_string(cut));
    folder.overwrite("a.log", "");
    ++cuts_done;
    cuts_done.notify_one();
  }
  writer.join();
  expect_all_in_order(3);
}

}  // namespace
}  // namespace weir::log_tail::test
