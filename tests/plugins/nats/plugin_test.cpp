// The plugin beside a real nats-server, without a hub: who we are, what a full hub means, what is acknowledged when.
#include "fixture.hpp"
#include "weir/sdk/time.hpp"

namespace weir::test {
namespace {

TEST_F(NatsPluginTest, MessagesOfCoreNatsBecomeEvents) {
  NatsServer server(folder);
  SourceRig nats(
      hub, weir_plugin_entry,
      config(server, R"("subjects":["shop.>"],"event":"{header:Type}","key":"{2}","id":"{header:Nats-Msg-Id}")"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  NatsClient client(server.url());
  client.publish("shop.eu.orders", R"({"n":1, "of":[2]})", {{"Type", "created"}, {"Nats-Msg-Id", "m-1"}});
  client.publish("shop.us", "not json");
  client.publish("other", "1");
  client.publish("shop.us", std::string("\x00\xff", 2));
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 3; }));
  EXPECT_EQ(hub.events[0].subject, "shop.eu.orders");
  EXPECT_EQ(hub.events[0].event, "created");
  EXPECT_EQ(hub.events[0].key, "eu");
  EXPECT_EQ(hub.events[0].id, "m-1");
  EXPECT_EQ(hub.events[0].data, R"({"n":1, "of":[2]})");
  EXPECT_EQ(hub.events[0].kind, WEIR_DATA_ANY);
  EXPECT_EQ(hub.events[1].event, "message");
  EXPECT_EQ(hub.events[2].data, std::string("\x00\xff", 2));
  EXPECT_TRUE(hub.gaps.empty());
}

TEST_F(NatsPluginTest, HeadersComeWithTheData) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["a"],"headers":["Trace-Id","X-*"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  NatsClient client(server.url());
  client.publish("a", "{\"n\":1}", {{"X-B", "1"}, {"Trace-Id", "t\x01"}, {"X-B", "\xff"}, {"x-b", "3"}});
  client.publish("a", "[1]");
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 2; }));
  EXPECT_EQ(hub.events[0].data, R"({"headers":{"Trace-Id":"t\u0001","X-B":["1",{"base64":"/w=="}]},"data":{"n":1}})");
  EXPECT_EQ(hub.events[0].kind, WEIR_DATA_JSON);
  EXPECT_EQ(hub.events[1].data, R"({"headers":{},"data":[1]})");
}

TEST_F(NatsPluginTest, AServerThatComesLaterIsFound) {
  NatsServer server(folder);
  server.kill();
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["a"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  server.start();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  NatsClient client(server.url());
  client.publish("a", "1");
  EXPECT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }));
  // What was sent before did not come here, and whoever was let in meanwhile must know.
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].subject, "");
  EXPECT_NE(hub.gaps[0].reason.find("there was no connection to NATS for"), std::string::npos) << hub.gaps[0].reason;
}

// The time before the first connection was told as part of the first break.
TEST_F(NatsPluginTest, AGapTellsHowLongThisBreakTook) {
  NatsServer server(folder);
  server.kill();
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["a"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  hub.advance(1'000'000);
  server.start();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  server.kill();
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  server.start();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  ASSERT_TRUE(hub.run_until([&] { return hub.gaps.size() == 2; }));
  const auto seconds = [&](std::size_t i) {
    const std::string& reason = hub.gaps[i].reason;
    return std::stol(reason.substr(reason.find(" for ") + 5));
  };
  EXPECT_GE(seconds(0), 1'000);
  EXPECT_LT(seconds(1), 1'000);
}

TEST_F(NatsPluginTest, WhereNothingFailedThereIsNoGap) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["a"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  NatsClient client(server.url());
  client.publish("a", "1");
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }));
  EXPECT_TRUE(hub.gaps.empty());
}

TEST_F(NatsPluginTest, AfterABreakThereIsAGap) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["a"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  server.kill();
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(hub.states.back().reason.find("broke"), std::string::npos) << hub.states.back().reason;
  server.start();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  ASSERT_TRUE(hub.run_until([&] { return hub.gaps.size() == 1; }));
  EXPECT_EQ(hub.gaps[0].subject, "");
  EXPECT_NE(hub.gaps[0].reason.find("was down for"), std::string::npos);
}

