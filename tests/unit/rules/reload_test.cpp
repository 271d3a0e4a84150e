// Rules that are replaced while they run: RuleEngine::replace, reopen, retire.
#include <filesystem>
#include <fstream>

#include "bench_rules.hpp"
#include "rules/kv.hpp"

namespace weir {
namespace {

const std::string kCounting =
    "local held = 0\n"
    "return { version = VERSION, initial = function() return { n = 0 } end,\n"
    "  transform = function(ev) held = held + 1 ev.data = { held = held, text = 'TEXT' } return ev end,\n"
    "  reduce = function(s, ev) s.n = s.n + 1 s.big = 'x' return s end MORE }";

std::string counting(const std::string& version, const std::string& text, const std::string& more = "") {
  std::string out = kCounting;
  const auto put = [&out](const std::string& mark, const std::string& by) {
    out.replace(out.find(mark), mark.size(), by);
  };
  put("VERSION", version);
  put("TEXT", text);
  put("MORE", more);
  return out;
}

// A channel whose rules are taken from texts, again and again, as a shard does it.
struct Reloading : Bench {
  explicit Reloading(const std::string& script, RuleSettings settings = {}) : Bench(script, std::move(settings)) {}
  void reload(const std::vector<std::string>& scripts, RuleSettings settings = {},
              const Variables& variables = {{"id", "7"}}) {
    std::vector<std::shared_ptr<const RuleProgram>> programs;
    std::vector<std::size_t> order;
    for (const auto& text : scripts) {
      auto loaded = load_rule(text, settings, limits);
      ASSERT_TRUE(loaded) << loaded.error().message;
      programs.push_back(*loaded);
      order.push_back(order.size());
    }
    engine->replace(std::move(programs), limits);
    chain = engine->reopen(std::move(chain), order, "agents/7", variables);
    engine->retire();
  }
  void event(const std::string& data) {
    ASSERT_TRUE(run(data).keep);
    chain->reduce(*Event::make("agents/7", "epoch", ++place, draft));
  }
  std::string state() {
    const auto made = chain->snapshot("{}");
    return made ? *made : made.error().message;
  }
  SequenceId place = 0;
};

TEST(ReloadTest, ARuleThatIsTheSameKeepsAllItHas) {
  Reloading b(counting("1", "a"));
  b.event("0");
  b.event("0");
  b.reload({counting("1", "a")});
  EXPECT_EQ(b.data("0"), R"({"held":3,"text":"a"})");
  EXPECT_EQ(b.state(), R"({"big":"x","n":2})");
  EXPECT_EQ(b.engine->status().front().reloads, 0U);
}

TEST(ReloadTest, TheStateGoesOverWhereTheVersionIsTheSame) {
  Reloading b(counting("1", "a"));
  b.event("0");
  b.reload({counting("1", "b")});
  EXPECT_EQ(b.data("0"), R"({"held":1,"text":"b"})");  // what the script kept for itself is not the channel's state
  EXPECT_EQ(b.state(), R"({"big":"x","n":1})");
  b.event("0");
  EXPECT_EQ(b.state(), R"({"big":"x","n":2})");
  const auto status = b.engine->status().front();
  EXPECT_EQ(status.reloads, 1U);
  EXPECT_EQ(status.events, 3U);  // goes on counting
}

TEST(ReloadTest, TheStateGoesOverThoughNobodyLookedAtItInBetween) {
  Reloading b(counting("1", "a"));
  b.event("0");
  for (const char* text : {"b", "c", "d"}) b.reload({counting("1", text)});
  EXPECT_EQ(b.state(), R"({"big":"x","n":1})");
}

TEST(ReloadTest, AnotherVersionAsksMigrate) {
  Reloading b(counting("1", "a"));
  b.event("0");
  b.reload({counting("2", "b", ", migrate = function(old, version) return { n = old.n * 10 + version } end")});
  EXPECT_EQ(b.state(), R"({"n":11})");
  b.reload({counting("'three'", "b", ", migrate = function(old, version) old.was = version return old end")});
  EXPECT_EQ(b.state(), R"({"n":11,"was":2})");
}

TEST(ReloadTest, AStateWithoutVersionIsMigratedFromNil) {
  Reloading b("return { initial = function() return {7} end, reduce = function(s) return s end }");
  b.event("0");
  b.reload(
      {counting("2", "b", ", migrate = function(old, version) return { old = old, version = version == nil } end")});
  EXPECT_EQ(b.state(), R"({"old":[7],"version":true})");
}

TEST(ReloadTest, AnotherVersionWithoutMigrateBeginsAnew) {
  Reloading b(counting("1", "a"));
  b.event("0");
  b.reload({counting("2", "b")});
  EXPECT_EQ(b.state(), R"({"n":0})");
  b.event("0");
  b.reload({counting("3", "b", ", migrate = function() return nil end")});
  EXPECT_EQ(b.state(), R"({"n":0})");
}

TEST(ReloadTest, AMigrateThatFailsIsToldAndTheStateBeginsAnew) {
  Reloading b(counting("1", "a"));
  b.event("0");
  b.reload({counting("2", "b", ", migrate = function(old) error('no way') end")});
  EXPECT_EQ(b.state(), R"({"n":0})");
  EXPECT_EQ(b.engine->status().front().reason, R"(the state of "agents/7" begins anew: test.lua:4: no way)");
  b.event("0");
  EXPECT_EQ(b.state(), R"({"big":"x","n":1})");
}

// A state may be larger than what one event may cost.
TEST(ReloadTest, ALargeStateGoesOver) {
  RuleSettings settings;
  settings.ops = 20'000;
  Reloading b(
      "return { reduce = function(s, ev) for i = 1, 1000 do s[#s + 1] = { i = i } end return s end, snapshot = "
      "function(s) return #s end }",
      settings);
  for (int i = 0; i < 30; ++i) b.event("0");
  EXPECT_EQ(b.state(), "30000");
  b.reload({"return { reduce = function(s, ev) return s end, snapshot = function(s) return #s .. '' end }"}, settings);
  EXPECT_EQ(b.state(), R"("30000")");
  EXPECT_EQ(b.engine->status().front().errors, 0U);
}

TEST(ReloadTest, AStateThatIsNoJsonIsLostAndTold) {
  Reloading b("return { reduce = function(s) s.f = function() end return s end }");
  b.event("0");
  b.reload({"return { reduce = function(s) s.n = 1 return s end }"});
  EXPECT_EQ(b.engine->status().front().errors, 1U);
  b.event("0");
  EXPECT_EQ(b.state(), R"({"n":1})");
}

TEST(ReloadTest, OtherVariablesAreSeen) {
  const std::string script =
      "return { transform = function(ev, ctx) ev.data = ctx.vars return ev end, reduce = function(s) return s end }";
  Reloading b(script);
  b.event("0");
  EXPECT_EQ(b.data("0"), R"({"id":"7"})");
  b.reload({script}, {}, {{"agent", "7"}});
  EXPECT_EQ(b.data("0"), R"({"agent":"7"})");
  EXPECT_EQ(b.state(), "{}");
}

TEST(ReloadTest, OtherParamsAreAReload) {
  const std::string script =
      "return { version = 1, params = { a = { type = 'integer' } }, transform = function(ev, ctx) ev.data = "
      "ctx.params.a return ev "
      "end, reduce = function(s) s.n = (s.n or 0) + 1 return s end }";
  RuleSettings one, two;
  one.params_json = R"({"a":1})";
  two.params_json = R"({"a":2})";
  Reloading b(script, one);
  b.event("0");
  b.reload({script}, two);
  EXPECT_EQ(b.data("0"), "2");
  EXPECT_EQ(b.state(), R"({"n":1})");
}

TEST(ReloadTest, ReleasesFromQuarantineAndStartsStoppedChannels) {
  RuleSettings stop;
  stop.on_error = RuleOnError::stop_channel;
  Reloading b(filter("error('x')"), stop);
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(b.run("0").failed);
  EXPECT_EQ(b.engine->status().front().channels_stopped, 1U);
  b.reload({filter("return true")}, stop);
  EXPECT_TRUE(b.run("0").keep);
  EXPECT_EQ(b.engine->status().front().channels_stopped, 0U);
  EXPECT_EQ(b.engine->status().front().reason, "");

  Reloading q(filter("error('x')"));
  for (int i = 0; i < 30; ++i) q.run("0");
  EXPECT_TRUE(q.engine->status().front().quarantined);
  q.reload({filter("return true")});
  EXPECT_TRUE(q.run("0").keep);
  EXPECT_FALSE(q.engine->status().front().quarantined);
}

TEST(ReloadTest, ARuleMoreAndARuleLess) {
  Reloading b(transform("ev.data = ev.data + 1 return ev"));
  EXPECT_EQ(b.data("1"), "2");
  b.reload({transform("ev.data = ev.data * 10 return ev"), transform("ev.data = ev.data + 1 return ev")});
  EXPECT_EQ(b.data("1"), "11");
  EXPECT_EQ(b.engine->status().size(), 2U);
  b.reload({transform("ev.data = ev.data * 10 return ev")});
  EXPECT_EQ(b.data("1"), "10");
}

TEST(ReloadTest, OnStopSaysWhatIsLeft) {
  const std::string script =
      "local held = {} return { filter = function(ev) held[#held + 1] = ev.data return false, 'held' end,\n"
      "on_stop = function(now) for _, n in ipairs(held) do hub.publish('t', 'late', n) end end }";
  Reloading b(script);
  for (int i = 0; i < 200; ++i) b.run(std::to_string(i));  // more than one call of another hook may publish
  b.reload({script});
  EXPECT_TRUE(b.output.events.empty());  // it is the same
  b.reload({script + " -- another"});
  ASSERT_EQ(b.output.events.size(), 200U);
  EXPECT_EQ(b.output.events[199].second.data, "199");
  EXPECT_EQ(b.output.events[0].second.source, "test.lua");
  b.run("7");
  b.engine->stop();
  EXPECT_EQ(b.output.events.size(), 201U);
}

TEST(ReloadTest, OnStopThatFailsPublishesNothingAndIsTold) {
  Reloading b(
      "return { filter = function() return true end, on_stop = function() hub.publish('t', 'x', 1) error('no') end }");
  b.run("0");
  b.engine->stop();
  EXPECT_TRUE(b.output.events.empty());
  EXPECT_EQ(b.engine->status().front().errors, 1U);
}

TEST(ReloadTest, ATimerGoesOnWithoutAnEvent) {
  RuleSettings settings;
  settings.every_ms = 100;
  const auto script = [](const std::string& text) {
    return "return { filter = function() return true end, on_timer = function() hub.publish('t', '" + text +
           "', 1) end }";
  };
  Reloading b(script("a"), settings);
  b.run("0");
  b.reload({script("b")}, settings);
  b.clock.steady += 100;
  b.engine->timers();
  ASSERT_EQ(b.output.events.size(), 1U);
  EXPECT_EQ(b.output.events[0].second.event, "b");
}

TEST(ReloadTest, WhatDoesNotBelongTogetherDoesNotLoad) {
  EXPECT_EQ(load_error("return { filter = function() end, migrate = function() end }"),
            "test.lua: `migrate` without `reduce` or `snapshot` does nothing");
  EXPECT_EQ(load_error("return { reduce = function() end, migrate = function() end }"),
            "test.lua: `migrate` without `version` does nothing; say which version of its state this script makes");
  EXPECT_EQ(load_error("return { reduce = function() end, version = {} }"),
            "test.lua: `version` must be a number or a string, not a table");
}

// --- on_subscribe, hub.metric ----------------------------------------------------------------------------------------

std::string may(const std::string& body, const Identity& who = {}, const std::string& params = "{}") {
  Bench b("return { on_subscribe = function(identity, channel, params, ctx) " + body + " end }");
  const std::size_t rules[] = {0};
  const auto said = b.engine->may_subscribe(rules, "agents/7", {{"id", "7"}}, who, params);
  if (!said) return std::string(to_word(said.error().code)) + ": " + said.error().message;
  std::string out = "yes";
  for (const auto& where : *said) out += " " + where;
  return out;
}

TEST(OnSubscribeTest, SaysYesNoOrWhichPart) {
  Identity ann;
  ann.subject = "ann";
  ann.scopes = {"a"};
  ann.attributes_json = R"({"team":"red"})";
  EXPECT_EQ(may("return true"), "yes");
  EXPECT_EQ(may("return false"), R"(forbidden: subscribing to "agents/7" is not allowed)");
  EXPECT_EQ(may("return nil, 'not at night'"), "forbidden: not at night");
  EXPECT_EQ(may("return identity.subject == 'ann' and channel == 'agents/7' and ctx.vars.id == '7'", ann), "yes");
  EXPECT_EQ(may("return { where = { ['data.team'] = identity.attributes.team } }", ann), R"(yes {"data.team":"red"})");
  EXPECT_EQ(may("return params.secret == 'x', 'wrong secret'", {}, R"({"secret":"x"})"), "yes");
  EXPECT_EQ(may("hub.kv.set('a', 'b') return { where = { n = hub.kv.get('a') } }"), R"(yes {"n":"b"})");
  EXPECT_EQ(may("hub.kv.get('a') return true"), "yes");
}

TEST(OnSubscribeTest, WrongAnswersAreRefusals) {
  EXPECT_EQ(may("return 7"),
            "internal: rule error: test.lua: on_subscribe returned a number; return true, false and a reason, or { "
            "where = {...} }");
  EXPECT_EQ(may("return {}"),
            "internal: rule error: test.lua: on_subscribe returned a table without `where`, which is a filter such as "
            "{[\"data.level\"] = \"error\"}");
  EXPECT_EQ(may("return { were = {} }"),
            "internal: rule error: test.lua: on_subscribe returned a table with 'were' in it; there is only `where`");
  EXPECT_EQ(may("while true do end").substr(0, 30), "internal: rule error: test.lua");
}

TEST(MetricTest, AddsUnderItsName) {
  Bench b(filter("hub.metric('orders') hub.metric('cents', ev.data) return true"));
  b.run("250");
  b.run("50");
  const std::vector<std::pair<std::string, double>> expected = {{"cents", 300}, {"orders", 2}};
  EXPECT_EQ(b.engine->status().front().metrics, expected);
  EXPECT_EQ(Bench(filter("hub.metric('No')")).run("1").reason,
            "rule error: test.lua:1: hub.metric: 'No' is no name; 1 to 64 of a-z, 0-9, '_' and '.'");
  EXPECT_EQ(Bench(filter("for i = 1, 65 do hub.metric('m' .. i) end")).run("1").reason,
            "rule error: test.lua:1: hub.metric: a rule has at most 64 of them; 'm65' is one more");
}

// --- require ---------------------------------------------------------------------------------------------------------

class RequireTest : public ::testing::Test {
 protected:
  RequireTest()
      : folder_(::testing::TempDir() + "require-" + ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::create_directories(folder_ + "/lib");
    settings_.folders = {folder_};
  }
  ~RequireTest() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ + "/" + name) << text; }
  std::string folder_;
  RuleSettings settings_;
};

