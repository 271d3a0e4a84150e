#include <atomic>
#include <future>

#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

using DrainTest = HubTest;

TEST_F(DrainTest, EveryClientIsToldAndClosedWith1001) {
  start("[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\n");
  std::vector<Client> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(connect());
    clients.back().ask({{"type", "subscribe"}, {"id", 1}, {"channel", "c"}});
  }
  auto clean = std::async(std::launch::async, [&] { return hub().drain([] { return false; }); });
  for (Client& c : clients) {
    const Json closing = c.next("closing");
    EXPECT_EQ(closing["data"]["code"], 1001);
    EXPECT_EQ(closing["data"]["reconnectIn"].size(), 2U);
    EXPECT_EQ(c.end().code, 1001);
  }
  EXPECT_TRUE(clean.get());
}

TEST_F(DrainTest, WhatWasPublishedBeforeStillArrives) {
  start("[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\n");
  Client c = connect(), w = connect();
  c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "c"}});
  for (int i = 0; i < 500; ++i) w.ask({{"type", "publish"}, {"id", i}, {"channel", "c"}, {"event", "e"}, {"data", i}});
  auto clean = std::async(std::launch::async, [&] { return hub().drain([] { return false; }); });
  for (int i = 0; i < 500; ++i) ASSERT_EQ(c.next("event")["data"], i);
  EXPECT_EQ(c.end().code, 1001);
  EXPECT_EQ(w.end().code, 1001);
  EXPECT_TRUE(clean.get());
}

TEST_F(DrainTest, AClientThatDoesNotReadCannotHoldTheHubBeyondItsTime) {
  start(
      "[drain]\ntimeout = \"1s\"\n[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\nhistory = { count = "
      "100000 }\n");
  Client stuck = connect("/ws", {}, 4096), w = connect();
  stuck.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "c"}});
  const std::string filler(10000, 'f');
  for (int i = 0; i < 500; ++i)
    w.ask({{"type", "publish"}, {"id", i}, {"channel", "c"}, {"event", "e"}, {"data", filler}});
  EXPECT_FALSE(hub().drain([] { return false; }));
}

// Regression: one that serves clients as well was paused for the drain, and resumed as soon as the hub had room.
TEST_F(DrainTest, NothingMoreIsTakenOfASourceThatAlsoServes) {
  start(R"(limits = { source_events_in_flight = 100 }
[drain]
timeout = "1s"
[[plugin]]
name = "loop"
library = "loop"
[[endpoint]]
path = "/ws"
[[method]]
pattern = "loop.*"
plugin = "loop"
[[channel]]
pattern = "flow"
from = [{ plugin = "loop", subject = "flow" }]
)");
  RawSocket stays(port());  // and so the drain takes its time
  stays.upgrade();
  Client c = connect();
  c.ask({{"type", "request"}, {"id", 1}, {"method", "loop.flow"}, {"params", nullptr}});
  const auto taken = [&] { return http("GET", "/stats").json()["plugins"][0].value("accepted", 0); };
  ASSERT_TRUE(wait_until([&] { return taken() > 1000; }));
  auto clean = std::async(std::launch::async, [&] { return hub().drain([] { return false; }); });
  ASSERT_EQ(c.end().code, 1001);
  const int then = taken();
  for (int i = 0; i < 30; ++i) ASSERT_EQ(taken(), then);
  EXPECT_FALSE(clean.get());
}

TEST_F(DrainTest, AHubWithOpenConnectionsCanBeDestroyed) {
  start("[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\n");
  Client a = connect(), b = connect();
  a.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "**"}});
  b.ask({{"type", "subscribe"}, {"id", 1}, {"channels", {"x", "y", "z"}}});
  stop();
  EXPECT_EQ(a.end().code, 1001);
  EXPECT_EQ(b.end().code, 1001);
}

// Symptom: a hub that ended while /stats or a publication was being answered touched freed memory: the answer waited on
// one shard's loop and held the socket of another's, and the loops went one after the other.
TEST_F(DrainTest, AHubCanBeDestroyedWhileItAnswers) {
  for (int round = 0; round < 5; ++round) {
    start("[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\n");
    std::vector<std::unique_ptr<RawSocket>> asking;
    for (int i = 0; i < 20; ++i) {
      asking.push_back(std::make_unique<RawSocket>(port()));
      std::string requests;
      for (int k = 0; k < 20; ++k) {
        const std::string body = R"({"event":"e","data":1})";
        requests += "GET /stats HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\nPOST /api/v1/channels/c" + std::to_string(k) +
                    "/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: " + std::to_string(body.size()) +
                    "\r\n\r\n" + body;
      }
      ASSERT_TRUE(asking.back()->say_all(requests));
    }
    ASSERT_FALSE(asking[0]->read_until("200 OK").empty());
    stop();
    for (auto& a : asking) a->read_all();
  }
}

