// The plugin beside a real redis-server, without a hub: who we are, what a full hub means, what is acknowledged when.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "support/redis_server.hpp"
#include "support/tcp_proxy.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace weir::test {
namespace {

using sdk::testing::FakeHost;
using sdk::testing::SourceRig;

struct RedisPluginTest : testing::Test {
  RedisPluginTest()
      : folder(std::filesystem::temp_directory_path() /
               ("weir-redis-" + std::to_string(getpid()) +
                testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::create_directories(folder);
  }
  ~RedisPluginTest() override {
    EXPECT_TRUE(hub.mistakes.empty()) << hub.mistakes.front();
    std::filesystem::remove_all(folder);
  }
  static std::string config(const RedisServer& server, const std::string& more) {
    return "{\"url\":\"" + server.url() + "\"," + more + "}";
  }
  bool reaches(std::int32_t state) {
    return hub.run_until([&] { return hub.last_state() == state; }, 20'000);
  }
  const std::filesystem::path folder;
  FakeHost hub;
};

TEST_F(RedisPluginTest, MessagesOfPubSubBecomeEvents) {
  RedisServer server(folder);
  SourceRig redis(hub, weir_plugin_entry, config(server, R"("channels":["a:b"],"patterns":["shop:*"],"event":"said")"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  RedisClient client(server.port());
  client.say({"PUBLISH", "a:b", R"({"n": 1})"});
  client.say({"PUBLISH", "shop:eu", "text"});
  client.say({"PUBLISH", "other", "1"});
  client.say({"PUBLISH", "shop:us", std::string("\0\xff", 2)});
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 3; }));
  EXPECT_EQ(hub.events[0].subject, "a:b");
  EXPECT_EQ(hub.events[0].event, "said");
  EXPECT_EQ(hub.events[0].data, R"({"n": 1})");
  EXPECT_EQ(hub.events[0].kind, WEIR_DATA_ANY);
  EXPECT_EQ(hub.events[1].subject, "shop:eu");
  EXPECT_EQ(hub.events[2].data, std::string("\0\xff", 2));
  EXPECT_TRUE(hub.gaps.empty());
}

TEST_F(RedisPluginTest, AfterABreakThereIsAGap) {
  RedisServer server(folder);
  SourceRig redis(hub, weir_plugin_entry, config(server, R"("channels":["a"])"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  server.kill();
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  server.start();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_NE(hub.gaps[0].reason.find("was down for"), std::string::npos);
}

TEST_F(RedisPluginTest, AServerThatComesLateIsAGap) {
  RedisServer server(folder);
  server.kill();
  SourceRig redis(hub, weir_plugin_entry, config(server, R"("channels":["a"])"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  server.start();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_NE(hub.gaps[0].reason.find("there was no connection to Redis"), std::string::npos) << hub.gaps[0].reason;
}

TEST_F(RedisPluginTest, WhatTheHubDoesNotTakeIsAGapOfItsSubjectOnly) {
  RedisServer server(folder);
  hub.data_bytes_max = 10;
  SourceRig redis(hub, weir_plugin_entry, config(server, R"("patterns":["*"])"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  RedisClient client(server.port());
  client.say({"PUBLISH", "a:large", "\"0123456789\""});
  ASSERT_TRUE(hub.run_until([&] { return hub.gaps.size() == 1; }));
  EXPECT_EQ(hub.gaps[0].subject, "a:large");
}

// The time of day went back by an hour: for that hour no dead server was noticed.
TEST_F(RedisPluginTest, AFrozenServerIsLeftWhateverTheTimeOfDay) {
  RedisServer server(folder);
  SourceRig redis(hub, weir_plugin_entry, config(server, R"("channels":["a"],"ping":"100ms")"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  server.freeze();
  hub.set_now_ms(hub.now_ms() - 3'600'000);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  server.thaw();
  EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
}

TEST_F(RedisPluginTest, APasswordThatTheServerQuotesIsNotShown) {
  RedisServer server(folder, {"--rename-command", "AUTH", ""});
  SourceRig redis(hub, weir_plugin_entry, config(server, R"("channels":["a"],"password":"s3cret-word")"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  for (const auto& state : hub.states) EXPECT_EQ(state.reason.find("s3cret"), std::string::npos) << state.reason;
  EXPECT_NE(hub.states.back().reason.find("AUTH"), std::string::npos) << hub.states.back().reason;
}

TEST_F(RedisPluginTest, AServerThatDoesNotAnswerIsLeft) {
  RedisServer server(folder);
  SourceRig redis(hub, weir_plugin_entry, config(server, R"("channels":["a"],"ping":"100ms")"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  server.freeze();
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(hub.states.back().reason.find("does not answer"), std::string::npos) << hub.states.back().reason;
  server.thaw();
  EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
}

// The server ends who reads too slowly; that is how a full hub comes to lose something.
TEST_F(RedisPluginTest, BeingCutByTheOutputBufferLimitIsAGap) {
  RedisServer server(folder, {"--client-output-buffer-limit", "pubsub 64kb 64kb 1"});
  hub.take_only(1, WEIR_PAUSE);
  SourceRig redis(hub, weir_plugin_entry, config(server, R"("channels":["a"])"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  RedisClient client(server.port());
  client.say({"PUBLISH", "a", "1"});
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }));
  const std::string large = "\"" + std::string(20'000, 'x') + "\"";  // one alone is below the limit
  ASSERT_TRUE(hub.run_until([&] {
    for (int i = 0; i < 50; ++i) client.say({"PUBLISH", "a", large});
    return client.subscribers("a") == 0;
  }));
  // Of the time that the hub was full after that the gap said nothing: "down for 1 s".
  hub.advance(3'600'000);
  redis.resume();
  ASSERT_TRUE(hub.run_until([&] { return hub.gaps.size() == 1; }, 20'000));
  EXPECT_NE(hub.gaps[0].reason.find(" for 36"), std::string::npos) << hub.gaps[0].reason;
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
  client.say({"PUBLISH", "a", "\"after\""});
  EXPECT_TRUE(hub.run_until([&] { return !hub.events.empty() && hub.events.back().data == "\"after\""; }));
}

// The time of a break began when the hub had been full, hours ago, though the connection had been read since.
TEST_F(RedisPluginTest, AFullHubThatIsOverIsNoPartOfALaterBreak) {
  RedisServer server(folder);
  SourceRig redis(hub, weir_plugin_entry, config(server, R"("channels":["a"],"ping":"10h")"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  RedisClient client(server.port());
  const auto pings = [&] {
    const std::string stats = client.say({"INFO", "commandstats"});
    const auto at = stats.find("cmdstat_ping:calls=");
    return at == std::string::npos ? 0 : std::strtoll(stats.c_str() + at + 19, nullptr, 10);
  };
  redis.pause();
  redis.resume();
  ASSERT_TRUE(hub.run_until([&] { return pings() >= 1; }));
  client.say({"PUBLISH", "a", "1"});  // comes behind the answer
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }));
  hub.advance(3'600'000);
  server.kill();
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  server.start();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  ASSERT_EQ(hub.gaps.size(), 1u);
  const std::string& why = hub.gaps[0].reason;
  ASSERT_NE(why.find("was down for "), std::string::npos) << why;
  EXPECT_LT(std::strtoll(why.c_str() + why.find(" for ") + 5, nullptr, 10), 3'600) << why;
}

TEST_F(RedisPluginTest, WhoWeAreIsSaidAndARefusalIsTold) {
  RedisServer server(folder, {"--requirepass", "s3cret"});
  {
    SourceRig redis(hub, weir_plugin_entry, config(server, R"("channels":["a"],"password":"s3cret")"));
    ASSERT_EQ(redis.start(), WEIR_OK);
    EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
  }
  for (const char* wrong :
       {R"("channels":["a"],"password":"wrong")", R"("channels":["a"])", R"("stream":{"keys":["a"]})"}) {
    FakeHost other;
    SourceRig redis(other, weir_plugin_entry, config(server, wrong));
    ASSERT_EQ(redis.start(), WEIR_OK);
    ASSERT_TRUE(other.run_until([&] { return other.last_state() == WEIR_STATE_RETRYING; }, 20'000)) << wrong;
    const std::string& why = other.states.back().reason;
    EXPECT_TRUE(why.find("WRONGPASS") != std::string::npos || why.find("NOAUTH") != std::string::npos) << why;
  }
}

// --- Streams --------------------------------------------------------------------------------------------------------

const char* const kStream = R"("stream":{"keys":["s"],"group":"g","consumer":"c","field":"data","in_flight":50})";

std::int64_t pending(RedisClient& client) {
  const std::string reply = client.say({"XPENDING", "s", "g"});  // [count,...
  return reply.starts_with("[") ? std::strtoll(reply.c_str() + 1, nullptr, 10) : -1;
}

TEST_F(RedisPluginTest, AnEntryIsAcknowledgedWhenTheHubHasIt) {
  RedisServer server(folder);
  RedisClient client(server.port());
  for (int i = 1; i <= 20; ++i) client.add("s", i, "data", std::to_string(i));
  SourceRig redis(hub, weir_plugin_entry, config(server, kStream));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 20; }, 20'000));
  EXPECT_EQ(hub.events[0].id, "1-0");
  EXPECT_EQ(hub.events[0].subject, "s");
  EXPECT_EQ(hub.events[6].data, "7");
  EXPECT_EQ(hub.events[6].time_ms, 7);
  EXPECT_EQ(pending(client), 20);
  redis.accepted(hub.events[14].cursor);
  EXPECT_TRUE(hub.run_until([&] { return pending(client) == 5; }));
  redis.accepted(hub.events[19].cursor);
  EXPECT_TRUE(hub.run_until([&] { return pending(client) == 0; }));
}

TEST_F(RedisPluginTest, AFullHubPausesTheStream) {
  RedisServer server(folder);
  RedisClient client(server.port());
  for (int i = 1; i <= 500; ++i) client.add("s", i, "data", std::to_string(i));
  hub.take_only(10);
  SourceRig redis(hub, weir_plugin_entry, config(server, kStream));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 10 && pending(client) > 0; }, 20'000));
  EXPECT_LE(pending(client), 50);
  redis.resume();
  std::size_t accepted = 0;
  while (accepted < 500) {
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() > accepted; }, 20'000)) << accepted;
    accepted = hub.events.size();
    redis.accepted(hub.events.back().cursor);
    EXPECT_LE(pending(client), 100);
  }
  for (std::size_t i = 0; i < 500; ++i) ASSERT_EQ(hub.events[i].data, std::to_string(i + 1));
}

TEST_F(RedisPluginTest, ANewGroupBeginsWhereTheManifestSays) {
  RedisServer server(folder);
  RedisClient client(server.port());
  for (int i = 1; i <= 5; ++i) client.add("s", i, "data", std::to_string(i));
  const auto first_of = [&](const std::string& group, const std::string& from) {
    FakeHost own;
    SourceRig redis(
        own, weir_plugin_entry,
        config(server, R"("stream":{"keys":["s"],"field":"data","group":")" + group + R"(","from":")" + from + "\"}"));
    EXPECT_EQ(redis.start(), WEIR_OK);
    EXPECT_TRUE(own.run_until([&] { return own.last_state() == WEIR_STATE_RUNNING; }, 20'000));
    client.say({"XADD", "s", "*", "data", "last"});
    EXPECT_TRUE(own.run_until([&] { return !own.events.empty(); }, 20'000));
    return own.events.empty() ? "" : own.events[0].data;
  };
  EXPECT_EQ(first_of("a", "all"), "1");
  EXPECT_EQ(first_of("b", "3-0"), "4");
  EXPECT_EQ(first_of("c", "new"), "last");
}

TEST_F(RedisPluginTest, WhatAnotherConsumerLeftBehindIsClaimed) {
  RedisServer server(folder);
  RedisClient client(server.port());
  for (int i = 1; i <= 5; ++i) client.add("s", i, "data", std::to_string(i));
  client.say({"XGROUP", "CREATE", "s", "g", "0"});
  client.say({"XREADGROUP", "GROUP", "g", "dead", "COUNT", "3", "STREAMS", "s", ">"});
  SourceRig redis(hub, weir_plugin_entry,
                  config(server, R"("stream":{"keys":["s"],"group":"g","consumer":"c","field":"data","claim":"1s"})"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 5; }, 20'000));
  redis.accepted(hub.events.back().cursor);
  EXPECT_TRUE(hub.run_until([&] { return pending(client) == 0; }));
  std::vector<std::string> data;
  for (const auto& event : hub.events) data.push_back(event.data);
  std::sort(data.begin(), data.end());
  EXPECT_EQ(data, (std::vector<std::string>{"1", "2", "3", "4", "5"}));
}

// Where the connection that acknowledges came back first it was told at once of what was done meanwhile, and the answer
// counted for what it had been told before the break: that was claimed as if another consumer had left it behind, and
// doubled. Which of the two comes first is left to chance, so there are several breaks.
TEST_F(RedisPluginTest, WhatIsAcknowledgedOverABreakIsNotClaimed) {
  RedisServer server(folder);
  RedisClient client(server.port());
  TcpProxy proxy(server.port());
  SourceRig redis(hub, weir_plugin_entry,
                  "{\"url\":\"redis://127.0.0.1:" + std::to_string(proxy.port()) +
                      R"(","stream":{"keys":["s"],"group":"g","consumer":"c","field":"data","claim":"1s"}})");
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  std::vector<std::string> added;
  const auto add = [&] {
    added.push_back(std::to_string(added.size() + 1));
    client.add("s", static_cast<int>(added.size()), "data", added.back());
  };
  for (int round = 1; round <= 8; ++round) {
    add(), add();
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() >= added.size(); }, 20'000)) << round;
    proxy.cut();
    redis.accepted(hub.events[added.size() - 2].cursor);  // the server does not hear of it
    proxy.admit(1);
    proxy.heal();
    int looks = 0;
    ASSERT_TRUE(hub.run_until([&] {
      return client.say({"CLIENT", "LIST"}).find(" name=weir ") != std::string::npos && ++looks == 5;
    })) << round;
    redis.accepted(hub.events[added.size() - 1].cursor);
    proxy.admit(2);
    ASSERT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_RUNNING && pending(client) == 0; }, 20'000))
        << round;
  }
  EXPECT_TRUE(hub.run_until([&] { return hub.metrics["acknowledged"] == static_cast<double>(added.size()); }));
  std::vector<std::string> data;
  for (const auto& event : hub.events) data.push_back(event.data);
  EXPECT_EQ(data, added);
  EXPECT_EQ(hub.metrics["claimed"], 0);
}

// It is an event already: that it was trimmed before it was acknowledged was told as a loss.
TEST_F(RedisPluginTest, WhatIsRemovedWhileItIsInFlightIsNotLost) {
  RedisServer server(folder);
  RedisClient client(server.port());
  for (int i = 1; i <= 2; ++i) client.add("s", i, "data", std::to_string(i));
  client.say({"XGROUP", "CREATE", "s", "g", "0"});
  client.say({"XREADGROUP", "GROUP", "g", "dead", "COUNT", "1", "STREAMS", "s", ">"});
  client.say({"XDEL", "s", "1-0"});
  SourceRig redis(hub, weir_plugin_entry,
                  config(server, R"("stream":{"keys":["s"],"group":"g","consumer":"c","field":"data","claim":"1s"})"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1 && hub.gaps.size() == 1; }, 20'000));
  client.say({"XDEL", "s", "2-0"});
  ASSERT_TRUE(hub.run_until([&] { return pending(client) == 0; }));  // it was looked at for being left behind
  redis.accepted(hub.events.back().cursor);
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["acknowledged"] == 1; }));  // answered behind that
  ASSERT_EQ(hub.gaps.size(), 1u) << hub.gaps.back().reason;
  EXPECT_NE(hub.gaps[0].reason.find("entry 1-0 was removed"), std::string::npos) << hub.gaps[0].reason;
}

TEST_F(RedisPluginTest, AGroupThatWasRemovedIsMadeAnewBehindWhatWasRead) {
  RedisServer server(folder);
  RedisClient client(server.port());
  for (int i = 1; i <= 5; ++i) client.add("s", i, "data", std::to_string(i));
  SourceRig redis(hub, weir_plugin_entry, config(server, kStream));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 5; }, 20'000));
  client.say({"XGROUP", "DESTROY", "s", "g"});
  redis.accepted(hub.events.back().cursor);
  for (int i = 6; i <= 8; ++i) client.add("s", i, "data", std::to_string(i));
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 8; }, 20'000));
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(hub.events[i].data, std::to_string(i + 1));
}

// 100 entries at once, whatever they weigh, were in memory before the first of them was looked at.
TEST_F(RedisPluginTest, AReplyIsBoundedInBytes) {
  RedisServer server(folder);
  RedisClient client(server.port());
  constexpr int kAll = 60;
  const std::string large = "\"" + std::string(500'000, 'x') + "\"";
  for (int i = 1; i <= kAll; ++i) client.add("s", i, "data", large);
  hub.take_only(1);
  SourceRig redis(hub, weir_plugin_entry, config(server, kStream));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }, 20'000));
  const auto sent = [&] {  // by the server, of data
    const std::string stats = client.say({"INFO", "stats"});
    return std::strtoll(stats.c_str() + stats.find("total_net_output_bytes:") + 23, nullptr, 10);
  };
  // Full: nothing is fetched to be thrown away, whatever is accepted and however often it looks.
  hub.run_ready();
  const auto before = sent();
  EXPECT_LT(before, 10'000'000);
  redis.accepted(hub.events.back().cursor);
  hub.advance(2'000);
  hub.run_ready();
  ASSERT_TRUE(hub.run_until([&] { return pending(client) >= 0; }));
  EXPECT_LT(sent(), before + 1'000'000);
  redis.resume();
  std::size_t accepted = 0;
  while (accepted < kAll) {
    ASSERT_TRUE(hub.run_until([&] { return hub.events.size() > accepted; }, 20'000)) << accepted;
    accepted = hub.events.size();
    redis.accepted(hub.events.back().cursor);
  }
  for (std::size_t i = 0; i < kAll; ++i) ASSERT_EQ(hub.events[i].id, std::to_string(i + 1) + "-0");
  EXPECT_LT(sent(), kAll * 500'000 * 2);
}

// An error of XACK counted as done, and at the next start all of it came a second time.
TEST_F(RedisPluginTest, WhatTheServerDoesNotTakeAsAcknowledgedIsToldItAgain) {
  RedisServer server(folder);
  RedisClient client(server.port());
  client.say({"ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-xack"});
  for (int i = 1; i <= 5; ++i) client.add("s", i, "data", std::to_string(i));
  SourceRig redis(hub, weir_plugin_entry, config(server, std::string(kStream) + R"(,"user":"u","password":"p")"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 5; }, 20'000));
  redis.accepted(hub.events.back().cursor);
  ASSERT_TRUE(hub.run_until(
      [&] {
        return hub.last_state() == WEIR_STATE_RETRYING && hub.states.back().reason.find("XACK") != std::string::npos;
      },
      20'000));
  EXPECT_EQ(hub.metrics["acknowledged"], 0);
  client.say({"ACL", "SETUSER", "u", "+xack"});
  ASSERT_TRUE(hub.run_until([&] { return pending(client) == 0 && hub.metrics["acknowledged"] == 5; }, 20'000));
  client.add("s", 6, "data", "6");
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 6; }, 20'000));
  EXPECT_EQ(hub.events[5].data, "6");
}

TEST_F(RedisPluginTest, ThatNothingCanBeClaimedIsSaid) {
  RedisServer server(folder);
  RedisClient client(server.port());
  client.say({"ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-xautoclaim"});
  SourceRig redis(hub, weir_plugin_entry,
                  config(server, R"("stream":{"keys":["s"],"claim":"1s"},"user":"u","password":"p")"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  EXPECT_TRUE(hub.run_until([&] { return hub.logged("can't be claimed: NOPERM"); }, 20'000));
  EXPECT_NE(hub.states.back().reason.find("can't be claimed"), std::string::npos);
  // It stood in /health for ever.
  client.say({"ACL", "SETUSER", "u", "+xautoclaim"});
  EXPECT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_RUNNING && hub.states.back().reason.empty(); },
                            20'000));
}

// Redis 5 quotes the command, which is another one whenever another number of entries is asked for.
TEST_F(RedisPluginTest, ThatNothingCanBeClaimedIsLoggedOnce) {
  RedisServer server(folder, {"--rename-command", "XAUTOCLAIM", ""});
  RedisClient client(server.port());
  SourceRig redis(hub, weir_plugin_entry, config(server, R"("stream":{"keys":["s"],"claim":"1s"})"));
  ASSERT_EQ(redis.start(), WEIR_OK);
  const auto errors = [&] {
    const std::string stats = client.say({"INFO", "errorstats"});
    const auto at = stats.find("errorstat_ERR:count=");
    return at == std::string::npos ? 0 : std::strtoll(stats.c_str() + at + 20, nullptr, 10);
  };
  ASSERT_TRUE(hub.run_until([&] { return hub.logged("can't be claimed: ERR unknown command"); }, 20'000));
  for (int i = 1; i <= 20; ++i) client.add("s", i, "data", std::to_string(i));
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 20; }, 20'000));
  const auto before = errors();
  ASSERT_TRUE(hub.run_until([&] { return errors() >= before + 2; }, 20'000));
  EXPECT_EQ(std::count_if(hub.logs.begin(), hub.logs.end(),
                          [](const auto& l) { return l.message.find("can't be claimed") != std::string::npos; }),
            1);
}

// Its entries have lower ids: they were below where the new group began, or acknowledged unseen.
TEST_F(RedisPluginTest, AStreamThatWasMadeAnewIsReadFromItsBeginning) {
  RedisServer server(folder);
  RedisClient client(server.port());
  for (int i = 101; i <= 105; ++i) client.add("s", i, "data", std::to_string(i));
  SourceRig redis(hub, weir_plugin_entry, config(server, kStream));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 5; }, 20'000));
  redis.accepted(hub.events.back().cursor);
  ASSERT_TRUE(hub.run_until([&] { return pending(client) == 0; }));
  client.say({"MULTI"});
  client.say({"DEL", "s"});
  client.say({"XADD", "s", "1-0", "data", "1"});
  client.say({"EXEC"});
  client.add("s", 2, "data", "2");
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 7; }, 20'000));
  EXPECT_EQ(hub.events[5].data, "1");
  EXPECT_EQ(hub.events[6].data, "2");
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].subject, "s");
  EXPECT_NE(hub.gaps[0].reason.find("made anew"), std::string::npos);
}

TEST_F(RedisPluginTest, AKeyThatIsNoStreamIsTold) {
  RedisServer server(folder);
  RedisClient client(server.port());
  client.say({"SET", "s", "text"});
  SourceRig redis(hub, weir_plugin_entry, config(server, kStream));
  ASSERT_EQ(redis.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(hub.states.back().reason.find("WRONGTYPE"), std::string::npos) << hub.states.back().reason;
  client.say({"DEL", "s"});
  EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
}

}  // namespace
}  // namespace weir::test
