// A durable consumer that others have read from, or made, in ways that endanger its order. Its stream is S.
#include <numeric>

#include "fixture.hpp"
#include "support/tcp_proxy.hpp"

namespace weir::test {
namespace {

struct NatsConsumerTest : NatsPluginTest {
  NatsConsumerTest() { client.add_stream("S", "s.>"); }
  // A consumer of the stream S, and a reader of it, as anybody would write them with cnats.
  struct Reader {
    explicit Reader(const std::string& url) {
      EXPECT_EQ(natsConnection_ConnectTo(&connection, url.c_str()), NATS_OK);
      EXPECT_EQ(natsConnection_JetStream(&js, connection, nullptr), NATS_OK);
    }
    ~Reader() {
      natsSubscription_Destroy(waiting);
      jsCtx_Destroy(js);
      natsConnection_Destroy(connection);
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    template <class More>
    void make(More&& more) {
      jsConsumerConfig wanted;
      (void)jsConsumerConfig_Init(&wanted);
      wanted.Durable = "d";
      wanted.AckPolicy = js_AckExplicit;
      wanted.AckWait = 500'000'000;
      more(wanted);
      jsConsumerInfo* info = nullptr;
      EXPECT_EQ(js_AddConsumer(&info, js, "S", &wanted, nullptr, nullptr), NATS_OK);
      jsConsumerInfo_Destroy(info);
    }
    void make() {
      make([](jsConsumerConfig&) {});
    }
    // Takes messages, and does with each what `done` says.
    template <class Done>
    void take(int count, Done&& done) {
      natsSubscription* subscription = nullptr;
      jsSubOptions options;
      (void)jsSubOptions_Init(&options);
      options.Stream = "S";
      options.Consumer = "d";
      ASSERT_EQ(js_PullSubscribe(&subscription, js, "s.>", "d", nullptr, &options, nullptr), NATS_OK);
      natsMsgList list{};
      ASSERT_EQ(natsSubscription_Fetch(&list, subscription, count, 5'000, nullptr), NATS_OK);
      EXPECT_EQ(list.Count, count);
      for (int i = 0; i < list.Count; ++i) done(list.Msgs[i]);
      (void)natsConnection_FlushTimeout(connection, 5'000);
      natsMsgList_Destroy(&list);
      natsSubscription_Destroy(subscription);
    }
    // Waits for more messages than there are, as a hub does.
    void ask() {
      ASSERT_EQ(natsConnection_SubscribeSync(&waiting, connection, "_INBOX.other"), NATS_OK);
      ASSERT_EQ(natsConnection_PublishRequestString(connection, "$JS.API.CONSUMER.MSG.NEXT.S.d", "_INBOX.other",
                                                    R"({"batch":100,"expires":60000000000})"),
                NATS_OK);
      ASSERT_EQ(natsConnection_FlushTimeout(connection, 5'000), NATS_OK);
    }
    void leave() {
      ASSERT_EQ(natsSubscription_Unsubscribe(waiting), NATS_OK);
      ASSERT_EQ(natsConnection_FlushTimeout(connection, 5'000), NATS_OK);
    }
    natsConnection* connection = nullptr;
    jsCtx* js = nullptr;
    natsSubscription* waiting = nullptr;
  };
  static constexpr const char* kConfig = R"("stream":{"name":"S","durable":"d","ack_wait":"500ms"})";

  void publish(int from, int to) {
    for (int i = from; i <= to; ++i) client.publish_stored("s.a", std::to_string(i), "m" + std::to_string(i));
  }
  bool has_events(std::size_t count) {
    return hub.run_until([&] { return hub.events.size() == count; }, 20'000);
  }
  std::vector<int> numbers() const {
    std::vector<int> out;
    for (const auto& event : hub.events) out.push_back(std::stoi(event.data));
    return out;
  }
  static std::vector<int> range(int from, int to) {
    std::vector<int> out(static_cast<std::size_t>(to - from + 1));
    std::iota(out.begin(), out.end(), from);
    return out;
  }
  // The link is cut and comes back.
  bool breaks(TcpProxy& proxy) {
    const double before = hub.metrics["reconnects"];
    proxy.cut();
    proxy.heal();
    return hub.run_until([&] { return hub.metrics["reconnects"] > before && hub.last_state() == WEIR_STATE_RUNNING; },
                         20'000);
  }
  // What was read so far is accepted, and the server knows.
  bool accepts_all(SourceRig& nats) {
    nats.accepted(hub.events.back().cursor);
    return hub.run_until([&] { return client.ack_pending("S", "d") == 0; });
  }

  NatsServer server{folder};
  NatsClient client{server.url()};
};

TEST_F(NatsConsumerTest, OneWithABackoffIsRefused) {
  Reader reader(server.url());
  std::vector<std::int64_t> backoff_ns = {1'000'000'000, 300'000'000'000};
  reader.make([&](jsConsumerConfig& wanted) {
    wanted.BackOff = backoff_ns.data();
    wanted.BackOffLen = static_cast<int>(backoff_ns.size());
    wanted.MaxDeliver = 10;
  });
  Started nats(hub, config(server, kConfig));
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(reason().find("with a backoff"), std::string::npos) << reason();
}

TEST_F(NatsConsumerTest, WhatADeadReaderHadComesFirst) {
  publish(1, 10);
  Reader reader(server.url());
  reader.make();
  reader.take(6, [](natsMsg*) {});
  Started nats(hub, config(server, kConfig));
  ASSERT_TRUE(has_events(10));
  EXPECT_EQ(numbers(), range(1, 10));
  EXPECT_TRUE(accepts_all(nats));
  EXPECT_TRUE(hub.gaps.empty());
}

// Two hubs with one consumer took each other's messages for lost ones, and nobody was told why they were.
TEST_F(NatsConsumerTest, SomebodyElseWhoReadsFromItIsTold) {
  publish(1, 3);
  Reader other(server.url());
  other.make();
  other.take(3, [](natsMsg*) {});
  other.ask();
  Started nats(hub, config(server, kConfig));
  ASSERT_TRUE(says("did not come here"));
  hub.advance(40'000);  // nothing is left of what an earlier life of this hub may have asked for
  ASSERT_TRUE(says("give each hub a `durable` of its own"));
  EXPECT_EQ(hub.last_state(), WEIR_STATE_DEGRADED);
  other.leave();
  ASSERT_TRUE(has_events(3));
  hub.advance(70'000);
  EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
}

// What waits for messages may be of a connection, or a hub, of before that the server does not know to be gone.
TEST_F(NatsConsumerTest, WhatAnEarlierConnectionAskedForIsNobodyElse) {
  publish(1, 3);
  Reader earlier(server.url());
  earlier.make();
  earlier.take(3, [](natsMsg*) {});
  earlier.ask();
  Started nats(hub, config(server, kConfig));
  ASSERT_TRUE(says("did not come here"));
  ASSERT_TRUE(hub.run_until([&] { return reason().empty(); }, 20'000));
  for (const auto& state : hub.states) EXPECT_NE(state.state, WEIR_STATE_DEGRADED) << state.reason;
}

TEST_F(NatsConsumerTest, WhoHasReadBeforeIsNobodyElse) {
  publish(1, 10);
  Reader earlier(server.url());
  earlier.make();
  earlier.take(3, [](natsMsg*) {});
  Started nats(hub, config(server, kConfig));
  ASSERT_TRUE(says("did not come here"));
  hub.advance(40'000);
  ASSERT_TRUE(has_events(10));
  for (const auto& state : hub.states) EXPECT_NE(state.state, WEIR_STATE_DEGRADED) << state.reason;
}

// New ones came in place of those that were owed, and these were acknowledged later without ever being an event.
TEST_F(NatsConsumerTest, WhatIsOwedAndHeldBackIsToldByAGap) {
  publish(1, 10);
  Reader reader(server.url());
  reader.make();
  reader.take(3, [](natsMsg* message) { EXPECT_EQ(natsMsg_NakWithDelay(message, 3'600'000, nullptr), NATS_OK); });
  Started nats(hub, config(server, kConfig));
  ASSERT_TRUE(has_events(7));
  EXPECT_EQ(numbers(), range(4, 10));
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].count, 3u);
  EXPECT_NE(hub.gaps[0].reason.find("does not send them again"), std::string::npos) << hub.gaps[0].reason;
}

// What the server had sent counted as read, so what was lost on its way and then thrown away was told nowhere.
TEST_F(NatsConsumerTest, WhatWasLostOnItsWayAndThrownAwayIsTold) {
  client.remove_stream("S");
  client.add_stream("S", "s.>", 10);
  TcpProxy proxy(server.port());
  publish(1, 5);
  Started nats(hub, config(proxy.port(), kConfig));
  ASSERT_TRUE(has_events(5));
  ASSERT_TRUE(accepts_all(nats));
  proxy.cut();
  publish(6, 40);
  ASSERT_TRUE(hub.run_until([&] { return client.unread("S", "d") == 0; }));
  proxy.heal();
  ASSERT_TRUE(has_events(15));
  std::vector<int> expected = range(1, 5);
  for (const int n : range(31, 40)) expected.push_back(n);
  EXPECT_EQ(numbers(), expected);
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].count, 25u);
}

// The numbers that came behind a loss were not looked at.
TEST_F(NatsConsumerTest, WhatWasLostOnItsWayAndRemovedIsTold) {
  TcpProxy proxy(server.port());
  publish(1, 5);
  Started nats(hub, config(proxy.port(), kConfig));
  ASSERT_TRUE(has_events(5));
  ASSERT_TRUE(accepts_all(nats));
  proxy.cut();
  publish(6, 10);
  ASSERT_TRUE(hub.run_until([&] { return client.unread("S", "d") == 0; }));
  client.remove_message("S", 8);
  publish(11, 20);  // so that something comes where it is owed
  proxy.heal();
  ASSERT_TRUE(has_events(19));
  std::vector<int> expected = range(1, 7);
  for (const int n : range(9, 20)) expected.push_back(n);
  EXPECT_EQ(numbers(), expected);
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].count, 1u);
}

// It is told once, by its number or, where a filter makes numbers say nothing, by how many were owed.
TEST_F(NatsConsumerTest, WhatWasLostOnItsWayAndIsHeldBackIsToldOnce) {
  for (const bool filter : {false, true}) {
    FakeHost own;
    TcpProxy proxy(server.port());
    const std::string durable = filter ? "f" : "d", subject = filter ? "s.f" : "s.d";
    const auto send = [&](int from, int to) {
      for (int i = from; i <= to; ++i) client.publish_stored(subject, std::to_string(i), subject + std::to_string(i));
    };
    send(1, 5);
    Started nats(
        own, config(proxy.port(), "\"stream\":{\"name\":\"S\",\"durable\":\"" + durable + "\",\"ack_wait\":\"500ms\"" +
                                      (filter ? ",\"subject\":\"s.f\"" : "") + "}"));
    ASSERT_TRUE(own.run_until([&] { return own.events.size() == 5; }, 20'000));
    const int before = std::stoi(own.events[0].id.substr(2)) - 1;  // how many the stream had
    nats.accepted(own.events.back().cursor);
    ASSERT_TRUE(own.run_until([&] { return client.ack_pending("S", durable) == 0; }));
    proxy.cut();
    send(6, 10);
    ASSERT_TRUE(own.run_until([&] { return client.unread("S", durable) == 0; }));
    client.publish("$JS.ACK.S." + durable + ".1." + std::to_string(before + 8) + ".8.0.0",
                   R"(-NAK {"delay":3600000000000})");
    proxy.heal();
    // New ones, as it is by them that it is seen; those that the server sends into the old connection say nothing.
    int all = 10;
    while (all < 100 && !own.run_until([&] { return !own.gaps.empty(); }, 200)) send(all + 1, all + 1), ++all;
    ASSERT_TRUE(own.run_until([&] { return own.events.size() == static_cast<std::size_t>(all - 1); }, 20'000));
    for (std::size_t i = 0; i < own.events.size(); ++i)
      EXPECT_EQ(own.events[i].data, std::to_string(i < 7 ? i + 1 : i + 2));
    ASSERT_EQ(own.gaps.size(), 1u) << durable;
    EXPECT_EQ(own.gaps[0].count, 1u);
  }
}

TEST_F(NatsConsumerTest, ALossIsToldOnce) {
  client.remove_stream("S");
  client.add_stream("S", "s.>", 5);
  TcpProxy proxy(server.port());
  publish(1, 1);
  Started nats(hub, config(proxy.port(), R"("stream":{"name":"S","durable":"d","ack_wait":"500ms","in_flight":1})"));
  ASSERT_TRUE(has_events(1));
  publish(2, 11);  // they are not asked for
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(breaks(proxy));
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].count, 5u);
  for (std::size_t i = 1; i < 6; ++i) {
    nats.accepted(hub.events.back().cursor);
    ASSERT_TRUE(has_events(i + 1));
  }
  EXPECT_EQ(hub.events[1].data, "7");
  EXPECT_EQ(hub.gaps.size(), 1u);
}

// It was made anew behind what was read, so what the hub had no place for yet was lost with the next restart.
TEST_F(NatsConsumerTest, OneThatIsMadeAnewBeginsWithWhatWasNotAccepted) {
  publish(1, 20);
  {
    FakeHost own;
    Started nats(own, config(server, kConfig));
    ASSERT_TRUE(own.run_until([&] { return own.events.size() == 20; }, 20'000));
    nats.accepted(own.events[9].cursor);
    ASSERT_TRUE(own.run_until([&] { return client.ack_pending("S", "d") == 10; }));
    client.remove_consumer("S", "d");
    ASSERT_TRUE(own.run_until([&] { return client.ack_pending("S", "d") == 10; }, 20'000));
    nats.accepted(own.events[11].cursor);  // it goes by what the new one has sent
    ASSERT_TRUE(own.run_until([&] { return client.ack_pending("S", "d") == 8; }));
    EXPECT_EQ(own.events.size(), 20u);
  }
  Started nats(hub, config(server, kConfig));
  ASSERT_TRUE(has_events(8));
  EXPECT_EQ(numbers(), range(13, 20));
  EXPECT_TRUE(hub.gaps.empty());
}

// Sequence numbers were cursors, so what the hub accepted of the old stream was taken for some of the new one.
TEST_F(NatsConsumerTest, WhatIsAcceptedOfAStreamOfBeforeIsNoneOfTheNewOne) {
  publish(1, 5);
  Started nats(hub, config(server, kConfig));
  ASSERT_TRUE(has_events(5));
  client.remove_stream("S");
  client.add_stream("S", "s.>");
  publish(1, 3);
  ASSERT_TRUE(has_events(8));
  EXPECT_EQ(hub.events[5].id, "S.1");
  nats.accepted(hub.events[4].cursor);
  nats.accepted(hub.events[5].cursor);
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["acknowledged"] > 0; }));
  EXPECT_EQ(hub.metrics["acknowledged"], 1);
  EXPECT_TRUE(hub.run_until([&] { return client.ack_pending("S", "d") == 2; }));
}

// What had come over the connection of before and waited for room was counted by the numbers of the new consumer.
TEST_F(NatsConsumerTest, WhatWaitsHereWhenItIsMadeAnewDoesNoHarm) {
  TcpProxy proxy(server.port());
  constexpr int kAll = 500;
  publish(1, kAll);
  hub.take_only(0);
  Started nats(hub, config(proxy.port(), kConfig));
  ASSERT_TRUE(hub.run_until([&] { return client.ack_pending("S", "d") == kAll && hub.metrics["messages"] > 0; }));
  proxy.cut();
  client.remove_consumer("S", "d");
  proxy.heal();
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["reconnects"] == 1 && client.ack_pending("S", "d") == 0; }));
  nats.resume();
  ASSERT_TRUE(has_events(kAll));
  EXPECT_EQ(numbers(), range(1, kAll));
  EXPECT_EQ(hub.metrics["recoveries"], 0);
  EXPECT_TRUE(hub.gaps.empty());
}

// What another consumer of that name sent first was thrown away, and left out when it came again behind newer ones.
TEST_F(NatsConsumerTest, OneThatSomebodyElseMakesAnewIsReadInOrder) {
  publish(1, 5);
  Started nats(hub, config(server, R"("stream":{"name":"S","durable":"d","ack_wait":"500ms","in_flight":5})"));
  ASSERT_TRUE(has_events(5));
  ASSERT_TRUE(hub.run_until([&] { return client.asking("S", "d") == 0; }));  // or the server would say that it is gone
  client.remove_consumer("S", "d");
  Reader reader(server.url());
  reader.make([](jsConsumerConfig& wanted) {
    wanted.DeliverPolicy = js_DeliverByStartSequence;
    wanted.OptStartSeq = 6;
  });
  publish(6, 8);
  nats.accepted(hub.events.back().cursor);
  ASSERT_TRUE(has_events(8));
  EXPECT_EQ(numbers(), range(1, 8));
  EXPECT_TRUE(accepts_all(nats));
  EXPECT_TRUE(hub.gaps.empty());
}

constexpr const char* kNext = "$JS.API.CONSUMER.MSG.NEXT.S.d";  // what requests for messages are published to

// While nothing new came either, what was held back was told to nobody.
TEST_F(NatsConsumerTest, WhatIsHeldBackInAQuietStreamIsTold) {
  publish(1, 1);
  Reader reader(server.url());
  reader.make();
  reader.take(1, [](natsMsg* message) { EXPECT_EQ(natsMsg_NakWithDelay(message, 3'600'000, nullptr), NATS_OK); });
  // What the server says of a request of 30 s, without waiting for so long.
  NatsListener over(server.url(), kNext, [](natsConnection* connection, natsMsg* message) {
    const std::string_view request(natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message)));
    if (request.find("max_bytes") == std::string_view::npos)
      answer_with(connection, message, "", {{"Status", "408"}, {"Description", "Request Timeout"}});
  });
  Started nats(hub, config(server, kConfig));
  ASSERT_TRUE(hub.run_until([&] { return !hub.gaps.empty(); }, 20'000));
  EXPECT_EQ(hub.gaps[0].count, 1u);
  publish(2, 3);
  ASSERT_TRUE(has_events(2));
  EXPECT_EQ(numbers(), range(2, 3));
  EXPECT_EQ(hub.gaps.size(), 1u);
}

// The server forgets such a one as soon as it is asked for it, and it was counted no more.
TEST_F(NatsConsumerTest, WhatWasDeliveredTooOftenIsTold) {
  publish(1, 1);
  Reader reader(server.url());
  reader.make([](jsConsumerConfig& wanted) { wanted.MaxDeliver = 3; });
  for (int i = 0; i < 3; ++i) reader.take(1, [](natsMsg*) {});
  publish(2, 10);
  Started nats(hub, config(server, kConfig));
  ASSERT_TRUE(has_events(9));
  EXPECT_EQ(numbers(), range(2, 10));
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].count, 1u);
}

// Of what came again headers weighed nothing; and small ones behind a large one that was put off overtook it.
TEST_F(NatsConsumerTest, WhatComesAgainIsBoundedInBytes) {
  constexpr int kLarge = 300, kAll = 320;
  const std::string large(60'000, 'x');
  for (int i = 1; i <= kLarge; ++i) client.publish("s.a", std::to_string(i), {{"Large", large}});
  publish(kLarge + 1, kAll);
  Reader reader(server.url());
  reader.make();
  reader.take(kAll, [](natsMsg*) {});
  NatsListener requests(server.url(), kNext);
  Started nats(hub, config(server, kConfig));
  ASSERT_TRUE(has_events(kAll));
  EXPECT_EQ(numbers(), range(1, kAll));
  EXPECT_TRUE(hub.gaps.empty());
  EXPECT_TRUE(hub.run_until([&] { return hub.metrics["recoveries"] == 2; })) << hub.metrics["recoveries"];
  // Each of them may be as large as the server takes: 1 MiB.
  for (const auto& request : requests.heard()) {
    if (request.data.find("max_bytes") != std::string::npos) continue;
    EXPECT_LE(std::stoi(request.data.substr(request.data.find("\"batch\":") + 8)), 4) << request.data;
  }
}

}  // namespace
}  // namespace weir::test