// Symptom: sources were stopped one after the other, five seconds each, before any client was told; auth providers
// after that.
TEST_F(DrainTest, PluginsThatDoNotStopTakeNoTimeFromTheClients) {
  std::string manifest =
      "[drain]\ntimeout = \"1s\"\n[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\n[[endpoint]]\npath = "
      "\"/asked\"\nauth = [\"hanging4\"]\n";
  for (int i = 0; i < 5; ++i)
    manifest += "[[plugin]]\nname = \"hanging" + std::to_string(i) +
                "\"\nlibrary = \"misbehaving\"\nconfig = { mode = \"stop: hangs\" }\n";
  start(manifest);
  Client c = connect();
  c.next();
  auto clean = std::async(std::launch::async, [&] { return hub().drain([] { return false; }); });
  EXPECT_EQ(c.next("closing")["data"]["code"], 1001);
  EXPECT_EQ(c.end().code, 1001);
  EXPECT_FALSE(clean.get());
  EXPECT_TRUE(hub().left_behind());
}

// Symptom: a hub whose reload had left a plugin behind ended as if nothing ran any more, and tidied up under its
// thread.
TEST_F(DrainTest, APluginThatAReloadHasLeftBehindIsNotForgotten) {
  const std::string rest = "[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"c\"\n";
  start("[[plugin]]\nname = \"hanging\"\nlibrary = \"misbehaving\"\nconfig = { mode = \"stop: hangs\" }\n" + rest +
        "from = [{ plugin = \"hanging\", subject = \"s\" }]\n");
  const ReloadReport report = reload(rest);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_NE(report.problems[0].find("left behind"), std::string::npos) << report.problems[0];
  EXPECT_FALSE(hub().drain([] { return false; }));
  EXPECT_TRUE(hub().left_behind());
}

// Symptom: from the signal on the port was closed, so nobody could see /ready fail first.
TEST_F(DrainTest, PlainHttpIsAnsweredUntilTheConnectionsHaveLeft) {
  start("[drain]\ntimeout = \"60s\"\n[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\n");
  RawSocket deaf(port());  // does not answer the close frame, so it stays until it is cut off
  ASSERT_NE(deaf.upgrade().find(" 101 "), std::string::npos);
  ASSERT_TRUE(wait_until([&] { return http("GET", "/health").json()["connections"] == 1; }));
  std::atomic<bool> hurry{false};
  auto clean = std::async(std::launch::async, [&] { return hub().drain([&] { return hurry.load(); }); });
  ASSERT_TRUE(wait_until([&] { return http("GET", "/ready").status == 503; }));
  const HttpAnswer health = http("GET", "/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(health.json()["reasons"][0], "draining");
  EXPECT_EQ(http("GET", "/stats").status, 200);
  const HttpAnswer publish = http("POST", "/api/v1/channels/c/events", R"({"event":"e","data":1})");
  EXPECT_EQ(publish.status, 503);
  EXPECT_EQ(publish.json()["error"]["code"], "draining");
  EXPECT_NE(publish.head.find("retry-after: "), std::string::npos) << publish.head;
  const std::string upgrade = RawSocket(port()).upgrade();
  EXPECT_NE(upgrade.find(" 503 "), std::string::npos) << upgrade;
  EXPECT_NE(upgrade.find("retry-after: "), std::string::npos) << upgrade;
  hurry = true;
  clean.get();
  EXPECT_TRUE(wait_until([&] { return http("GET", "/ready").status == 0; }));  // the port is closed then
}

// Symptom: a client whose upgrade was under way when the hub began to drain came in and was never told to go.
TEST_F(DrainTest, AnUpgradeThatIsUnderWayIsRefused) {
  start(
      "[[plugin]]\nname = \"door\"\nlibrary = \"misbehaving\"\nconfig = { mode = \"auth: never\" }\n[[endpoint]]\npath "
      "= \"/ws\"\nauth = [\"door\"]\n[[channel]]\npattern = \"**\"\n");
  RawSocket c(port());
  ASSERT_TRUE(
      c.say_all("GET /ws HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: "
                "upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
  ASSERT_EQ(http("GET", "/ready").status, 200);
  EXPECT_TRUE(hub().drain([] { return false; }));
  const std::string answer = c.read_all();
  EXPECT_TRUE(answer.empty() || answer.find("HTTP/1.1 503") != std::string::npos) << answer;
}

}  // namespace
}  // namespace weir::test
