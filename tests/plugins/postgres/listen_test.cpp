// LISTEN beside a real PostgreSQL: what becomes of notifications, of breaks, and of a hub that is full.
#include <chrono>

#include "postgres_rig.hpp"
#include "support/tcp_proxy.hpp"

namespace weir::test {
namespace {

using ListenTest = PostgresTest;

TEST_F(ListenTest, NotificationsBecomeEvents) {
  SourceRig rig(hub, weir_plugin_entry,
                config(R"("listen":["tasks","Odd \"name\""],"event":"{field:type}","key":"{field:id}")"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  sql.say(R"(notify tasks, '{"type":"done","id":7}'; notify "Odd ""name""", 'text'; notify other, 'x'; notify tasks)");
  ASSERT_TRUE(until([&] { return hub.events.size() == 3; }));
  EXPECT_EQ(hub.events[0].subject, "tasks");
  EXPECT_EQ(hub.events[0].event, "done");
  EXPECT_EQ(hub.events[0].key, "7");
  EXPECT_EQ(hub.events[0].data, R"({"type":"done","id":7})");
  EXPECT_EQ(hub.events[0].kind, WEIR_DATA_ANY);
  EXPECT_EQ(hub.events[1].subject, "Odd \"name\"");
  EXPECT_EQ(hub.events[1].event, "message");
  EXPECT_EQ(hub.events[1].data, "text");
  EXPECT_EQ(hub.events[2].data, "");
}

TEST_F(ListenTest, WhatIsNoJsonIsAGapWhereJsonIsAskedFor) {
  SourceRig rig(hub, weir_plugin_entry, config(R"("listen":["a"],"payload":"json")"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  sql.say("notify a, '1'; notify a, 'no'; notify a, '2'");
  ASSERT_TRUE(until([&] { return hub.events.size() == 2; }));
  ASSERT_EQ(hub.gaps.size(), 2u);  // one of them when it began
  EXPECT_EQ(hub.gaps[1].subject, "a");
  EXPECT_EQ(hub.gaps[1].reason, "a notification is no JSON");
}

// Who subscribed before that could not know.
TEST_F(ListenTest, WhatWasSentBeforeTheFirstListenIsAGapToo) {
  server.kill();
  SourceRig rig(hub, weir_plugin_entry, config(R"("listen":["a","b"])"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_TRUE(hub.gaps.empty());
  server.start();
  ASSERT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
  ASSERT_EQ(hub.gaps.size(), 2u);
  EXPECT_EQ(hub.gaps[0].subject, "a");
  EXPECT_EQ(hub.gaps[1].subject, "b");
  EXPECT_NE(hub.gaps[1].reason.find("from now on"), std::string::npos) << hub.gaps[1].reason;
}

// A strand that was held up, a machine that slept: timers come before what the socket has.
TEST_F(ListenTest, AnAnswerThatIsThereButNotReadYetIsAnAnswer) {
  SourceRig rig(hub, weir_plugin_entry, config(R"("listen":["a"],"ping":"1s")"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  hub.advance(1'200);  // it asks whether the server is there
  const auto answered = [&] {
    return sql.number("select count(*) from pg_stat_activity where application_name = 'weir' and datname = '" +
                      db.name() + "' and query = 'select 1' and wait_event = 'ClientRead'") == 1;
  };
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!answered()) ASSERT_LT(std::chrono::steady_clock::now(), until);
  hub.advance(1'500);
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING) << reason();
}

TEST_F(ListenTest, AfterABreakThereIsAGapOnEachChannel) {
  SourceRig rig(hub, weir_plugin_entry, config(R"("listen":["a","b"])"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  hub.gaps.clear();
  server.kill();
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(reason().find("no connection to PostgreSQL at 127.0.0.1:"), std::string::npos) << reason();
  server.start();
  ASSERT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
  ASSERT_TRUE(until([&] { return hub.gaps.size() == 2; }));
  EXPECT_EQ(hub.gaps[0].subject, "a");
  EXPECT_EQ(hub.gaps[1].subject, "b");
  EXPECT_NE(hub.gaps[0].reason.find("was down for"), std::string::npos);
  sql.say("notify b, '1'");
  EXPECT_TRUE(until([&] { return hub.events.size() == 1; }));
}

TEST_F(ListenTest, AFrozenServerAndAHalfOpenConnectionAreNoticed) {
  TcpProxy proxy(server.port());
  SourceRig rig(hub, weir_plugin_entry, "{\"url\":\"" + db.url(proxy.port()) + R"(","ping":"200ms","listen":["a"]})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  server.freeze();
  EXPECT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(reason().find("does not answer"), std::string::npos) << reason();
  server.thaw();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  proxy.cut();
  EXPECT_TRUE(reaches(WEIR_STATE_RETRYING));
  proxy.heal();
  EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
}

// The server keeps what it can't send.
TEST_F(ListenTest, WhileTheHubIsFullNothingIsReadAndNothingIsLost) {
  hub.take_only(3);
  SourceRig rig(hub, weir_plugin_entry, config(R"("listen":["a"])"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  const int count = 3'000;  // of 7 KB: more than the sockets and the emitter hold
  sql.say("do $$ begin for i in 1.." + std::to_string(count) +
          " loop perform pg_notify('a', '\"' || i || repeat(' ', 7000) || '\"'); commit; end loop; end $$");
  ASSERT_TRUE(until([&] { return hub.events.size() == 3; }));
  EXPECT_GT(sql.number("select (pg_notification_queue_usage() * 1e9)::bigint"), 0);
  hub.advance(60'000);  // nothing is heard meanwhile, and that is nobody's fault
  while (hub.events.size() < static_cast<std::size_t>(count)) {
    const std::size_t before = hub.events.size();
    rig.resume();
    hub.take_only(700, WEIR_PAUSE);
    ASSERT_TRUE(until([&] { return hub.events.size() > before; })) << before;
  }
  for (int i = 0; i < count; ++i)
    ASSERT_TRUE(hub.events[static_cast<std::size_t>(i)].data.starts_with("\"" + std::to_string(i + 1) + " ")) << i;
  EXPECT_EQ(hub.gaps.size(), 1u) << "that of the beginning";
}

TEST_F(ListenTest, WhyItCanNotConnectIsTold) {
  const std::string port = std::to_string(server.port());
  for (const auto& [url, part] :
       {std::pair{"postgres://nobody@127.0.0.1:" + port + "/" + db.name(), "role \"nobody\" does not exist"},
        {"postgres://weir@127.0.0.1:" + port + "/nothing", "database \"nothing\" does not exist"},
        {"postgres://weir@127.0.0.1:1/x", "Connection refused"},
        {"host='no such name' dbname=x", "can't be looked up"}}) {
    FakeHost own;
    SourceRig rig(own, weir_plugin_entry, "{\"url\":" + sdk::json::quoted(url) + R"(,"listen":["a"]})");
    ASSERT_EQ(rig.start(), WEIR_OK);
    ASSERT_TRUE(own.run_until([&] { return own.last_state() == WEIR_STATE_RETRYING; }, kPatienceMs)) << url;
    EXPECT_NE(own.states.back().reason.find(part), std::string::npos) << own.states.back().reason;
  }
}

// A list of servers: each has its turn.
TEST_F(ListenTest, TheNextServerOfAListIsTried) {
  SourceRig rig(hub, weir_plugin_entry,
                "{\"url\":\"host=127.0.0.1,localhost port=1," + std::to_string(server.port()) +
                    " user=weir dbname=" + db.name() + R"(","listen":["a"]})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
}

}  // namespace
}  // namespace weir::test