TEST_F(RequireTest, GivesWhatTheOtherScriptReturns) {
  write("lib/double.lua", "return function(n) return n * 2 end");
  write("lib/all.lua",
        "local double = require('lib.double') return { four = function(n) return double(double(n)) end }");
  write("lib/nothing.lua", "local x = 1");
  Bench b("local all = require('lib/all') assert(all == require 'lib/all') assert(require('lib/nothing') == true)\n" +
              transform("ev.data = all.four(ev.data) return ev"),
          settings_);
  EXPECT_EQ(b.data("3"), "12");
}

TEST_F(RequireTest, CountsByTheBudgetOfTheOneThatRequires) {
  write("lib/loop.lua",
        "local M = {} function M.forever() while true do end end function M.deep() return M.deep() end return M");
  for (const bool jit : {false, true}) {
    settings_.jit = jit;
    Bench b(
        "local loop = require('lib/loop') return { transform = function(ev) if ev.data == 1 then loop.forever() end "
        "if ev.data == 2 then loop.deep() end return ev end }",
        settings_);
    EXPECT_NE(b.run("1").reason.find("lib/loop.lua:1: operations budget exceeded"), std::string::npos)
        << b.run("1").reason;
    EXPECT_NE(b.run("2").reason.find("budget exceeded"), std::string::npos);
    EXPECT_TRUE(b.run("3").keep);
    // Operations are counted together, wherever they are spent.
    const auto before = b.engine->status().front().operations;
    EXPECT_TRUE(b.run("3").keep);
    EXPECT_LT(b.engine->status().front().operations - before, 10U);
  }
}

