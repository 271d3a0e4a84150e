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
  EXPECT_EQ(c.ask({{"type", "publish"}, {"id", 3}, {"channel", "b/1"}, {"event", "e"}, {"data", 1}})["data"]["code"],
            "forbidden");
}

TEST_F(AuthTest, WhoIsNotKnownIsRefusedBeforeTheUpgrade) {
  start(kManifest);
  const auto refused = try_connect("/ws", {{"X-Forwarded-For", "203.0.113.9"}});
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().code == Errc::unauthorized || refused.error().code == Errc::forbidden)
      << refused.error().message;
}

TEST_F(AuthTest, AMandatoryFilterHoldsWhateverTheClientAsksFor) {
  start(kManifest);
  Client c = connect();
  const Json ack = c.ask({{"type", "subscribe"},
                          {"id", 1},
                          {"channel", "a/1"},
                          {"filter", {{"$or", {{{"data.owner", "else"}}, {{"data.owner", "tester"}}}}}}});
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
  EXPECT_EQ(http("POST", "/api/v1/channels/a%2F1/events", R"({"event":"e","data":1})").status, 200);
  const int stranger =
      http("POST", "/api/v1/channels/a%2F1/events", R"({"event":"e","data":1})", "x-forwarded-for: 203.0.113.9\r\n")
          .status;
  EXPECT_TRUE(stranger == 401 || stranger == 403) << stranger;
}

// Symptom: a second authentication, by frame, showed the provider an empty request where the first was by handshake.
TEST_F(AuthTest, AnAuthFrameShowsTheProviderTheHandshakeAgain) {
  start(kManifest);
  Client c = connect("/ws");
  c.next();
  const Json ack = c.ask({{"type", "auth"}, {"id", 1}, {"token", "any"}});
  EXPECT_EQ(ack["type"], "ack") << ack;
  EXPECT_EQ(ack["data"]["identity"]["subject"], "tester");
}

// Symptom: with auth, a page of any name that points to this machine was of the same host, and `dev` asks for no
// credential.
TEST_F(AuthTest, ThePagesOfTheSameHostAreThoseOfTheHubsOwnNames) {
  start(kManifest);
  const auto refused = try_connect("/ws", {{"Origin", "http://evil.example"}, {"Host", "evil.example"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::forbidden);
  EXPECT_TRUE(try_connect("/ws", {{"Origin", "http://127.0.0.1"}, {"Host", "127.0.0.1"}}));
  start("hosts = [\"evil.example\"]\n" + std::string(kManifest));
  EXPECT_TRUE(try_connect("/ws", {{"Origin", "http://evil.example"}, {"Host", "evil.example"}}));
  EXPECT_FALSE(try_connect("/ws", {{"Origin", "http://other.example"}, {"Host", "evil.example"}}));
}

TEST_F(AuthTest, WhatWaysToAskThereAreAdminsAreAskedByTheHubsOwnName) {
  start(
      "[[plugin]]\nname = \"local\"\nlibrary = \"dev\"\n[[endpoint]]\npath = \"/ws\"\nauth = "
      "[\"local\"]\n[[channel]]\npattern = \"**\"\n");
  EXPECT_EQ(http("GET", "/stats").status, 200);
  EXPECT_NE(raw("GET /stats HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").find(" 403 "),
            std::string::npos);
}

// Symptom: a handshake that a provider had not answered when a reload exchanged it was answered 503.
TEST_F(AuthTest, AProviderThatIsExchangedAnswersWhatItHasBeenAsked) {
  const auto manifest = [](const std::string& mode) {
    return "[[plugin]]\nname = \"door\"\nlibrary = \"misbehaving\"\nconfig = { mode = \"auth: " + mode +
           "\" }\n[[endpoint]]\npath = \"/ws\"\nauth = [\"door\"]\n[[channel]]\npattern = \"**\"\n[limits]\n"
           "auth_ms = 60000\nhandshake_ms = 60000\n";
  };
  start(manifest("never"));
  const auto before = instance("door");
  RawSocket waits(port());
  waits.say_all(
      "GET /ws HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
      "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  ASSERT_TRUE(wait_until([&] { return !before->idle(); }));
  ASSERT_TRUE(reload(manifest("unauthorized")).problems.empty());
  EXPECT_FALSE(try_connect("/ws"));
  const std::string identity = R"({"subject":"ann","scopes":[]})";
  before->host()->done(before->host()->ctx, std::uint64_t{1} << 32, WEIR_OK, {identity.data(), identity.size()});
  const std::string answer = waits.read_until("\r\n\r\n");
  EXPECT_NE(answer.find(" 101 "), std::string::npos) << answer;
  EXPECT_TRUE(wait_until([&] { return before->status().state == InstanceState::stopped; }));
}

// Symptom: a key that was revoked between the provider's answer and the open connection stayed in.
TEST_F(AuthTest, AKeyThatIsRevokedWhileItsConnectionOpensIsClosedAllTheSame) {
  start(
      "[[plugin]]\nname = \"door\"\nlibrary = \"misbehaving\"\nconfig = { mode = \"auth: revokes\" "
      "}\n[[endpoint]]\npath = \"/ws\"\nauth = [\"door\"]\n[[channel]]\npattern = \"**\"\n");
  Client c = connect();
  const auto closed = c.end();
  EXPECT_EQ(closed.code, 4401);
  EXPECT_EQ(closed.reason, "gone");
}

}  // namespace
}  // namespace weir::test
