// The outbox beside servers that are not what they were: restored, crashed, a standby; and a clock that is set.
#include <memory>
#include <set>

#include "outbox_rig.hpp"

namespace weir::test {
namespace {

using OutboxServersTest = OutboxTest;

// A crash takes the numbers back that were given to transactions since the last write, and the reader may have seen
// these as over.
TEST_F(OutboxServersTest, NumbersOfTransactionsThatAreGivenOutAgainHideNothing) {
  insert_many(1, 5);
  {
    FakeHost first;
    SourceRig rig(first, weir_plugin_entry, outbox());
    ASSERT_EQ(rig.start(), WEIR_OK);
    ASSERT_TRUE(first.run_until([&] { return first.events.size() == 5; }, kPatienceMs));
    rig.accepted(first.events.back().cursor);
    ASSERT_TRUE(first.run_until(
        [&] { return sql.say("select coalesce(reading::text, '') from weir.outbox_reader") == ""; }, kPatienceMs));
  }
  sql.say(
      "update weir.outbox_reader set seen = (select (x + 30) || ':' || (x + 30) || ':' from "
      "(select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as x) y)::text::pg_snapshot");
  sql.say(insert("a", "6"));
  PostgresClient slow(db.conninfo()), slower(db.conninfo());
  slow.say("begin;" + insert("a", "7"));
  sql.say(insert("a", "8"));
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return data() == "6 8"; })) << data();
  sql.say(insert("a", "9"));
  slower.say("begin;" + insert("a", "10"));
  slow.say("commit");
  ASSERT_TRUE(until([&] { return hub.events.size() == 4; })) << data();
  for (int i = 11; i < 60; ++i) sql.say(insert("a", std::to_string(i)));
  slower.say("commit");
  ASSERT_TRUE(until([&] { return hub.events.size() == 54; })) << data();
  std::set<std::string> all;
  for (const auto& event : hub.events) EXPECT_TRUE(all.insert(event.data).second) << event.data;
  EXPECT_TRUE(hub.gaps.empty());
}

// Rows with numbers of another cluster, and a reader's place in these.
TEST_F(OutboxServersTest, ARestoredDatabaseIsReadOnById) {
  insert_many(1, 5);
  {
    FakeHost first;
    SourceRig rig(first, weir_plugin_entry, outbox());
    ASSERT_EQ(rig.start(), WEIR_OK);
    ASSERT_TRUE(first.run_until([&] { return first.events.size() == 5; }, kPatienceMs));
    rig.accepted(first.events[3].cursor);
  }
  insert_many(6, 8);
  sql.say("update weir.outbox set xid = (xid::text::bigint + 1000000)::text::xid8");
  sql.say("update weir.outbox_reader set cluster = '1', seen = '2000000:2000000:', reading = null, last_id = 0");
  sql.say(insert("a", "9"));
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 5; })) << data();
  EXPECT_EQ(data(), "5 6 7 8 9");
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].subject, "");
  EXPECT_NE(hub.gaps[0].reason.find("behind row 4"), std::string::npos) << hub.gaps[0].reason;
  accept_all(rig);
  ASSERT_TRUE(stored(9));
  EXPECT_EQ(sql.number("select count(*) from weir.outbox where xid >= pg_snapshot_xmax(pg_current_snapshot())"), 0);
  insert_many(10, 11);
  ASSERT_TRUE(until([&] { return hub.events.size() == 7; }));
}

// A backup that is older than what was read: ids are given out again.
TEST_F(OutboxServersTest, AnOlderBackupIsToldAndReadOnBehindWhatItHas) {
  insert_many(1, 3);
  sql.say("insert into weir.outbox_reader (reader, seen, top_id) values ('hub', '1:1:', 50)");
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  ASSERT_EQ(hub.gaps.size(), 1u);
  insert_many(4, 5);
  ASSERT_TRUE(until([&] { return hub.events.size() == 2; }));
  EXPECT_EQ(data(), "4 5");
}

// A server that lost commits which it had shown, and was written to before the reader was back: ids went on.
TEST_F(OutboxServersTest, IdsThatAreOtherRowsNowAreTold) {
  insert_many(1, 5);
  {
    FakeHost first;
    SourceRig rig(first, weir_plugin_entry, outbox());
    ASSERT_EQ(rig.start(), WEIR_OK);
    ASSERT_TRUE(first.run_until([&] { return first.events.size() == 5; }, kPatienceMs));
    rig.accepted(first.events.back().cursor);
  }
  sql.say("delete from weir.outbox where id >= 4");
  sql.say("insert into weir.outbox (topic, data, id) overriding system value values ('a', '14', 4), ('a', '15', 5)");
  insert_many(6, 7);
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return data() == "6 7"; })) << data();
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_NE(hub.gaps[0].reason.find("has lost transactions"), std::string::npos) << hub.gaps[0].reason;
  accept_all(rig);
  ASSERT_TRUE(stored(7));
}

