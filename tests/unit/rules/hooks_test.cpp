// Hooks besides those that an event passes: on_publish, on_request, on_timer; and hub.kv, which they share.
#include <fstream>
#include <iterator>

#include "unit/rules/bench_rules.hpp"

namespace weir {
namespace {

Identity identity(std::string subject, std::vector<std::string> scopes = {}) {
  Identity who;
  who.subject = std::move(subject);
  who.scopes = std::move(scopes);
  who.provider = "keys";
  who.attributes_json = R"({"team":"a","n":[1,2]})";
  return who;
}

std::string published_by(Bench& b, const Identity& who, const std::string& data) {
  Draft draft;
  draft.event = "e";
  draft.data = data;
  const RuleVerdict verdict = b.chain->may_publish(who, draft);
  return verdict.keep ? "may" : (verdict.failed ? "failed: " : "") + verdict.reason;
}

TEST(OnPublishTest, DecidesByWhoAndWhat) {
  Bench b(
      "return { on_publish = function(who, ev, ctx) return ev.data.by == who.subject and ctx.channel == 'agents/7', "
      "'not your name' end }");
  EXPECT_TRUE(b.chain->asks_publishers());
  EXPECT_EQ(published_by(b, identity("ann"), R"({"by":"ann"})"), "may");
  EXPECT_EQ(published_by(b, identity("bob"), R"({"by":"ann"})"), "not your name");
  EXPECT_EQ(b.engine->status().front().refused, 1U);
  EXPECT_EQ(b.data("1"), "1");  // events pass
}

TEST(OnPublishTest, SeesTheWholeIdentity) {
  Bench b(
      "return { on_publish = function(who) return false, who.subject .. ' ' .. who.provider .. ' ' .. "
      "table.concat(who.scopes, '+') .. ' ' .. who.attributes.team .. who.attributes.n[2] end }");
  EXPECT_EQ(published_by(b, identity("ann", {"x", "y"}), "1"), "ann keys x+y a2");
}

TEST(OnPublishTest, WhatFailsForbids) {
  Bench b("return { on_publish = function(who, ev) return ev.data.a.b end }");
  EXPECT_EQ(published_by(b, identity("ann"), "1").rfind("failed: rule error: test.lua:1: attempt to index", 0), 0U);
  EXPECT_EQ(published_by(b, identity("ann"), R"({"a":{}})"), "");
}

TEST(OnPublishTest, EveryRuleHasASay) {
  Bench b(std::vector<std::string>{"return { on_publish = function(who, ev) return ev.data ~= 1, 'one' end }",
                                   "return { on_publish = function(who, ev) return ev.data ~= 2, 'two' end }"});
  EXPECT_EQ(published_by(b, identity("a"), "1"), "one");
  EXPECT_EQ(published_by(b, identity("a"), "2"), "two");
  EXPECT_EQ(published_by(b, identity("a"), "3"), "may");
  EXPECT_FALSE(Bench(filter("return true")).chain->asks_publishers());
}

std::string asked(Bench& b, const std::string& method, const std::string& params = "{}") {
  const auto answer = b.engine->request(0, identity("ann"), method, params);
  return answer ? *answer : std::string(to_word(answer.error().code)) + ": " + answer.error().message;
}

TEST(OnRequestTest, AnswersAndRemembers) {
  Bench b(
      "local n = 0 return { on_request = function(who, method, params, ctx) n = n + (params.by or 1) "
      "return { n = n, who = who.subject, method = method } end }");
  EXPECT_EQ(asked(b, "count.up"), R"({"method":"count.up","n":1,"who":"ann"})");
  EXPECT_EQ(asked(b, "count.up", R"({"by":4})"), R"({"method":"count.up","n":5,"who":"ann"})");
  EXPECT_EQ(b.engine->status().front().requests, 2U);
}

TEST(OnRequestTest, AnyValueIsAnAnswer) {
  Bench b("return { on_request = function(who, method, params) return params end }");
  for (const char* value : {"[]", "[1,null]", "\"x\"", "7", "false", "null", R"({"a":{}})"})
    EXPECT_EQ(asked(b, "m", value), value);
}

TEST(OnRequestTest, ErrorsHaveACode) {
  Bench b(
      "return { on_request = function(who, method) if method == 'a' then return nil, { code = 'not_found', message = "
      "'no such "
      "todo' } elseif method == 'b' then return nil, {} elseif method == 'c' then return nil, { code = 'oops' } elseif "
      "method == "
      "'d' then return nil, 'text' end error('broken') end }");
  EXPECT_EQ(asked(b, "a"), "not_found: no such todo");
  EXPECT_EQ(asked(b, "b"), "bad_request: " + std::string(sentence(Errc::bad_request)));
  EXPECT_EQ(
      asked(b, "c"),
      "internal: rule error: test.lua: on_request returned the code 'oops'; docs/protocol.md has those there are");
  EXPECT_EQ(asked(b, "d"),
            "internal: rule error: test.lua: on_request returned nil and a string; an error is nil, {code = ..., "
            "message = ...}");
  EXPECT_EQ(asked(b, "e"), "internal: rule error: test.lua:1: broken");
  EXPECT_EQ(b.engine->status().front().errors, 3U);
}

TEST(OnRequestTest, PublishesUnlessItFails) {
  Bench b(
      "return { on_request = function(who, method) hub.publish('todos', 'added', { by = who.subject }) "
      "if method == 'bad' then error('no') end return true end }");
  asked(b, "bad");
  EXPECT_TRUE(b.output.events.empty());
  asked(b, "good");
  ASSERT_EQ(b.output.events.size(), 1U);
  EXPECT_EQ(b.output.events[0].first, "todos");
  EXPECT_EQ(b.output.events[0].second.data, R"({"by":"ann"})");
  EXPECT_EQ(b.output.events[0].second.source, "test.lua");
}

TEST(OnRequestTest, HasTheBudget) {
  Bench b("return { on_request = function() while true do end end }");
  EXPECT_EQ(asked(b, "m").rfind("internal: rule error: test.lua:1: operations budget exceeded", 0), 0U);
}

// Symptom: twenty requests with params that the rule did not expect took its filter out for half a minute.
TEST(OnRequestTest, ClientsCanNotQuarantineTheRule) {
  Bench b(
      "return { filter = function() return true end, on_request = function() error('no') end, on_publish = function() "
      "error('no') end, snapshot = function() error('no') end }");
  for (int i = 0; i < 50; ++i) {
    asked(b, "m");
    published_by(b, identity("ann"), "1");
    EXPECT_FALSE(b.chain->snapshot("{}"));
  }
  EXPECT_FALSE(b.engine->status().front().quarantined);
  EXPECT_EQ(b.engine->status().front().errors, 150U);
  EXPECT_TRUE(b.run("1").keep);
}

TEST(OnTimerTest, RunsEverySoOftenOnceThereIsAState) {
  RuleSettings settings;
  settings.every_ms = 1000;
  Bench b(
      "local n = 0 return { filter = function() n = n + 1 return true end, on_timer = function(now) hub.publish('t', "
      "'tick', { "
      "n = n, now = now }) end }",
      settings);
  EXPECT_EQ(b.engine->timers(), std::nullopt);  // no event yet, no state
  b.run("1");
  EXPECT_EQ(b.engine->timers(), b.clock.steady + 1000);
  b.clock.steady += 999;
  b.engine->timers();
  EXPECT_TRUE(b.output.events.empty());
  b.clock.steady += 1;
  b.clock.unix_time = 5000;
  EXPECT_EQ(b.engine->timers(), b.clock.steady + 1000);
  ASSERT_EQ(b.output.events.size(), 1U);
  EXPECT_EQ(b.output.events[0].second.data, R"({"n":1,"now":5000})");
  b.clock.steady += 10'000;  // asleep for long: once, not ten times
  b.engine->timers();
  b.engine->timers();
  EXPECT_EQ(b.output.events.size(), 2U);
  EXPECT_EQ(b.engine->status().front().timers, 2U);
}

// The key 0 of an event is a script's to write. No number in it may lead to an event that is not there.
TEST(OnTimerTest, AnEventThatWasKeptCanNotBeMadeToLookAlive) {
  RuleSettings settings;
  settings.every_ms = 10;
  Bench b(
      "local k, d return { filter = function(ev) k, d = ev, ev.data return true end, on_timer = function() for i = 1, "
      "4 do "
      "k[0] = k[0] + 268435456 d[0] = d[0] + 268435456 for _, f in ipairs { 'id', 'channel', 'time' } do "
      "local read = pcall(function() return k[f] end) if read then hub.publish('t', 'read', f) end end "
      "if pcall(function() return d.x end) then hub.publish('t', 'read', 'd') end end end }",
      settings);
  b.run(R"({"x":1})");
  b.clock.steady += 20;
  b.engine->timers();
  EXPECT_TRUE(b.output.events.empty());
  EXPECT_EQ(b.engine->status().front().timers + b.engine->status().front().errors, 1U);
}

TEST(OnTimerTest, OneThatFailsIsToldAndGoesOn) {
  RuleSettings settings;
  settings.every_ms = 10;
  Bench b(
      "return { filter = function() return true end, on_timer = function() hub.publish('t', 'x', 1) error('no') end }",
      settings);
  b.run("1");
  for (int i = 0; i < 30; ++i) {
    b.clock.steady += 10;
    b.engine->timers();
  }
  EXPECT_TRUE(b.output.events.empty());
  EXPECT_EQ(b.engine->status().front().errors, 20U);  // then it is quarantined
  EXPECT_TRUE(b.engine->status().front().quarantined);
}

TEST(KvTest, IsSharedByRulesAndChannels) {
  Bench b({filter("hub.kv.set('a', { n = ev.data, list = hub.array() }) return true"),
           transform("ev.data = { was = hub.kv.get('a'), none = hub.kv.get('b') } return ev")});
  EXPECT_EQ(b.data("7"), R"({"was":{"list":[],"n":7}})");
}

TEST(KvTest, AddIncrAndDelete) {
  Bench b(
      transform("local kv = hub.kv ev.data = { kv.add('x', 1), kv.add('x', 2), kv.get('x'), kv.incr('n'), kv.incr('n', "
                "4.5), kv.incr('n', "
                "-1), kv.set('x', 'text') } kv.delete('x') ev.data[8] = kv.get('x') == nil ev.data[9] = kv.add('x', "
                "false) ev.data[10] = "
                "kv.get('x') return ev"));
  EXPECT_EQ(b.data("0"), R"([true,false,1,1,5.5,4.5,true,true,true,false])");
}

TEST(KvTest, WhatHasATimeGoes) {
  Bench b(
      "return { transform = function(ev) local kv = hub.kv if ev.data == 0 then kv.set('a', 1, 10) kv.incr('n', 1, 10) "
      "end "
      "if ev.data == 1 then kv.incr('n', 1, 100) end ev.data = { kv.get('a') or null, kv.get('n') or null } return ev "
      "end }");
  EXPECT_EQ(b.data("0"), "[1,1]");
  b.clock.steady += 9'999;
  EXPECT_EQ(b.data("1"), "[1,2]");
  b.clock.steady += 1;
  EXPECT_EQ(b.data("2"), "[null,null]");  // incr keeps the time of the first
}

TEST(KvTest, WrongUseSaysSo) {
  const auto error = [](const std::string& body) { return Bench(transform(body)).run("1").reason; };
  EXPECT_EQ(error("hub.kv.get(7)"), "rule error: test.lua:1: hub.kv.get: the key is a number; expected a string");
  EXPECT_EQ(error("hub.kv.set('', 1)"), "rule error: test.lua:1: hub.kv.set: the key has 0 bytes; expected 1 to 255");
  EXPECT_EQ(error("hub.kv.set('a')"),
            "rule error: test.lua:1: hub.kv.set: the value is nil; hub.kv.delete(key) takes an entry away");
  EXPECT_EQ(error("hub.kv.set('a', 1, 0)"),
            "rule error: test.lua:1: hub.kv.set: the time to live must be a number of seconds above 0");
  EXPECT_EQ(error("hub.kv.set('a', 'x') hub.kv.incr('a')"),
            "rule error: test.lua:1: hub.kv.incr: what 'a' holds is no number, or would be none");
}

const std::string kScripts = std::string(WEIR_SOURCE_DIR) + "/scripts";

std::string library(const std::string& name) {
  std::ifstream file(kScripts + "/filters/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(LibraryTest, WhatRememberPutsThereEnrichFinds) {
  RuleSettings remembers, enriches;
  remembers.folders = enriches.folders = {kScripts};
  remembers.script = "remember.lua";
  remembers.params_json = R"({"key":"data.id","value":"data.profile","prefix":"user:"})";
  enriches.script = "enrich.lua";
  enriches.params_json = R"({"by":"data.userId","prefix":"user:","into":"data.user"})";
  const auto kv = std::make_shared<Kv>(1'000'000);
  Published output;
  ManualTime clock;
  RuleEngine engine({*load_rule(library("remember.lua"), remembers), *load_rule(library("enrich.lua"), enriches)},
                    output, clock, Limits{}, kv);
  const std::size_t first[] = {0}, second[] = {1};
  const auto users = engine.open(first, "users", {}), orders = engine.open(second, "orders", {});
  std::vector<Draft> more;
  Draft user, order;
  user.event = order.event = "e";
  user.data = R"({"id":7,"profile":{"name":"Ann"}})";
  order.data = R"({"userId":7})";
  EXPECT_TRUE(users->run(user, more).keep);
  EXPECT_TRUE(orders->run(order, more).keep);
  EXPECT_EQ(order.data, R"({"userId":7,"user":{"name":"Ann"}})");
}

// Symptom: a timer that had more than 64 batches to publish lost all of them.
TEST(LibraryTest, BatchesOfManyChannelsAllComeThoughNotInOneCall) {
  RuleSettings settings;
  settings.folders = {kScripts};
  settings.script = "batch.lua";
  settings.every_ms = 100;
  Published output;
  ManualTime clock;
  RuleEngine engine({*load_rule(library("batch.lua"), settings)}, output, clock, Limits{});
  const std::size_t rules[] = {0};
  std::vector<std::unique_ptr<RuleChain>> chains;
  std::vector<Draft> more;
  for (int i = 0; i < 150; ++i) {
    chains.push_back(engine.open(rules, "c/" + std::to_string(i), {}));
    Draft draft;
    draft.event = "e";
    draft.data = "1";
    EXPECT_EQ(chains.back()->run(draft, more).reason, "batched");
  }
  for (const std::size_t so_far : {64U, 128U, 150U, 150U}) {
    clock.steady += 100;
    engine.timers();
    EXPECT_EQ(output.events.size(), so_far);
  }
}

TEST(KvTest, IsBoundedAndSweepsWhatIsOver) {
  Kv kv(100'000);
  const std::string value(1000, 'x');
  int taken = 0;
  while (kv.set("k" + std::to_string(taken), value, 500, false, 0) == Kv::Put::done) ++taken;
  EXPECT_GT(taken, 70);
  EXPECT_LE(kv.bytes(), 100'000U);
  EXPECT_EQ(kv.set("k0", "small", 500, false, 0), Kv::Put::done);  // one that gets smaller always fits
  int again = 0;
  for (int i = 0; i < 1000 && again < taken; ++i)
    again += kv.set("n" + std::to_string(i), value, 0, false, 2000) == Kv::Put::done ? 1 : 0;
  EXPECT_GT(again, taken / 2);  // what was over has made room
  EXPECT_LE(kv.bytes(), 100'000U);
  for (int i = 0; i < 1000; ++i) kv.remove("n" + std::to_string(i)), kv.remove("k" + std::to_string(i));
  EXPECT_EQ(kv.bytes(), 0U);
  EXPECT_EQ(kv.entries(), 0U);
}

}  // namespace
}  // namespace weir
