// Sources that need no server: HTTP requests, the hub's own log, its figures. Through a hub, to a client.
#include <openssl/hmac.h>

#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

class OwnSourcesTest : public HubTest {
 protected:
  Client subscribed(const std::string& channel, const Json& replay = "none") {
    Client c = connect();
    EXPECT_EQ(c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", channel}, {"replay", replay}})["type"], "ack");
    return c;
  }
};

const char* const kIngest = R"(
[[plugin]]
name = "hooks"
library = "http-ingest"
config = { CONFIG }
[[endpoint]]
path = "/ingest"
plugin = "hooks"
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "in/{where}"
from = [{ plugin = "hooks", subject = "{where}" }]
)";

std::string ingest(const std::string& config = "") {
  std::string text = kIngest;
  return text.replace(text.find("CONFIG"), 6, config);
}

TEST_F(OwnSourcesTest, APostedBodyIsAnEventWhenItIsAnswered) {
  start(ingest());
  Client c = subscribed("in/orders");
  HttpAnswer a =
      http("POST", "/ingest/orders", R"({"id":7})", "Content-Type: application/json\r\nX-Weir-Event: made\r\n");
  EXPECT_EQ(a.status, 202) << a.body;
  EXPECT_EQ(a.json()["accepted"], 1);
  const Json e = c.next("event");
  EXPECT_EQ(e["event"], "made");
  EXPECT_EQ(e["data"], Json({{"id", 7}}));
  EXPECT_EQ(subscribed("in/orders", 10).next("event")["data"], Json({{"id", 7}})) << "it had its place";

  a = http("POST", "/ingest/orders", "{\"n\":1}\n{\"n\":2}\n\n{\"n\":3}", "Content-Type: application/x-ndjson\r\n");
  EXPECT_EQ(a.json()["accepted"], 3) << a.body;
  for (int n = 1; n <= 3; ++n) EXPECT_EQ(c.next("event")["data"]["n"], n);

  a = http("POST", "/ingest/orders", "{\"n\":1}\n{oops\n", "Content-Type: application/x-ndjson\r\n");
  EXPECT_EQ(a.status, 400);
  EXPECT_NE(a.body.find("line 2"), std::string::npos) << a.body;
  EXPECT_EQ(http("GET", "/ingest/orders").status, 405);
}

// A webhook for a channel that limits.channels left no room for was answered 202, and its retry 200 "duplicate".
TEST_F(OwnSourcesTest, WhatFindsNoChannelIsAnswered503AndMayComeAgain) {
  start("[limits]\nchannels = 1\n" + ingest());
  // Each thread has its own share of the limit, so names are taken until there is no room on any.
  Client c = connect();
  std::string refused;
  for (int i = 0; i < 100 && refused.empty(); ++i) {
    const std::string name = "in/" + std::to_string(i);
    if (c.ask({{"type", "subscribe"}, {"id", i + 1}, {"channel", name}})["type"] != "ack") refused = name;
  }
  ASSERT_FALSE(refused.empty());
  const std::string path = "/ingest/" + refused.substr(3),
                    headers = "Content-Type: application/json\r\nIdempotency-Key: k\r\n";
  for (int i = 0; i < 2; ++i) {
    const HttpAnswer a = http("POST", path, "1", headers);
    EXPECT_EQ(a.status, 503) << a.body;
    EXPECT_NE(a.body.find("no place"), std::string::npos) << a.body;
  }
  EXPECT_EQ(http("POST", "/ingest/0", "0", headers).status, 202) << "others have theirs";
  c.socket().close();  // now any of them may go
  HttpAnswer a;
  ASSERT_TRUE(wait_until([&] { return (a = http("POST", path, "1", headers)).status != 503; }));
  EXPECT_EQ(a.status, 202) << a.body;
  EXPECT_EQ(a.json()["accepted"], 1);
  EXPECT_EQ(http("POST", path, "1", headers).json()["duplicate"], true);
}

TEST_F(OwnSourcesTest, ACloudEventIsTakenOnce) {
  start(ingest());
  Client c = subscribed("in/x");
  const std::string headers =
      "Content-Type: application/json\r\nce-specversion: 1.0\r\nce-id: a1\r\nce-source: /shop\r\nce-type: "
      "order.made\r\n"
      "ce-time: 2026-02-10T12:00:00Z\r\n";
  EXPECT_EQ(http("POST", "/ingest/x", "{\"n\":1}", headers).status, 202);
  const HttpAnswer again = http("POST", "/ingest/x", "{\"n\":1}", headers);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.json()["duplicate"], true);
  http("POST", "/ingest/x", "{\"n\":2}", "Content-Type: application/json\r\n");
  const Json e = c.next("event");
  EXPECT_EQ(e["event"], "order.made");
  EXPECT_EQ(e["id"], "/shop a1");
  EXPECT_EQ(e["emittedAt"], "2026-02-10T12:00:00.000Z");
  EXPECT_EQ(c.next("event")["data"]["n"], 2);
}

