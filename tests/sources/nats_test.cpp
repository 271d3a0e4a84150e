// NATS through a hub to a client, while the server and the link to it fail. S0.15.
#include "sources/nats_hub.hpp"

namespace weir::test {
namespace {

// The index of the data goes to the rules as it was made at the border; it must be that of what the rules see.
TEST_F(NatsHubTest, SpaceAroundDataDoesNotMoveWhatARuleWrites) {
  write("mark.lua", "return { transform = function(ev) ev.data.n = ev.data.n + 1 return ev end }\n");
  start("[[plugin]]\nname = \"bus\"\nlibrary = \"nats\"\nconfig = { url = \"" + server_.url() + R"(", subjects = ["a"] }
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "a"
from = [{ plugin = "bus", subject = "a" }]
rules = ["mark.lua"]
)");
  ASSERT_TRUE(reaches("running"));
  Client c = connect();
  c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "a"}});
  NatsClient client(server_.url());
  client.publish("a", " \r\n {\"first\": true, \"n\" : 1 } \n");
  EXPECT_EQ(c.next("event")["data"], (Json{{"first", true}, {"n", 2}}));
}

TEST_F(NatsHubTest, ARuleReadsHeaders) {
  write("quiet.lua", "return { filter = function(ev) return ev.data.headers[\"X-Env\"] ~= \"test\" end }\n");
  start("[[plugin]]\nname = \"bus\"\nlibrary = \"nats\"\nconfig = { url = \"" + server_.url() +
        R"(", subjects = ["a"], headers = ["X-*"] }
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "a"
from = [{ plugin = "bus", subject = "a" }]
rules = ["quiet.lua"]
)");
  ASSERT_TRUE(reaches("running"));
  Client c = connect();
  c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "a"}});
  NatsClient client(server_.url());
  client.publish("a", "1", {{"X-Env", "test"}});
  client.publish("a", "2", {{"X-Env", "live"}});
  client.publish("a", "3");
  EXPECT_EQ(c.next("event")["data"], (Json{{"headers", {{"X-Env", "live"}}}, {"data", 2}}));
  EXPECT_EQ(c.next("event")["data"], (Json{{"headers", Json::object()}, {"data", 3}}));
}

TEST_F(NatsHubTest, SubjectsBecomeChannelsAndAGapTellsOfABreak) {
  Client c = began(R"(subjects = ["orders.>"], event = "{3}", key = "{4}")");
  NatsClient client(server_.url());
  client.publish("orders.us.created.1", "{}");
  client.publish("orders.eu.created.7", R"( {"n": 1} )");
  client.publish("orders.eu.noted.7", "plain text");
  Json e = c.next("event");
  EXPECT_EQ(e["event"], "created");
  EXPECT_EQ(e["key"], "7");
  EXPECT_EQ(e["data"], (Json{{"n", 1}}));
  e = c.next("event");
  EXPECT_EQ(e["event"], "noted");
  EXPECT_EQ(e["data"], "plain text");

  server_.kill();
  ASSERT_TRUE(reaches("retrying"));
  server_.start();
  ASSERT_TRUE(reaches("running"));
  const Json gap = c.next("gap");
  EXPECT_EQ(gap["data"]["channel"], "orders/eu") << gap;
  EXPECT_NE(gap["data"].value("reason", "").find("was down"), std::string::npos) << gap;
  client.publish("orders.eu.created.8", R"({"n":2})");
  EXPECT_EQ(c.next("event")["data"]["n"], 2);
}

TEST_F(NatsHubTest, WhereMessagesAreMissingAGapTellsSo) {
  Client c = began(R"(subjects = ["orders.>"])");
  Writer writer(telling());
  expect_losses_told(c, proxy_, server_, writer, 300);
}

TEST_F(NatsDurableTest, TenCutsOfTheLinkUnderLoadLoseAndDoubleNothing) {
  Client c = began(kind_.durable);
  Writer writer(storing());
  ten_cuts(c, proxy_, writer, 300);
}

TEST_F(NatsDurableTest, AServerThatIsKilledAndStartedAgainLosesAndDoublesNothing) {
  Client c = began(kind_.durable);
  Writer writer(storing());
  three_kills(c, proxy_, server_, writer, 400);
}

TEST_F(NatsDurableTest, AFrozenServerLosesAndDoublesNothing) {
  Client c = began(kind_.durable);
  Writer writer(storing());
  one_freeze(c, proxy_, server_, writer, 500);
}

// With pings so rare that it is not noticed: the connection stays, and with it what was asked for and what was told
// over it.
TEST_F(NatsDurableTest, AFrozenServerThatNobodyLeavesLosesAndDoublesNothing) {
  Client c = began(kind_.durable, 30'000);
  Writer writer(storing());
  one_freeze(c, proxy_, server_, writer, 500, true);
}

TEST_F(NatsDurableTest, AReloadThatMakesTheSourceAnewLosesAndDoublesNothing) {
  Client c = began(kind_.durable);
  Writer writer(storing());
  reloads(c, writer, 400);
}

// It would be sent again for ever, and hold the place of another one.
TEST_F(NatsDurableTest, WhatTheHubDoesNotTakeIsToldAndAcknowledged) {
  Client c = began(R"(stream = { name = "ORDERS", in_flight = 1, ack_wait = "500ms" }, key = "{header:Key}")");
  NatsClient client(server_.url());
  client.publish("orders.eu.a", "{\"n\":0}");
  EXPECT_EQ(c.next("event")["data"]["n"], 0);
  client.publish("orders.eu.a", "{\"n\":1}", {{"Key", "\xff\xfe"}});  // a key is UTF-8
  EXPECT_NE(c.next("gap")["data"].value("reason", "").find("does not take"), std::string::npos);
  client.publish("orders.eu.a", "{\"n\":2}");
  EXPECT_EQ(c.next("event")["data"]["n"], 2);
  EXPECT_TRUE(wait_until([&] { return client.ack_pending("ORDERS", "weir") == 0; }));
}

TEST_F(NatsDurableTest, AHubThatComesBackGoesOnBehindWhatItHad) {
  start_hub(kind_.durable);
  NatsClient client(server_.url());
  const auto store = storing();
  for (int n = 1; n <= 50; ++n) store(n);
  ASSERT_TRUE(
      wait_until([&] { return client.unread("ORDERS", "weir") == 0 && client.ack_pending("ORDERS", "weir") == 0; }));
  stop();
  for (int n = 51; n <= 60; ++n) store(n);
  start_hub(kind_.durable);
  ASSERT_TRUE(wait_until([&] { return http("GET", "/health").json()["channels"] == 1; }));
  Client c = subscribed("orders/eu", 1000);
  next_ = 51;
  expect_more(c, 10);
}

}  // namespace
}  // namespace weir::test
