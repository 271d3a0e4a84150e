#include "rules/engine.hpp"

#include <atomic>
#include <thread>

#include "unit/rules/bench_rules.hpp"

namespace weir {
namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(RuleChainTest, AFilterKeepsAndDropsWithItsReason) {
  Bench bench(filter("return ev.data.level ~= 'debug', 'debug line'"));
  EXPECT_TRUE(bench.run(R"({"level":"info"})").keep);
  const auto verdict = bench.run(R"({"level":"debug"})");
  EXPECT_FALSE(verdict.keep);
  EXPECT_FALSE(verdict.failed);
  EXPECT_EQ(verdict.reason, "debug line");
}

TEST(RuleChainTest, NilDropsToo) { EXPECT_FALSE(Bench(filter("return nil")).run("{}").keep); }

TEST(RuleChainTest, ContextTellsChannelVariablesParamsAndSource) {
  RuleSettings settings;
  settings.params_json = R"({"list":[1,2],"deep":{"a":"b"}})";
  Bench bench(
      transform(
          "ev.data = {ctx.channel, ctx.vars.id, #ctx.params.list, ctx.params.deep.a, tostring(ctx.source)} return ev"),
      settings);
  EXPECT_EQ(bench.data("{}"), R"(["agents/7","7",2,"b","nil"])");
  bench.draft = {};
  bench.draft.event = "e";
  bench.draft.data = "{}";
  bench.draft.source = "bus";
  ASSERT_TRUE(bench.chain->run(bench.draft, bench.more).keep);
  EXPECT_EQ(bench.draft.data, R"(["agents/7","7",2,"b","bus"])");
  EXPECT_EQ(bench.data("{}"), R"(["agents/7","7",2,"b","nil"])");
}

TEST(RuleChainTest, EachRuleSeesWhatTheOneBeforeMade) {
  Bench bench({transform("ev.data.n = ev.data.n + 1 return ev"), transform("ev.data.n = ev.data.n * 10 return ev"),
               filter("return ev.data.n > 20, 'small'")});
  EXPECT_EQ(bench.data(R"({"n":2})"), R"({"n":30})");
  EXPECT_EQ(bench.data(R"({"n":1})"), "dropped: small");
}

TEST(RuleChainTest, AFilterRunsBeforeTheTransformOfItsRuleAndChangesNothing) {
  Bench bench(
      "return { filter = function(ev) ev.data.x = 1 return ev.data.keep end, transform = function(ev) ev.data.seen = "
      "tostring(ev.data.x) return ev end }");
  EXPECT_EQ(bench.data(R"({"keep":true})"), R"({"keep":true,"seen":"nil"})");
  EXPECT_EQ(bench.data(R"({})"), "dropped: ");
}

TEST(RuleChainTest, ATransformMayReturnANewTable) {
  Bench bench(transform("return {event = 'new', data = {n = ev.data.n}, key = 'k'}"));
  bench.draft.id = "i";
  EXPECT_EQ(bench.data(R"({"n":1})"), R"({"n":1})");
  EXPECT_EQ(bench.draft.event, "new");
  EXPECT_EQ(bench.draft.key, "k");
  Bench unnamed(transform("return {data = 1}"));
  EXPECT_EQ(unnamed.data("{}"), "1");
  EXPECT_EQ(unnamed.draft.event, "line");
}

TEST(RuleChainTest, WhatATransformMayNotReturnIsSaid) {
  EXPECT_TRUE(
      contains(Bench(transform("return 7")).data("{}"), "transform returned a number; return the event, a table"));
  EXPECT_TRUE(contains(Bench(transform("return ev.data")).data("{}"), "a part of the event"));
  EXPECT_TRUE(contains(Bench(transform("return {event = 'x'}")).data("{}"), "has no data"));
  EXPECT_TRUE(contains(Bench(transform("return {level = 1, data = 1}")).data("{}"), "unknown field 'level'"));
  EXPECT_TRUE(contains(Bench(transform("return hub.many{1}")).data("{}"), "entry 1 is a number"));
  EXPECT_TRUE(contains(Bench(transform("local t = {} for i = 1, 17 do t[i] = ev end return hub.many(t)")).data("{}"),
                       "17 events; at most 16"));
  EXPECT_EQ(Bench(transform("return nil, 'not today'")).data("{}"), "dropped: not today");
}

TEST(RuleChainTest, ManyMakesFurtherEventsInOrder) {
  Bench bench({transform("local t = {} for i, item in ipairs(ev.data.items) do t[i] = {event = 'item', data = item} "
                         "end return hub.many(t)"),
               "return { filter = function(ev) return ev.data.n ~= 2 end, transform = function(ev) ev.data.seen = true "
               "return ev end }"});
  bench.draft.dedupe = "d";
  ASSERT_TRUE(bench.run(R"({"items":[{"n":1},{"n":2},{"n":3.0},{"n":4}]})").keep);
  EXPECT_EQ(bench.draft.data, R"({"n":1,"seen":true})");
  ASSERT_EQ(bench.more.size(), 2U);
  EXPECT_EQ(bench.more[0].data, R"({"n":3.0,"seen":true})");
  EXPECT_EQ(bench.more[1].data, R"({"n":4,"seen":true})");
  EXPECT_EQ(bench.more[1].event, "item");
  // The first is dropped: the next takes its place.
  ASSERT_TRUE(bench.run(R"({"items":[{"n":2},{"n":5}]})").keep);
  EXPECT_EQ(bench.draft.data, R"({"n":5,"seen":true})");
  EXPECT_TRUE(bench.more.empty());
  EXPECT_FALSE(bench.run(R"({"items":[]})").keep);
  EXPECT_FALSE(bench.run(R"({"items":[{"n":2}]})").keep);
}

TEST(RuleChainTest, EventsThatMultiplyAreBounded) {
  const auto doubling = transform("local t = {} for i = 1, 16 do t[i] = {data = i} end return hub.many(t)");
  EXPECT_EQ(Bench(std::vector<std::string>{doubling, doubling}).run("{}").keep, true);
  EXPECT_TRUE(
      contains(Bench(std::vector<std::string>{doubling, doubling, doubling}).run("{}").reason, "more than 256 events"));
}

TEST(RuleChainTest, TheIdGoesOnWithTheFirstEventOnly) {
  Bench bench(transform("return hub.many{ev, {data = 1}, {data = 2, id = 'mine'}, ev}"));
  Draft draft;
  draft.event = "e";
  draft.data = "{}";
  draft.id = "i";
  draft.dedupe = "d";
  std::vector<Draft> more;
  ASSERT_TRUE(bench.chain->run(draft, more).keep);
  EXPECT_EQ(draft.id, "i");
  EXPECT_EQ(draft.dedupe, "d");
  ASSERT_EQ(more.size(), 3U);
  EXPECT_EQ(more[0].id, "");
  EXPECT_EQ(more[1].id, "mine");
  EXPECT_EQ(more[2].id, "");
  EXPECT_EQ(more[2].dedupe, "");
}

TEST(OnErrorTest, DropPassAndStopChannel) {
  const auto failing = transform("ev.data.x = 1 if ev.event == 'bad' then error('no good') end return ev");
  Bench drop(failing);
  EXPECT_EQ(drop.run("{}", "bad").reason, "rule error: test.lua:1: no good");
  EXPECT_TRUE(drop.run("{}").keep);

  RuleSettings settings;
  settings.on_error = RuleOnError::pass;
  Bench pass({failing, transform("ev.data.second = true return ev")}, settings);
  ASSERT_TRUE(pass.run(R"({"a":1.0})", "bad").keep);
  EXPECT_EQ(pass.draft.data, R"({"a":1.0,"second":true})");

  settings.on_error = RuleOnError::stop_channel;
  Bench stop(failing, settings);
  EXPECT_TRUE(stop.run("{}").keep);
  EXPECT_EQ(stop.run("{}", "bad").reason, "channel stopped by a rule error: test.lua:1: no good");
  EXPECT_EQ(stop.run("{}").reason, "channel stopped by a rule error: test.lua:1: no good");
  EXPECT_TRUE(stop.run("{}").failed);
  // Also when the channel was closed and opened again; other channels go on.
  const std::size_t rules[] = {0};
  Draft draft;
  draft.event = "e";
  draft.data = "{}";
  std::vector<Draft> more;
  EXPECT_FALSE(stop.engine->open(rules, "agents/7", {})->run(draft, more).keep);
  EXPECT_TRUE(stop.engine->open(rules, "agents/8", {})->run(draft, more).keep);
}

// A stopped channel dropped all of its events, and /health said that all was well.
TEST(OnErrorTest, AStoppedChannelIsInTheStatus) {
  RuleSettings settings;
  settings.on_error = RuleOnError::stop_channel;
  Bench bench(filter("if ev.event == 'bad' then error('no good') end return true"), settings);
  const auto status = [&] { return bench.engine->status().at(0); };
  EXPECT_EQ(status().channels_stopped, 0U);
  bench.run("{}", "bad");
  bench.run("{}", "bad");
  ASSERT_EQ(status().stopped.size(), 1U);
  EXPECT_EQ(status().stopped[0].channel, "agents/7");
  EXPECT_EQ(status().stopped[0].error, "test.lua:1: no good");
  // As many channels as there may be can stop; the first of them are named, the rest counted.
  const std::size_t rules[] = {0};
  std::vector<Draft> more;
  for (int i = 0; i < 40; ++i) {
    Draft draft;
    draft.event = "bad";
    draft.data = "{}";
    EXPECT_TRUE(bench.engine->open(rules, "c/" + std::to_string(i), {})->run(draft, more).failed);
  }
  EXPECT_EQ(status().channels_stopped, 41U);
  EXPECT_EQ(status().stopped.size(), RuleStatus::kStoppedShown);
}

TEST(QuarantineTest, ManyErrorsInARowThenOneTryEveryHalfMinute) {
  Limits limits;
  limits.rule_errors_in_a_row = 3;
  Bench bench(filter("if ev.event == 'bad' then error('broken') end return true"), {}, limits);
  const auto status = [&] { return bench.engine->status().at(0); };
  bench.run("{}", "bad");
  bench.run("{}", "bad");
  EXPECT_TRUE(bench.run("{}").keep) << "one good event in between starts the count anew";
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(status().quarantined);
    bench.run("{}", "bad");
  }
  EXPECT_TRUE(status().quarantined);
  EXPECT_EQ(status().reason, "test.lua:1: broken");
  EXPECT_EQ(status().quarantined_since, bench.clock.unix_time);
  EXPECT_TRUE(bench.run("{}").failed) << "not run any more, good event or bad";
  EXPECT_EQ(status().skipped, 1U);
  bench.clock.steady += RuleEngine::kQuarantineMs;
  EXPECT_FALSE(bench.run("{}", "bad").keep);
  EXPECT_EQ(status().errors, 6U);
  EXPECT_FALSE(bench.run("{}").keep) << "the one try failed";
  bench.clock.steady += RuleEngine::kQuarantineMs;
  EXPECT_TRUE(bench.run("{}").keep);
  EXPECT_FALSE(status().quarantined);
}

