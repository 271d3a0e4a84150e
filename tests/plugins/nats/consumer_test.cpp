// A durable consumer that others have read from, or made, in ways that endanger its order.
#include "fixture.hpp"

namespace weir::test {
namespace {

struct NatsConsumerTest : NatsPluginTest {
  // A consumer of the stream S, and a reader of it, as anybody would write them with cnats.
  struct Reader {
    explicit Reader(const std::string& url) {
      EXPECT_EQ(natsConnection_ConnectTo(&connection, url.c_str()), NATS_OK);
      EXPECT_EQ(natsConnection_JetStream(&js, connection, nullptr), NATS_OK);
    }
    ~Reader() {
      jsCtx_Destroy(js);
      natsConnection_Destroy(connection);
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    void make(std::vector<std::int64_t> backoff_ns = {}) {
      jsConsumerConfig wanted;
      (void)jsConsumerConfig_Init(&wanted);
      wanted.Durable = "d";
      wanted.AckPolicy = js_AckExplicit;
      wanted.AckWait = 500'000'000;
      wanted.BackOff = backoff_ns.data();
      wanted.BackOffLen = static_cast<int>(backoff_ns.size());
      if (!backoff_ns.empty()) wanted.MaxDeliver = 10;
      jsConsumerInfo* info = nullptr;
      EXPECT_EQ(js_AddConsumer(&info, js, "S", &wanted, nullptr, nullptr), NATS_OK);
      jsConsumerInfo_Destroy(info);
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
    natsConnection* connection = nullptr;
    jsCtx* js = nullptr;
  };
  static constexpr const char* kConfig = R"("stream":{"name":"S","durable":"d","ack_wait":"500ms"})";
};

TEST_F(NatsConsumerTest, OneWithABackoffIsRefused) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  Reader reader(server.url());
  reader.make({1'000'000'000, 300'000'000'000});
  SourceRig nats(hub, weir_plugin_entry, config(server, kConfig));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(reason().find("with a backoff"), std::string::npos) << reason();
}

TEST_F(NatsConsumerTest, WhatADeadReaderHadComesFirst) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  for (int i = 1; i <= 10; ++i) client.publish_stored("s.a", std::to_string(i), "m" + std::to_string(i));
  Reader reader(server.url());
  reader.make();
  reader.take(6, [](natsMsg*) {});
  SourceRig nats(hub, weir_plugin_entry, config(server, kConfig));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 10; }, 20'000));
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(hub.events[i].data, std::to_string(i + 1));
  nats.accepted(hub.events.back().cursor);
  EXPECT_TRUE(hub.run_until([&] { return client.ack_pending("S", "d") == 0; }));
  EXPECT_TRUE(hub.gaps.empty());
}

// New ones came in place of those that were owed, and these were acknowledged later without ever being an event.
TEST_F(NatsConsumerTest, WhatIsOwedAndHeldBackIsToldByAGap) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  for (int i = 1; i <= 10; ++i) client.publish_stored("s.a", std::to_string(i), "m" + std::to_string(i));
  Reader reader(server.url());
  reader.make();
  reader.take(3, [](natsMsg* message) { EXPECT_EQ(natsMsg_NakWithDelay(message, 3'600'000, nullptr), NATS_OK); });
  SourceRig nats(hub, weir_plugin_entry, config(server, kConfig));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 7; }, 20'000));
  for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(hub.events[i].data, std::to_string(i + 4));
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].count, 3u);
  EXPECT_NE(hub.gaps[0].reason.find("does not send them again"), std::string::npos) << hub.gaps[0].reason;
}

}  // namespace
}  // namespace weir::test
