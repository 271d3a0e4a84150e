#include <gtest/gtest.h>

#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace {

using weir::sdk::testing::FakeHost;
using weir::sdk::testing::SourceRig;
namespace json = weir::sdk::json;

struct TickerTest : testing::Test {
  ~TickerTest() override { EXPECT_TRUE(hub.mistakes.empty()) << hub.mistakes.front(); }
  // The numbers that arrived, from data {"n":N}.
  std::vector<std::int64_t> numbers() const {
    std::vector<std::int64_t> out;
    for (const auto& event : hub.events) out.push_back(json::parse(event.data).required("n").as_integer());
    return out;
  }
  std::vector<std::int64_t> up_to(std::int64_t last) const {
    std::vector<std::int64_t> out;
    for (std::int64_t n = 1; n <= last; ++n) out.push_back(n);
    return out;
  }
  FakeHost hub;
};

TEST_F(TickerTest, OneEventPerIntervalWithNumberAndTime) {
  hub.set_now_ms(1'770'724'799'000);
  SourceRig ticker(hub, weir_plugin_entry, R"({"interval":1000})");
  ASSERT_EQ(ticker.start(), WEIR_OK);
  hub.advance(999);
  EXPECT_TRUE(hub.events.empty());
  hub.advance(3);
  ASSERT_EQ(hub.events.size(), 1u);
  EXPECT_EQ(hub.events[0].subject, "tick");
  EXPECT_EQ(hub.events[0].event, "tick");
  EXPECT_EQ(hub.events[0].data, R"({"n":1,"time":"2026-02-10T12:00:00.000Z"})");
  EXPECT_EQ(hub.events[0].time_ms, 1'770'724'800'000);
  hub.advance(9000);
  EXPECT_EQ(numbers(), up_to(10));
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
}

TEST_F(TickerTest, TheTemplateIsFilledWhereverItHasPlaces) {
  SourceRig ticker(
      hub, weir_plugin_entry,
      R"({"interval":"10ms","subject":"a/b","event":"e","data":{"{n}":[1,"{n}","no. {n} of {n}",true,null,{"x":"{n} "}]}})");
  ticker.start();
  hub.advance(12);
  ASSERT_EQ(hub.events.size(), 1u);
  EXPECT_EQ(hub.events[0].subject, "a/b");
  EXPECT_EQ(hub.events[0].data, R"({"{n}":[1,1,"no. 1 of 1",true,null,{"x":"1 "}]})");
}

TEST_F(TickerTest, CountEndsIt) {
  SourceRig ticker(hub, weir_plugin_entry, R"({"interval":1,"count":5})");
  ticker.start();
  hub.advance(1000);
  EXPECT_EQ(numbers(), up_to(5));
  EXPECT_EQ(hub.states.back().reason, "all 5 events are out");
}

TEST_F(TickerTest, AFullHubLosesNoNumber) {
  SourceRig ticker(hub, weir_plugin_entry, R"({"interval":1})");
  ticker.start();
  hub.take_only(3, WEIR_E_FULL);
  hub.advance(200);
  EXPECT_EQ(numbers(), up_to(3));
  ticker.resume();
  hub.advance(200);
  EXPECT_GT(hub.events.size(), 100u);
  EXPECT_EQ(numbers(), up_to(static_cast<std::int64_t>(hub.events.size())));
}

TEST_F(TickerTest, PauseAndResumeLoseNoNumber) {
  SourceRig ticker(hub, weir_plugin_entry, R"({"interval":1})");
  ticker.start();
  for (int round = 0; round < 10; ++round) {
    hub.advance(7);
    ticker.pause();
    const auto before = hub.events.size();
    hub.advance(50);
    EXPECT_EQ(hub.events.size(), before);
    ticker.resume();
  }
  EXPECT_EQ(numbers(), up_to(static_cast<std::int64_t>(hub.events.size())));
  EXPECT_GT(hub.events.size(), 50u);
}

TEST_F(TickerTest, AfterStopNothingTicks) {
  SourceRig ticker(hub, weir_plugin_entry, R"({"interval":1})");
  ticker.start();
  hub.advance(10);
  ticker.stop();
  const auto count = hub.events.size();
  hub.advance(100);
  EXPECT_EQ(hub.events.size(), count);
}

TEST_F(TickerTest, AWrongConfigIsRefusedWithItsPlace) {
  const auto place = [&](const char* config) {
    const SourceRig ticker(hub, weir_plugin_entry, config);
    return ticker.status() == WEIR_E_CONFIG ? std::string(ticker.error().json_pointer)
                                            : "status " + std::to_string(ticker.status());
  };
  EXPECT_EQ(place(R"({"interval":0})"), "/interval");
  EXPECT_EQ(place(R"({"interval":"soon"})"), "/interval");
  EXPECT_EQ(place(R"({"interval":-5})"), "/interval");
  EXPECT_EQ(place(R"({"count":-1})"), "/count");
  EXPECT_EQ(place(R"({"count":1.5})"), "/count");
  EXPECT_EQ(place(R"({"event":""})"), "/event");
  EXPECT_EQ(place(R"({"subject":7})"), "/subject");
  EXPECT_EQ(place("{}"), "status 0");
}

TEST_F(TickerTest, ItsManifestIsJsonWithDefaultsThatWork) {
  const json::Value manifest = json::parse(weir_plugin_entry.manifest_json);
  std::string config = "{";
  for (const auto& property : manifest.required("config_schema").required("properties").members)
    config += (config.size() > 1 ? "," : "") + json::quoted(property.key) + ":" +
              property.value.required("default").to_json();
  SourceRig ticker(hub, weir_plugin_entry, config + "}");
  EXPECT_EQ(ticker.status(), WEIR_OK) << ticker.error().message;
}

}  // namespace
