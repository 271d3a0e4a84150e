#include <gtest/gtest.h>

#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace weir::test {
namespace {

namespace json = sdk::json;

struct HubLogTest : testing::Test {
  ~HubLogTest() override { EXPECT_TRUE(hub.mistakes.empty()) << hub.mistakes.front(); }
  void line(std::int32_t level, std::string component, std::string message, std::string fields = "{}") {
    hub.hub_log.push_back({level, 1'770'724'800'000, std::move(component), std::move(message), std::move(fields)});
  }
  // As the hub keeps only so many.
  void forget(std::size_t count) {
    for (; count != 0; --count) hub.hub_log.pop_front(), ++hub.hub_log_first;
  }
  // Starts it under a name that no other hub of this process has: they have one log in common, FakeHosts do not.
  void start(sdk::testing::SourceRig& rig) {
    static int hubs = 0;
    if (name.empty()) name = "logs-" + std::to_string(++hubs);
    hub.instance_name = name;
    ASSERT_EQ(rig.start(), WEIR_OK) << rig.error().message;
    hub.advance(0);
  }
  std::vector<std::string> messages() const {
    std::vector<std::string> out;
    for (const auto& e : hub.events) out.push_back(json::parse(e.data).string_or("message", ""));
    return out;
  }
  using Texts = std::vector<std::string>;
  sdk::testing::FakeHost hub;
  std::string name;
};

TEST_F(HubLogTest, ALineIsAnEvent) {
  sdk::testing::SourceRig rig(hub, weir_plugin_entry, "{}");
  line(WEIR_LOG_WARN, "net", "can't accept \"it\"", R"({"error":"x","n":3})");
  line(WEIR_LOG_INFO, "hub", "ready", "");
  line(WEIR_LOG_DEBUG, "hub", "a detail");
  start(rig);
  hub.advance(200);
  ASSERT_EQ(hub.events.size(), 2u);
  const auto& e = hub.events[0];
  EXPECT_EQ(e.subject, "net");
  EXPECT_EQ(e.event, "log");
  EXPECT_EQ(e.key, "warn");
  EXPECT_EQ(e.id, "1770724800000-1");
  EXPECT_EQ(e.time_ms, 1'770'724'800'000);
  EXPECT_EQ(e.data, R"({"level":"warn","component":"net","message":"can't accept \"it\"","fields":{"error":"x","n":3},)"
                    R"("time":"2026-02-10T12:00:00.000Z"})");
  EXPECT_EQ(json::parse(hub.events[1].data).required("fields").to_json(), "{}");
  line(WEIR_LOG_ERROR, "rules", "later");
  hub.advance(99);
  hub.advance(3);
  EXPECT_EQ(messages().back(), "later");
  EXPECT_TRUE(hub.gaps.empty());
}

TEST_F(HubLogTest, LevelAndComponentsChoose) {
  sdk::testing::SourceRig rig(hub, weir_plugin_entry,
                              R"({"level":"warn","components":["!net","bus-*","hub","!bus-2"]})");
  for (const char* component : {"net", "bus-1", "bus-2", "hub", "rules"}) line(WEIR_LOG_ERROR, component, component);
  line(WEIR_LOG_INFO, "rules", "info");
  start(rig);
  hub.advance(10);
  EXPECT_EQ(messages(), (Texts{"bus-1", "hub", "rules"}));
}

TEST_F(HubLogTest, OnlyTheComponentsNamed) {
  sdk::testing::SourceRig rig(hub, weir_plugin_entry, R"({"level":"debug","components":["b*s","*x*"]})");
  for (const char* component : {"bus", "bs", "bust", "axb", "x", "hub"}) line(WEIR_LOG_DEBUG, component, component);
  start(rig);
  hub.advance(10);
  EXPECT_EQ(messages(), (Texts{"bus", "bs", "axb", "x"}));
}

TEST_F(HubLogTest, ItDoesNotFeedItself) {
  // Symptom: an event of this instance that finds no place makes a line, which makes an event, which finds no place ...
  sdk::testing::SourceRig rig(hub, weir_plugin_entry, "{}");
  start(rig);
  line(WEIR_LOG_INFO, "hub", "the first stone");
  std::size_t answered = 0;
  for (int round = 0; round < 50; ++round) {
    hub.advance(100);
    for (; answered < hub.events.size(); ++answered) {  // as the hub complains of each
      line(WEIR_LOG_WARN, "ingress", "an event of \"" + name + "\" found no place: too many channels",
           R"({"channel":"l"})");
      line(WEIR_LOG_WARN, "ingress", "a subject of \"" + name + "\" makes no channel name: empty");
      line(WEIR_LOG_WARN, name, "plugin misbehaving: event 0 of 1: data has 2000000 bytes");
    }
  }
  EXPECT_EQ(messages(), Texts{"the first stone"});
  // Of others all of that is told.
  line(WEIR_LOG_WARN, "ingress", "an event of \"" + name + "2\" found no place: it names \"" + name + "\" by chance");
  line(WEIR_LOG_WARN, name + "2", "plugin misbehaving");
  hub.advance(200);
  EXPECT_EQ(hub.events.size(), 3u);
}

TEST_F(HubLogTest, LinesThatWentBeforeTheyWereReadAreAGapWithTheirNumber) {
  sdk::testing::SourceRig rig(hub, weir_plugin_entry, "{}");
  for (int i = 0; i < 10; ++i) line(WEIR_LOG_INFO, "hub", std::to_string(i));
  forget(5);
  start(rig);
  hub.advance(10);
  EXPECT_EQ(messages(), (Texts{"5", "6", "7", "8", "9"}));
  EXPECT_TRUE(hub.gaps.empty());  // nothing was promised of what was before
  for (int i = 10; i < 30; ++i) line(WEIR_LOG_INFO, "hub", std::to_string(i));
  forget(22);
  hub.advance(200);
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].count, 17u);
  EXPECT_EQ(hub.gaps[0].subject, "");
  EXPECT_EQ(messages(), (Texts{"5", "6", "7", "8", "9", "27", "28", "29"}));
  EXPECT_EQ(hub.metrics["lines"], 8);
  EXPECT_EQ(hub.metrics["lines_lost"], 17);
}

