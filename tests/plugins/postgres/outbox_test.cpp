// The outbox beside a real PostgreSQL: what becomes of rows, where a reader goes on, what it removes, who may read.
#include <chrono>
#include <memory>

#include "outbox_rig.hpp"
#include "support/tcp_proxy.hpp"

namespace weir::test {
namespace {

TEST_F(OutboxTest, RowsBecomeEvents) {
  sql.say("insert into weir.outbox (topic, event, key, data) values ('orders/7', 'paid', 'k', '{ \"n\": 1.50 }');" +
          std::string("insert into weir.outbox (topic, event_id) values ('orders/8', 'mine'), ('orders/9', '')"));
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 3; }));
  EXPECT_EQ(hub.events[0].subject, "orders/7");
  EXPECT_EQ(hub.events[0].event, "paid");
  EXPECT_EQ(hub.events[0].key, "k");
  EXPECT_EQ(hub.events[0].data, R"({ "n": 1.50 })");
  EXPECT_EQ(hub.events[0].id, "1");
  EXPECT_EQ(hub.events[0].time_ms,
            sql.number("select (extract(epoch from created_at) * 1000)::bigint from weir.outbox where id = 1"));
  EXPECT_EQ(hub.events[1].id, "mine");
  EXPECT_EQ(hub.events[1].event, "message");
  EXPECT_EQ(hub.events[1].data, "");
  EXPECT_EQ(hub.events[2].id, "3") << "the same whenever it comes";
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
}