TEST(StatusTest, CountsWhatHappened) {
  Bench bench(
      "return { filter = function(ev) if ev.data.fail then error('x') end if ev.data.loop then while true do end end "
      "return ev.data.n == nil, 'n' .. tostring(ev.data.n) end }");
  bench.run("{}");
  bench.run(R"({"n":1})");
  bench.run(R"({"n":1})");
  bench.run(R"({"n":2})");
  bench.run(R"({"fail":1})");
  bench.run(R"({"loop":1})");
  for (int i = 0; i < 40; ++i) bench.run("{\"n\":" + std::to_string(100 + i) + "}");
  const auto status = bench.engine->status().at(0);
  EXPECT_EQ(status.script, "test.lua");
  EXPECT_EQ(status.events, 46U);
  EXPECT_EQ(status.kept, 1U);
  EXPECT_EQ(status.dropped, 43U);
  EXPECT_EQ(status.errors, 2U);
  EXPECT_EQ(status.budget_stops, 1U);
  ASSERT_EQ(status.reasons.size(), 17U);
  EXPECT_EQ(status.reasons[0], (std::pair<std::string, std::uint64_t>("n1", 2)));
  EXPECT_EQ(status.reasons[16].first, "other");
  EXPECT_EQ(status.reasons[16].second, 26U);
}

