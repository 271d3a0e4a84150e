// The way back: what the hub hands over arrives, over breaks and killed servers.
#include <set>
#include <utility>

#include "fixture.hpp"
#include "support/tcp_proxy.hpp"

namespace weir::test {
namespace {

std::vector<Sent> numbered(const std::string& subject, int from, int to) {
  std::vector<Sent> out;
  for (int i = from; i < to; ++i)
    out.push_back({.subject = subject, .event = "n", .data = std::to_string(i), .id = "id-" + std::to_string(i)});
  return out;
}

// All of them came, and each for the first time behind those before it.
void expect_all_in_order(const std::vector<std::string>& came, int count) {
  std::set<int> seen;
  int highest = -1;
  for (const auto& data : came) {
    const int n = std::stoi(data);
    if (!seen.insert(n).second) continue;
    EXPECT_EQ(n, highest + 1) << "came for the first time behind " << highest;
    highest = n;
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(count));
}

std::vector<std::string> data_of(const std::vector<Heard>& heard) {
  std::vector<std::string> out;
  for (const auto& h : heard) out.push_back(h.data);
  return out;
}

TEST_F(NatsPluginTest, EventsBecomeMessages) {
  NatsServer server(folder);
  NatsListener listener(server.url(), "commands.>");
  Started nats(hub, config(server, ""));
  SinkSide sink(weir_plugin_entry, nats.instance());
  EXPECT_EQ(sink.deliver({{.subject = "commands.1"}}), 0u);  // there is no connection yet
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  EXPECT_EQ(hub.sink_readies, 1u);
  ASSERT_EQ(sink.deliver({{.subject = "commands.7",
                           .event = "todo.\ncreated",
                           .data = R"({"n": 1})",
                           .id = "e-1",
                           .key = "k\xc3\xa4",
                           .time_ms = 1'770'724'800'123},
                          {.subject = "commands.8", .data = "null", .id = "e-2"}}),
            2u);
  ASSERT_TRUE(hub.run_until([&] { return listener.count() == 2; }));
  const auto heard = listener.heard();
  EXPECT_EQ(heard[0].subject, "commands.7");
  EXPECT_EQ(heard[0].data, R"({"n": 1})");
  EXPECT_EQ(heard[0].id, "e-1");
  EXPECT_EQ(heard[0].event, "todo. created");
  EXPECT_EQ(heard[0].key, "k\xc3\xa4");
  EXPECT_EQ(heard[0].time, "2026-02-10T12:00:00.123Z");
  EXPECT_EQ(heard[1].data, "null");
  EXPECT_EQ(heard[1].key, "");
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["published"] == 2; }));
  EXPECT_EQ(hub.metrics["publish_in_flight"], 0);
}