TEST_F(RequireTest, LoadingCountsToo) {
  write("lib/forever.lua", "while true do end");
  EXPECT_NE(load_error("require('lib/forever')", settings_).find("budget exceeded"), std::string::npos);
}

TEST_F(RequireTest, ErrorsSayWhichFileAndLine) {
  write("lib/bad.lua", "local a = 1\nlocal b = = 2");
  write("lib/fails.lua", "return {\n  f = function() error('here') end }");
  write("lib/self.lua", "return require('lib/self')");
  write("lib/unfinished.lua", "local function f()\n  return 1\n");
  EXPECT_NE(load_error("require('lib/bad')", settings_).find("lib/bad.lua:2: unexpected symbol near '='"),
            std::string::npos);
  EXPECT_NE(load_error("require('lib/unfinished')", settings_).find("lib/unfinished.lua:"), std::string::npos);
  EXPECT_NE(load_error("require('lib/self')", settings_).find("'lib/self' requires itself"), std::string::npos);
  Bench b("local f = require('lib/fails').f " + filter("f()"), settings_);
  EXPECT_NE(b.run("1").reason.find("lib/fails.lua:2: here"), std::string::npos);
}

TEST_F(RequireTest, OnlyFromTheFoldersAndOnlyByName) {
  write("lib/ok.lua", "return 1");
  std::ofstream(folder_ + ".lua") << "return 'outside'";
  std::filesystem::create_symlink(folder_ + ".lua", folder_ + "/link.lua");
  for (const char* name : {"../x", "/etc/passwd", "lib//ok", "", ".", "lib/ok.", "lib/ok\\0", "a b", "lib/../lib/ok"})
    EXPECT_NE(load_error("require('" + std::string(name) + "')", settings_).find("is no name of a script"),
              std::string::npos)
        << name;
  EXPECT_NE(load_error("require('ffi')", settings_).find("there is no script 'ffi'; looked for "), std::string::npos);
  EXPECT_NE(load_error("require('link')", settings_).find("leads out of"), std::string::npos);
  EXPECT_NE(load_error("require(7.5)", settings_).find("is no script"), std::string::npos)
      << load_error("require(7.5)", settings_);
  std::filesystem::remove(folder_ + ".lua");
}