// It stood before events from before the break, where the hub had no room for these.
TEST_F(NatsPluginTest, AGapStandsBehindWhatTheHubHadNoRoomFor) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["a"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  hub.take_only(1);
  NatsClient client(server.url());
  for (int i = 0; i < 3; ++i) client.publish("a", std::to_string(i));
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["messages"] == 3; }));
  server.kill();
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  server.start();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  EXPECT_EQ(hub.events.size(), 1u);
  EXPECT_TRUE(hub.gaps.empty());
  nats.resume();
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 3; }));
  EXPECT_EQ(hub.gaps.size(), 1u);
}

TEST_F(NatsPluginTest, WhatDoesNotFitIsCountedInAGap) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["a"],"pending":{"messages":100})"));
  hub.take_only(10);
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  NatsClient client(server.url());
  constexpr std::size_t kAll = 20'000;
  for (std::size_t i = 0; i < kAll; ++i) client.publish("a", std::to_string(i));
  client.flush();
  const auto lost = [&] {
    std::size_t all = 0;
    for (const auto& gap : hub.gaps) all += gap.count;
    return all;
  };
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["dropped"] > 10'000; }, 20'000));
  nats.resume();
  EXPECT_TRUE(hub.run_until([&] { return hub.events.size() + lost() == kAll; }, 20'000))
      << hub.events.size() << " events of " << hub.metrics["messages"] << " messages, lost " << lost();
  for (std::size_t i = 1; i < hub.events.size(); ++i)
    ASSERT_LT(std::stoul(hub.events[i - 1].data), std::stoul(hub.events[i].data));
}

// A message of nothing but headers cost nothing, and thousands of them all memory.
TEST_F(NatsPluginTest, HeadersCountAsWell) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["a"],"pending":{"bytes":"1MiB"})"));
  hub.take_only(0);
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  NatsClient client(server.url());
  const std::string large(100'000, 'x');
  for (int i = 0; i < 200; ++i) client.publish("a", "", {{"Large", large}});
  client.flush();
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["dropped"] > 0; }, 20'000));
  EXPECT_TRUE(hub.gaps.empty());  // behind what waits
  nats.resume();
  ASSERT_TRUE(hub.run_until([&] { return !hub.gaps.empty(); }, 20'000));
  EXPECT_EQ(hub.gaps[0].subject, "");
  EXPECT_NE(hub.gaps[0].reason.find("`pending`"), std::string::npos) << hub.gaps[0].reason;
}

TEST_F(NatsPluginTest, WhatTheHubDoesNotTakeIsAGapOfItsSubjectOnly) {
  NatsServer server(folder);
  hub.data_bytes_max = 10;
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["a.>"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  NatsClient client(server.url());
  client.publish("a.large", "\"0123456789\"");
  ASSERT_TRUE(hub.run_until([&] { return hub.gaps.size() == 1; }));
  EXPECT_EQ(hub.gaps[0].subject, "a.large");
}

// The server's complaint overtook its answer to the PING behind the subscription in half of all connects, and was lost.
TEST_F(NatsPluginTest, ASubscriptionThatIsRefusedIsSaidEveryTime) {
  NatsServer server(
      folder, "authorization { users: [ {user: u, password: p, permissions: { subscribe: [\"orders.>\"] } } ] }\n");
  for (int i = 0; i < 12; ++i) {
    FakeHost own;
    SourceRig nats(own, weir_plugin_entry, config(server, R"("user":"u","password":"p","subjects":["secret.x"])"));
    ASSERT_EQ(nats.start(), WEIR_OK);
    ASSERT_TRUE(own.run_until([&] { return own.last_state() == WEIR_STATE_DEGRADED; }, 5'000)) << i;
    EXPECT_NE(own.states.back().reason.find("Permissions Violation for Subscription to \"secret.x\""),
              std::string::npos)
        << own.states.back().reason;
  }
  // Who reads subjects needs the right to those and to nothing else.
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("user":"u","password":"p","subjects":["orders.>"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  hub.run_ready();
  EXPECT_FALSE(hub.logged("the server complains"));
}

TEST_F(NatsPluginTest, WhoWeAreIsSaidAndARefusalIsTold) {
  NatsServer server(folder, "authorization { users: [ {user: anna, password: \"s3cret\"} ] }\n");
  {
    SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["a"],"user":"anna","password":"s3cret")"));
    ASSERT_EQ(nats.start(), WEIR_OK);
    EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
  }
  FakeHost other;
  SourceRig nats(other, weir_plugin_entry, config(server, R"("subjects":["a"],"user":"anna","password":"wrong")"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(other.run_until([&] { return other.last_state() == WEIR_STATE_RETRYING; }, 20'000));
  EXPECT_NE(other.states.back().reason.find("uthorization"), std::string::npos) << other.states.back().reason;
}

TEST_F(NatsPluginTest, ATokenIsSaid) {
  NatsServer server(folder, "authorization { token: \"t0ken\" }\n");
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["a"],"token":"t0ken")"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
}

// --- JetStream ------------------------------------------------------------------------------------------------------

const char* const kStream = R"("stream":{"name":"S","durable":"d","in_flight":50,"ack_wait":"500ms"})";

TEST_F(NatsPluginTest, AMessageIsAcknowledgedWhenTheHubHasIt) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  for (int i = 0; i < 20; ++i) client.publish_stored("s.a", std::to_string(i), "m" + std::to_string(i));
  SourceRig nats(hub, weir_plugin_entry, config(server, kStream));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 20; }, 20'000));
  EXPECT_EQ(hub.events[0].id, "S.1");
  EXPECT_EQ(hub.events[19].cursor, "20");
  EXPECT_EQ(client.ack_pending("S", "d"), 20);
  nats.accepted("15");
  EXPECT_TRUE(hub.run_until([&] { return client.ack_pending("S", "d") == 5; }));
  nats.accepted("20");
  EXPECT_TRUE(hub.run_until([&] { return client.ack_pending("S", "d") == 0; }));
}

// What the publisher called Status is none of the server's.
TEST_F(NatsPluginTest, HeadersOfAStreamComeWithTheData) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  client.publish("s.a", "", {{"Status", "404"}, {"Tag", "1"}, {"Tag", "2"}});
  client.publish("s.a", "2");
  SourceRig nats(hub, weir_plugin_entry, config(server, std::string(kStream) + R"(,"headers":["*"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 2; }, 20'000));
  EXPECT_EQ(hub.events[0].data, R"({"headers":{"Status":"404","Tag":["1","2"]},"data":""})");
  EXPECT_EQ(hub.events[1].data, R"({"headers":{},"data":2})");
}

// It was the time at which the hub had it.
TEST_F(NatsPluginTest, AnEventOfAStreamHappenedWhenItWasStored) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  client.publish("s.a", "1", {{"At", "1770724800123"}});
  client.publish("s.a", "2", {{"At", "yesterday"}});
  client.flush();
  for (const std::string time : {"", R"(,"time":"{header:At}")"}) {
    FakeHost own;
    const std::string stream = R"("stream":{"name":"S","durable":"d)" + std::to_string(time.size()) + "\"}";
    SourceRig nats(own, weir_plugin_entry, config(server, stream + time));
    ASSERT_EQ(nats.start(), WEIR_OK);
    ASSERT_TRUE(own.run_until([&] { return own.events.size() == 2; }, 20'000));
    EXPECT_EQ(own.events[0].time_ms, time.empty() ? client.stored_ms("S", 1) : 1'770'724'800'123);
    EXPECT_EQ(own.events[1].time_ms, client.stored_ms("S", 2));
  }
}

TEST_F(NatsPluginTest, AFullHubPausesTheStream) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  for (int i = 0; i < 500; ++i) client.publish_stored("s.a", std::to_string(i), "m" + std::to_string(i));
  hub.take_only(10);
  SourceRig nats(hub, weir_plugin_entry, config(server, kStream));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 10; }, 20'000));
  EXPECT_GE(client.unread("S", "d"), 450);  // no more than in_flight has left the stream
  nats.resume();
  std::size_t accepted = 0;
  while (accepted < 500) {
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() > accepted; }, 20'000)) << accepted;
    accepted = hub.events.size();
    nats.accepted(hub.events.back().cursor);
  }
  for (std::size_t i = 0; i < 500; ++i) ASSERT_EQ(hub.events[i].data, std::to_string(i));
}

TEST_F(NatsPluginTest, WhereANewConsumerBegins) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  for (int i = 1; i <= 10; ++i) client.publish_stored("s.a", std::to_string(i), "m" + std::to_string(i));
  // In the first tenth of a second, which cnats writes as a later part of it; so it begins with that second.
  std::uint64_t timed = 10;
  const auto fraction = [&] { return client.stored_ms("S", timed) % 1'000; };
  do {
    ++timed;
    client.publish_stored("s.a", std::to_string(timed), "m" + std::to_string(timed));
  } while (fraction() == 0 || fraction() >= 100);
  const std::string time = sdk::iso8601(client.stored_ms("S", timed));
  const std::int64_t second = client.stored_ms("S", timed) - fraction();
  while (timed > 1 && client.stored_ms("S", timed - 1) >= second) --timed;
  const auto first_of = [&](const std::string& durable, const std::string& from) {
    FakeHost own;
    SourceRig nats(own, weir_plugin_entry,
                   config(server, "\"stream\":{\"name\":\"S\",\"durable\":\"" + durable + "\",\"from\":" + from + "}"));
    EXPECT_EQ(nats.start(), WEIR_OK);
    EXPECT_TRUE(own.run_until([&] { return own.last_state() == WEIR_STATE_RUNNING; }, 20'000));
    client.publish_stored("s.a", "behind " + durable, "m-" + durable);
    EXPECT_TRUE(own.run_until([&] { return !own.events.empty(); }, 20'000));
    return own.events.empty() ? "" : own.events[0].data;
  };
  EXPECT_EQ(first_of("a", "\"all\""), "1");
  EXPECT_EQ(first_of("b", "7"), "7");
  EXPECT_EQ(first_of("c", "\"new\""), "behind c");
  EXPECT_EQ(first_of("d", "\"last\""), "behind c");
  EXPECT_EQ(first_of("e", "\"" + time + "\""), std::to_string(timed));
}

TEST_F(NatsPluginTest, AStreamThatIsNotThereIsToldAndFoundLater) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, kStream));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(hub.states.back().reason.find("there is no stream \"S\""), std::string::npos) << hub.states.back().reason;
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  client.publish_stored("s.a", "1", "m1");
  EXPECT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }, 20'000));
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
}

TEST_F(NatsPluginTest, WhatTheStreamHasThrownAwayIsToldByAGap) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>", 10);  // keeps ten
  client.publish_stored("s.a", "1", "m1");
  {
    SourceRig nats(hub, weir_plugin_entry, config(server, kStream));
    ASSERT_EQ(nats.start(), WEIR_OK);
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }, 20'000));
    nats.accepted("1");
    ASSERT_TRUE(hub.run_until([&] { return client.ack_pending("S", "d") == 0; }));
  }
  // Else the server might send one to who is there no more.
  ASSERT_TRUE(hub.run_until([&] { return client.asking("S", "d") == 0; }));
  for (int i = 2; i <= 30; ++i) client.publish_stored("s.a", std::to_string(i), "m" + std::to_string(i));
  FakeHost later;
  SourceRig nats(later, weir_plugin_entry, config(server, kStream));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(later.run_until([&] { return later.events.size() == 10; }, 20'000));
  ASSERT_EQ(later.gaps.size(), 1u);
  EXPECT_EQ(later.gaps[0].count, 19u);
  EXPECT_EQ(later.events[0].data, "21");
}

TEST_F(NatsPluginTest, AConsumerThatWasRemovedIsMadeAnewBehindWhatWasRead) {
  NatsServer server(folder);
  NatsClient client(server.url());
  client.add_stream("S", "s.>");
  for (int i = 1; i <= 5; ++i) client.publish_stored("s.a", std::to_string(i), "m" + std::to_string(i));
  SourceRig nats(hub, weir_plugin_entry, config(server, kStream));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 5; }, 20'000));
  nats.accepted("5");
  client.remove_consumer("S", "d");
  for (int i = 6; i <= 8; ++i) client.publish_stored("s.a", std::to_string(i), "m" + std::to_string(i));
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 8; }, 20'000));
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(hub.events[i].data, std::to_string(i + 1));
}

}  // namespace
}  // namespace weir::test