TEST_F(OutboxTest, TheTriggerWakesAReaderThatHardlyEverLooks) {
  SourceRig rig(hub, weir_plugin_entry, config(R"("outbox":{"poll":"1h"})"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  sql.say(insert("a", "1"));
  EXPECT_TRUE(until([&] { return hub.events.size() == 1; }));
}

// Transactions that notify wait for one another, so none does while the reader looks anyway.
TEST_F(OutboxTest, OnlyAReaderThatSleepsIsNotified) {
  PostgresClient ear(db.conninfo());
  ear.say("listen \"weir.outbox\"");
  const auto asleep = [&] {
    return sql.number(
               "select count(*) from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock' and "
               "classid = 1466263922 and objid = 'weir.outbox'::regclass and granted") != 0;
  };
  sql.say(insert("a", "1"));
  EXPECT_EQ(ear.notifications(), 0);
  hub.take_only(1);
  SourceRig rig(hub, weir_plugin_entry, config(R"("outbox":{"poll":"1h"})"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 1 && asleep(); }));
  sql.say(insert("a", "2"));
  EXPECT_EQ(ear.notifications(), 1);
  ASSERT_TRUE(until([&] { return !asleep(); }));
  EXPECT_LE(ear.notifications(), 1) << "of the reader, to others that sleep";
  for (int i = 3; i <= 9; ++i) sql.say(insert("a", std::to_string(i)));
  EXPECT_EQ(ear.notifications(), 0) << "the hub is full: it reads on when there is room";
  rig.resume();
  EXPECT_TRUE(until([&] { return data() == "1 2 3 4 5 6 7 8 9" && asleep(); }));
}

// Who has found it awake says nothing when it commits.
TEST_F(OutboxTest, ItDoesNotSleepWhileATransactionIsUnderWayThatHasFoundItAwake) {
  PostgresClient slow(db.conninfo()), slower(db.conninfo());
  slow.say("begin;" + insert("a", "1"));
  SourceRig rig(hub, weir_plugin_entry, config(R"("outbox":{"poll":"1h"})"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  sql.say(insert("a", "2"));
  ASSERT_TRUE(until([&] { return data() == "2"; }));
  slower.say("begin; set transaction isolation level repeatable read;" + insert("a", "3"));
  slow.say("commit");
  ASSERT_TRUE(until([&] { return data() == "2 1"; }));
  slower.say("commit");
  ASSERT_TRUE(until([&] { return data() == "2 1 3"; }));
}

// Two readers: one of them holds the lock, and the other one sleeps as its guest.
TEST_F(OutboxTest, ReadersOfOtherNamesMissNothingWhileOneSleeps) {
  FakeHost second;
  SourceRig rig(hub, weir_plugin_entry, config(R"("outbox":{"poll":"1h"})"));
  SourceRig other(second, weir_plugin_entry, config(R"("outbox":{"poll":"1h","reader":"other"})"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_EQ(other.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  for (std::size_t i = 1; i <= 20; ++i) {
    sql.say(insert("a", std::to_string(i)));
    ASSERT_TRUE(until([&] { return hub.events.size() == i; }));
    ASSERT_TRUE(second.run_until([&] { return second.events.size() == i; }, kPatienceMs));
  }
  // One of them ends, whoever of the two has the lock.
  rig.stop();
  sql.say(insert("a", "21"));
  ASSERT_TRUE(second.run_until([&] { return second.events.size() == 21; }, kPatienceMs));
}

TEST_F(OutboxTest, ARunningTransactionHoldsUpNobodyAndItsRowsComeWhenItCommits) {
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  sql.say("drop trigger outbox_wake on weir.outbox");  // a transaction that notifies can't be prepared
  PostgresClient slow(db.conninfo()), prepared(db.conninfo());
  slow.say("begin;" + insert("a", "1"));
  prepared.say("begin;" + insert("a", "2") + "prepare transaction 'p" + db.name() + "'");
  sql.say(insert("a", "3"));
  ASSERT_TRUE(until([&] { return data() == "3"; }));
  slow.say("savepoint s;" + insert("a", "4") + "rollback to s;" + insert("a", "5") + "release s;" + insert("a", "6"));
  sql.say(insert("a", "7"));
  ASSERT_TRUE(until([&] { return data() == "3 7"; }));
  slow.say("commit");
  ASSERT_TRUE(until([&] { return data() == "3 7 1 5 6"; }));
  prepared.say("commit prepared 'p" + db.name() + "'");
  sql.say("begin;" + insert("a", "8") + "rollback");
  EXPECT_TRUE(until([&] { return data() == "3 7 1 5 6 2"; }));
}

TEST_F(OutboxTest, AReaderGoesOnBehindWhatTheHubHadItsPlaceFor) {
  insert_many(1, 10);
  {
    FakeHost first;
    SourceRig rig(first, weir_plugin_entry, outbox());
    ASSERT_EQ(rig.start(), WEIR_OK);
    ASSERT_TRUE(first.run_until([&] { return first.events.size() == 10; }, kPatienceMs));
    rig.accepted(first.events[6].cursor);
  }  // its stop() writes it down
  insert_many(11, 12);
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 5; }));
  EXPECT_EQ(data(), "8 9 10 11 12");
  accept_all(rig);
  EXPECT_TRUE(stored(12));
  EXPECT_TRUE(until([&] { return sql.say("select coalesce(reading::text, '') from weir.outbox_reader") == ""; }));
}

TEST_F(OutboxTest, WhileTheHubIsFullOnePageWaitsAndTheServerIsAskedNothing) {
  insert_many(1, 5'000);
  hub.take_only(10);
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 10; }));
  ASSERT_TRUE(until([&] { return hub.metrics["messages"] > 0; }));
  EXPECT_LE(hub.metrics["messages"], 600);
  const auto pages = hub.metrics["pages"];
  const std::int64_t now = hub.now_ms();
  ASSERT_TRUE(until([&] { return hub.now_ms() > now + 300; }));
  EXPECT_EQ(hub.metrics["pages"], pages);
  while (hub.events.size() < 5'000) {
    const auto before = hub.events.size();
    rig.resume();
    hub.take_only(300, WEIR_PAUSE);
    ASSERT_TRUE(until([&] { return hub.events.size() > before; }));
    accept_all(rig);
  }
  for (std::size_t i = 0; i < 5'000; ++i) ASSERT_EQ(hub.events[i].data, std::to_string(i + 1));
  EXPECT_TRUE(stored(5'000));
}

TEST_F(OutboxTest, LargeRowsComeFewAtATime) {
  sql.say(
      "insert into weir.outbox (topic, data) select 'a', to_json(repeat(md5(g::text), 9000)) from generate_series(1, "
      "60) g");
  sql.say("insert into weir.outbox (topic, data) select 'a', to_json(repeat('x', 3000000)) from generate_series(1, 3)");
  insert_many(1, 100);
  hub.data_bytes_max = 4'000'000;
  SourceRig rig(hub, weir_plugin_entry, outbox(R"("keep":0,"data_bytes":"4MiB")"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 163; }));
  EXPECT_EQ(hub.events[5].data.size(), 32 * 9'000 + 2u);
  EXPECT_EQ(hub.events[62].data.size(), 3'000'002u);
  EXPECT_EQ(hub.events[162].data, "100");
  EXPECT_GE(hub.metrics["pages"], 15);
}

TEST_F(OutboxTest, ARowThatTheHubDoesNotTakeIsPassedWithAGap) {
  sql.say(insert("a", "1") + "insert into weir.outbox (topic, event) values ('bad one', '');" + insert("a", "3"));
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 2; }));
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].subject, "bad one");
  accept_all(rig);
  EXPECT_TRUE(stored(3));
  ASSERT_EQ(hub.mistakes.size(), 1u);  // that name
  hub.mistakes.clear();
}