TEST_F(NatsPluginTest, TwoHubsCanBeBridged) {
  NatsServer server(folder);
  FakeHost other;
  Connected reads(other,
                  config(server, R"("subjects":["bridge.>"],"event":"{header:Weir-Event}","key":"{header:Weir-Key}",
                        "id":"{header:Nats-Msg-Id}","time":"{header:Weir-Time}")"));
  Connected writes(hub, config(server, ""));
  SinkSide sink(weir_plugin_entry, writes.instance());
  const Sent sent = {"bridge.a", "line", R"([1,"\u00e4"])", "e-1", "key", 1'770'724'800'123};
  ASSERT_EQ(sink.deliver({sent}), 1u);
  ASSERT_TRUE(other.run_until([&] { return other.events.size() == 1; }, 20'000));
  const auto& got = other.events[0];
  EXPECT_EQ(got.subject, sent.subject);
  EXPECT_EQ(got.event, sent.event);
  EXPECT_EQ(got.data, sent.data);
  EXPECT_EQ(got.id, sent.id);
  EXPECT_EQ(got.key, sent.key);
  EXPECT_EQ(got.time_ms, sent.time_ms);
}

TEST_F(NatsPluginTest, WhatCanNeverBePublishedIsLeftOut) {
  NatsServer server(folder, "max_payload: 4096\n");
  NatsListener listener(server.url(), ">");
  Connected nats(hub, config(server, ""));
  SinkSide sink(weir_plugin_entry, nats.instance());
  weir_status status = WEIR_OK;
  for (const char* wrong : {"", "a.*", "a.>", "a b", "a..b", "a\r\nPUB x 0"}) {
    EXPECT_EQ(sink.deliver({{.subject = wrong}}, &status), 0u) << wrong;
    EXPECT_EQ(status, WEIR_E_INVALID) << wrong;
  }
  EXPECT_TRUE(hub.logged("\"a.*\" is no subject to publish to: it holds a wildcard"));
  const std::string large = "\"" + std::string(4090, 'x') + "\"";  // with its headers it is too large
  EXPECT_EQ(sink.deliver({{.subject = "a", .data = "1"}, {.subject = "a", .data = large}, {.subject = "a"}}, &status),
            1u);
  EXPECT_EQ(status, WEIR_E_INVALID);
  EXPECT_TRUE(hub.logged("max_payload"));
  ASSERT_TRUE(hub.run_until([&] { return listener.count() == 1; }));
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);  // the server has seen none of it
}

// The connection breaks again and again under load. The server lives, and so does who listens.
TEST_F(NatsPluginTest, OverBreaksEveryEventArrivesInOrder) {
  NatsServer server(folder);
  NatsListener listener(server.url(), "out.>");
  TcpProxy proxy(server.port());
  Connected nats(hub, config(proxy.port(), ""));
  SinkSide sink(weir_plugin_entry, nats.instance());
  constexpr int kAll = 20'000;
  std::size_t next_cut = 2'000;
  bool cut = false;
  ASSERT_TRUE(deliver_all(sink, numbered("out.a", 0, kAll),
                          [&](std::size_t at, bool full) {
                            if (!full && at >= next_cut) {
                              proxy.cut();
                              cut = true;
                              next_cut = at + 4'000;
                            } else if (full &&
                                       std::exchange(cut, false)) {  // all that may be in flight has gone nowhere
                              proxy.heal();
                            }
                          }))
      << hub.last_state() << ' ' << hub.states.back().reason << "; published " << hub.metrics["published"]
      << ", in flight " << hub.metrics["publish_in_flight"] << ", reconnects " << hub.metrics["reconnects"];
  proxy.heal();
  ASSERT_TRUE(
      hub.run_until([&] { return hub.metrics["publish_in_flight"] == 0 && hub.metrics["published"] == kAll; }, 20'000))
      << hub.metrics["published"];
  ASSERT_TRUE(hub.run_until([&] { return listener.count() >= kAll; }));
  EXPECT_GE(hub.metrics["reconnects"], 3);
  EXPECT_GE(hub.metrics["published_again"], 1);
  EXPECT_EQ(hub.metrics["publish_lost"], 0);
  expect_all_in_order(data_of(listener.heard()), kAll);
}

TEST_F(NatsPluginTest, WhereNothingGoesOutNoMoreThanItsRoomIsTaken) {
  NatsServer server(folder);
  TcpProxy proxy(server.port());
  Connected nats(hub, config(proxy.port(), ""));
  SinkSide sink(weir_plugin_entry, nats.instance());
  proxy.cut();
  EXPECT_EQ(sink.deliver(numbered("a", 0, 3'000)), 1'024u);
  EXPECT_EQ(sink.deliver(numbered("a", 0, 1)), 0u);
  proxy.heal();
  ASSERT_TRUE(hub.run_until([&] { return hub.sink_readies == 1; }, 20'000));
  EXPECT_EQ(sink.deliver(numbered("a", 0, 1)), 1u);
  // Bytes count as well.
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["published"] == 1'025; }, 20'000));
  proxy.cut();
  const std::vector<Sent> large(20, Sent{.subject = "a", .data = "\"" + std::string(500'000, 'x') + "\""});
  EXPECT_EQ(sink.deliver(large), 9u);  // the one that goes beyond 4 MiB is the last
  proxy.heal();
  EXPECT_TRUE(hub.run_until([&] { return hub.metrics["published"] == 1'034; }, 20'000));
}

TEST_F(NatsPluginTest, WhatCantGoOutBeforeTheEndIsCounted) {
  NatsServer server(folder);
  TcpProxy proxy(server.port());
  {
    Connected nats(hub, config(proxy.port(), ""));
    SinkSide sink(weir_plugin_entry, nats.instance());
    proxy.cut();
    EXPECT_EQ(sink.deliver(numbered("a", 0, 10)), 10u);
  }
  EXPECT_EQ(hub.metrics["publish_lost"], 10);
  EXPECT_TRUE(hub.logged("10 events were taken and could not be published"));
}

TEST_F(NatsPluginTest, WhatWasTakenGoesOutBeforeTheEnd) {
  NatsServer server(folder);
  NatsListener listener(server.url(), "a");
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  for (const auto& [publish, subject] : {std::pair{"core", "a"}, std::pair{"jetstream", "s.a"}}) {
    FakeHost own;
    {
      Connected nats(own, config(server, std::string(R"("publish":")") + publish + "\""));
      SinkSide sink(weir_plugin_entry, nats.instance());
      ASSERT_EQ(sink.deliver(numbered(subject, 0, 200)), 200u);
    }  // at once
    EXPECT_EQ(own.metrics["publish_lost"], 0) << publish;
    EXPECT_EQ(own.metrics["published"], 200) << publish;
  }
  EXPECT_TRUE(hub.run_until([&] { return listener.count() == 200; }));
  EXPECT_EQ(client.stored("S").size(), 200u);
}

TEST_F(NatsPluginTest, WhatOurUserMayNotPublishIsSaidAndCounted) {
  NatsServer server(folder,
                    "authorization { users: [ {user: u, password: p, permissions: { publish: [\"ok\", \"_INBOX.>\"], "
                    "subscribe: \">\" } } ] }\n");
  Connected nats(hub, config(server, R"("user":"u","password":"p")"));
  SinkSide sink(weir_plugin_entry, nats.instance());
  ASSERT_EQ(sink.deliver({{.subject = "ok"}, {.subject = "secret.place"}}), 2u);
  ASSERT_TRUE(reaches(WEIR_STATE_DEGRADED));
  EXPECT_NE(reason().find("Permissions Violation for Publish to \"secret.place\""), std::string::npos) << reason();
  EXPECT_TRUE(hub.run_until([&] { return hub.metrics["publish_lost"] == 1; }));
}

// It is said again when it happens again; one that was long ago says nothing of how things stand.
TEST_F(NatsPluginTest, AComplaintOfLongAgoIsForgotten) {
  NatsServer server(folder,
                    "authorization { users: [ {user: u, password: p, permissions: { publish: [\"ok\"] } } ] }\n");
  Connected nats(hub, config(server, R"("user":"u","password":"p")"));
  SinkSide sink(weir_plugin_entry, nats.instance());
  ASSERT_EQ(sink.deliver({{.subject = "secret"}}), 1u);
  ASSERT_TRUE(reaches(WEIR_STATE_DEGRADED));
  hub.advance(50'000);
  EXPECT_EQ(hub.last_state(), WEIR_STATE_DEGRADED);
  hub.advance(11'000);
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
}

// --- JetStream ------------------------------------------------------------------------------------------------------

const char* const kJetStream = R"("publish":"jetstream")";

// kill -9 under load: the stream has every event that was taken, once, as its Nats-Msg-Id says which are the same.
TEST_F(NatsPluginTest, OverAKilledServerEveryEventIsStored) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  Connected nats(hub, config(server, kJetStream));
  SinkSide sink(weir_plugin_entry, nats.instance());
  constexpr int kAll = 6'000;
  std::size_t next_kill = 1'500;
  ASSERT_TRUE(deliver_all(sink, numbered("s.a", 0, kAll), [&](std::size_t at, bool) {
    if (at < next_kill) return;
    next_kill += 2'000;
    server.kill();
    server.start();
  }));
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["published"] == kAll; }, 30'000)) << hub.metrics["published"];
  EXPECT_GE(hub.metrics["reconnects"], 3);
  EXPECT_EQ(hub.metrics["publish_lost"], 0);
  const auto stored = client.stored("S");
  EXPECT_EQ(stored.size(), static_cast<std::size_t>(kAll));  // none twice
  expect_all_in_order(stored, kAll);
}

TEST_F(NatsPluginTest, WhereNoStreamTakesThemTheyAreKeptAndOthersGoOn) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  Connected nats(hub, config(server, kJetStream));
  SinkSide sink(weir_plugin_entry, nats.instance());
  ASSERT_EQ(sink.deliver(numbered("t.a", 0, 20)), 20u);
  ASSERT_TRUE(reaches(WEIR_STATE_DEGRADED));
  EXPECT_NE(reason().find("events for t.a are not stored: no stream takes this subject"), std::string::npos)
      << reason();
  ASSERT_EQ(sink.deliver(numbered("t.a", 20, 40)), 20u);
  ASSERT_EQ(sink.deliver(numbered("s.a", 100, 110)), 10u);  // ids of their own
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["published"] == 10; }));
  EXPECT_EQ(hub.last_state(), WEIR_STATE_DEGRADED);
  client.add_stream("T", "t.>");
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["published"] == 50; }, 20'000));
  EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
  expect_all_in_order(client.stored("T"), 40);
}

// Those that were stored stood behind the one that was not, and counted until there was no room for anything.
TEST_F(NatsPluginTest, OneThatNoStreamTakesHoldsNoRoomOfOthers) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  Connected nats(hub, config(server, kJetStream));
  SinkSide sink(weir_plugin_entry, nats.instance());
  ASSERT_EQ(sink.deliver({{.subject = "t.a", .data = "0", .id = "t"}}), 1u);
  constexpr int kAll = 3'000;
  ASSERT_TRUE(deliver_all(sink, numbered("s.a", 0, kAll)));
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["published"] == kAll; }, 20'000)) << hub.metrics["published"];
  EXPECT_EQ(hub.metrics["publish_in_flight"], 1);
  expect_all_in_order(client.stored("S"), kAll);
  client.add_stream("T", "t.>");
  EXPECT_TRUE(hub.run_until([&] { return hub.metrics["published"] == kAll + 1; }, 20'000));
}

// They were kept and tried again for ever, and filled all room that there is for others.
TEST_F(NatsPluginTest, WhatOurUserMayNotPublishToAStreamIsLeftOut) {
  NatsServer server(folder,
                    "authorization { users: [ {user: admin, password: p}, {user: u, password: p, permissions: { "
                    "publish: [\"s.>\"], subscribe: \"_INBOX.>\" } } ] }\n");
  NatsClient client("nats://admin:p@127.0.0.1:" + std::to_string(server.port()));
  client.add_stream("S", ">", -1, -1);
  Connected nats(hub, config(server, std::string(kJetStream) + R"(,"user":"u","password":"p")"));
  SinkSide sink(weir_plugin_entry, nats.instance());
  ASSERT_EQ(sink.deliver(numbered("secret.a", 0, 1'000)), 1'000u);
  ASSERT_EQ(sink.deliver(numbered("s.a", 0, 20)), 20u);
  ASSERT_TRUE(
      hub.run_until([&] { return hub.metrics["published"] == 20 && hub.metrics["publish_in_flight"] == 0; }, 20'000));
  EXPECT_EQ(hub.metrics["publish_lost"], 1'000);
  EXPECT_TRUE(hub.logged("an event for secret.a can't be published"));
}

TEST_F(NatsPluginTest, WhatIsTooLargeForTheStreamIsCounted) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>", -1, 1'000);
  Connected nats(hub, config(server, kJetStream));
  SinkSide sink(weir_plugin_entry, nats.instance());
  ASSERT_EQ(sink.deliver({{.subject = "s.a", .data = "\"" + std::string(2'000, 'x') + "\""},
                          {.subject = "s.a", .data = "2", .id = "2"}}),
            2u);
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["published"] == 1 && hub.metrics["publish_lost"] == 1; }));
  EXPECT_TRUE(hub.logged("an event for s.a can't be published: message size exceeds"));
  EXPECT_EQ(client.stored("S"), std::vector<std::string>{"2"});
}

TEST_F(NatsPluginTest, WhatAnswersAndIsNoStreamIsNotBelieved) {
  NatsServer server(folder, "", false);
  NatsListener liar(server.url(), "a",
                    [](natsConnection* connection, natsMsg* message) { answer_with(connection, message, "ok"); });
  Connected nats(hub, config(server, kJetStream));
  SinkSide sink(weir_plugin_entry, nats.instance());
  ASSERT_EQ(sink.deliver({{.subject = "a"}}), 1u);
  ASSERT_TRUE(reaches(WEIR_STATE_DEGRADED));
  EXPECT_NE(reason().find("what answers is no stream"), std::string::npos) << reason();
}

}  // namespace
}  // namespace weir::test
