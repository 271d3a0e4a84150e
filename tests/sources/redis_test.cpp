// Redis through a hub to a client, while the server and the link to it fail. S2.1.
#include <thread>

#include "sources/source_test.hpp"
#include "support/redis_server.hpp"

namespace weir::test {
namespace {

class RedisHubTest : public SourceTest {
 protected:
  RedisHubTest() : server_(folder()), proxy_(server_.port()) {}

  std::string manifest(const std::string& config) const {
    return "[[plugin]]\nname = \"cache\"\nlibrary = \"redis\"\nconfig = { url = \"redis://127.0.0.1:" +
           std::to_string(proxy_.port()) + "\", " +
           (config.find("ping") == std::string::npos ? "ping = \"200ms\", " : "") + config + " }\n" + R"(
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "session/{id}"
from = [{ plugin = "cache", subject = "session:{id}" }]
history = { count = 100000 }
)";
  }
  void start_hub(const std::string& config) { start(manifest(config)); }
  std::string id_of(int n) const override { return std::to_string(n) + "-0"; }
  RedisServer server_;
  TcpProxy proxy_;
};

TEST_F(RedisHubTest, ChannelsBecomeChannelsAndAGapTellsOfABreak) {
  start_hub(R"(patterns = ["session:*"], event = "handoff")");
  ASSERT_TRUE(reaches("running"));
  Client c = subscribed("session/7");
  RedisClient client(server_.port());
  client.say({"PUBLISH", "session:8", "{}"});
  client.say({"PUBLISH", "session:7", R"({"to":"b"})"});
  const Json e = c.next("event");
  EXPECT_EQ(e["event"], "handoff");
  EXPECT_EQ(e["data"], (Json{{"to", "b"}}));
  proxy_.cut();
  ASSERT_TRUE(reaches("retrying"));
  proxy_.heal();
  const Json gap = c.next("gap");
  EXPECT_NE(gap["data"].value("reason", "").find("was down"), std::string::npos) << gap;
  client.say({"PUBLISH", "session:7", R"({"to":"c"})"});
  EXPECT_EQ(c.next("event")["data"]["to"], "c");
}

// Adds 1, 2, 3, ... each once, until all are there.
class Writer {
 public:
  Writer(const RedisServer& server, int count)
      : thread_([port = server.port(), count] {
          RedisClient client(port);
          for (int i = 1; i <= count; ++i) client.add("session:7", i, "data", "{\"n\":" + std::to_string(i) + "}");
        }) {}
  ~Writer() { thread_.join(); }

 private:
  std::thread thread_;
};

const char* const kDurable = R"(stream = { keys = ["session:7"], field = "data", in_flight = 200 })";

class RedisDurableTest : public RedisHubTest {
 protected:
  Client began() {
    start_hub(kDurable);
    EXPECT_TRUE(reaches("running"));
    return subscribed("session/7");
  }
};

TEST_F(RedisDurableTest, TenCutsOfTheLinkUnderLoadLoseAndDoubleNothing) {
  Client c = began();
  Writer writer(server_, 11 * 400);
  ten_cuts(c, proxy_, 400);
}

TEST_F(RedisDurableTest, AServerThatIsKilledAndStartedAgainLosesAndDoublesNothing) {
  Client c = began();
  Writer writer(server_, 4 * 500);
  three_kills(c, server_, 500);
}

TEST_F(RedisDurableTest, AFrozenServerLosesAndDoublesNothing) {
  Client c = began();
  Writer writer(server_, 2 * 500);
  one_freeze(c, server_, 500);
}

// With the pings of everyday, so that it is not noticed.
TEST_F(RedisDurableTest, AFrozenServerThatNobodyHurriesLosesAndDoublesNothing) {
  start_hub(std::string(kDurable) + ", ping = \"10s\"");
  ASSERT_TRUE(reaches("running"));
  Client c = subscribed("session/7");
  Writer writer(server_, 2 * 500);
  ASSERT_NO_FATAL_FAILURE(expect_more(c, 250));
  server_.freeze();
  stand_still();
  server_.thaw();
  expect_more(c, 750);
}

TEST_F(RedisDurableTest, AReloadThatMakesTheSourceAnewLosesAndDoublesNothing) {
  Client c = began();
  Writer writer(server_, 6 * 400);
  std::vector<std::string> manifests;
  for (int i = 1; i <= 5; ++i)
    manifests.push_back(manifest(std::string(kDurable) + ", ping = \"" + std::to_string(200 + i) + "ms\""));
  reloads(c, manifests, 400);
}

TEST_F(RedisDurableTest, WhatTheHubDoesNotTakeIsToldAndAcknowledged) {
  start_hub(R"(stream = { keys = ["session:7"], field = "data", in_flight = 1 })");
  ASSERT_TRUE(reaches("running"));
  Client c = subscribed("session/7");
  RedisClient client(server_.port());
  client.add("session:7", 1, "data", "{\"n\":1}");
  EXPECT_EQ(c.next("event")["data"]["n"], 1);
  client.add("session:7", 2, "data", std::string(2'000'000, 'x'));  // limits.data_bytes is 1 MiB
  EXPECT_NE(c.next("gap")["data"].value("reason", "").find("does not take"), std::string::npos);
  client.add("session:7", 3, "data", "{\"n\":3}");
  EXPECT_EQ(c.next("event")["data"]["n"], 3);
  EXPECT_TRUE(wait_until([&] { return client.say({"XPENDING", "session:7", "weir"}).starts_with("[0"); }));
}

TEST_F(RedisDurableTest, AHubThatComesBackGoesOnBehindWhatItHad) {
  RedisClient client(server_.port());
  for (int i = 1; i <= 50; ++i) client.add("session:7", i, "data", "{\"n\":" + std::to_string(i) + "}");
  start_hub(kDurable);
  ASSERT_TRUE(wait_until([&] {
    return client.say({"XPENDING", "session:7", "weir"}).starts_with("[0") &&
           http("GET", "/health").json()["channels"] == 1;
  }));
  stop();
  for (int i = 51; i <= 60; ++i) client.add("session:7", i, "data", "{\"n\":" + std::to_string(i) + "}");
  start_hub(kDurable);
  ASSERT_TRUE(wait_until([&] { return http("GET", "/health").json()["channels"] == 1; }));
  Client c = subscribed("session/7", 1000);
  next_ = 51;
  expect_more(c, 10);
}

}  // namespace
}  // namespace weir::test