TEST_F(OutboxServersTest, WhatIsMissingInTheDatabaseIsToldAndMendedWithoutARestart) {
  sql.say("alter table weir.outbox rename to gone");
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(reason().find("`weir pg init` makes it"), std::string::npos) << reason();
  sql.say("alter table weir.gone rename to outbox; alter sequence weir.outbox_id_seq cache 10");
  hub.advance(2'000);
  ASSERT_TRUE(until([&] { return reason().find("CACHE 10") != std::string::npos; })) << reason();
  sql.say("alter sequence weir.outbox_id_seq cache 1");
  EXPECT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
}

// --- Servers that do not let it in ----------------------------------------------------------------------------------

// Newer servers say nothing is there where a right is missing, which looked like a database of before.
TEST_F(OutboxServersTest, ASequenceThatItMayNotReadIsToldAndNotTakenForAnEmptyOne) {
  const std::string role = "reader_of_" + db.name();
  sql.say("create role " + role + " login; grant usage on schema weir to " + role +
          "; grant select, delete on weir.outbox to " + role + "; grant all on weir.outbox_reader to " + role);
  insert_many(1, 3);
  SourceRig rig(hub, weir_plugin_entry, outbox("\"keep\":0", role));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(reason().find("no right to read the sequence of weir.outbox"), std::string::npos) << reason();
  EXPECT_TRUE(hub.events.empty());
  sql.say("grant select on sequence weir.outbox_id_seq to " + role);
  ASSERT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
  EXPECT_TRUE(until([&] { return data() == "1 2 3"; }));
  EXPECT_TRUE(hub.gaps.empty());
}

TEST_F(OutboxServersTest, AStandbyIsLeftForTheServerThatCanBeWrittenTo) {
  const auto standby = PostgresServer::standby_of(server);
  insert_many(1, 3);
  SourceRig rig(hub, weir_plugin_entry,
                "{\"url\":\"host=127.0.0.1,127.0.0.1 port=" + std::to_string(standby->port()) + "," +
                    std::to_string(server.port()) + " user=weir dbname=" + db.name() +
                    R"(","outbox":{"poll":"20ms"}})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 3; })) << reason();
}

// It read there without LISTEN and its settings.
TEST_F(OutboxServersTest, AStandbyThatBecomesThePrimaryIsReadWithAllItsSettings) {
  const auto standby = PostgresServer::standby_of(server);
  PostgresClient there("host=" + standby->socket_folder() + " port=" + std::to_string(standby->port()) +
                       " user=weir dbname=" + db.name());
  SourceRig rig(hub, weir_plugin_entry,
                "{\"url\":\"" + db.url(standby->port()) + R"(","outbox":{"poll":"1h","keep":0}})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(reason().find("during recovery"), std::string::npos) << reason();
  ASSERT_EQ(there.say("select pg_promote()"), "t");
  ASSERT_TRUE(soon_reaches(WEIR_STATE_RUNNING)) << reason();
  there.say(insert("a", "1"));
  EXPECT_TRUE(until([&] { return hub.events.size() == 1; })) << "nobody woke it";
}

// What a role has for others would end each look at a large backlog.
TEST_F(OutboxServersTest, TheTimeLimitsOfItsRoleAreNotForTheReader) {
  const std::string role = "hasty_" + db.name();
  sql.say("create role " + role + " superuser login; alter role " + role +
          " set statement_timeout = '100ms'; alter role " + role + " set lock_timeout = '100ms'");
  insert_many(1, 1);
  PostgresClient slow(db.conninfo());
  slow.say("begin; lock table weir.outbox");
  SourceRig rig(hub, weir_plugin_entry, outbox("\"keep\":0", role));
  ASSERT_EQ(rig.start(), WEIR_OK);
  EXPECT_TRUE(until([&] {
    return sql.number("select count(*) from pg_stat_activity where usename = '" + role +
                      "' and wait_event_type = 'Lock' and clock_timestamp() - query_start > '300ms'") == 1;
  })) << reason();
  slow.say("commit");
  EXPECT_TRUE(until([&] { return data() == "1"; })) << reason();
}

// --- Clocks ---------------------------------------------------------------------------------------------------------

// A table that takes long to look through: each attempt ended when the one before had been given time, for ever.
TEST_F(OutboxServersTest, AServerThatIsSlowGetsMoreTimeWithEachAttempt) {
  PostgresClient other(db.conninfo());
  other.say("begin; lock table weir.outbox in access exclusive mode");
  SourceRig rig(hub, weir_plugin_entry,
                "{\"url\":\"" + db.url(server.port()) + R"(","ping":"100ms","outbox":{"poll":"20ms"}})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  const std::int64_t since = hub.now_ms();
  ASSERT_TRUE(until([&] { return hub.now_ms() > since + 6'000; }));
  EXPECT_GE(hub.metrics["reconnects"], 1);
  EXPECT_LE(hub.metrics["reconnects"], 10) << "100 ms, 200, 400, ...";
  other.say("commit");
  EXPECT_TRUE(soon_reaches(WEIR_STATE_RUNNING)) << reason();
}

TEST_F(OutboxServersTest, AClockThatIsSetBackOrForwardHoldsUpNothing) {
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  insert_many(1, 1);
  ASSERT_TRUE(until([&] { return hub.events.size() == 1; }));
  const std::size_t states = hub.states.size();
  for (const std::int64_t step_ms : {-3'600'000, 7'200'000}) {
    const int next = static_cast<int>(hub.events.size()) + 1;
    hub.set_now_ms(hub.now_ms() + step_ms);
    insert_many(next, next);
    ASSERT_TRUE(until([&] { return hub.events.size() == static_cast<std::size_t>(next); })) << step_ms;
    accept_all(rig);
    EXPECT_TRUE(stored(next)) << step_ms;
  }
  EXPECT_EQ(hub.states.size(), states) << reason();
}

}  // namespace
}  // namespace weir::test
