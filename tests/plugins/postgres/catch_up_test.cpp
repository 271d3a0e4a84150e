// What a query brings of the notifications that a break cost, beside a real PostgreSQL.
#include <fstream>
#include <iterator>
#include <string>

#include "postgres_rig.hpp"

namespace weir::test {
namespace {

const std::string kMissed = R"("listen":["a","b"],"id":"{field:id}","catch_up":"select * from api.missed($1);\n")";

// As plugins/sources/postgres/README.md has it, and it can be made to wait: for a lock that `sql` may take.
struct CatchUpTest : PostgresTest {
  CatchUpTest() {
    sql.say(
        "create schema api;"
        "create table api.changes (id bigint generated always as identity primary key,"
        "  at timestamptz not null default now(), channel text not null);"
        "create index on api.changes (at);"
        "create function api.tell() returns trigger language plpgsql as $$ begin"
        "  perform pg_notify(new.channel, row_to_json(new)::text); return new; end $$;"
        "create trigger tell after insert on api.changes for each row execute function api.tell();"
        "create function api.missed(since timestamptz) returns table (channel text, payload text)"
        "  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$ begin"
        "  perform pg_advisory_xact_lock_shared(1);"
        "  return query select c.channel, row_to_json(c)::text from api.changes c"
        "    where c.at > coalesce(since, now()) - interval '1 minute' order by c.id; end $$");
  }
  std::string asking(const std::string& query) const {
    return config(R"("listen":["a"],"ping":"1s","catch_up":)" + sdk::json::quoted(query));
  }
  void change(const std::string& channel = "a") {
    sql.say("insert into api.changes (channel) values ('" + channel + "')");
  }
  void hold() { sql.say("select pg_advisory_lock(1)"); }
  void let_go() { sql.say("select pg_advisory_unlock(1)"); }
  void cut() {
    const std::string ours = "from pg_stat_activity where application_name = 'weir' and datname = current_database()";
    sql.say("select pg_terminate_backend(pid) " + ours);
    ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  }
  bool catching_up() {
    return soon_reaches(WEIR_STATE_STARTING) && until([&] { return reason() == "catching up"; });
  }
  std::string ids() const {
    std::string out;
    for (const auto& e : hub.events) out += (out.empty() ? "" : " ") + e.id;
    return out;
  }
  bool have(const std::string& wanted) {
    return until([&] { return ids() == wanted; });
  }
  double metric(const std::string& name) {
    hub.advance(100);
    return hub.metrics[name];
  }
};

TEST_F(CatchUpTest, AtFirstAndAfterABreakThereIsAGapThenRowsThenWhatWasSentMeanwhile) {
  change(), change("b");
  hold();
  SourceRig rig(hub, weir_plugin_entry, config(kMissed));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(catching_up());
  ASSERT_TRUE(until([&] { return hub.gaps.size() == 2; }));
  EXPECT_NE(hub.gaps[0].reason.find("caught up with"), std::string::npos) << hub.gaps[0].reason;
  sql.say("notify a, '{\"id\":\"live\"}'");  // it listens already
  let_go();
  ASSERT_TRUE(have("1 2 live")) << ids();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  EXPECT_EQ(hub.events[1].subject, "b");
  EXPECT_EQ(hub.gaps.size(), 2u);

  hub.events.clear();
  hub.gaps.clear();
  sql.say("update api.changes set at = at - interval '1 hour'");
  hold();
  cut();
  change();
  ASSERT_TRUE(catching_up());
  EXPECT_TRUE(hub.events.empty());
  EXPECT_EQ(hub.gaps.size(), 2u);
  sql.say("notify b, '{\"id\":\"live\"}'");
  let_go();
  ASSERT_TRUE(have("3 live")) << ids();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  change();
  ASSERT_TRUE(have("3 live 4")) << ids();
  EXPECT_EQ(metric("caught_up"), 3);
  EXPECT_EQ(metric("skipped"), 0);
}

// By the server's clock, and in a form that any session reads.
TEST_F(CatchUpTest, TheQueryIsToldWhenTheLinkWasLastKnownToBeWhole) {
  sql.say("do $$ begin execute format('alter database %I set datestyle = ''sql, dmy''', current_database()); end $$");
  SourceRig rig(hub, weir_plugin_entry,
                asking("select 'a' as channel, extract(epoch from $1) as payload, pg_typeof($1)"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  ASSERT_TRUE(until([&] { return hub.events.size() == 1; }));
  EXPECT_EQ(hub.events[0].data, "") << "null";
  const auto now = [&] { return std::stod(sql.say("select extract(epoch from clock_timestamp())")); };
  const double after_listen = now();
  cut();
  ASSERT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
  ASSERT_TRUE(until([&] { return hub.events.size() == 2; }));
  EXPECT_LE(std::stod(hub.events[1].data), after_listen);
  const double before_mark = now();
  hub.advance(1'000);  // it asks for the time, however much it hears
  const auto marked = [&] {
    return sql.number(
               "select count(*) from pg_stat_activity where application_name = 'weir' and datname = "
               "current_database() and query like '%clock_timestamp%' and query not like '%listen%' and pid <> "
               "pg_backend_pid() and wait_event = 'ClientRead'") == 1;
  };
  ASSERT_TRUE(until(marked));
  hub.run_ready();
  cut();
  ASSERT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
  ASSERT_TRUE(until([&] { return hub.events.size() == 3; }));
  EXPECT_GT(std::stod(hub.events[2].data), before_mark);
}

// What was under way is asked for again.
TEST_F(CatchUpTest, ABreakInTheMidstOfItIsNoNewBeginning) {
  SourceRig rig(
      hub, weir_plugin_entry,
      asking("select 'a' as channel, extract(epoch from $1) as payload from pg_advisory_xact_lock_shared(1)"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  hold();
  cut();
  const double broken = std::stod(sql.say("select extract(epoch from clock_timestamp())"));
  ASSERT_TRUE(catching_up());
  cut();
  let_go();
  ASSERT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
  ASSERT_EQ(hub.events.size(), 2u);
  EXPECT_LT(std::stod(hub.events[1].data), broken);
}

// Neither the server nor the plugin sends what the hub has no room for; both limits of the role are not for this.
TEST_F(CatchUpTest, ThousandsOfRowsWaitForAHubThatIsFull) {
  sql.say(
      "do $$ begin execute format('alter database %I set idle_in_transaction_session_timeout = 1', "
      "current_database()); end $$");
  hub.take_only(3);
  SourceRig rig(hub, weir_plugin_entry,
                asking("select 'a' as channel, i || repeat(' ', 7000) as payload from generate_series(1, 5000) i"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 3; }));
  ASSERT_TRUE(until([&] {
    return sql.number(
               "select count(*) from pg_stat_activity where application_name = 'weir' and datname = "
               "current_database() and state = 'idle in transaction' and query like 'fetch%'") == 1;
  }));
  hub.advance(60'000);
  EXPECT_EQ(metric("caught_up"), 100) << "a page";
  EXPECT_EQ(hub.last_state(), WEIR_STATE_STARTING) << reason();
  sql.say("notify a, '5001 '");
  while (hub.events.size() < 5'001) {
    const std::size_t before = hub.events.size();
    rig.resume();
    hub.take_only(700, WEIR_PAUSE);
    ASSERT_TRUE(until([&] { return hub.events.size() > before; })) << before;
  }
  for (std::size_t i = 0; i < 5'001; ++i) ASSERT_TRUE(hub.events[i].data.starts_with(std::to_string(i + 1) + " ")) << i;
  hub.take_all();
  rig.resume();
  EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
  EXPECT_EQ(hub.gaps.size(), 1u) << "that of the beginning";
}

TEST_F(CatchUpTest, RowsThatNoNotificationCouldBeAreLeftOut) {
  SourceRig rig(
      hub, weir_plugin_entry,
      asking("values ('a', repeat('x', 7999)), ('a', repeat('x', 8000)), ('c', '1'), (null, '2'), ('a', null)"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_DEGRADED));
  EXPECT_NE(reason().find("channel and payload"), std::string::npos) << reason();
  SourceRig named(hub, weir_plugin_entry,
                  asking("select * from (values ('a', repeat('x', 7999)), ('a', repeat('x', 8000)), ('c', '1'), (null, "
                         "'2'), ('a', null)) as m(channel, payload) -- all"));
  hub.gaps.clear();
  ASSERT_EQ(named.start(), WEIR_OK);
  ASSERT_TRUE(until([&] { return hub.events.size() == 2; }));
  EXPECT_EQ(hub.events[0].data.size(), 7999u);
  EXPECT_EQ(hub.events[1].data, "");
  ASSERT_EQ(hub.gaps.size(), 2u);
  EXPECT_EQ(hub.gaps[1].count, 1u);
  EXPECT_NE(hub.gaps[1].reason.find("7999 bytes"), std::string::npos) << hub.gaps[1].reason;
  EXPECT_TRUE(hub.logged("channels that are not listened to"));
}

TEST_F(CatchUpTest, AQueryThatFailsIsToldAndListenGoesOn) {
  for (const auto& [query, part] :
       {std::pair{"select * from api.gone($1)", "SQLSTATE 42883: function api.gone(timestamp with time zone)"},
        {"select 1 as channel", "SQLSTATE 42703"},
        {"select 'a' as channel, (1 / (extract(epoch from now()) * 0))::text as payload", "SQLSTATE 22012"},
        {"select * from api.missed($1); drop schema api cascade", "SQLSTATE 42601"}}) {
    FakeHost own;
    SourceRig rig(own, weir_plugin_entry, asking(query));
    ASSERT_EQ(rig.start(), WEIR_OK);
    ASSERT_TRUE(own.run_until([&] { return own.last_state() == WEIR_STATE_DEGRADED; }, kPatienceMs)) << query;
    EXPECT_NE(own.states.back().reason.find(part), std::string::npos) << own.states.back().reason;
    sql.say("notify a, '1'");
    EXPECT_TRUE(own.run_until([&] { return own.events.size() == 1; }, kPatienceMs)) << query;
  }
}

TEST_F(CatchUpTest, ARoleThatMayNotIsToldAndOneThatMayNeedsNothingElse) {
  const std::string role = "listens_to_" + db.name();
  sql.say("revoke execute on function api.missed from public; create role " + role +
          " login; grant usage on schema api to " + role);
  change();
  SourceRig rig(hub, weir_plugin_entry, config(kMissed, role));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_DEGRADED));
  EXPECT_NE(reason().find("42501"), std::string::npos) << reason();
  EXPECT_NE(reason().find("grant the hub's role"), std::string::npos) << reason();
  sql.say("grant execute on function api.missed to " + role);
  cut();
  ASSERT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
  EXPECT_TRUE(have("1")) << ids();
}

TEST_F(CatchUpTest, AQueryThatTakesTooLongIsGivenUpAndWhatWasSentMeanwhileComes) {
  hold();
  SourceRig rig(hub, weir_plugin_entry, config(kMissed + R"(,"catch_up_timeout":"100ms")"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(catching_up());
  sql.say("notify a, '{\"id\":\"live\"}'");
  ASSERT_TRUE(reaches(WEIR_STATE_DEGRADED));
  EXPECT_NE(reason().find("57014"), std::string::npos) << reason();
  EXPECT_NE(reason().find("catch_up_timeout"), std::string::npos) << reason();
  EXPECT_TRUE(have("live")) << ids();
  let_go();
  cut();
  EXPECT_TRUE(soon_reaches(WEIR_STATE_RUNNING)) << reason();
}

TEST_F(CatchUpTest, TheReadmesSqlRuns) {
  std::ifstream file(std::string(WEIR_SOURCE_DIR) + "/plugins/sources/postgres/README.md");
  const std::string readme(std::istreambuf_iterator<char>(file), {});
  const auto table = readme.find("create table api.task_changes");
  ASSERT_NE(table, std::string::npos);
  const auto begin = readme.rfind("create schema", table);
  std::string said = readme.substr(begin, readme.find("```", begin) - begin);
  const std::string role = "hub_of_" + db.name();
  for (const std::string word : {"role hub", "to hub"})
    for (std::size_t at = 0; (at = said.find(word, at)) != std::string::npos; at += role.size())
      said.replace(at, word.size(), word.substr(0, word.size() - 3) + role);
  sql.say("drop schema api cascade");
  sql.say(said);
  sql.say("insert into api.task_changes (type, task) values ('done', 7)");
  SourceRig rig(hub, weir_plugin_entry,
                config(R"x("listen":["tasks"],"event":"{field:type}","id":"{field:id}",)x"
                       R"x("catch_up":"select channel, payload from api.missed($1)")x",
                       role));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(have("1")) << reason();
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  sql.say("insert into api.task_changes (type, task) values ('done', 8)");
  ASSERT_TRUE(have("1 2")) << ids();
  EXPECT_EQ(hub.events[0].event, "done");
}

}  // namespace
}  // namespace weir::test
