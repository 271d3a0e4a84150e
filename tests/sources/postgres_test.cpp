// PostgreSQL through a hub to a client, while the server and the link to it fail.
#include "sources/postgres_hub.hpp"

namespace weir::test {
namespace {

TEST_F(PostgresHubTest, NotificationsArriveAndEachOfTenBreaksIsAGap) {
  Client c = began(R"(listen = ["orders/7", "orders/8"], event = "{field:type}")", 200);
  sql_.say(R"(notify "orders/8", '{}'; notify "orders/7", '{"type":"paid","n":0}')");
  const Json e = c.next("event");
  EXPECT_EQ(e["event"], "paid");
  EXPECT_EQ(e["data"]["n"], 0);
  for (int i = 1; i <= 10; ++i) {
    proxy_.cut();
    sql_.say(R"(notify "orders/7", '{"type":"lost"}')");
    ASSERT_TRUE(reaches("retrying"));
    proxy_.heal();
    const Json gap = c.next("gap");
    EXPECT_NE(gap["data"].value("reason", "").find("was down"), std::string::npos) << gap;
    // Once more if a machine that is busy made it look like another break.
    for (Json frame = Json::object(); !(frame.value("type", "") == "event" && frame["data"]["n"] == i);) {
      sql_.say("notify \"orders/7\", '{\"n\":" + std::to_string(i) + "}'");
      do {
        frame = c.next();
        ASSERT_FALSE(frame.is_null());
      } while (frame["type"] != "event" && frame["type"] != "gap");
    }
  }
}

// Nobody listens from the end of one instance to the LISTEN of the next.
TEST_F(PostgresHubTest, AReloadOfAListenerIsAGap) {
  Client c = began(R"(listen = ["orders/7"])", kRarelyMs);
  ASSERT_TRUE(reload(manifest(R"(listen = ["orders/7", "orders/8"])", kRarelyMs)).done);
  EXPECT_NE(c.next("gap")["data"].value("reason", "").find("exchanged by a reload"), std::string::npos);
  EXPECT_NE(c.next("gap")["data"].value("reason", "").find("from now on"), std::string::npos);  // when it is at work
  sql_.say(R"(notify "orders/7", '{"n":1}')");
  EXPECT_EQ(c.next("event")["data"]["n"], 1);
}

// Beside the one above: many notifications, a server that dies, one that stands still.
TEST_F(PostgresHubTest, WhereNotificationsAreMissingAGapTellsSo) {
  Client c = began(R"(listen = ["orders/7"])", 250);
  Writer writer(telling());
  expect_losses_told(c, proxy_, server_, writer, 100);
}

// Each number at least once, the first time in order: rows follow the gap, and what was sent since follows the rows.
TEST_F(PostgresHubTest, WithAQueryToCatchUpFiveCutsUnderLoadLoseNothing) {
  sql_.say(
      "create schema api;"
      "create table api.changes (n bigint primary key, at timestamptz not null default now());"
      "create function api.tell() returns trigger language plpgsql as $$ begin"
      "  perform pg_notify('orders/7', row_to_json(new)::text); return new; end $$;"
      "create trigger tell after insert on api.changes for each row execute function api.tell();"
      "create function api.missed(since timestamptz) returns table (channel text, payload text) language sql as $$"
      "  select 'orders/7', row_to_json(c)::text from api.changes c where at > since - interval '1 s' order by n $$");
  Client c = began(R"toml(listen = ["orders/7"], id = "m{field:n}", catch_up = "select * from api.missed($1)")toml");
  Writer writer([client = std::make_shared<PostgresClient>(db_.conninfo())](int n) {
    client->say("insert into api.changes (n) values (" + std::to_string(n) + ") on conflict do nothing");
  });
  int gaps = 0;
  const auto reads_until = [&](int n) {
    while (next_ <= n) {
      const Json frame = c.next();
      ASSERT_FALSE(frame.is_null()) << "nothing after " << next_ - 1 << " of " << n;
      if (frame["type"] == "gap") ++gaps;
      if (frame["type"] != "event") continue;
      ASSERT_LE(frame["data"]["n"], next_);
      ASSERT_EQ(frame["id"], id_of(frame["data"]["n"]));
      if (frame["data"]["n"] == next_) ++next_;
    }
  };
  for (int cut = 0; cut < 5; ++cut) {
    writer.go_on(300);
    ASSERT_NO_FATAL_FAILURE(reads_until(writer.end() - 200));
    proxy_.cut();
    writer.go_on(100);
    ASSERT_TRUE(reaches("retrying"));
    ASSERT_TRUE(writer.is_done());
    ASSERT_LT(next_, writer.end());
    writer.go_on(1'000);  // while it comes back
    proxy_.heal();
    ASSERT_TRUE(reaches("running"));
  }
  ASSERT_NO_FATAL_FAILURE(reads_until(writer.end() - 1));
  EXPECT_GE(gaps, 5);
  EXPECT_GT(figures()["metrics"].value("caught_up", 0), 0);
}

TEST_F(PostgresHubTest, TenCutsOfTheLinkUnderLoadLoseAndDoubleNothing) {
  Client c = began(kind_.durable);
  const Undecided undecided(db_.conninfo());
  Writer writer(storing());
  ten_cuts(c, proxy_, writer, 150);
}

// The next instance begins behind what the one before had told the hub of: neither a row less nor one twice.
TEST_F(PostgresHubTest, ReloadsUnderLoadLoseAndDoubleNothing) {
  Client c = began(kind_.durable, kRarelyMs);
  const Undecided undecided(db_.conninfo());
  Writer writer(storing());
  reloads(c, writer, 150);
}

TEST_F(PostgresHubTest, AServerThatIsKilledAndStartedAgainLosesAndDoublesNothing) {
  Client c = began(kind_.durable, kRarelyMs);
  const Undecided undecided(db_.conninfo());
  Writer writer(storing());
  three_kills(c, proxy_, server_, writer, 300);
}

TEST_F(PostgresHubTest, AFrozenServerLosesAndDoublesNothing) {
  Client c = began(kind_.durable);
  const Undecided undecided(db_.conninfo());
  Writer writer(storing());
  one_freeze(c, proxy_, server_, writer, 300);
}

// With pings so rare that it is not noticed.
TEST_F(PostgresHubTest, AFrozenServerThatNobodyHurriesLosesAndDoublesNothing) {
  Client c = began(kind_.durable, 30'000);
  const Undecided undecided(db_.conninfo());
  Writer writer(storing());
  one_freeze(c, proxy_, server_, writer, 300, true);
}

TEST_F(PostgresHubTest, WhatTheHubDoesNotTakeIsToldAndPassed) {
  Client c = began(kind_.durable, kRarelyMs);
  sql_.say(insert(1));
  ASSERT_NO_FATAL_FAILURE(expect_more(c, 1));
  // The first two are fetched, the other one is not even that.
  sql_.say("insert into weir.outbox (topic, data) values ('orders/8', to_json(repeat('x', 1050000)))");
  sql_.say("insert into weir.outbox (topic, data) values ('orders/7', to_json(repeat('x', 1050000)))");
  sql_.say("insert into weir.outbox (topic, data) values ('orders/7', to_json(repeat('x', 2000000)))");
  sql_.say(insert(2));
  EXPECT_NE(c.next("gap")["data"].value("reason", "").find("does not take"), std::string::npos);
  EXPECT_NE(c.next("gap")["data"].value("reason", "").find("outbox.data_bytes"), std::string::npos);
  ASSERT_NO_FATAL_FAILURE(expect_more(c, 1));
  EXPECT_TRUE(wait_until([&] { return sql_.number("select top_id from weir.outbox_reader") == 5; }));
}

TEST_F(PostgresHubTest, AHubThatComesBackGoesOnBehindWhatItHad) {
  for (int i = 1; i <= 50; ++i) sql_.say(insert(i));
  start_hub(kind_.durable, kRarelyMs);
  ASSERT_TRUE(wait_until([&] { return sql_.number("select max(top_id) from weir.outbox_reader") == 50; }));
  stop();
  for (int i = 51; i <= 60; ++i) sql_.say(insert(i));
  start_hub(kind_.durable, kRarelyMs);
  ASSERT_TRUE(wait_until([&] { return http("GET", "/health").json()["channels"] == 1; }));
  Client c = subscribed("orders/7", 1000);
  next_ = 51;
  expect_more(c, 10);
}

// A responder and nothing else: no channel reads from it.
TEST_F(PostgresHubTest, MethodsAreAnsweredByFunctionsUntilTheManifestsTimeout) {
  sql_.say("create schema api");
  sql_.say(
      "create function api.\"todos.get\"(params jsonb, identity jsonb) returns jsonb language sql as "
      "$$ select jsonb_build_object('id', params->'id', 'who', identity, 'set', current_setting('weir.identity')) $$");
  sql_.say(
      "create function api.\"todos.nap\"(params jsonb, identity jsonb) returns jsonb language sql as "
      "$$ select to_jsonb('x' || pg_sleep(60)) $$");
  sql_.say(
      "create function api.\"todos.no\"(params jsonb, identity jsonb) returns jsonb language plpgsql as "
      "$$ begin raise exception 'not today' using errcode = 'WR404'; end $$");
  start("[[plugin]]\nname = \"db\"\nlibrary = \"postgres\"\nconfig = { url = \"" + db_.url(server_.port()) +
        "\", functions = { schema = \"api\" } }\n" + R"(
[[endpoint]]
path = "/ws"
[[method]]
pattern = "todos.nap"
plugin = "db"
timeout = "1s"
[[method]]
pattern = "todos.*"
plugin = "db"
subject = "{method}"
[[channel]]
pattern = "none"
)");
  ASSERT_TRUE(reaches("running"));
  Client c = connect();
  const auto ask = [&c](const std::string& method) {
    c.say({{"type", "request"}, {"id", method}, {"method", method}, {"params", {{"id", 5}}}});
    for (;;) {
      Json answer = c.next();
      if (answer.is_null() || answer.value("id", "") == method) return answer;
    }
  };
  EXPECT_EQ(ask("todos.get")["data"], (Json{{"id", 5}, {"who", nullptr}, {"set", "null"}}));
  EXPECT_EQ(ask("todos.no")["data"]["code"], "not_found");
  EXPECT_EQ(ask("todos.no")["data"]["message"], "not today");
  EXPECT_EQ(ask("todos.gone")["data"]["code"], "no_such_method");
  EXPECT_EQ(ask("todos.nap")["data"]["code"], "timeout");
  EXPECT_TRUE(wait_until([&] {
    return sql_.number("select count(*) from pg_stat_activity where application_name = 'weir' and state = 'active'") ==
           0;
  }));
}

}  // namespace
}  // namespace weir::test