TEST_F(OutboxTest, ARowThatIsTooLargeIsNotFetched) {
  const auto insert_of = [&](int bytes) {  // with its quotes
    sql.say("insert into weir.outbox (topic, data) values ('a', to_json(repeat('x', " + std::to_string(bytes - 2) +
            ")))");
  };
  insert_of(1'048'576);
  insert_of(2'000'000);
  insert_many(3, 3);
  hub.data_bytes_max = 4'000'000;  // it would take them
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 2; }));
  EXPECT_EQ(hub.events[0].data.size(), 1'048'576u);
  EXPECT_EQ(hub.events[1].data, "3");
  ASSERT_EQ(hub.gaps.size(), 1u);
  EXPECT_EQ(hub.gaps[0].subject, "a");
  EXPECT_NE(hub.gaps[0].reason.find("row 2 has 2000008 bytes"), std::string::npos) << hub.gaps[0].reason;
}

// One row stopped all that came after it.
TEST_F(OutboxTest, ATimeWithoutEndIsATime) {
  sql.say(
      "insert into weir.outbox (topic, data, created_at) values ('a', '1', 'infinity'), ('a', '2', '-infinity'), ('a', "
      "'3', now())");
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  EXPECT_TRUE(until([&] { return data() == "1 2 3"; })) << reason();
}

TEST_F(OutboxTest, ARowThatTheServerCanNotTurnIntoTextIsPassedWithAGap) {
  PostgresDatabase bytes(true, true, "SQL_ASCII");
  PostgresClient client(bytes.conninfo());
  client.say("insert into weir.outbox (topic, data) select 'a', g::text::json from generate_series(1, 75) g");
  client.say("insert into weir.outbox (topic, data) values ('a', '\"\xff\"'), ('\xff', '1')");
  client.say("insert into weir.outbox (topic, data) select 'a', g::text::json from generate_series(78, 200) g");
  SourceRig rig(hub, weir_plugin_entry,
                "{\"url\":\"" + bytes.url(server.port()) + R"(","outbox":{"poll":"20ms","keep":0}})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 198; })) << reason();
  for (int i = 0; i < 198; ++i)
    ASSERT_EQ(hub.events[static_cast<std::size_t>(i)].data, std::to_string(i < 75 ? i + 1 : i + 3));
  ASSERT_EQ(hub.gaps.size(), 2u);
  EXPECT_NE(hub.gaps[0].reason.find("row 76 can't be read: invalid byte sequence"), std::string::npos)
      << hub.gaps[0].reason;
  EXPECT_NE(hub.gaps[1].reason.find("row 77 "), std::string::npos) << hub.gaps[1].reason;
  accept_all(rig);
  EXPECT_TRUE(until([&] { return client.number("select top_id from weir.outbox_reader") == 200; }));
}

// Whoever reads next would get them once more: the hub can't say any more that it has them.
TEST_F(OutboxTest, WhatTheHubHasNotBeenOfferedWhenItStopsIsLeftInTheTable) {
  insert_many(1, 70);
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (hub.events.size() < 64 && std::chrono::steady_clock::now() < until) hub.run_ready();  // the clock stands still
  ASSERT_EQ(hub.events.size(), 64u) << "one batch";
  rig.stop();
  EXPECT_EQ(hub.events.size(), 64u);
}