TEST_F(HubLogTest, WhileTheHubIsFullItKeepsTheLines) {
  sdk::testing::SourceRig rig(hub, weir_plugin_entry, "{}");
  start(rig);
  rig.pause();
  for (int i = 0; i < 100; ++i) line(WEIR_LOG_INFO, "hub", std::to_string(i));
  hub.advance(1000);
  EXPECT_TRUE(hub.events.empty());
  rig.resume();
  hub.advance(10);
  EXPECT_EQ(hub.events.size(), 100u);
  EXPECT_TRUE(hub.gaps.empty());
}

// After a reload with another config all that the hub keeps came again, behind newer lines.
TEST_F(HubLogTest, WhoHasTheNameAfterAReloadGoesOnBehindWhatWasTaken) {
  sdk::testing::FakeHost next;
  {
    sdk::testing::SourceRig rig(hub, weir_plugin_entry, "{}");
    hub.take_only(2);
    for (int i = 1; i <= 5; ++i) line(WEIR_LOG_INFO, "hub", std::to_string(i));
    start(rig);
    hub.advance(10);
    EXPECT_EQ(messages(), (Texts{"1", "2"}));
  }
  next.hub_log = hub.hub_log;
  next.instance_name = name;
  sdk::testing::SourceRig rig(next, weir_plugin_entry, R"({"level":"debug"})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  next.advance(10);
  Texts all = messages();
  for (const auto& e : next.events) all.push_back(json::parse(e.data).string_or("message", ""));
  EXPECT_EQ(all, (Texts{"1", "2", "3", "4", "5"}));
  EXPECT_TRUE(next.gaps.empty());
}

// Told at once, and so before lines that stand before it.
TEST_F(HubLogTest, AGapStandsBehindTheLinesBeforeIt) {
  sdk::testing::SourceRig rig(hub, weir_plugin_entry, "{}");
  start(rig);
  hub.advance(99);
  for (int i = 1; i <= 2; ++i) line(WEIR_LOG_INFO, "hub", std::to_string(i));
  rig.resume();  // reads them; they wait for their batch
  for (int i = 3; i <= 9; ++i) line(WEIR_LOG_INFO, "hub", std::to_string(i));
  forget(8);
  hub.take_only(1);
  hub.advance(1);
  EXPECT_EQ(messages(), Texts{"1"});
  EXPECT_TRUE(hub.gaps.empty());
  rig.resume();
  hub.advance(10);
  EXPECT_EQ(messages(), (Texts{"1", "2", "9"}));
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].count, 6u);
}

TEST_F(HubLogTest, AFloodIsReadInSlices) {
  sdk::testing::SourceRig rig(hub, weir_plugin_entry, "{}");
  start(rig);
  for (int i = 0; i < 2000; ++i) line(WEIR_LOG_INFO, "hub", std::to_string(i));
  hub.advance(100);
  EXPECT_LE(hub.events.size(), 512u);
  hub.advance(400);
  EXPECT_EQ(hub.events.size(), 2000u);
  const Texts all = messages();
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], std::to_string(i));
}

TEST_F(HubLogTest, ALineThatTheHubDoesNotTakeIsAGap) {
  sdk::testing::SourceRig rig(hub, weir_plugin_entry, "{}");
  hub.data_bytes_max = 300;
  start(rig);
  line(WEIR_LOG_INFO, "hub", std::string(400, 'x'));
  line(WEIR_LOG_INFO, "hub", "short");
  hub.advance(200);
  EXPECT_EQ(messages(), Texts{"short"});
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].count, 1u);
}

TEST_F(HubLogTest, ConfigsThatCanNotBeUsed) {
  const sdk::testing::SourceRig rig(hub, weir_plugin_entry, R"({"components":["hub","!"]})");
  EXPECT_EQ(rig.status(), WEIR_E_CONFIG);
  EXPECT_STREQ(rig.error().json_pointer, "/components/1");
}

}  // namespace
}  // namespace weir::test
