#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

using AuthTest = HubTest;

constexpr const char* kManifest = R"(
[[plugin]]
name = "local"
library = "dev"
config = { scopes = ["a:read", "a:write"], subject = "tester" }
[[endpoint]]
path = "/ws"
auth = ["local"]
[[endpoint]]
path = "/open"
auth = ["local"]
auth_by = "frame"
[[channel]]
pattern = "a/{id}"
subscribe = { scope = "a:read", where = { "data.owner" = "{identity.subject}" } }
publish = { scope = "a:write" }
[[channel]]
pattern = "b/{id}"
subscribe = { scope = "b:read" }
publish = false
)";

TEST_F(AuthTest, WhoIsKnownComesInWithTheirScopesAndNoMore) {
  start(kManifest);
  Client c = connect();
  EXPECT_EQ(c.next()["data"]["identity"]["subject"], "tester");
  EXPECT_EQ(c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "a/1"}})["type"], "ack");
  EXPECT_EQ(c.ask({{"type", "subscribe"}, {"id", 2}, {"channel", "b/1"}})["data"]["code"], "forbidden");
  EXPECT_EQ(c.ask({{"type", "publish"}, {"id", 3}, {"channel", "b/1"}, {"event", "e"}})["data"]["code"], "forbidden");
}

TEST_F(AuthTest, WhoIsNotKnownIsRefusedBeforeTheUpgrade) {
  start(kManifest);
  const auto refused = try_connect("/ws", {{"X-Forwarded-For", "203.0.113.9"}});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().code == Errc::unauthorized || refused.error().code == Errc::forbidden) << refused.error().message;
}

TEST_F(AuthTest, AMandatoryFilterHoldsWhateverTheClientAsksFor) {
  start(kManifest);
  Client c = connect();
  const Json ack = c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "a/1"}, {"filter", {{"$or", {{{"data.owner", "else"}}, {{"data.owner", "tester"}}}}}}});
  EXPECT_NE(ack["data"]["filter"].dump().find("tester"), std::string::npos);
  c.ask({{"type", "publish"}, {"id", 2}, {"channel", "a/1"}, {"event", "e"}, {"data", {{"owner", "else"}}}});
  c.ask({{"type", "subscribe"}, {"id", 4}, {"channel", "**"}});
  c.say({{"type", "publish"}, {"id", 3}, {"channel", "a/1"}, {"event", "e"}, {"data", {{"owner", "tester"}}}});
  EXPECT_EQ(c.next("event")["sequenceId"], 2);
}

TEST_F(AuthTest, WithoutAnAuthFrameNothingIsSaidToAStranger) {
  start(std::string(kManifest) + "[limits]\nauth_ms = 500\n");
  Client c = connect("/open", {{"X-Forwarded-For", "203.0.113.9"}});
  EXPECT_TRUE(c.next()["data"]["identity"].is_null());
  EXPECT_EQ(c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "a/1"}})["data"]["code"], "unauthorized");
  EXPECT_EQ(c.end().code, 4401);
}

TEST_F(AuthTest, TheAdminPagesAskWhoIsThere) {
  start(kManifest);
  EXPECT_EQ(http("GET", "/stats").status, 403);
  EXPECT_EQ(http("GET", "/health").status, 200);
  EXPECT_EQ(http("POST", "/api/v1/channels/a%2F1/events", R"({"event":"e"})").status, 200);
  const int stranger = http("POST", "/api/v1/channels/a%2F1/events", R"({"event":"e"})", "x-forwarded-for: 203.0.113.9\r\n").status;
  EXPECT_TRUE(stranger == 401 || stranger == 403) << stranger;
}

}  // namespace
}  // namespace weir::test