TEST_F(OutboxTest, NothingComesTwiceOverBreaksWhileTheHubLives) {
  TcpProxy proxy(server.port());
  SourceRig rig(hub, weir_plugin_entry,
                "{\"url\":\"" + db.url(proxy.port()) + R"(","ping":"500ms","outbox":{"poll":"20ms","keep":0}})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  int next = 1;
  for (const bool kill : {false, true, false}) {
    insert_many(next, next + 99);  // and nothing is accepted meanwhile
    next += 100;
    ASSERT_TRUE(until([&] { return hub.events.size() == static_cast<std::size_t>(next - 1); }));
    if (kill) {
      server.kill();
      server.start();
    } else {
      proxy.cut();
    }
    ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
    if (!kill) proxy.heal();
    ASSERT_TRUE(soon_reaches(WEIR_STATE_RUNNING)) << reason();
  }
  insert_many(next, next);
  ASSERT_TRUE(until([&] { return hub.events.size() == static_cast<std::size_t>(next); }));
  for (int i = 1; i <= next; ++i) ASSERT_EQ(hub.events[static_cast<std::size_t>(i - 1)].data, std::to_string(i));
  EXPECT_TRUE(hub.gaps.empty());
}

// The link is cut and another way leads to the server, which does not know yet that the session before is lost.
TEST_F(OutboxTest, ItsOwnSessionOfBeforeDoesNotKeepItOut) {
  TcpProxy proxy(server.port());
  SourceRig rig(hub, weir_plugin_entry,
                "{\"url\":\"host=127.0.0.1,127.0.0.1,127.0.0.1 port=" + std::to_string(proxy.port()) + ",1," +
                    std::to_string(server.port()) + " user=weir dbname=" + db.name() +
                    R"(","ping":"300ms","outbox":{"poll":"20ms"}})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  insert_many(1, 3);
  ASSERT_TRUE(until([&] { return hub.events.size() == 3; }));
  proxy.cut();
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  insert_many(4, 5);
  ASSERT_TRUE(until([&] { return hub.events.size() == 5; })) << reason();
  EXPECT_EQ(data(), "1 2 3 4 5");
}

