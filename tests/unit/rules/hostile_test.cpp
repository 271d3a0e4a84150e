// Scripts that try to run for ever, eat memory, crash the process or hide that they were stopped. Each must end in an
// error of its budget (or a plain error, where said), and the next event must be handled as if nothing had happened.
#include "unit/rules/bench_rules.hpp"
#include "unit/rules/tricks.hpp"

namespace weir {

void PrintTo(const Trick& trick, std::ostream* out) { *out << trick.name; }

namespace {

class HostileTest : public testing::TestWithParam<std::tuple<Trick, bool>> {};

TEST_P(HostileTest, CostsItsBudgetAndNoMore) {
  const auto& [trick, jit] = GetParam();
  RuleSettings settings;
  settings.jit = jit;
  // What has an error of its own meets that one on a slow machine too, and not the 10 ms of CPU time.
  if (trick.error != nullptr) settings.time_ms = 10'000;
  Bench bench(filter(std::string("if ev.event == 'evil' then ") + "local ok = (function() " + trick.body +
                     " end)() return ok and true end return ev.data.n ~= 0"),
              settings);
  const auto verdict = bench.run(R"({"n":1,"list":[1,2,3]})", "evil");
  const std::string error = trick.error != nullptr ? trick.error : "budget exceeded (";
  if (error == "none") {
    EXPECT_TRUE(verdict.keep) << verdict.reason;
  } else if (!error.empty()) {
    EXPECT_TRUE(verdict.failed);
    // Recursion without end may meet the depth limit before it meets the budget.
    const bool too_deep =
        trick.error == nullptr && (verdict.reason.find("nested deeper") != std::string::npos ||
                                   verdict.reason.find("callbacks inside callbacks") != std::string::npos);
    EXPECT_TRUE(too_deep || verdict.reason.find(error) != std::string::npos) << verdict.reason;
  }
  // And nothing of it is left, but for the time that failing calls have taken from the others (BudgetTest below).
  bench.clock.steady += 60'000;
  EXPECT_TRUE(bench.run(R"({"n":1})").keep);
  const auto dropped = bench.run(R"({"n":0})");
  EXPECT_FALSE(dropped.keep);
  EXPECT_FALSE(dropped.failed) << dropped.reason;
}

INSTANTIATE_TEST_SUITE_P(Tricks, HostileTest, testing::Combine(testing::ValuesIn(kTricks), testing::Bool()),
                         [](const auto& one) {
                           return std::string(std::get<0>(one.param).name) + (std::get<1>(one.param) ? "Jit" : "");
                         });

TEST(BudgetTest, OperationsAreExact) {
  // The loop body counts once per turn, the hook's entry once: whoever is stopped at 5000 was stopped for that.
  RuleSettings settings;
  settings.ops = 5000;
  settings.time_ms = 10'000;
  const auto script = [](int turns) { return filter("for i = 1, " + std::to_string(turns) + " do end return true"); };
  EXPECT_TRUE(Bench(script(4900), settings).run("{}").keep);
  for (int again = 0; again < 20; ++again) {
    Bench bench(script(5001), settings);
    EXPECT_EQ(bench.run("{}").reason,
              "rule error: test.lua:1: operations budget exceeded (5000 operations a call; limits.rule_ops)");
  }
}

TEST(BudgetTest, AnErrorKeepsItsLine) {
  Bench bench("return {\n filter = function(ev)\n  while true do\n\n   local x = ev.data.missing.field end end }");
  EXPECT_EQ(bench.run("{}").reason, "rule error: test.lua:5: attempt to index field 'missing' (a nil value)");
}

TEST(BudgetTest, TimeIsTheBackstop) {
  RuleSettings settings;
  settings.ops = 1'000'000'000;
  settings.time_ms = 5;
  EXPECT_EQ(Bench(filter("while true do end"), settings).run("{}").reason,
            "rule error: test.lua:1: time budget exceeded (5 ms a call; limits.rule_ms)");
}

// Others of the shard wait as long as a call takes. So rules that fail at length may do that for a small part of the
// time, all of them together; those that are well are not held up.
TEST(BudgetTest, FailingAtLengthIsBoundedForAllRulesTogether) {
  const std::string spin = "if ev.event == 'evil' then while true do end end return true";
  RuleSettings settings;
  settings.ops = 1'000'000'000;
  settings.time_ms = 20;
  Bench b({filter(spin), filter("local n = 2 " + spin)}, settings);
  const std::size_t first[] = {0}, second[] = {1};
  const auto one = b.engine->open(first, "a", {}), two = b.engine->open(second, "b", {});
  const auto run = [&](RuleChain& chain, const char* event) {
    Draft draft;
    draft.event = event;
    draft.data = "1";
    std::vector<Draft> more;
    return chain.run(draft, more);
  };
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(run(*one, "evil").failed);
  EXPECT_TRUE(run(*two, "evil").failed);  // more than 50 ms by now
  EXPECT_EQ(b.engine->status()[0].errors + b.engine->status()[1].errors, 3U);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(run(*one, "evil").failed);
    EXPECT_TRUE(run(*two, "good").failed);  // it was stopped last time, so nobody knows
  }
  EXPECT_EQ(b.engine->status()[0].errors + b.engine->status()[1].errors, 3U);
  EXPECT_EQ(b.engine->status()[0].skipped, 10U);
  EXPECT_EQ(b.engine->status()[1].skipped, 10U);
  b.clock.steady += 20'000;
  EXPECT_TRUE(run(*two, "good").keep);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(run(*two, "good").keep);
}

TEST(BudgetTest, LoadingHasOneToo) {
  EXPECT_NE(load_error("while true do end").find("budget exceeded"), std::string::npos);
  EXPECT_NE(load_error("return setmetatable({}, {__index = function() while true do end end})").find("budget exceeded"),
            std::string::npos);
  EXPECT_NE(load_error("local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end").find("budget exceeded"),
            std::string::npos);
}

TEST(BudgetTest, ARuleThatFillsItsMemoryForGoodStartsAnew) {
  // What it keeps in its upvalues can't be collected, so the state itself has to go.
  RuleSettings settings;
  settings.time_ms = 5000;
  Bench bench(
      "local keep = {} return { filter = function(ev) if ev.event == 'evil' then for i = 1, 1e6 do keep[#keep + 1] = "
      "('x'):rep(1e5) .. #keep end end return #keep == 0 end }",
      settings);
  EXPECT_NE(bench.run("{}", "evil").reason.find("memory budget"), std::string::npos);
  bench.clock.steady += 600'000;
  EXPECT_TRUE(bench.run("{}").keep);
}

}  // namespace
}  // namespace weir
