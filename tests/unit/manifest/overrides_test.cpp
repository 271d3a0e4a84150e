#include "unit/manifest/support.hpp"

namespace weir {
namespace {

using namespace testing;

const std::string kText = R"(
[[plugin]]
name = "logs"
library = "log-tail"
config = { backlog = 1 }
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "a.b/{x}"
[[channel]]
pattern = "c"
)";

Manifest with(std::vector<std::pair<std::string, std::string>> set) {
  LoadOptions options;
  options.set = std::move(set);
  return good(toml(kText, options));
}
std::string problem_with(const std::string& key, const std::string& value) {
  LoadOptions options;
  options.set = {{key, value}};
  return only_problem(toml(kText, options));
}

TEST(OverridesTest, ValuesAreTomlElseText) {
  EXPECT_EQ(with({{"threads", "3"}}).threads, 3U);
  EXPECT_EQ(with({{"listen", "127.0.0.1:0"}}).listen_port, 0);
  EXPECT_EQ(with({{"listen", "\"127.0.0.1:9\""}}).listen_port, 9);
  EXPECT_FALSE(with({{"page", "false"}}).page);
  EXPECT_EQ(with({{"plugin.logs.config", "{ a = [1, \"x\"] }"}}).plugins[0].config.to_json(), R"({"a":[1,"x"]})");
  EXPECT_EQ(with({{"plugin.logs.config.text", "1\nb = 2"}}).plugins[0].config.find("text")->string, "1\nb = 2");
}

TEST(OverridesTest, ElementsAreFoundByPlaceAndByName) {
  EXPECT_EQ(with({{"plugin.logs.config.backlog", "5"}}).plugins[0].config.to_json(), R"({"backlog":5})");
  EXPECT_EQ(with({{"plugin.0.config.backlog", "5"}}).plugins[0].config.to_json(), R"({"backlog":5})");
  EXPECT_EQ(with({{"channel.1.overflow", "disconnect"}}).channels[1].overflow, Overflow::disconnect);
  EXPECT_EQ(with({{"channel.\"a.b/{x}\".overflow", "disconnect"}}).channels[0].overflow, Overflow::disconnect);
  EXPECT_EQ(with({{"endpoint./ws.heartbeat.interval", "5s"}}).endpoints[0].heartbeat.interval_ms, 5000);
}

TEST(OverridesTest, TablesOnTheWayAreMadeAndLaterOnesWin) {
  EXPECT_EQ(with({{"limits.frame_bytes", "64KiB"}}).limits.frame_bytes, 65536);
  EXPECT_EQ(with({{"limits.frame_bytes", "64KiB"}, {"limits.frame_bytes", "2048"}}).limits.frame_bytes, 2048);
}

TEST(OverridesTest, WhatLeadsNowhereIsNamed) {
  EXPECT_EQ(problem_with("plugin.lgos.config.x", "1"),
            "--set: \"plugin.lgos.config.x\": plugin has no element \"lgos\"; did you mean \"logs\"?");
  EXPECT_EQ(problem_with("channel.7.overflow", "disconnect"),
            "--set: \"channel.7.overflow\": channel has no element \"7\"; it has 0..1");
  EXPECT_EQ(problem_with("plugin.logs.name.x", "1"),
            "--set: \"plugin.logs.name.x\": plugin.logs.name is \"logs\", which has nothing inside to set");
  EXPECT_EQ(problem_with("a..b", "1"), "--set: key \"a..b\" is no path; write it like plugin.logs.config.backlog");
  EXPECT_EQ(problem_with("", "1"), "--set: key \"\" is no path; write it like plugin.logs.config.backlog");
}

TEST(OverridesTest, WrongKeysAndValuesAreProblemsOfSet) {
  EXPECT_EQ(problem_with("limits.frame_byte", "1"),
            "--set: limits: unknown key \"frame_byte\"; did you mean \"frame_bytes\"?");
  EXPECT_EQ(problem_with("threads", "many"), "--set: threads: expected an integer, got a string \"many\"");
  EXPECT_EQ(problem_with("channel.0.overflow", "fast"),
            "--set: channel \"a.b/{x}\": overflow is \"fast\"; expected one of \"catch-up\", \"disconnect\", "
            "\"drop-oldest\", \"drop-newest\", \"latest\", \"snapshot\"");
}

}  // namespace
}  // namespace weir
