// Methods that functions of a real PostgreSQL answer: what they get and give, errors, time, and a server that fails.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <random>
#include <set>

#include "postgres_rig.hpp"

namespace weir::test {
namespace {

using Json = nlohmann::json;
using sdk::testing::ResponderSide;

struct FunctionsTest : PostgresTest {
  FunctionsTest() {
    sql.say("create schema api");
    function("echo", "select jsonb_build_object('params', params, 'identity', identity)");
    function("nap", "select to_jsonb('x' || pg_sleep((params->>'s')::float8))");
    function("gate", "select to_jsonb('x' || pg_advisory_xact_lock_shared(7))");
  }
  void function(const std::string& name, const std::string& body, const std::string& language = "sql") {
    sql.say("create function api.\"" + name + "\"(params jsonb, identity jsonb) returns jsonb language " + language +
            " as $f$ " + body + " $f$");
  }
  void start(const std::string& functions = R"("schema":"api")", const std::string& user = "weir") {
    start_with(config("\"functions\":{" + functions + "}", user));
    ASSERT_TRUE(reaches(WEIR_STATE_RUNNING)) << reason();
    ASSERT_TRUE(until([&] { return hub.metrics["connections"] == pool_; }));
  }
  void start_with(const std::string& config_json) {
    rig_ = std::make_unique<SourceRig>(hub, weir_plugin_entry, config_json);
    ASSERT_EQ(rig_->start(), WEIR_OK) << rig_->error().message;
    api_ = std::make_unique<ResponderSide>(hub, weir_plugin_entry, rig_->instance());
  }
  std::uint64_t ask(const std::string& method, const Json& params = nullptr, std::uint32_t deadline_ms = 30'000,
                    const std::string& identity = "null") {
    return api_->ask(method, "", params.dump(), deadline_ms, identity);
  }
  bool answered(std::uint64_t token) {
    return until([&] { return hub.answers.count(token) != 0; });
  }
  sdk::testing::SeenAnswer answer(std::uint64_t token) {
    EXPECT_TRUE(answered(token));
    return hub.answers[token];
  }
  Json result(const std::string& method, const Json& params = nullptr, const std::string& identity = "null") {
    const auto a = answer(ask(method, params, 30'000, identity));
    EXPECT_EQ(a.status, WEIR_OK) << method << ": " << a.json;
    return Json::parse(a.json, nullptr, false);
  }
  // "code: message"
  std::string error_of(std::uint64_t token) {
    const auto a = answer(token);
    EXPECT_NE(a.status, WEIR_OK) << a.json;
    const Json json = Json::parse(a.json, nullptr, false);
    const std::string by_status = a.status == WEIR_E_UNAVAILABLE ? "unavailable"
                                  : a.status == WEIR_E_TIMEOUT   ? "timeout"
                                                                 : "?";
    return json.value("code", by_status) + ": " + json.value("message", "");
  }
  std::string error(const std::string& method, const Json& params = nullptr) { return error_of(ask(method, params)); }
  // Statements of the pool that the server works on now.
  std::int64_t at_work() {
    return sql.number("select count(*) from pg_stat_activity where datname = '" + db.name() +
                      "' and application_name = 'weir' and state = 'active'");
  }
  std::string processes() {
    return sql.say("select string_agg(pid::text, ' ' order by pid) from pg_stat_activity where datname = '" +
                   db.name() + "' and application_name = 'weir'");
  }

  int pool_ = 4;
  std::unique_ptr<SourceRig> rig_;
  std::unique_ptr<ResponderSide> api_;
};

TEST_F(FunctionsTest, AFunctionGetsParametersAndIdentityAndItsAnswerIsJson) {
  function("todos.get", "select params->'id'");
  function("Odd \"\"name\"\"; --$1", "select '1'::jsonb");
  function("nothing", "select null::jsonb");
  sql.say("create function api.plain(params jsonb, identity jsonb) returns int language sql as 'select 7'");
  sql.say("create function api.words(params jsonb, identity jsonb) returns text language sql as $$ select 'a\"b' $$");
  sql.say(
      "create function api.spaced(params jsonb, identity jsonb) returns json language sql as $$ select '{ \"n\": 1.50 "
      "}'::json $$");
  start();
  const Json who = {{"subject", "anna"}, {"scopes", {"a"}}};
  const Json params = {{"text", "it's $1 \"quoted\" \\ \u00e4"}, {"n", 1}};
  EXPECT_EQ(result("echo", params, who.dump()), (Json{{"params", params}, {"identity", who}}));
  EXPECT_EQ(result("echo"), (Json{{"params", nullptr}, {"identity", nullptr}}));
  EXPECT_EQ(result("todos.get", {{"id", 5}}), 5);
  EXPECT_EQ(result("Odd \"name\"; --$1"), 1);
  EXPECT_EQ(result("nothing"), nullptr);
  EXPECT_EQ(result("plain"), 7);
  EXPECT_EQ(result("words"), "a\"b");
  EXPECT_EQ(answer(ask("spaced")).json, R"({ "n": 1.50 })");
  const auto token = api_->ask("todos.get", "echo", "1", 30'000);
  EXPECT_EQ(Json::parse(answer(token).json)["params"], 1) << "the subject is the name, if there is one";
}

TEST_F(FunctionsTest, AThousandRequestsShareFourConnectionsAndMoreAreRefused) {
  start();
  sql.say("select pg_advisory_lock(7)");
  std::vector<std::uint64_t> gates, refused;
  for (int i = 0; i < 1'004; ++i) gates.push_back(ask("gate"));
  for (int i = 0; i < 50; ++i) refused.push_back(ask("echo"));
  for (const auto token : refused)
    EXPECT_EQ(error_of(token), "unavailable: too many requests wait for the database; this one was not carried out");
  ASSERT_TRUE(until([&] { return at_work() == 4; }));
  ASSERT_TRUE(until([&] { return hub.metrics["waiting"] == 1'000; }));
  sql.say("select pg_advisory_unlock(7)");
  for (const auto token : gates) ASSERT_EQ(answer(token).status, WEIR_OK) << hub.answers[token].json;
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 1'000; ++i) all.push_back(ask("echo", i));
  for (int i = 0; i < 1'000; ++i) ASSERT_EQ(Json::parse(answer(all[static_cast<std::size_t>(i)]).json)["params"], i);
  EXPECT_EQ(sql.number("select count(*) from pg_stat_activity where application_name = 'weir' and datname = '" +
                       db.name() + "'"),
            4);
}

TEST_F(FunctionsTest, WhatWaitsIsBoundedInBytes) {
  pool_ = 1;
  start(R"("schema":"api","pool":1)");
  sql.say("select pg_advisory_lock(7)");
  const auto gate = ask("gate");
  const std::string large(1'000'000, 'x');
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 20; ++i) all.push_back(ask("echo", large));
  EXPECT_EQ(std::count_if(all.begin(), all.end(), [&](auto token) { return hub.answers.count(token) != 0; }), 4);
  sql.say("select pg_advisory_unlock(7)");
  EXPECT_EQ(answer(gate).status, WEIR_OK);
  EXPECT_EQ(answer(all[15]).status, WEIR_OK);
}

TEST_F(FunctionsTest, ErrorsBecomeCodesAndOnlyWhatWasWrittenForClientsIsShown) {
  sql.say("create table secret_table (a int unique deferrable initially deferred, b int check (b > 0))");
  function("plain", "begin raise exception 'no % for you', params->>'what'; end", "plpgsql");
  function("coded", "begin raise exception 'said so' using errcode = params #>> '{}'; end", "plpgsql");
  function("data", "select to_jsonb((params #>> '{}')::uuid)");
  function("check", "begin insert into secret_table (b) values (-1); return null; end", "plpgsql");
  function("late", "begin insert into secret_table (a) values (1), (1); return null; end", "plpgsql");
  function("broken", "begin return (select nothing_like_it from secret_table); end", "plpgsql");
  function("inner", "begin return no_such_thing(params); end", "plpgsql");
  sql.say(
      "create function api.many(params jsonb, identity jsonb) returns setof int language sql as 'select "
      "generate_series(1, 3)'");
  start();
  EXPECT_EQ(error("plain", {{"what", "tea"}}), "bad_request: no tea for you");
  const std::pair<const char*, const char*> codes[] = {
      {"WR400", "bad_request: said so"},  {"WR401", "unauthorized: said so"}, {"WR403", "forbidden: said so"},
      {"WR404", "not_found: said so"},    {"WR413", "too_large: said so"},    {"WR429", "rate_limited: said so"},
      {"WR503", "unavailable: said so"},  {"WR504", "timeout: said so"},      {"40001", "unavailable: somebody else"},
      {"42501", "forbidden: the data"},   {"53100", "unavailable: the data"}, {"WR999", "internal: the data"},
      {"XX000", "internal: the database"}};
  for (const auto& [code, told] : codes)
    EXPECT_EQ(error("coded", code).rfind(told, 0), 0U) << code << error("coded", code);
  EXPECT_EQ(error("data", "no uuid").rfind("bad_request: ", 0), 0U);
  EXPECT_EQ(error("echo", std::string("\0", 1)).rfind("bad_request: ", 0), 0U) << "jsonb can't have it";
  EXPECT_EQ(error("check").rfind("bad_request: ", 0), 0U);
  EXPECT_EQ(error("late").rfind("bad_request: ", 0), 0U) << "at its commit";
  EXPECT_EQ(error("broken").rfind("internal: ", 0), 0U);
  EXPECT_EQ(error("inner").rfind("internal: ", 0), 0U) << "it is there, and what it calls is not";
  EXPECT_EQ(error("many").rfind("internal: ", 0), 0U);
  EXPECT_TRUE(hub.logged("answered with 3 rows"));
  for (const auto& [token, a] : hub.answers)
    for (const char* secret : {"secret_table", "nothing_like_it", "no_such_thing", "select"})
      EXPECT_EQ(a.json.find(secret), std::string::npos) << a.json;
  EXPECT_TRUE(std::any_of(hub.logs.begin(), hub.logs.end(), [](const auto& log) {
    return log.level == WEIR_LOG_WARN && log.message == R"("api"."broken" failed with SQLSTATE 42703)" &&
           log.fields.find("nothing_like_it") != std::string::npos;
  }));
  EXPECT_EQ(result("echo", 1)["params"], 1);
  EXPECT_EQ(sql.number("select count(*) from secret_table"), 0);
}

// The hub refused it when it was committed, and nothing said which function it was.
TEST_F(FunctionsTest, AnAnswerThatIsTooLargeIsRolledBackAndSaid) {
  sql.say("create table done (n int)");
  function("large", "begin insert into done values (1); return to_jsonb(repeat('x', (params->>'bytes')::int - 2)); end",
           "plpgsql");
  start();
  EXPECT_EQ(error("large", {{"bytes", WEIR_ANSWER_BYTES_MAX + 1}}),
            "too_large: the answer would be too large; nothing was done");
  EXPECT_TRUE(hub.logged("\"api\".\"large\""));
  EXPECT_EQ(sql.number("select count(*) from done"), 0);
  EXPECT_EQ(answer(ask("large", {{"bytes", WEIR_ANSWER_BYTES_MAX}})).json.size(), WEIR_ANSWER_BYTES_MAX);
  EXPECT_EQ(sql.number("select count(*) from done"), 1);
}

TEST_F(FunctionsTest, OnlyFunctionsOfTheSchemaAreFoundWhateverTheirNameIs) {
  sql.say("create schema hidden; create table hidden.t (a int); insert into hidden.t values (1)");
  sql.say(
      "create function hidden.f(params jsonb, identity jsonb) returns jsonb language sql as $$ select '1'::jsonb $$");
  sql.say(
      "create function public.f(params jsonb, identity jsonb) returns jsonb language sql as $$ select '1'::jsonb $$");
  sql.say("create function api.other(params jsonb) returns jsonb language sql as $$ select '1'::jsonb $$");
  function(std::string(63, 'x'), "select '1'::jsonb");
  start();
  EXPECT_EQ(result(std::string(63, 'x')), 1);
  for (const std::string& name : {std::string("f"),
                                  std::string("other"),
                                  std::string("hidden.f"),
                                  std::string("hidden\".\"f"),
                                  std::string("\"hidden\".f"),
                                  std::string("public.f"),
                                  std::string("pg_sleep"),
                                  std::string("jsonb_concat"),
                                  std::string("f\"(null,null); drop table hidden.t; --"),
                                  std::string("f'; drop table hidden.t; --"),
                                  std::string("echo\"($1::jsonb,$2::jsonb)) from hidden.t; delete from hidden.t; --"),
                                  std::string("Echo"),
                                  std::string("echo "),
                                  std::string("echo\0x", 6),
                                  std::string("\""),
                                  std::string("\\"),
                                  std::string("$$"),
                                  std::string("api.echo"),
                                  std::string("echo\n"),
                                  std::string(64, 'x'),
                                  std::string(100'000, 'x')})
    EXPECT_EQ(error(name).rfind("no_such_method: ", 0), 0U) << name;
  EXPECT_EQ(sql.number("select count(*) from hidden.t"), 1);
  EXPECT_EQ(result("echo", 1)["params"], 1);
}

TEST_F(FunctionsTest, ASchemaThatIsNotThereIsAState) {
  start_with(config(R"("functions":{"schema":"apii"})"));
  ASSERT_TRUE(until([&] { return reason().find("the database has no schema \"apii\"") != std::string::npos; }));
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RETRYING);
  EXPECT_EQ(error("echo").rfind("unavailable: ", 0), 0U);
  sql.say("create schema apii");
  EXPECT_TRUE(soon_reaches(WEIR_STATE_RUNNING)) << reason();
}

// What the server had said of a request before was told as the reason.
TEST_F(FunctionsTest, AConnectionThatBreaksSaysWhyAndNotWhatWasWrongBefore) {
  function("zero", "select to_jsonb(1 / 0)");
  start();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(error("zero").rfind("internal: ", 0), 0U);
  sql.say("select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '" + db.name() +
          "' and application_name = 'weir'");
  ASSERT_TRUE(until([&] { return hub.last_state() != WEIR_STATE_RUNNING; }));
  EXPECT_EQ(reason().find("division"), std::string::npos) << reason();
}

TEST_F(FunctionsTest, TheIdentityIsThereForRowLevelSecurityAndForOneRequestOnly) {
  const std::string role = "caller_of_" + db.name();
  sql.say("create role " + role + " login; grant usage on schema api to " + role);
  sql.say(
      "create table public.notes (owner text, note text); insert into public.notes values ('anna', 'a'), ('ben', 'b');"
      "alter table public.notes enable row level security;"
      "create policy own on public.notes using (owner = current_setting('weir.identity', true)::jsonb ->> 'subject');"
      "grant select on public.notes to " +
      role);
  function("notes", "select coalesce(jsonb_agg(note), '[]'::jsonb) from public.notes");
  function("setting", "select to_jsonb(current_setting('weir.identity', true))");
  function("forbidden", "select '1'::jsonb");
  sql.say(
      "revoke execute on all functions in schema api from public; grant execute on function api.notes, api.setting "
      "to " +
      role);
  pool_ = 1;
  start(R"("schema":"api","pool":1)", role);
  EXPECT_EQ(result("notes", nullptr, R"({"subject":"anna"})"), Json({"a"}));
  EXPECT_EQ(result("notes", nullptr, R"({"subject":"ben"})"), Json({"b"}));
  EXPECT_EQ(result("notes"), Json::array());
  EXPECT_EQ(result("setting", nullptr, R"({"subject":"it's \"me\""})"), R"({"subject":"it's \"me\""})");
  EXPECT_EQ(error("forbidden"), "forbidden: the database does not allow it");
}

// --- Time -----------------------------------------------------------------------------------------------------------

TEST_F(FunctionsTest, AtTheDeadlineTheServerEndsTheStatement) {
  start();
  const auto token = ask("nap", {{"s", 60}}, 200);
  ASSERT_TRUE(until([&] { return at_work() == 1; }) || hub.answers.count(token) != 0);
  EXPECT_EQ(error_of(token).rfind("timeout: ", 0), 0U);
  EXPECT_TRUE(until([&] { return at_work() == 0; }));
  EXPECT_EQ(result("echo", 1)["params"], 1);
}

TEST_F(FunctionsTest, CancelEndsTheStatementAndKeepsTheConnection) {
  start();
  const std::string before = processes();
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 5; ++i) all.push_back(ask("nap", {{"s", 60}}));
  ASSERT_TRUE(until([&] { return at_work() == 4; }));
  api_->cancel(all[4]);  // this one waits
  EXPECT_EQ(error_of(all[4]), "timeout: the database had no time for it; the request was not carried out");
  for (int i = 0; i < 4; ++i) api_->cancel(all[static_cast<std::size_t>(i)]);
  EXPECT_TRUE(until([&] { return at_work() == 0; }));
  for (const auto token : all) EXPECT_EQ(error_of(token).rfind("timeout: ", 0), 0U);
  api_->cancel(all[0]);
  api_->cancel(12345);
  EXPECT_EQ(result("echo", 1)["params"], 1);
  EXPECT_EQ(processes(), before);
}

// The word to end one request must not end the next one of the same connection.
TEST_F(FunctionsTest, ACancelNeverEndsAnotherRequest) {
  pool_ = 2;
  start(R"("schema":"api","pool":2)");
  std::minstd_rand random(5);
  std::set<std::uint64_t> cancelled;
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 200; ++i) {
    all.push_back(ask("nap", {{"s", 0.001}}));
    const std::size_t done = hub.answers.size();
    if (i % 2 == 0) continue;
    ASSERT_TRUE(until([&] { return hub.answers.size() > done; }));
    const auto token = all[all.size() - 1 - random() % 2];
    api_->cancel(token);
    cancelled.insert(token);
  }
  for (const auto token : all) {
    const auto a = answer(token);
    EXPECT_TRUE(a.status == WEIR_OK || cancelled.count(token) != 0) << a.json;
  }
}

TEST_F(FunctionsTest, AClockThatIsSetEndsNoRequest) {
  start();
  sql.say("select pg_advisory_lock(7)");
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 6; ++i) all.push_back(ask("gate"));  // two of them wait
  ASSERT_TRUE(until([&] { return at_work() == 4; }));
  const std::int64_t now = hub.now_ms();
  hub.set_now_ms(now + 3'600'000);
  ASSERT_TRUE(until([&] { return hub.now_ms() > now + 3'600'300; }));
  sql.say("select pg_advisory_unlock(7)");
  for (const auto token : all) EXPECT_EQ(answer(token).status, WEIR_OK) << hub.answers[token].json;
}

// Longer than an answer of the server may take otherwise.
TEST_F(FunctionsTest, AFunctionMayWorkForAsLongAsItsRequestWaits) {
  start_with(config(R"("ping":"100ms","functions":{"schema":"api"})"));
  ASSERT_TRUE(until([&] { return hub.metrics["connections"] == 4; }));
  EXPECT_EQ(answer(ask("nap", {{"s", 0.6}})).status, WEIR_OK);
}

// --- Servers that fail ----------------------------------------------------------------------------------------------

TEST_F(FunctionsTest, AServerThatIsKilledInMidRequestIsToldAndNothingIsDoneTwice) {
  sql.say("create table done (n int)");
  function("work", "begin insert into done values (1); return to_jsonb('x' || pg_advisory_xact_lock_shared(7)); end",
           "plpgsql");
  start();
  sql.say("select pg_advisory_lock(7)");
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 6; ++i) all.push_back(ask("work"));
  ASSERT_TRUE(until([&] { return at_work() == 4; }));
  server.kill();
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(error_of(all[static_cast<std::size_t>(i)]),
              "unavailable: the connection to the database broke; nobody knows whether the request was carried out");
  const std::string away = "unavailable: the database is not there right now; the request was not carried out";
  EXPECT_EQ(error_of(all[4]), away);
  EXPECT_EQ(error_of(all[5]), away);
  const auto now = ask("work");
  EXPECT_EQ(hub.answers.count(now), 1U) << "at once";
  EXPECT_EQ(error_of(now), away);
  EXPECT_TRUE(reaches(WEIR_STATE_RETRYING));
  ASSERT_TRUE(until([&] { return hub.metrics["connections"] == 0; }));
  server.start();
  ASSERT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
  EXPECT_EQ(sql.number("select count(*) from done"), 0);
  EXPECT_EQ(answer(ask("work")).status, WEIR_OK);
  EXPECT_EQ(sql.number("select count(*) from done"), 1);
}

TEST_F(FunctionsTest, AFrozenServerHoldsNobodyUpBeyondTheDeadline) {
  start_with(config(R"("ping":"300ms","functions":{"schema":"api","pool":1})"));
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  EXPECT_EQ(answer(ask("echo", nullptr, 5'000)).status, WEIR_OK);
  server.freeze();
  const auto sent = ask("echo", nullptr, 5'000), waits = ask("echo", nullptr, 300);
  EXPECT_TRUE(answered(waits)) << "at its deadline, or when it is noticed that the server is not there";
  api_->cancel(sent);  // the thread that tells the server hangs, and nobody else
  EXPECT_TRUE(answered(sent));
  EXPECT_TRUE(soon_reaches(WEIR_STATE_RETRYING)) << "the server is not there any more";
  server.thaw();
  ASSERT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
  EXPECT_EQ(result("echo", 1)["params"], 1);
}

TEST_F(FunctionsTest, WhoComesBeforeTheFirstConnectionWaitsForItAndNotForTheSecondAttempt) {
  start_with(config(R"("functions":{"schema":"api"})"));
  EXPECT_EQ(result("echo", 1)["params"], 1) << "asked before any connection was there";
  rig_.reset();

  FakeHost other;
  SourceRig rig(other, weir_plugin_entry, "{\"url\":\"" + db.url(free_port()) + R"(","functions":{"schema":"api"}})");
  ASSERT_EQ(rig.start(), WEIR_OK);
  ResponderSide api(other, weir_plugin_entry, rig.instance());
  const auto token = api.ask("echo", "", "1", 30'000);
  ASSERT_TRUE(other.run_until([&] { return other.answers.count(token) != 0; }, kPatienceMs));
  EXPECT_EQ(other.answers[token].status, WEIR_E_UNAVAILABLE);
  EXPECT_EQ(other.last_state(), WEIR_STATE_RETRYING);
}

TEST_F(FunctionsTest, OneConnectionThatIsMissingIsDegradedAndTheOthersAnswer) {
  const std::string role = "few_of_" + db.name();
  sql.say("create role " + role + " login connection limit 2; grant usage on schema api to " + role);
  start_with(config(R"("functions":{"schema":"api"})", role));
  ASSERT_TRUE(until([&] { return hub.metrics["connections"] == 2; }));
  ASSERT_TRUE(reaches(WEIR_STATE_DEGRADED));
  EXPECT_NE(reason().find("2 of 4 connections"), std::string::npos) << reason();
  EXPECT_EQ(result("echo", 1)["params"], 1);
  sql.say("alter role " + role + " connection limit -1");
  EXPECT_TRUE(soon_reaches(WEIR_STATE_RUNNING));
}

TEST_F(FunctionsTest, StopCancelsWhatIsCarriedOut) {
  start();
  const auto runs = ask("nap", {{"s", 60}});
  ASSERT_TRUE(until([&] { return at_work() == 1; }));
  rig_->stop();
  EXPECT_EQ(hub.answers.count(runs), 1U);
  EXPECT_TRUE(hub.run_until([&] { return at_work() == 0; }, kPatienceMs));
}

TEST_F(FunctionsTest, AnInstanceWithoutFunctionsSaysSo) {
  start_with(config(R"("listen":["a"])"));
  EXPECT_NE(answer(ask("echo")).json.find("has no \\\"functions\\\""), std::string::npos);
}

// A source and a responder at once: one of them may be in trouble.
TEST_F(FunctionsTest, TheWorseStateOfItsPartsIsShown) {
  start_with(config(R"("outbox":{"schema":"no where","reader":"hub's"},"functions":{"schema":"api"})"));
  ASSERT_TRUE(until([&] { return hub.metrics["connections"] == 4; }));
  ASSERT_TRUE(reaches(WEIR_STATE_RETRYING));
  EXPECT_NE(reason().find(R"(`weir pg init --schema 'no where' --reader 'hub'\''s'` makes it)"), std::string::npos)
      << reason();
  EXPECT_EQ(result("echo", 1)["params"], 1);
}

}  // namespace
}  // namespace weir::test
