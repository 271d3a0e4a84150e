// `weir pg init`: what it makes, twice, and what roles may do then.
#include <array>
#include <cstdio>

#include "init_sql.hpp"
#include "postgres_rig.hpp"

namespace weir::test {
namespace {

struct Ran {
  int status;
  std::string out;
};

// `before`: settings of the environment.
Ran weir_pg(const std::string& arguments, const std::string& before = "") {
  const std::string command = before + " " + std::string(WEIR_BINARY_DIR) + "/bin/weir-pg " + arguments + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  Ran ran{-1, {}};
  std::array<char, 4096> bytes;
  for (std::size_t n = 0; (n = ::fread(bytes.data(), 1, bytes.size(), pipe)) != 0;) ran.out.append(bytes.data(), n);
  ran.status = WEXITSTATUS(::pclose(pipe));
  return ran;
}

struct InitTest : testing::Test {
  std::string url(const std::string& user = "weir") const { return "--url '" + db.conninfo(user) + "'"; }
  PostgresDatabase db{false};
  PostgresClient sql{db.conninfo()};
  const std::string reader = "reader_of_" + db.name(), writer = "writer_of_" + db.name();
};

TEST_F(InitTest, MayBeRunAgainAndSwitchesTheTrigger) {
  for (int i = 0; i < 2; ++i) {
    const Ran ran = weir_pg("init --reader hub " + url());
    EXPECT_EQ(ran.status, 0) << ran.out;
    EXPECT_NE(ran.out.find("weir.outbox"), std::string::npos) << ran.out;
  }
  EXPECT_EQ(sql.say("select seen from weir.outbox_reader where reader = 'hub'"), "1:1:");
  const std::string triggers = "select count(*) from pg_trigger where tgrelid = 'weir.outbox'::regclass";
  EXPECT_EQ(sql.number(triggers), 1);
  EXPECT_EQ(weir_pg("init --wake poll " + url()).status, 0);
  EXPECT_EQ(sql.number(triggers), 0);
}

// Whoever had an open transaction held it up, and it held up all other writers.
TEST_F(InitTest, RunAgainItWaitsForNoWriter) {
  ASSERT_EQ(weir_pg("init " + url()).status, 0);
  PostgresClient slow(db.conninfo());
  slow.say("begin; insert into weir.outbox (topic) values ('a')");
  sql.say("create role " + reader + "; create role " + writer);
  const Ran ran = weir_pg("init --reader hub --role " + reader + " --writer-role " + writer + " " + url(),
                          "PGOPTIONS='-c lock_timeout=5s'");
  EXPECT_EQ(ran.status, 0) << ran.out;
  const Ran other = weir_pg("init --wake poll " + url(), "PGOPTIONS='-c lock_timeout=10s'");
  EXPECT_EQ(other.status, 1) << "this does change the table";
  EXPECT_NE(other.out.find("nothing was changed: a transaction"), std::string::npos) << other.out;
  slow.say("commit");
  ASSERT_EQ(weir_pg("init --wake poll " + url()).status, 0);
  slow.say("begin; insert into weir.outbox (topic) values ('a')");
  EXPECT_EQ(weir_pg("init --wake poll " + url(), "PGOPTIONS='-c lock_timeout=5s'").status, 0);
  slow.say("commit");
}

// Whoever may make functions in public could have his own run by all who come here: with types that match better they
// are taken before the server's.
TEST_F(InitTest, NobodysFunctionsStandInForTheServers) {
  sql.say(R"(create table public.called (what text);
create function public.hashtextextended(text, int) returns bigint language sql as
  $$ insert into public.called values ('hashtextextended'); select pg_catalog.hashtextextended($1, $2::bigint) $$;
create function public.to_json(jsonb) returns json language sql as
  $$ insert into public.called values ('to_json'); select $1::json $$;
create function public.joined(name, name) returns text language sql as
  $$ insert into public.called values ('||'); select $1::text $$;
create function public.joined(name, text) returns text language sql as
  $$ insert into public.called values ('||'); select $1::text $$;
create operator public.|| (leftarg = name, rightarg = name, function = public.joined);
create operator public.|| (leftarg = name, rightarg = text, function = public.joined);
create schema api;
create function api.echo(params jsonb, identity jsonb) returns jsonb language sql as 'select params')");
  ASSERT_EQ(weir_pg("init " + url()).status, 0);
  const std::string config = "{\"url\":\"" + db.url(PostgresServer::shared().port()) +
                             R"(","outbox":{"poll":"1h"},"functions":{"schema":"api","pool":1}})";
  FakeHost hub, second;
  SourceRig rig(hub, weir_plugin_entry, config), other(second, weir_plugin_entry, config);
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_RUNNING; }, kPatienceMs));
  ASSERT_EQ(other.start(), WEIR_OK);
  ASSERT_TRUE(second.run_until([&] { return second.last_state() == WEIR_STATE_DEGRADED; }, kPatienceMs));
  sql.say("insert into weir.outbox (topic) values ('a')");
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }, kPatienceMs));
  sdk::testing::ResponderSide api(hub, weir_plugin_entry, rig.instance());
  const auto token = api.ask("echo", "", "1", 30'000);
  ASSERT_TRUE(hub.run_until([&] { return hub.answers.count(token) != 0; }, kPatienceMs));
  EXPECT_EQ(hub.answers[token].json, "1");
  EXPECT_EQ(sql.say("select string_agg(what, ' ') from public.called"), "");
}

