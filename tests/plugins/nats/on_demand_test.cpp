// Subjects that are subscribed to while somebody watches them.
#include "fixture.hpp"
#include "support/tcp_proxy.hpp"

namespace weir::test {
namespace {

struct NatsOnDemandTest : NatsPluginTest {
  bool ready(std::uint64_t token) {
    return hub.run_until([&] { return hub.answers.contains(token); }, 20'000) && hub.answers[token].status == WEIR_OK;
  }
  // The data of the events that came, once "end" is there: it is published behind them, on a subject that is watched.
  std::vector<std::string> until_end() {
    EXPECT_TRUE(hub.run_until([&] { return !hub.events.empty() && hub.events.back().data == "end"; }, 20'000));
    std::vector<std::string> out;
    for (const auto& event : hub.events) out.push_back(event.data);
    hub.events.clear();
    return out;
  }
};

using Data = std::vector<std::string>;

TEST_F(NatsOnDemandTest, EventsComeWhileTheyAreWatched) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["always"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  NatsClient client(server.url());
  client.publish("shop.eu", "\"before\"");
  client.flush();
  ASSERT_TRUE(ready(nats.activate("shop.eu")));
  client.publish("shop.eu", "1");  // the server has the subscription: nothing is missed from now on
  client.publish("shop.us", "2");
  client.publish("always", "end");
  EXPECT_EQ(until_end(), (Data{"1", "end"}));
  nats.deactivate("shop.eu");
  ASSERT_TRUE(ready(nats.activate("shop.us")));  // behind it in the server's order
  client.publish("shop.eu", "3");
  client.publish("shop.us", "4");
  client.publish("always", "end");
  EXPECT_EQ(until_end(), (Data{"4", "end"}));
  EXPECT_TRUE(hub.gaps.empty());
}

TEST_F(NatsOnDemandTest, NothingComesTwice) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["z","a.x.c"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  NatsClient client(server.url());
  for (const char* subject : {"a.*.c", "*.b.c", "a.b.c"}) ASSERT_TRUE(ready(nats.activate(subject)));
  hub.gaps.clear();
  const auto publish = [&] {
    for (const char* subject : {"a.b.c", "a.x.c", "x.b.c", "x.y.c"})
      client.publish(subject, "\"" + std::string(subject) + "\"");
    client.publish("z", "end");
  };
  publish();
  EXPECT_EQ(until_end(), (Data{"\"a.b.c\"", "\"a.x.c\"", "\"x.b.c\"", "end"}));
  // A wider one takes their place: said, as around that moment something may be missing.
  ASSERT_TRUE(ready(nats.activate("**")));
  std::vector<std::string> said;
  for (const auto& gap : hub.gaps) said.push_back(gap.subject);
  EXPECT_EQ(said, (Data{"*.b.c", "a.*.c", "a.b.c", "a.x.c", "z"}));
  publish();
  EXPECT_EQ(until_end(), (Data{"\"a.b.c\"", "\"a.x.c\"", "\"x.b.c\"", "\"x.y.c\"", "end"}));
  // And when it goes away.
  hub.gaps.clear();
  nats.deactivate("**");
  EXPECT_EQ(hub.gaps.size(), 5u);
  ASSERT_TRUE(ready(nats.activate("other")));
  publish();
  EXPECT_EQ(until_end(), (Data{"\"a.b.c\"", "\"a.x.c\"", "\"x.b.c\"", "end"}));
}

// The hub does not know who is fed by a subject with wildcards that is always there, so all are told.
TEST_F(NatsOnDemandTest, WhoIsFedByWildcardsIsToldThatTheyMoved) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("subjects":["orders.*"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  ASSERT_TRUE(ready(nats.activate("**")));
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].subject, "");
}

TEST_F(NatsOnDemandTest, AQueueGroupSharesAndLosesNothing) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("queue":"q")"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  NatsClient client(server.url());
  for (const char* subject : {"a.*.c", "*.b.c"}) ASSERT_TRUE(ready(nats.activate(subject)));
  for (int i = 0; i < 200; ++i) client.publish("a.b.c", std::to_string(i));
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() >= 200; }, 20'000)) << hub.events.size();
  client.publish("a.x.c", "end");
  EXPECT_EQ(until_end().size(), 201u);
}

TEST_F(NatsOnDemandTest, AfterABreakThereIsAGapOnEach) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, ""));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  for (const char* subject : {"a.**", "b.1"}) ASSERT_TRUE(ready(nats.activate(subject)));
  server.kill();
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  const auto away = nats.activate("b.2");
  EXPECT_EQ(hub.answers[away].status, WEIR_OK);  // at once: it will come
  nats.deactivate("b.1");
  server.start();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  std::vector<std::string> said;
  for (const auto& gap : hub.gaps) said.push_back(gap.subject);
  EXPECT_EQ(said, (Data{"a.**", "b.2"}));
  NatsClient client(server.url());
  for (const char* subject : {"b.1", "a.x.y", "b.2"}) client.publish(subject, "\"" + std::string(subject) + "\"");
  client.publish("a.z", "end");
  EXPECT_EQ(until_end(), (Data{"\"a.x.y\"", "\"b.2\"", "end"}));
}

TEST_F(NatsOnDemandTest, ThousandsOfSubjectsNeedNoThousandsOfThreads) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, ""));
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  std::uint64_t last = 0;
  for (int i = 0; i < 5'000; ++i) last = nats.activate("s." + std::to_string(i));
  ASSERT_TRUE(ready(last));
  const auto threads = std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
  EXPECT_LT(threads, 32);
  NatsClient client(server.url());
  for (int i = 0; i < 5'000; ++i) client.publish("s." + std::to_string(i), std::to_string(i));
  EXPECT_TRUE(hub.run_until([&] { return hub.events.size() == 5'000; }, 20'000)) << hub.events.size();
  for (int i = 0; i < 5'000; ++i) nats.deactivate("s." + std::to_string(i));
  EXPECT_TRUE(hub.gaps.empty());
}

TEST_F(NatsOnDemandTest, WhatCantBeWatchedIsRefused) {
  NatsServer server(folder);
  SourceRig nats(hub, weir_plugin_entry, config(server, ""));
  ASSERT_EQ(nats.start(), WEIR_OK);
  for (const char* wrong : {"", "a..b", "a.>", "a b"}) {
    const auto token = nats.activate(wrong);
    EXPECT_EQ(hub.answers[token].status, WEIR_E_INVALID) << wrong;
    nats.deactivate(wrong);
  }
  FakeHost other;
  SourceRig stream(other, weir_plugin_entry, config(server, R"("stream":{"name":"S"})"));
  ASSERT_EQ(stream.start(), WEIR_OK);
  const auto token = stream.activate("a");
  EXPECT_EQ(other.answers[token].status, WEIR_E_INVALID);
  EXPECT_NE(other.answers[token].json.find("reads a stream"), std::string::npos);
}

}  // namespace
}  // namespace weir::test