TEST_F(OwnSourcesTest, AWebhookMustBeSigned) {
  start(ingest(R"(profile = "github", signature = { secret = "hush" })"));
  Client c = subscribed("in/repo");
  const std::string body = R"({"action":"opened"})";
  unsigned char digest[32];
  unsigned size = 0;
  HMAC(EVP_sha256(), "hush", 4, reinterpret_cast<const unsigned char*>(body.data()), body.size(), digest, &size);
  std::string hex;
  for (const unsigned char byte : digest) {
    constexpr char kHex[] = "0123456789abcdef";
    (hex += kHex[byte >> 4]) += kHex[byte & 15];
  }
  const std::string headers =
      "Content-Type: application/json\r\nX-GitHub-Event: issues\r\nX-GitHub-Delivery: d1\r\nX-Hub-Signature-256: "
      "sha256=";
  EXPECT_EQ(http("POST", "/ingest/repo", body + " ", headers + hex + "\r\n").status, 401);
  EXPECT_EQ(http("POST", "/ingest/repo", body, headers + hex + "\r\n").status, 202);
  EXPECT_EQ(c.next("event")["event"], "issues");
}

TEST_F(OwnSourcesTest, ManyAtOnceComeOnceEach) {
  start(ingest());
  Client c = subscribed("in/x");
  std::string lines;
  for (int i = 0; i < 4000; ++i) lines += "{\"n\":" + std::to_string(i) + "}\n";
  for (int round = 0; round < 5; ++round)
    ASSERT_EQ(http("POST", "/ingest/x", lines, "Content-Type: application/x-ndjson\r\n").json()["accepted"], 4000);
  for (int round = 0; round < 5; ++round)
    for (int i = 0; i < 4000; ++i) ASSERT_EQ(c.next("event")["data"]["n"], i);
}

const char* const kExec = R"(
[[plugin]]
name = "program"
library = "exec"
config = { command = ["sh", "-c", "trap 'seq 5001 20000; exit' TERM; sleep 1000 & seq 5000; wait"], restart = "RESTART" }
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "lines"
from = [{ plugin = "program", subject = "exec" }]
history = { count = 100000 }
)";

// What a program wrote when it was told to go was thrown away with its pipe.
TEST_F(OwnSourcesTest, AProgramsLinesComeToTheLastOverAReloadThatEndsIt) {
  const auto manifest = [](const std::string& restart) {
    std::string text = kExec;
    return text.replace(text.find("RESTART"), 7, restart);
  };
  start(manifest("never"));
  Client c = subscribed("lines", 100'000);
  for (int i = 1; i <= 5'000; ++i) ASSERT_EQ(c.next("event")["data"], i);
  EXPECT_TRUE(reload(manifest("always")).problems.empty());
  for (int i = 5'001; i <= 20'000; ++i) {
    const Json frame = c.next();
    ASSERT_EQ(frame["type"], "event") << frame;
    ASSERT_EQ(frame["data"], i);
  }
  for (int i = 1; i <= 5'000; ++i) ASSERT_EQ(c.next("event")["data"], i) << "the next one's";
}

TEST_F(OwnSourcesTest, TheHubsLogIsAChannelAndDoesNotFeedItself) {
  start(R"(
[[plugin]]
name = "log"
library = "hub-log"
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "log/{component}"
from = [{ plugin = "log", subject = "{component}" }]
[[channel]]
pattern = "x/{y}"
)");
  Client c = subscribed("log/hub", 100);
  Json e = c.next("event");
  while (!e.is_null() && e["data"]["message"] != "ready") e = c.next("event");
  ASSERT_FALSE(e.is_null());
  EXPECT_EQ(e["data"]["level"], "info");
  EXPECT_EQ(e["data"]["component"], "hub");
  ASSERT_FALSE(reload("[[channel]]\npattern = \"broken{\"\n").problems.empty());
  Client reloads = subscribed("log/reload", 100);  // those of other hubs of this process as well
  do {
    e = reloads.next("event");
    ASSERT_FALSE(e.is_null());
  } while (e["data"]["message"].get<std::string>().find("broken{") == std::string::npos);
  EXPECT_EQ(e["data"]["level"], "error");
}

TEST_F(OwnSourcesTest, TheHubsFiguresComeEverySoOften) {
  start(R"(
[[plugin]]
name = "figures"
library = "metrics"
config = { interval = "100ms" }
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "metrics/{of}"
from = [{ plugin = "figures", subject = "{of}" }]
)");
  Client hub_figures = subscribed("metrics/hub"), machine = subscribed("metrics/machine");
  for (int i = 0; i < 2; ++i) {
    const Json e = hub_figures.next("event");
    EXPECT_EQ(e["event"], "metric.update");
    EXPECT_TRUE(e["data"].is_object());
    EXPECT_TRUE(machine.next("event")["data"].is_object());
  }
}

}  // namespace
}  // namespace weir::test