TEST_F(OutboxTest, AFrozenServerIsNoticed) {
  SourceRig rig(hub, weir_plugin_entry, config(R"("ping":"300ms","outbox":{"poll":"50ms"})"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  server.freeze();
  EXPECT_TRUE(reaches(WEIR_STATE_RETRYING));
  server.thaw();
  EXPECT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
}

TEST_F(OutboxTest, RowsThatAllReadersHaveHadAreRemovedWhenTheyAreOld) {
  insert_many(1, 2'500);
  sql.say("update weir.outbox set created_at = now() - interval '2 hours' where id <= 2400");
  sql.say("insert into weir.outbox_reader (reader, seen) values ('other', '1:1:')");
  SourceRig rig(hub, weir_plugin_entry, outbox(R"("keep":"1s")"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 2'500; }));
  accept_all(rig);
  ASSERT_TRUE(stored(2'500));
  // Another reader is there that has not had them.
  const auto writes = hub.metrics["stored"];
  ASSERT_TRUE(until([&] { return hub.metrics["stored"] >= writes + 2; }));
  EXPECT_EQ(sql.number("select count(*) from weir.outbox"), 2'500);
  sql.say("delete from weir.outbox_reader where reader = 'other'");
  sql.say("update weir.outbox set created_at = now() + interval '1 hour' where id > 2400");
  EXPECT_TRUE(until([&] { return sql.number("select count(*) from weir.outbox") == 100; }));
  EXPECT_TRUE(until([&] { return hub.metrics["removed"] == 2'400; }));
}

// Nothing was read until all of it was removed.
TEST_F(OutboxTest, RowsAreReadWhileMillionsWouldBeRemoved) {
  insert_many(1, 30'000);
  sql.say("update weir.outbox set created_at = now() - interval '2 hours'");
  sql.say("insert into weir.outbox_reader (reader, seen, top_id) values ('hub', pg_current_snapshot(), 30000)");
  insert_many(30'001, 30'001);
  SourceRig rig(hub, weir_plugin_entry, outbox(R"("keep":"1h")"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 1; }));
  EXPECT_GT(sql.number("select count(*) from weir.outbox"), 1);
  EXPECT_TRUE(until([&] { return sql.number("select count(*) from weir.outbox") == 1; })) << "and removed it is";
}

TEST_F(OutboxTest, ANewReaderBeginsWhereTheManifestSays) {
  insert_many(1, 3);
  SourceRig rig(hub, weir_plugin_entry, outbox(R"("from":"new","reader":"late","keep":0)"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  insert_many(4, 5);
  ASSERT_TRUE(until([&] { return hub.events.size() == 2; }));
  EXPECT_EQ(data(), "4 5");
}

// --- More than one hub ----------------------------------------------------------------------------------------------

TEST_F(OutboxTest, ASecondHubOfTheSameNameWaitsAndTakesOver) {
  insert_many(1, 5);
  FakeHost first;
  auto one = std::make_unique<SourceRig>(first, weir_plugin_entry, outbox());
  ASSERT_EQ(one->start(), WEIR_OK);
  ASSERT_TRUE(first.run_until([&] { return first.events.size() == 5; }, kPatienceMs));
  SourceRig two(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(two.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_DEGRADED));
  EXPECT_NE(reason().find("reader \"hub\" is in use by another session"), std::string::npos) << reason();
  one->accepted(first.events[3].cursor);
  one.reset();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  ASSERT_TRUE(until([&] { return hub.events.size() == 1; }));
  EXPECT_EQ(data(), "5");
}

// The first one was away, and another one has read meanwhile: what it remembers is old.
TEST_F(OutboxTest, WhoComesBackAfterAnotherOneGoesOnBehindThatOne) {
  TcpProxy proxy(server.port());
  SourceRig one(hub, weir_plugin_entry,
                "{\"url\":\"" + db.url(proxy.port()) + R"(","ping":"300ms","outbox":{"poll":"20ms"}})");
  ASSERT_EQ(one.start(), WEIR_OK);
  insert_many(1, 3);
  ASSERT_TRUE(until([&] { return hub.events.size() == 3; }));
  accept_all(one);
  ASSERT_TRUE(stored(3));
  proxy.cut();
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  sql.say("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'");
  {
    FakeHost second;
    SourceRig two(second, weir_plugin_entry, outbox());
    ASSERT_EQ(two.start(), WEIR_OK);
    ASSERT_TRUE(second.run_until([&] { return second.last_state() == WEIR_STATE_RUNNING; }, kPatienceMs));
    insert_many(4, 6);
    ASSERT_TRUE(second.run_until([&] { return second.events.size() == 3; }, kPatienceMs));
    two.accepted(second.events.back().cursor);
  }
  proxy.heal();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  insert_many(7, 7);
  ASSERT_TRUE(until([&] { return hub.events.size() == 4; }));
  EXPECT_EQ(hub.events[3].data, "7");
}

// --- Large tables ---------------------------------------------------------------------------------------------------

// What is kept is not read again: the server says how many rows it looked at.
TEST_F(OutboxTest, NeitherKeptRowsNorABacklogAreReadAgainAndAgain) {
  const int kept = 20'000;
  insert_many(1, kept);
  const auto looked_at = [&] {
    return sql.number(
        "select seq_tup_read + idx_tup_fetch + (select sum(idx_tup_read) from pg_stat_user_indexes where relname = "
        "'outbox') from pg_stat_user_tables where relname = 'outbox'");
  };
  {
    FakeHost first;
    SourceRig rig(first, weir_plugin_entry, outbox());
    ASSERT_EQ(rig.start(), WEIR_OK);
    ASSERT_TRUE(first.run_until([&] { return first.events.size() == static_cast<std::size_t>(kept); }, kPatienceMs));
    rig.accepted(first.events.back().cursor);
  }
  ASSERT_TRUE(wait_until_gone());  // a session that ends tells the server its numbers
  const std::int64_t before = looked_at();
  EXPECT_GE(before, kept);
  EXPECT_LT(before, 10 * kept) << "the backlog";
  SourceRig rig(hub, weir_plugin_entry, outbox());
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  PostgresClient late(db.conninfo());
  late.say("begin;" + insert("a", "1"));
  for (int i = 0; i < 50; ++i) sql.say(insert("a", "2"));
  ASSERT_TRUE(until([&] { return hub.events.size() == 50; }));
  late.say("commit");
  ASSERT_TRUE(until([&] { return hub.events.size() == 51; }));
  rig.stop();
  ASSERT_TRUE(wait_until_gone());
  EXPECT_LT(looked_at() - before, 4'000) << "what is kept";
}

}  // namespace
}  // namespace weir::test
