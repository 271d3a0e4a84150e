// The way back: what the hub hands over arrives, over breaks and killed servers.
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "support/redis_server.hpp"
#include "support/tcp_proxy.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace weir::test {
namespace {

using sdk::testing::FakeHost;
using sdk::testing::Sent;
using sdk::testing::SinkSide;
using sdk::testing::SourceRig;

struct RedisSinkTest : testing::Test {
  RedisSinkTest()
      : folder(std::filesystem::temp_directory_path() /
               ("weir-redis-" + std::to_string(getpid()) +
                testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::create_directories(folder);
  }
  ~RedisSinkTest() override {
    EXPECT_TRUE(hub.mistakes.empty()) << hub.mistakes.front();
    std::filesystem::remove_all(folder);
  }
  static std::string config(std::uint16_t port, const std::string& more) {
    return "{\"url\":\"redis://127.0.0.1:" + std::to_string(port) + "\"" + (more.empty() ? "" : ",") + more + "}";
  }
  bool reaches(std::int32_t state) {
    return hub.run_until([&] { return hub.last_state() == state; }, 20'000);
  }
  bool published(double count) {
    return hub.run_until([&] { return hub.metrics["published"] == count; }, 20'000);
  }
  const std::filesystem::path folder;
  FakeHost hub;
};

std::vector<Sent> numbered(const std::string& subject, int from, int to) {
  std::vector<Sent> out;
  for (int i = from; i < to; ++i)
    out.push_back({.subject = subject, .event = "n", .data = std::to_string(i), .id = "id-" + std::to_string(i)});
  return out;
}

const char* const kStream = R"("publish":{"to":"stream"})";

TEST_F(RedisSinkTest, EventsBecomeMessages) {
  RedisServer server(folder);
  FakeHost other;
  SourceRig listens(other, weir_plugin_entry, config(server.port(), R"("patterns":["shop:*"])"));
  ASSERT_EQ(listens.start(), WEIR_OK);
  ASSERT_TRUE(other.run_until([&] { return other.last_state() == WEIR_STATE_RUNNING; }, 20'000));
  SourceRig redis(hub, weir_plugin_entry, config(server.port(), ""));
  ASSERT_EQ(redis.start(), WEIR_OK);
  SinkSide sink(weir_plugin_entry, redis.instance());
  EXPECT_EQ(sink.deliver({{.subject = "shop:eu"}}), 0u);  // there is no connection yet
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  EXPECT_EQ(hub.sink_readies, 1u);
  weir_status status = WEIR_OK;
  EXPECT_EQ(
      sink.deliver({{.subject = "shop:eu", .data = R"({"n": 1})"}, {.subject = ""}, {.subject = "shop:us"}}, &status),
      1u);
  EXPECT_EQ(status, WEIR_E_INVALID);
  EXPECT_EQ(sink.deliver({{.subject = "shop:a b\r\n"}}), 1u);  // Redis takes any name
  ASSERT_TRUE(other.run_until([&] { return other.events.size() == 2; }, 20'000));
  EXPECT_EQ(other.events[0].subject, "shop:eu");
  EXPECT_EQ(other.events[0].data, R"({"n": 1})");
  EXPECT_EQ(other.events[1].subject, "shop:a b\r\n");
  EXPECT_TRUE(published(2));
}

TEST_F(RedisSinkTest, EventsBecomeEntriesOfAStream) {
  RedisServer server(folder);
  RedisClient client(server.port());
  SourceRig redis(hub, weir_plugin_entry, config(server.port(), R"("publish":{"to":"stream","max_length":1000})"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  SinkSide sink(weir_plugin_entry, redis.instance());
  ASSERT_EQ(sink.deliver({{"s", "created", "[1]", "e-1", "k", 7}, {.subject = "s", .id = "e-2"}}), 2u);
  ASSERT_TRUE(published(2));
  const std::string entries = client.say({"XRANGE", "s", "-", "+"});
  EXPECT_NE(entries.find("[event,created,data,[1],id,e-1,time,7,key,k]"), std::string::npos) << entries;
  EXPECT_NE(entries.find("[event,e,data,{},id,e-2,time,1]"), std::string::npos) << entries;
  std::size_t given = 0;
  while (given < 5'000) {
    const std::size_t readies = hub.sink_readies;
    const std::size_t taken = sink.deliver(numbered("s", 0, 500));
    given += taken;
    if (taken < 500) {
      ASSERT_TRUE(hub.run_until([&] { return hub.sink_readies > readies; }, 20'000));
    }
  }
  ASSERT_TRUE(published(static_cast<double>(given + 2)));
  EXPECT_LT(client.number({"XLEN", "s"}), 2'000);
}

TEST_F(RedisSinkTest, WhatTheServerRefusesIsCountedAndLeftOut) {
  RedisServer server(folder);
  RedisClient client(server.port());
  client.say({"SET", "text", "1"});
  SourceRig redis(hub, weir_plugin_entry, config(server.port(), kStream));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  SinkSide sink(weir_plugin_entry, redis.instance());
  ASSERT_EQ(sink.deliver({{.subject = "s"}, {.subject = "text"}, {.subject = "s"}}), 3u);
  ASSERT_TRUE(published(2));
  EXPECT_EQ(hub.metrics["publish_lost"], 1);
  EXPECT_TRUE(hub.logged("an event for text can't be published: WRONGTYPE"));
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
}

// A server that can't now is asked again.
TEST_F(RedisSinkTest, WhatTheServerCantTakeNowIsKept) {
  RedisServer server(folder);
  RedisClient client(server.port());
  client.say({"CONFIG", "SET", "maxmemory", "1"});
  SourceRig redis(hub, weir_plugin_entry, config(server.port(), kStream));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  SinkSide sink(weir_plugin_entry, redis.instance());
  ASSERT_EQ(sink.deliver(numbered("s", 0, 10)), 10u);
  ASSERT_TRUE(hub.run_until(
      [&] { return !hub.states.empty() && hub.states.back().reason.find("OOM") != std::string::npos; }, 20'000));
  client.say({"CONFIG", "SET", "maxmemory", "0"});
  ASSERT_TRUE(published(10));
  EXPECT_EQ(client.number({"XLEN", "s"}), 10);
  EXPECT_EQ(hub.metrics["publish_lost"], 0);
}

// kill -9 under load: every event that was taken is there at least once, for the first time in its order.
TEST_F(RedisSinkTest, OverAKilledServerEveryEventIsStored) {
  RedisServer server(folder, {"--appendonly", "yes", "--appendfsync", "always"});
  SourceRig redis(hub, weir_plugin_entry, config(server.port(), kStream));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  SinkSide sink(weir_plugin_entry, redis.instance());
  constexpr std::size_t kAll = 6'000;
  const auto all = numbered("s", 0, kAll);
  std::size_t next_kill = 1'500;
  for (std::size_t at = 0; at < kAll;) {
    if (at >= next_kill) {
      next_kill += 2'000;
      server.kill();
      server.start();
    }
    const std::size_t readies = hub.sink_readies;
    const std::size_t count = std::min<std::size_t>(64, kAll - at);
    const auto from = all.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t taken = sink.deliver({from, from + static_cast<std::ptrdiff_t>(count)});
    at += taken;
    if (taken == count)
      hub.run_ready();
    else
      ASSERT_TRUE(hub.run_until([&] { return hub.sink_readies > readies; }, 30'000));
  }
  ASSERT_TRUE(published(kAll)) << hub.metrics["published"];
  EXPECT_GE(hub.metrics["reconnects"], 3);
  EXPECT_EQ(hub.metrics["publish_lost"], 0);
  redisContext* context = redisConnect("127.0.0.1", server.port());
  auto* reply = static_cast<redisReply*>(redisCommand(context, "XRANGE s - +"));
  ASSERT_NE(reply, nullptr);
  std::set<int> seen;
  int highest = -1;
  for (std::size_t i = 0; i < reply->elements; ++i) {
    const redisReply* fields = reply->element[i]->element[1];
    const int n = std::stoi(fields->element[3]->str);
    if (!seen.insert(n).second) continue;
    EXPECT_EQ(n, highest + 1);
    highest = n;
  }
  freeReplyObject(reply);
  redisFree(context);
  EXPECT_EQ(seen.size(), kAll);
}

TEST_F(RedisSinkTest, AServerThatDoesNotAnswerIsLeftAndRoomIsBounded) {
  RedisServer server(folder);
  SourceRig redis(hub, weir_plugin_entry, config(server.port(), std::string(kStream) + R"(,"ping":"100ms")"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  SinkSide sink(weir_plugin_entry, redis.instance());
  server.freeze();
  EXPECT_EQ(sink.deliver(numbered("s", 0, 3'000)), 1'024u);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  server.thaw();
  ASSERT_TRUE(published(1'024));
  EXPECT_GE(hub.sink_readies, 1u);
  const std::vector<Sent> large(20, Sent{.subject = "s", .data = "\"" + std::string(500'000, 'x') + "\""});
  server.freeze();
  EXPECT_EQ(sink.deliver(large), 9u);  // the one that goes beyond 4 MiB is the last
  server.thaw();
  EXPECT_TRUE(published(1'033));
}

TEST_F(RedisSinkTest, BeforeTheEndAllGoesOutOrIsCounted) {
  RedisServer server(folder);
  RedisClient client(server.port());
  TcpProxy proxy(server.port());
  for (const bool cut : {false, true}) {
    FakeHost own;
    {
      SourceRig redis(own, weir_plugin_entry, config(proxy.port(), kStream));
      ASSERT_EQ(redis.start(), WEIR_OK);
      ASSERT_TRUE(own.run_until([&] { return own.last_state() == WEIR_STATE_RUNNING; }, 20'000));
      SinkSide sink(weir_plugin_entry, redis.instance());
      if (cut) proxy.cut();
      ASSERT_EQ(sink.deliver(numbered("s", 0, 1'000)), 1'000u);
    }  // at once
    EXPECT_EQ(own.metrics["publish_lost"], cut ? 1'000 : 0);
    EXPECT_EQ(own.logged("1000 events were taken and could not be published"), cut);
  }
  EXPECT_EQ(client.number({"XLEN", "s"}), 1'000);
}

// The connection that publishes is one more: what is wrong with it does not hide that events come.
TEST_F(RedisSinkTest, ASourceThatPublishesAsWell) {
  RedisServer server(folder);
  SourceRig redis(hub, weir_plugin_entry, config(server.port(), R"("channels":["loop"])"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  SinkSide sink(weir_plugin_entry, redis.instance());
  EXPECT_EQ(sink.deliver({{.subject = "loop"}}), 0u);  // the connection is opened now
  ASSERT_TRUE(hub.run_until([&] { return hub.sink_readies == 1; }, 20'000));
  EXPECT_EQ(sink.deliver(numbered("loop", 0, 3)), 3u);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 3; }, 20'000));
  EXPECT_EQ(hub.events[2].data, "2");
}

}  // namespace
}  // namespace weir::test
