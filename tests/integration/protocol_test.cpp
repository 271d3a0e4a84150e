#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

class ProtocolTest : public HubTest {
 protected:
  void begin(const std::string& more = {}) {
    start("[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\n" + more);
  }
};

TEST_F(ProtocolTest, AClientIsGreetedWithItsIdsAndTheHeartbeat) {
  begin();
  Client c = connect();
  const Json hello = c.next();
  EXPECT_EQ(hello["type"], "connected");
  EXPECT_FALSE(hello["data"]["clientId"].get<std::string>().empty());
  EXPECT_FALSE(hello["data"]["sessionId"].get<std::string>().empty());
  EXPECT_EQ(hello["data"]["resumed"], false);
  EXPECT_TRUE(hello["data"]["identity"].is_null());
  EXPECT_EQ(hello["data"]["heartbeat"]["intervalMs"], 30000);
}

TEST_F(ProtocolTest, WhatOnePublishesAnotherGetsInOrderAndOnce) {
  begin();
  Client reader = connect(), writer = connect();
  const Json ack = reader.ask({{"type", "subscribe"}, {"id", "s"}, {"channel", "agents/7"}});
  EXPECT_EQ(ack["data"]["channel"], "agents/7");
  EXPECT_EQ(ack["data"]["sequenceId"], 0);
  EXPECT_EQ(ack["data"]["recovered"], false);
  EXPECT_EQ(ack["data"]["replayed"], 0);
  EXPECT_TRUE(ack["data"]["filter"].is_null());
  for (int i = 1; i <= 100; ++i) {
    const Json placed =
        writer.ask({{"type", "publish"}, {"id", i}, {"channel", "agents/7"}, {"event", "tick"}, {"data", {{"n", i}}}});
    EXPECT_EQ(placed["data"]["sequenceId"], i);
    EXPECT_EQ(placed["data"]["epoch"], ack["data"]["epoch"]);
  }
  for (int i = 1; i <= 100; ++i) {
    const Json e = reader.next("event");
    EXPECT_EQ(e["sequenceId"], i);
    EXPECT_EQ(e["data"]["n"], i);
    EXPECT_EQ(e["isReplay"], false);
  }
}

TEST_F(ProtocolTest, PayloadsGoOnByteForByte) {
  begin();
  Client c = connect();
  c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "raw"}});
  const std::string data = R"({"big":12345678901234567890, "one":1.0,"u":"é\u00e9😀", "e":{ },"a":[ ]})";
  ASSERT_TRUE(c.socket().send(R"({"type":"publish","channel":"raw","event":"x","data":)" + data + "}"));
  for (;;) {
    auto text = c.socket().receive(kPatienceMs);
    ASSERT_TRUE(text);
    if (text->find("\"type\":\"event\"") == std::string::npos) continue;
    EXPECT_NE(text->find("\"data\":" + data + "}"), std::string::npos) << *text;
    break;
  }
}

TEST_F(ProtocolTest, ReplayGivesTheLastNThoseSinceAPositionAndTheLastOfEachName) {
  begin();
  Client w = connect();
  std::string epoch;
  for (int i = 1; i <= 20; ++i)
    epoch = w.ask({{"type", "publish"},
                   {"id", i},
                   {"channel", "c"},
                   {"event", i % 2 == 0 ? "even" : "odd"},
                   {"data", i}})["data"]["epoch"];
  const auto replayed = [&](const Json& replay, Json& ack) {
    Client c = connect();
    ack = c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "c"}, {"replay", replay}});
    std::vector<int> ids;
    for (int i = 0; i < ack["data"]["replayed"]; ++i) {
      const Json e = c.next("event");
      EXPECT_EQ(e["isReplay"], true);
      ids.push_back(e["sequenceId"]);
    }
    return ids;
  };
  Json ack;
  EXPECT_EQ(replayed("none", ack), std::vector<int>{});
  EXPECT_EQ(replayed(3, ack), (std::vector<int>{18, 19, 20}));
  EXPECT_EQ(replayed("last", ack), (std::vector<int>{19, 20}));
  EXPECT_EQ(replayed({{"epoch", epoch}, {"sequenceId", 17}}, ack), (std::vector<int>{18, 19, 20}));
  EXPECT_EQ(ack["data"]["recovered"], true);
  EXPECT_EQ(replayed({{"epoch", "another"}, {"sequenceId", 17}}, ack).size(), 20U);
  EXPECT_EQ(ack["data"]["recovered"], false);
}

TEST_F(ProtocolTest, APatternReachesChannelsThatComeLater) {
  begin();
  Client c = connect(), w = connect();
  w.ask({{"type", "publish"}, {"id", 1}, {"channel", "logs/a"}, {"event", "e"}, {"data", 1}});
  const Json ack = c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "logs/*"}, {"replay", 10}});
  EXPECT_EQ(ack["data"]["replayed"], 1);
  EXPECT_EQ(c.next("event")["channel"], "logs/a");
  for (const char* name : {"logs/b", "logs/c", "other/d", "logs/deep/e", "logs/f"})
    w.ask({{"type", "publish"}, {"id", 2}, {"channel", name}, {"event", "e"}, {"data", 2}});
  std::set<std::string> seen;
  for (int i = 0; i < 3; ++i) seen.insert(c.next("event")["channel"]);
  EXPECT_EQ(seen, (std::set<std::string>{"logs/b", "logs/c", "logs/f"}));
}

