#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "hub_figures.hpp"
#include "machine_figures.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace weir::test {
namespace {

namespace json = sdk::json;
namespace fs = std::filesystem;

struct MetricsTest : testing::Test {
  MetricsTest()
      : folder(fs::temp_directory_path() / ("weir-metrics-" + std::to_string(getpid()) +
                                            testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::create_directories(folder);
  }
  ~MetricsTest() override {
    EXPECT_TRUE(hub.mistakes.empty()) << hub.mistakes.front();
    fs::remove_all(folder);
  }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder / name).parent_path());
    std::ofstream(folder / name) << text;
  }
  static double number(const json::Value& figures, const char* name) {
    const json::Value* found = figures.find(name);
    if (found == nullptr) ADD_FAILURE() << name << " is missing in " << figures.to_json();
    return found == nullptr ? -1 : found->number();
  }
  const fs::path folder;
  sdk::testing::FakeHost hub;
};

TEST_F(MetricsTest, FiguresOfTheHubAreSumsWithRates) {
  metrics::HubFigures figures;
  const auto first = json::parse(figures.read(
      R"({"shards":[{"shard":0,"connections":2,"published":100},{"shard":1,"connections":3,"published":50}],
          "plugins":[{"name":"a","emitted":7,"metrics":{"emitted":99}}],"rules":[],"kv":{"entries":4,"bytes":10}})",
      1000));
  EXPECT_EQ(number(first, "connections"), 5);
  EXPECT_EQ(number(first, "published"), 150);
  EXPECT_EQ(number(first, "publishedPerSecond"), 0);
  EXPECT_EQ(number(first, "emitted"), 7);
  EXPECT_EQ(number(first, "ruleEvents"), 0);
  EXPECT_EQ(number(first, "kvEntries"), 4);
  EXPECT_EQ(first.find("delivered"), nullptr);  // this hub has none
  const auto second = json::parse(figures.read(
      R"({"shards":[{"shard":0,"connections":2,"published":101},{"shard":1,"connections":0,"published":60}],
          "plugins":[{"name":"a","emitted":3}]})",
      3000));
  EXPECT_EQ(number(second, "connections"), 2);
  EXPECT_EQ(number(second, "publishedPerSecond"), 5.5);
  EXPECT_EQ(number(second, "emittedPerSecond"), 0);  // a plugin was made anew
}