TEST_F(RequireTest, LaterOnlyWhatWasRequiredAtTheTop) {
  write("lib/a.lua", "return 1");
  write("lib/b.lua", "return 2");
  Bench b("local a = require('lib/a') " + transform("ev.data = require(ev.data) return ev"), settings_);
  EXPECT_EQ(b.data(R"("lib/a")"), "1");
  EXPECT_NE(b.data(R"("lib/b")").find("'lib/b' was not required when the script was loaded"), std::string::npos);
}

TEST_F(RequireTest, AChangedModuleIsAnotherRule) {
  write("lib/v.lua", "return 1");
  const std::string script = "local v = require('lib/v') " + transform("ev.data = v return ev");
  const auto one = load_rule(script, settings_), same = load_rule(script, settings_);
  ASSERT_TRUE(one && same);
  EXPECT_TRUE((*one)->same_as(**same));
  write("lib/v.lua", "return 2");
  const auto other = load_rule(script, settings_);
  EXPECT_FALSE((*one)->same_as(**other));
  EXPECT_EQ((*other)->files().size(), 1U);
}

TEST_F(RequireTest, CantBreakOutOfItsFunction) {
  write("lib/out.lua", "end local function f() while true do end end return f, function()");
  EXPECT_NE(load_error("local f = require('lib/out') f()", settings_), "loaded");
}

}  // namespace
}  // namespace weir
