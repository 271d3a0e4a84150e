#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

class HttpTest : public HubTest {
 protected:
  void begin(const std::string& more = {}) { start("[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"agents/{id}\"\n" + more); }
};

TEST_F(HttpTest, APostIsPublishedAndAnsweredWithItsPlace) {
  begin();
  Client c = connect();
  c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "agents/ä b"}});
  Client c2 = connect();
  c2.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "agents/7"}});
  const HttpAnswer a = http("POST", "/api/v1/channels/agents%2F7/events", R"({"event":"x","data":{"n":1},"id":"mine","key":"k"})");
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.json()["channel"], "agents/7");
  EXPECT_EQ(a.json()["sequenceId"], 1);
  const Json e = c2.next("event");
  EXPECT_EQ(e["id"], "mine");
  EXPECT_EQ(e["key"], "k");
  EXPECT_EQ(e["data"]["n"], 1);
  EXPECT_EQ(http("POST", "/api/v1/channels/agents/7/events", R"({"event":"x"})").json()["sequenceId"], 2);
}

TEST_F(HttpTest, WrongPostsAreAnsweredInWords) {
  begin("[limits]\ndata_bytes = 1000\n");
  const auto code = [](const HttpAnswer& a) { return a.json()["error"]["code"].get<std::string>(); };
  HttpAnswer a = http("POST", "/api/v1/channels/agents/7/events", "{nonsense");
  EXPECT_EQ(a.status, 400);
  EXPECT_EQ(code(a), "bad_request");
  a = http("POST", "/api/v1/channels/nobody/events", R"({"event":"x"})");
  EXPECT_EQ(a.status, 404);
  EXPECT_EQ(code(a), "no_such_channel");
  a = http("POST", "/api/v1/channels/agents/7/events", R"({"data":1})");
  EXPECT_EQ(a.status, 400);
  a = http("POST", "/api/v1/channels/agents/7/events", R"({"event":"x","data":")" + std::string(2000, 'x') + "\"}");
  EXPECT_EQ(a.status, 413);
  a = http("POST", "/api/v1/channels/agents/7/events", std::string(100000, 'x'));
  EXPECT_EQ(a.status, 413);
  EXPECT_EQ(http("GET", "/api/v1/channels/agents/7/events").status, 405);
  EXPECT_EQ(http("GET", "/nothing").status, 404);
  EXPECT_EQ(http("POST", "/api/v1/channels/%zz/events", "{}").status, 400);
}

TEST_F(HttpTest, HealthReadyStatsAndSubscriptionsTell) {
  begin();
  Client c = connect();
  c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "agents/7"}, {"filter", {{"event", "x"}}}});
  EXPECT_TRUE(wait_until([&] { return http("GET", "/health").json()["subscriptions"] == 1; }));
  const Json health = http("GET", "/health").json();
  EXPECT_EQ(health["status"], "ok");
  EXPECT_EQ(health["connections"], 1);
  EXPECT_EQ(health["channels"], 1);
  EXPECT_EQ(http("GET", "/ready").status, 200);
  EXPECT_EQ(http("GET", "/stats").json()["shards"].size(), 2U);
  const Json list = http("GET", "/subscriptions").json()["connections"];
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0]["subscriptions"][0]["channel"], "agents/7");
  EXPECT_EQ(list[0]["subscriptions"][0]["filter"]["event"], "x");
}

TEST_F(HttpTest, TheBuiltInPageKnowsTheFirstEndpoint) {
  begin();
  const HttpAnswer a = http("GET", "/");
  EXPECT_EQ(a.status, 200);
  EXPECT_NE(a.head.find("content-security-policy"), std::string::npos) << a.head;
  EXPECT_NE(a.body.find("content=\"/ws\""), std::string::npos);
  EXPECT_EQ(a.body.find("{{endpoint}}"), std::string::npos);
  EXPECT_TRUE(http("HEAD", "/").body.empty());
}

TEST_F(HttpTest, AnEndpointThatIsNotUpgradedSaysSo) {
  begin();
  EXPECT_EQ(http("GET", "/ws").status, 426);
}

TEST_F(HttpTest, PagesFromElsewhereMayNotUseAHubWithoutAuth) {
  begin();
  const auto refused = try_connect("/ws", {{"Origin", "https://evil.example"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::forbidden);
  EXPECT_TRUE(try_connect("/ws", {{"Origin", "http://localhost:5173"}}));
  EXPECT_FALSE(try_connect("/ws", {{"Origin", "http://evil.example"}, {"Host", "evil.example"}}));
  EXPECT_EQ(http("POST", "/api/v1/channels/agents/7/events", R"({"event":"x"})", "origin: https://evil.example\r\n").status, 403);
}

TEST_F(HttpTest, GarbageOnThePortIsAnsweredOrClosedAndTheHubGoesOn) {
  begin();
  raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello over TLS\r\n\r\n");
  raw("GET / HTTP/9.9\r\n\r\n");
  EXPECT_NE(raw("GET /health HTTP/1.1\r\nhost: x\r\n" + std::string(20000, 'a') + ": b\r\n\r\n").find(" 431 "), std::string::npos);
  raw(std::string(1000, '\0'));
  EXPECT_NE(raw("GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 12\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").find("HTTP/1.1 4"), std::string::npos);
  EXPECT_EQ(http("GET", "/health").status, 200);
}

TEST_F(HttpTest, OneConnectionServesManyRequestsEvenWhenTheyComeTogether) {
  begin();
  const std::string one = "GET /ready HTTP/1.1\r\nhost: x\r\n\r\n";
  const std::string answer = raw(one + one + "GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  std::size_t count = 0;
  for (std::size_t at = answer.find("HTTP/1.1 200"); at != std::string::npos; at = answer.find("HTTP/1.1 200", at + 1)) ++count;
  EXPECT_EQ(count, 3U) << answer;
}

}  // namespace
}  // namespace weir::test