TEST_F(MetricsTest, FiguresOfAMachine) {
  write("loadavg", "0.50 1.25 2.00 3/400 12345\n");
  write("stat",
        "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 50 0 25 400 25 0 0 0 0 0\ncpu1 50 0 25 400 25 0 0 0 0 0\nintr 5\n");
  write("meminfo",
        "MemTotal:        1000 kB\nMemFree:  10 kB\nMemAvailable:     250 kB\nSwapTotal: 100 kB\nSwapFree: 60 kB\n");
  write("self/statm", "1000 200 50 1 0 2 0\n");
  write("self/stat", "7 (a ) (b) R 1 2 3 4 5 6 7 8 9 10 300 200 0 0 20 0 12 0 5 6 7\n");
  write("net/dev",
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n"
        "    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n"
        "  eth0:1000 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0\n"
        "  eth1: 1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n");
  metrics::MachineFigures machine({"/", (folder / "not-there").string()}, folder.string());
  const auto first = json::parse(machine.read(1000));
  EXPECT_EQ(number(first, "load5"), 1.25);
  EXPECT_EQ(number(first, "cpus"), 2);
  EXPECT_EQ(number(first, "cpuPercent"), 0);
  EXPECT_EQ(number(first, "memoryBytes"), 1'024'000);
  EXPECT_EQ(number(first, "memoryUsedPercent"), 75);
  EXPECT_EQ(number(first, "swapUsedBytes"), 40'960);
  EXPECT_EQ(number(first, "processMemoryBytes"), 200.0 * static_cast<double>(::sysconf(_SC_PAGESIZE)));
  EXPECT_EQ(number(first, "processThreads"), 12);
  EXPECT_EQ(number(first, "networkReceivedBytes"), 1001);
  EXPECT_EQ(number(first, "networkSentBytes"), 502);
  EXPECT_EQ(first.find("processDescriptors"), nullptr);
  ASSERT_EQ(first.required("disks").elements.size(), 1u);  // what is not there is left out
  EXPECT_GT(number(first.required("disks").elements[0], "bytes"), 0);

  write("stat", "cpu  130 0 60 840 70 0 0 0 0 0\ncpu0 1 0 0 0 0 0 0 0 0 0\ncpu1 1 0 0 0 0 0 0 0 0 0\n");
  write("self/stat", "7 (a ) (b) R 1 2 3 4 5 6 7 8 9 10 400 200 0 0 20 0 12 0 5 6 7\n");
  write("net/dev", "x\ny\n  eth0:3000 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0\n  eth1: 1 1 0 0 0 0 0 0 1002 1 0 0 0 0 0 0\n");
  const auto second = json::parse(machine.read(3000));
  EXPECT_EQ(number(second, "cpuPercent"), 40);
  EXPECT_EQ(number(second, "cpuUserPercent"), 30);
  EXPECT_EQ(number(second, "cpuSystemPercent"), 10);
  EXPECT_EQ(number(second, "cpuWaitPercent"), 20);
  EXPECT_EQ(number(second, "processCpuPercent"), 100 * 100.0 / static_cast<double>(::sysconf(_SC_CLK_TCK)) / 2);
  EXPECT_EQ(number(second, "networkReceivedBytesPerSecond"), 1000);
  EXPECT_EQ(number(second, "networkSentBytesPerSecond"), 500);
}

TEST_F(MetricsTest, FilesThatAreNotThereOrSaySomethingElse) {
  metrics::MachineFigures nothing({}, (folder / "none").string());
  EXPECT_EQ(nothing.read(1), "{}");
  for (const char* name : {"loadavg", "stat", "meminfo", "self/statm", "self/stat", "net/dev"})
    write(name, "cpu x\nMemTotal:\n)\neth0: \nnan");
  metrics::MachineFigures rubbish({}, folder.string());
  EXPECT_EQ(rubbish.read(1), "{}");
}

TEST_F(MetricsTest, ThisMachineTellsSomething) {
  const auto figures = json::parse(metrics::MachineFigures({"/"}).read(1000));
  EXPECT_GT(number(figures, "memoryBytes"), 0);
  EXPECT_GT(number(figures, "processMemoryBytes"), 0);
  EXPECT_GE(number(figures, "processThreads"), 1);
  EXPECT_GE(number(figures, "processDescriptors"), 3);
  EXPECT_GE(number(figures, "cpus"), 1);
}

TEST_F(MetricsTest, OneEventEachPerInterval) {
  hub.stats_json = R"({"shards":[{"published":10}]})";
  sdk::testing::SourceRig rig(hub, weir_plugin_entry, R"({"interval":"2s"})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  hub.advance(1999);
  EXPECT_TRUE(hub.events.empty());
  hub.stats_json = R"({"shards":[{"published":30}]})";
  hub.advance(10);
  ASSERT_EQ(hub.events.size(), 2u);
  EXPECT_EQ(hub.events[0].subject, "machine");
  EXPECT_EQ(hub.events[0].event, "metric.update");
  EXPECT_EQ(hub.events[0].key, "machine");
  EXPECT_EQ(hub.events[1].subject, "hub");
  EXPECT_EQ(hub.events[1].data, R"({"published":30,"publishedPerSecond":10})");
  hub.advance(6000);
  EXPECT_EQ(hub.events.size(), 8u);
  EXPECT_EQ(hub.metrics["updates"], 8);
}

// A clock that was put right by an hour made all rates of that time almost 0.
TEST_F(MetricsTest, AClockThatIsSetChangesNoRate) {
  hub.stats_json = R"({"shards":[{"published":10}]})";
  sdk::testing::SourceRig rig(hub, weir_plugin_entry, R"({"of":["hub"],"interval":"2s"})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  hub.advance(0);
  hub.set_now_ms(hub.now_ms() + 3'600'000);
  hub.stats_json = R"({"shards":[{"published":30}]})";
  hub.advance(2'010);
  ASSERT_EQ(hub.events.size(), 1u);
  EXPECT_EQ(hub.events[0].data, R"({"published":30,"publishedPerSecond":10})");
}

TEST_F(MetricsTest, OnlyWhatWasAskedForAndNothingWhileTheHubIsFull) {
  sdk::testing::SourceRig rig(hub, weir_plugin_entry, R"({"of":["hub"],"interval":1000})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  rig.pause();
  hub.advance(5000);
  EXPECT_TRUE(hub.events.empty());
  rig.resume();
  hub.advance(1010);
  ASSERT_EQ(hub.events.size(), 1u);
  EXPECT_EQ(hub.events[0].subject, "hub");
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
}

TEST_F(MetricsTest, ConfigsThatCanNotBeUsed) {
  for (const char* config : {R"({"interval":10})", R"({"of":["mars"]})"}) {
    sdk::testing::FakeHost other;
    const sdk::testing::SourceRig rig(other, weir_plugin_entry, config);
    EXPECT_EQ(rig.status(), WEIR_E_CONFIG) << config;
  }
}

}  // namespace
}  // namespace weir::test
