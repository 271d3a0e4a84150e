// Hooks that keep a channel's state: initial, reduce, snapshot.
#include "unit/rules/bench_rules.hpp"

namespace weir {
namespace {

struct StateBench : Bench {
  using Bench::Bench;
  void take(std::string data, std::string event = "e", std::string key = {}) {
    Draft d;
    d.event = std::move(event);
    d.data = std::move(data);
    d.key = std::move(key);
    d.time_ms = 1000 + static_cast<UnixMs>(place);
    chain->reduce(*Event::make("agents/7", "ep", ++place, d));
  }
  std::string state(std::string_view params = "{}") {
    const auto made = chain->snapshot(params);
    return made ? *made : "failed: " + made.error().message;
  }
  RuleStatus status() { return engine->status().front(); }
  SequenceId place = 0;
};

constexpr const char* kSum =
    "return { initial = function(ctx) return { sum = 0, of = ctx.vars.id } end,"
    " reduce = function(state, ev) state.sum = state.sum + ev.data.n return state end }";

TEST(StateTest, TakesInEventAfterEventAndIsTold) {
  StateBench b(kSum);
  EXPECT_TRUE(b.chain->has_state());
  EXPECT_EQ(b.state(), R"({"of":"7","sum":0})");
  b.take(R"({"n":2})");
  b.take(R"({"n":40})");
  EXPECT_EQ(b.state(), R"({"of":"7","sum":42})");
  EXPECT_EQ(b.status().reduced, 2U);
  EXPECT_EQ(b.status().snapshots, 2U);
}

TEST(StateTest, AFilterAloneKeepsNone) { EXPECT_FALSE(Bench(filter("return true")).chain->has_state()); }

TEST(StateTest, ReduceSeesTheWholeEventAndTheContext) {
  StateBench b(
      "return { reduce = function(state, ev, ctx) state.last = { ev.event, ev.key, ev.time, ev.sequence_id, "
      "ev.channel, "
      "ctx.channel, ctx.params.p, ev.id } return state end }");
  b.take("1", "up", "k");
  EXPECT_EQ(b.state(), R"({"last":["up","k",1000,1,"agents/7","agents/7"]})");
}

TEST(StateTest, WhatItKeepsOfAnEventOutlivesTheCall) {
  StateBench b(
      "return { reduce = function(state, ev) state[#state + 1] = ev.data.deep return state end, "
      "snapshot = function(state) return hub.array(state) end }");
  b.take(R"({"deep":{"a":[1,{"b":"c"}],"e":[],"big":{}}})");
  b.take(R"({"deep":{"x":1}})");
  EXPECT_EQ(b.state(), R"([{"a":[1,{"b":"c"}],"big":{},"e":[]},{"x":1}])");
}

TEST(StateTest, SnapshotGetsWhatTheSubscriberAskedWith) {
  StateBench b(
      "return { reduce = function(s, ev) s[ev.data.k] = ev.data.v return s end, snapshot = function(s, params, ctx) "
      "return { it = s[params.k], all = params.k == nil and s or nil, of = ctx.channel } end }");
  b.take(R"({"k":"a","v":1})");
  b.take(R"({"k":"b","v":2})");
  EXPECT_EQ(b.state(R"({"k":"b"})"), R"({"it":2,"of":"agents/7"})");
  EXPECT_EQ(b.state(), R"({"all":{"a":1,"b":2},"of":"agents/7"})");
}

TEST(StateTest, ChannelsOfOneRuleAreApart) {
  StateBench b(kSum);
  const std::size_t rules[] = {0};
  auto other = b.engine->open(rules, "agents/8", {{"id", "8"}});
  b.take(R"({"n":1})");
  EXPECT_EQ(b.state(), R"({"of":"7","sum":1})");
  EXPECT_EQ(*other->snapshot("{}"), R"({"of":"8","sum":0})");
}

TEST(StateTest, TheStateIsOfTheRuleThatHasOneWhereverItStands) {
  StateBench b({filter("return true"), kSum, transform("ev.data.n = 5 return ev")});
  EXPECT_TRUE(b.chain->has_state());
  b.take(R"({"n":7})");
  EXPECT_EQ(b.state(), R"({"of":"7","sum":7})");
}

TEST(StateTest, AnEventThatFailsIsLeftOutAndTold) {
  StateBench b(kSum);
  b.take(R"({"n":1})");
  b.take(R"({"n":"x"})");
  b.take(R"({"n":2})");
  EXPECT_EQ(b.state(), R"({"of":"7","sum":3})");
  EXPECT_EQ(b.status().errors, 1U);
  EXPECT_EQ(b.status().reason, "test.lua:1: attempt to perform arithmetic on field 'n' (a string value)");
}

TEST(StateTest, NothingReturnedIsAMistakeThatSaysSo) {
  StateBench b("return { reduce = function(s, ev) s.n = (s.n or 0) + 1 end, snapshot = function() end }");
  b.take("1");
  EXPECT_EQ(b.status().reason, "test.lua: reduce returned nothing; return the state");
  EXPECT_EQ(b.state(), "failed: rule error: test.lua: snapshot returned nothing; return what subscribers get");
}

TEST(StateTest, OneThatKeepsFailingIsQuarantinedThoughItsFilterIsWell) {
  Limits limits;
  limits.rule_errors_in_a_row = 3;
  StateBench b("return { filter = function() return true end, reduce = function() error('no') end }", {}, limits);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(b.run("1").keep);
    b.take("1");
  }
  EXPECT_TRUE(b.status().quarantined);
  EXPECT_EQ(b.state(), "failed: the rule test.lua is quarantined");
}

// Symptom: a reducer that kept failing dropped the events that it was to count, though nobody had asked it about them.
TEST(StateTest, EventsGoOnWhileAReducerIsInQuarantineAndItComesBack) {
  Limits limits;
  limits.rule_errors_in_a_row = 2;
  StateBench b("return { reduce = function(s, ev) s.n = ev.data + 1 return s end }", {}, limits);
  for (int i = 0; i < 2; ++i) b.take("{}");
  EXPECT_TRUE(b.status().quarantined);
  EXPECT_TRUE(b.run("1").keep);
  b.take("1");  // not tried
  EXPECT_EQ(b.status().skipped, 1U);
  b.clock.steady += RuleEngine::kQuarantineMs;
  b.take("4");
  EXPECT_FALSE(b.status().quarantined);
  EXPECT_EQ(b.state(), R"({"n":5})");
}

TEST(StateTest, StopChannelStopsItForAReducerToo) {
  RuleSettings settings;
  settings.on_error = RuleOnError::stop_channel;
  StateBench b("return { filter = function() return true end, reduce = function() error('no') end }", settings);
  EXPECT_TRUE(b.run("1").keep);
  b.take("1");
  EXPECT_EQ(b.run("1").reason, "channel stopped by a rule error: test.lua:1: no");
}

TEST(StateTest, EndlessLoopsAndBombsMeetTheBudgetAndTheStateStays) {
  RuleSettings settings;
  settings.bytes = 2 * 1024 * 1024;
  StateBench b(
      "return { initial = function() return { n = 0 } end, reduce = function(s, ev) s.n = s.n + 1 "
      "if ev.event == 'loop' then while true do end end "
      "if ev.event == 'bomb' then local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end end "
      "if ev.event == 'hoard' then s[#s + 1] = ('y'):rep(100000) .. s.n end return s end, "
      "snapshot = function(s, p) if p.loop then while true do end end return s.n end }",
      settings);
  b.take("1", "loop");
  b.take("1", "bomb");
  EXPECT_EQ(b.status().budget_stops, 2U);
  EXPECT_EQ(b.state(R"({"loop":true})").rfind("failed: rule error: test.lua:1: operations budget exceeded", 0), 0U);
  EXPECT_EQ(b.state(), "2");  // it was not thrown away: each event was counted before it failed
  for (int i = 0; i < 60; ++i) b.take("1", "hoard");
  EXPECT_NE(b.status().reason.find("memory budget exceeded"), std::string::npos) << b.status().reason;
  EXPECT_TRUE(b.status().quarantined);
  EXPECT_EQ(b.state(), "failed: the rule test.lua is quarantined");
}

TEST(StateTest, ASnapshotThatIsTooLargeOrNoJsonIsAnError) {
  Limits limits;
  limits.data_bytes = 64 * 1024;
  StateBench b(
      "return { reduce = function(s, ev) s[#s + 1] = ev.data return s end, "
      "snapshot = function(s, p) if p.f then return { f = error } end return s end }",
      {}, limits);
  for (int i = 0; i < 80; ++i) b.take('"' + std::string(1000, 'x') + '"');
  EXPECT_NE(b.state().find("failed: rule error: test.lua"), std::string::npos) << b.state();
  EXPECT_NE(b.state(R"({"f":1})").find("function"), std::string::npos);
}

TEST(StateTest, PublishIsForEventsOnTheirWay) {
  StateBench b("return { reduce = function(s, ev) hub.publish('a', 'b', 1) return s end }");
  b.take("1");
  EXPECT_NE(b.status().reason.find("hub.publish works in filter, transform, on_request, on_timer and on_stop only"),
            std::string::npos);
}

TEST(StateTest, NowIsTheTimeOfTheEvent) {
  StateBench b("return { reduce = function(s, ev) s.at = hub.now() return s end }");
  b.take("1");
  EXPECT_EQ(b.state(), R"({"at":1000})");
}

TEST(StateTest, ScriptsTestTheirState) {
  const auto rule = [](const std::string& test) {
    return "return { initial = function() return { n = 0 } end, reduce = function(s, ev) s.n = s.n + ev.data return s "
           "end, "
           "snapshot = function(s, p) return { n = s.n * (p.times or 1) } end, tests = { " +
           test + " } }";
  };
  const auto good =
      load_rule(rule("{ reduce = { { data = 1 }, { data = 2 } }, expect = { n = 3 } }, "
                     "{ reduce = { { data = 1 } }, ask = { times = 5 }, expect = { n = 5 } }"));
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ((*good)->tests_run(), 2U);
  EXPECT_TRUE((*good)->has_state());
  EXPECT_EQ(load_error(rule("{ reduce = { { data = 1 } }, expect = { n = 2 } }")),
            "test.lua: test 1 snapshot/n: expected 2, is 1");
  EXPECT_EQ(
      load_error(rule("{ reduce = { { data = {} } }, expect = { n = 2 } }")),
      "test.lua: test 1 (reduce) event 1: test.lua:1: attempt to perform arithmetic on field 'data' (a table value)");
}

TEST(StateTest, WhatMakesNoSenseDoesNotLoad) {
  EXPECT_EQ(load_error("return { initial = function() end, filter = function() end }"),
            "test.lua: `initial` without `reduce` or `snapshot` does nothing");
  EXPECT_EQ(load_error("return { reduce = 1 }"), "test.lua: `reduce` must be a function, not a number");
  EXPECT_EQ(load_error("return { reduce = function() end, snapshto = function() end }"),
            "test.lua: unknown hook `snapshto`; did you mean `snapshot`?");
}

}  // namespace
}  // namespace weir