TEST_F(InitTest, ARoleMayReadTheSequenceWhateverItsNameIs) {
  ASSERT_EQ(weir_pg("init " + url()).status, 0);
  sql.say("alter sequence weir.outbox_id_seq rename to \"other 'name\"; create role " + reader);
  const Ran ran = weir_pg("init --role " + reader + " " + url());
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_EQ(
      sql.say("select has_sequence_privilege('" + reader + "', pg_get_serial_sequence('weir.outbox', 'id'), 'select')"),
      "t");
}

// The order of the outbox stands on it: position.hpp.
TEST_F(InitTest, AnIdIsGivenWhenTheRestOfItsRowIsThere) {
  ASSERT_EQ(weir_pg("init " + url()).status, 0);
  sql.say(
      "create function newest() returns json language plpgsql volatile as $$ begin return "
      "to_json(coalesce(pg_sequence_last_value('weir.outbox_id_seq'), 0)); end $$");
  sql.say("insert into weir.outbox (topic, data) values ('a', newest()), ('a', newest())");
  sql.say("insert into weir.outbox (topic, data) select 'a', newest() from generate_series(1, 2)");
  EXPECT_EQ(sql.number("select count(*) from weir.outbox where data::text::bigint = id - 1"), 4);
}

TEST_F(InitTest, ValuesArePutInOnce) {
  EXPECT_EQ(postgres::with_variables("a :\"x\" :'y' '1:1:' :\"z\"", {{"x", ":'y'"}, {"y", "it's :\"x\""}}),
            "a \":'y'\" 'it''s :\"x\"' '1:1:' :\"z\"");
}

TEST_F(InitTest, OddNamesAreNames) {
  const std::string odd = "o'\"d\" $$ name";
  EXPECT_EQ(weir_pg("init --schema 'o'\\''\"d\" $$ name' --reader 'it'\\''s' " + url()).status, 0);
  sql.say("insert into \"o'\"\"d\"\" $$ name\".outbox (topic) values ('a')");
  FakeHost hub;
  SourceRig rig(hub, weir_plugin_entry,
                "{\"url\":\"" + db.url(PostgresServer::shared().port()) + R"(","outbox":{"schema":)" +
                    sdk::json::quoted(odd) + R"(,"reader":"it's"}})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  EXPECT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }, kPatienceMs));
}

TEST_F(InitTest, PrintsWhatItWouldRun) {
  const Ran ran = weir_pg("init --print --schema other --role r --writer-role w --reader hub");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(ran.out.find(":\""), std::string::npos) << "a variable is left";
  EXPECT_EQ(ran.out.find(":'reader'"), std::string::npos);
  sql.say("do $$ begin create role r; create role w; exception when duplicate_object then null; end $$;" + ran.out);
  EXPECT_EQ(sql.number("select count(*) from other.outbox"), 0);
}

TEST_F(InitTest, MistakesAreNamed) {
  Ran ran = weir_pg("init --url 'host=/nonexistent'");
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.out.find("weir pg: "), std::string::npos) << ran.out;
  ran = weir_pg("init --role nobody " + url());
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.out.find("role \"nobody\" does not exist"), std::string::npos) << ran.out;
  EXPECT_EQ(sql.number("select count(*) from pg_namespace where nspname = 'weir'"), 0) << "half of it was done";
  EXPECT_EQ(weir_pg("init --wake sometimes").status, 1);
  EXPECT_EQ(weir_pg("").status, 1);
}

TEST_F(InitTest, TheLeastPrivilegesAreEnoughAndNoMore) {
  sql.say("create role " + reader + " login; create role " + writer + " login");
  ASSERT_EQ(weir_pg("init --role " + reader + " --writer-role " + writer + " " + url()).status, 0);
  PostgresClient as_writer(db.conninfo(writer)), as_reader(db.conninfo(reader));
  as_writer.say("insert into weir.outbox (topic, event, key, event_id, data) values ('a', 'e', 'k', 'i', '1')");
  for (const char* forbidden : {"select * from weir.outbox", "insert into weir.outbox (topic, xid) values ('a', '5')",
                                "insert into weir.outbox (topic, created_at) values ('a', now())",
                                "delete from weir.outbox", "select * from weir.outbox_reader"})
    EXPECT_NE(as_writer.error(forbidden).find("permission denied"), std::string::npos) << forbidden;
  for (const char* forbidden : {"insert into weir.outbox (topic) values ('a')", "update weir.outbox set topic = 'b'",
                                "truncate weir.outbox", "drop table weir.outbox"})
    EXPECT_NE(as_reader.error(forbidden), "") << forbidden;

  FakeHost hub;
  SourceRig rig(
      hub, weir_plugin_entry,
      "{\"url\":\"" + db.url(PostgresServer::shared().port(), reader) + R"(","outbox":{"poll":"20ms","keep":"1ms"}})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return hub.events.size() == 1; }, kPatienceMs));
  rig.accepted(hub.events[0].cursor);
  EXPECT_TRUE(hub.run_until([&] { return sql.number("select count(*) from weir.outbox") == 0; }, kPatienceMs));
  // It goes on without the right to remove.
  sql.say("revoke delete on weir.outbox from " + reader);
  ASSERT_TRUE(hub.run_until([&] { return hub.logged("no right to delete"); }, kPatienceMs));
  as_writer.say("insert into weir.outbox (topic) values ('b')");
  EXPECT_TRUE(hub.run_until([&] { return hub.events.size() == 2; }, kPatienceMs));
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
}

}  // namespace
}  // namespace weir::test