TEST_F(ProtocolTest, AFilterChoosesByPayload) {
  begin();
  Client c = connect(), w = connect();
  const Json ack = c.ask({{"type", "subscribe"},
                          {"id", 1},
                          {"channel", "c"},
                          {"filter", {{"event", {"message.*"}}, {"data.size", {{"$gte", 10}}}}}});
  EXPECT_EQ(ack["data"]["filter"]["data.size"]["$gte"], 10);
  w.ask({{"type", "publish"}, {"id", 1}, {"channel", "c"}, {"event", "message.new"}, {"data", {{"size", 9}}}});
  w.ask({{"type", "publish"}, {"id", 2}, {"channel", "c"}, {"event", "other"}, {"data", {{"size", 99}}}});
  w.ask({{"type", "publish"}, {"id", 3}, {"channel", "c"}, {"event", "message.new"}, {"data", {{"size", 10}}}});
  EXPECT_EQ(c.next("event")["sequenceId"], 3);
  const Json bad =
      c.ask({{"type", "subscribe"}, {"id", 2}, {"channel", "c"}, {"filter", {{"data.size", {{"$about", 10}}}}}});
  EXPECT_EQ(bad["data"]["code"], "bad_filter");
  EXPECT_EQ(bad["data"]["pointer"], "/data.size/$about");
}

TEST_F(ProtocolTest, WrongRequestsAreAnsweredAndTheConnectionStays) {
  begin();
  Client c = connect();
  EXPECT_EQ(c.ask({{"type", "nonsense"}, {"id", 1}})["data"]["code"], "bad_frame");
  EXPECT_EQ(c.ask({{"type", "subscribe"}, {"id", 2}})["data"]["code"], "bad_request");
  EXPECT_EQ(c.ask({{"type", "subscribe"}, {"id", 3}, {"channel", "a//b"}})["data"]["code"], "bad_request");
  EXPECT_EQ(c.ask({{"type", "publish"}, {"id", 4}, {"channel", "a"}})["data"]["code"], "bad_request");
  EXPECT_EQ(c.ask({{"type", "unsubscribe"}, {"id", 5}, {"channel", "a"}})["data"]["code"], "not_found");
  EXPECT_EQ(c.ask({{"type", "request"}, {"id", 6}, {"method", "m"}})["data"]["code"], "no_such_method");
  EXPECT_EQ(c.ask({{"type", "ping"}, {"id", 7}})["type"], "pong");
}

TEST_F(ProtocolTest, WhatIsNoFrameOfOursEndsTheConnection) {
  begin("[limits]\nframe_bytes = \"4KiB\"\n");
  for (const std::string& text : {std::string("no json"), std::string("[1]"),
                                  std::string("{\"type\":") + std::string(70, '[') + std::string(70, ']') + "}"}) {
    Client c = connect();
    ASSERT_TRUE(c.socket().send(text));
    EXPECT_EQ(c.end().code, 1008) << text;
  }
  Client binary = connect();
  ASSERT_TRUE(binary.socket().send_binary("{}"));
  EXPECT_EQ(binary.end().code, 1008);
  Client big = connect();
  ASSERT_TRUE(big.socket().send("{\"type\":\"ping\",\"id\":\"" + std::string(5000, 'x') + "\"}"));
  EXPECT_EQ(big.end().code, 1009);
}

TEST_F(ProtocolTest, AReaderThatStopsForAWhileGetsEverythingLater) {
  start(
      "[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\nhistory = { count = 100000, bytes = \"256MiB\" "
      "}\n[limits]\noutbox_bytes = \"64KiB\"\n");
  Client slow = connect("/ws", {}, 4096), w = connect();
  slow.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "c"}});
  const std::string filler(1000, 'f');
  constexpr int kEvents = 5000;
  for (int i = 1; i <= kEvents; ++i) {
    const Json frame = {{"type", "publish"}, {"channel", "c"}, {"event", "e"}, {"data", {{"n", i}, {"f", filler}}}};
    w.say(frame);
  }
  w.ask({{"type", "publish"}, {"id", 1}, {"channel", "c"}, {"event", "end"}, {"data", 0}});
  for (int i = 1; i <= kEvents; ++i) {
    const Json e = slow.next("event");
    ASSERT_EQ(e["sequenceId"], i);
    ASSERT_EQ(e["data"]["n"], i);
  }
  EXPECT_EQ(slow.next("event")["event"], "end");
}

TEST_F(ProtocolTest, ADedupeIdMakesPublishingAgainHarmless) {
  begin();
  Client c = connect();
  const Json first =
      c.ask({{"type", "publish"}, {"id", 1}, {"channel", "c"}, {"event", "e"}, {"data", 1}, {"dedupe", "x"}});
  const Json again =
      c.ask({{"type", "publish"}, {"id", 2}, {"channel", "c"}, {"event", "e"}, {"data", 1}, {"dedupe", "x"}});
  EXPECT_EQ(again["data"]["sequenceId"], first["data"]["sequenceId"]);
  EXPECT_EQ(again["data"]["duplicate"], true);
}

}  // namespace
}  // namespace weir::test
