// Redis through a hub to a client, while the server and the link to it fail. S2.1.
#include "sources/redis_hub.hpp"

namespace weir::test {
namespace {

TEST_F(RedisHubTest, ChannelsBecomeChannelsAndAGapTellsOfABreak) {
  Client c = began(R"(patterns = ["session:*"], event = "handoff")");
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

TEST_F(RedisHubTest, WhereMessagesAreMissingAGapTellsSo) {
  Client c = began(R"(channels = ["session:7"])");
  Writer writer(telling());
  expect_losses_told(c, proxy_, server_, writer, 300);
}

TEST_F(RedisHubTest, TenCutsOfTheLinkUnderLoadLoseAndDoubleNothing) {
  Client c = began(kind_.durable);
  Writer writer(storing());
  ten_cuts(c, proxy_, writer, 300);
}

TEST_F(RedisHubTest, AServerThatIsKilledAndStartedAgainLosesAndDoublesNothing) {
  Client c = began(kind_.durable);
  Writer writer(storing());
  three_kills(c, proxy_, server_, writer, 400);
}

TEST_F(RedisHubTest, AFrozenServerLosesAndDoublesNothing) {
  Client c = began(kind_.durable);
  Writer writer(storing());
  one_freeze(c, proxy_, server_, writer, 500);
}

// With pings so rare that it is not noticed.
TEST_F(RedisHubTest, AFrozenServerThatNobodyHurriesLosesAndDoublesNothing) {
  Client c = began(kind_.durable, 30'000);
  Writer writer(storing());
  one_freeze(c, proxy_, server_, writer, 500, true);
}

TEST_F(RedisHubTest, AReloadThatMakesTheSourceAnewLosesAndDoublesNothing) {
  Client c = began(kind_.durable);
  Writer writer(storing());
  reloads(c, writer, 400);
}

TEST_F(RedisHubTest, WhatTheHubDoesNotTakeIsToldAndAcknowledged) {
  Client c = began(R"(stream = { keys = ["session:7"], field = "data", in_flight = 1 })");
  RedisClient client(server_.port());
  client.add("session:7", 1, "data", "{\"n\":1}");
  EXPECT_EQ(c.next("event")["data"]["n"], 1);
  client.add("session:7", 2, "data", std::string(2'000'000, 'x'));  // limits.data_bytes is 1 MiB
  EXPECT_NE(c.next("gap")["data"].value("reason", "").find("does not take"), std::string::npos);
  client.add("session:7", 3, "data", "{\"n\":3}");
  EXPECT_EQ(c.next("event")["data"]["n"], 3);
  EXPECT_TRUE(wait_until([&] { return client.say({"XPENDING", "session:7", "weir"}).starts_with("[0"); }));
}

TEST_F(RedisHubTest, AHubThatComesBackGoesOnBehindWhatItHad) {
  RedisClient client(server_.port());
  for (int i = 1; i <= 50; ++i) client.add("session:7", i, "data", "{\"n\":" + std::to_string(i) + "}");
  start_hub(kind_.durable);
  ASSERT_TRUE(wait_until([&] {
    return figures().value("accepted", 0) == 50 && client.say({"XPENDING", "session:7", "weir"}).starts_with("[0");
  }));
  stop();
  for (int i = 51; i <= 60; ++i) client.add("session:7", i, "data", "{\"n\":" + std::to_string(i) + "}");
  start_hub(kind_.durable);
  ASSERT_TRUE(wait_until([&] { return http("GET", "/health").json()["channels"] == 1; }));
  Client c = subscribed("session/7", 1000);
  next_ = 51;
  expect_more(c, 10);
}

}  // namespace
}  // namespace weir::test