TEST(StatusTest, IsReadFromAnotherThreadWhileEventsRun) {
  Bench bench(
      filter("if ev.data.n % 7 == 0 then error('seven') end return ev.data.n % 2 == 0, 'odd ' .. ev.data.n % 30"));
  std::atomic<bool> done{false};
  std::uint64_t reads = 0;
  std::thread reader([&] {
    do {
      const auto status = bench.engine->status().at(0);
      EXPECT_LE(status.reasons.size(), 17U);
      EXPECT_TRUE(status.reason.empty() || contains(status.reason, "seven"));
      ++reads;
    } while (!done);
  });
  for (int n = 1; n <= 3000; ++n) bench.run("{\"n\":" + std::to_string(n) + "}");
  done = true;
  reader.join();
  EXPECT_GT(reads, 0U);
  const auto status = bench.engine->status().at(0);
  EXPECT_EQ(status.events, 3000U);
  EXPECT_EQ(status.kept + status.dropped + status.errors, 3000U);
}

TEST(PublishTest, GoesOutAfterTheChainWithOneHopMore) {
  Bench bench({filter("hub.publish('alerts/' .. ctx.vars.id, 'alarm', {of = ev.data, n = 1}) return true"),
               filter("return ev.data.ok, 'second'")});
  EXPECT_FALSE(bench.run(R"({ "a":1.0 })").keep) << "a later rule dropped it, what was published stays published";
  ASSERT_EQ(bench.output.events.size(), 1U);
  EXPECT_EQ(bench.output.events[0].first, "alerts/7");
  EXPECT_EQ(bench.output.events[0].second.event, "alarm");
  EXPECT_EQ(bench.output.events[0].second.data, R"({"n":1,"of":{ "a":1.0 }})");
  EXPECT_EQ(bench.output.events[0].second.hops, 1);
}

TEST(PublishTest, NothingOfAFailedCallAndNothingInCircles) {
  Bench failing(filter("hub.publish('a', 'b', 1) error('x')"));
  failing.run("{}");
  EXPECT_TRUE(failing.output.events.empty());

  Bench circle(filter("hub.publish('a', 'b', 1) return true"));
  Draft draft;
  draft.event = "e";
  draft.data = "{}";
  draft.hops = 3;
  std::vector<Draft> more;
  EXPECT_TRUE(circle.chain->run(draft, more).keep);
  EXPECT_EQ(circle.output.events.at(0).second.hops, 4);
  draft.hops = 4;
  EXPECT_TRUE(contains(circle.chain->run(draft, more).reason, "do they go in circles?"));
  for (const char* name : {"", "a b", "a//b", "/a", "a*", "{x}"})
    EXPECT_TRUE(contains(Bench(filter("hub.publish('" + std::string(name) + "', 'b', 1) return true")).run("{}").reason,
                         "channel name "))
        << name;
}

TEST(HubTest, TimeHashAndJson) {
  Bench bench(transform(
      "ev.data = {hub.now(), hub.hash('abc'), hub.json.encode({b = {}, a = hub.array(), n = null}), "
      "hub.json.decode('{\"x\":[1,null,{}]}').x[1], select(2, hub.json.decode('[1,')), tostring(null)} return ev"));
  EXPECT_EQ(
      bench.data("{}"),
      R"([1767225600000,"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","{\"a\":[],\"b\":{},\"n\":null}",1,"not JSON at byte 3: expected a value, found the end of the text","null"])");
}

TEST(HubTest, LogIsLimitedPerSecondAndTheRestIsCounted) {
  Bench bench(filter("for i = 1, 60 do hub.log('debug', 'line ' .. i) end return true"));
  bench.run("{}");
  EXPECT_EQ(bench.engine->status()[0].log_lines_lost, 0U);
  bench.run("{}");
  EXPECT_EQ(bench.engine->status()[0].log_lines_lost, 20U);
  bench.clock.steady += 1000;
  bench.run("{}");
  EXPECT_EQ(bench.engine->status()[0].log_lines_lost, 20U);
  EXPECT_TRUE(contains(Bench(filter("hub.log('loud', 'x') return true")).run("{}").reason, "'loud' is no level"));
}

TEST(IsolationTest, RulesShareNothing) {
  // The same text twice, with different params: two programs, two states.
  const auto counter =
      "local n = 0 string.rep = nil return { transform = function(ev) n = n + 1 ev.data[#ev.data + 1] = n return ev "
      "end }";
  Bench bench(std::vector<std::string>{counter, counter, transform("ev.data[#ev.data + 1] = ('x'):rep(2) return ev")});
  EXPECT_EQ(bench.data("[]"), R"([1,1,"xx"])");
  EXPECT_EQ(bench.data("[]"), R"([2,2,"xx"])");
}

}  // namespace
}  // namespace weir
