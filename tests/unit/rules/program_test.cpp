#include "rules/program.hpp"

#include <filesystem>
#include <fstream>

#include "rules/cases.hpp"
#include "rules/instrument.hpp"
#include "rules/params.hpp"
#include "unit/rules/bench_rules.hpp"

namespace weir {
namespace {

TEST(ProgramTest, WhatDoesNotLoadSaysWhyAndWhere) {
  const std::string kHooks =
      "filter, transform, initial, reduce, snapshot, migrate, on_subscribe, on_publish, on_request, on_timer and "
      "on_stop";
  const std::pair<const char*, std::string> kErrors[] = {
      {"return {\n  filter = function(ev) retrun true end }", "test.lua:2: '=' expected near 'true'"},
      {"local x = nil\nreturn { filter = x.y }", "test.lua:2: attempt to index local 'x' (a nil value)"},
      {"return 7", "test.lua: the script must return a table with hooks, not a number; there are " + kHooks},
      {"local rule = { filter = function() end }",
       "test.lua: the script must return a table with hooks, not a nil; there are " + kHooks},
      {"return {}", "test.lua: the returned table has no hook; there are " + kHooks},
      {"return { filter = true }", "test.lua: `filter` must be a function, not a boolean"},
      {"return { transform = function() end, fliter = function() end }",
       "test.lua: unknown hook `fliter`; did you mean `filter`?"},
      {"\x1bLJ\x02", "test.lua: compiled Lua is not accepted; give the source text"},
      {"local a = 1\nlocal __weir_g = 2",
       "test.lua:2: the name __weir_g is reserved (everything that begins with __weir_); choose another"},
      {"\nlocal goto = 1", "test.lua:2: `goto` can't be used as a name in rules"},
      {"function helper() end return {}",
       "test.lua:1: assignment to the undeclared global 'helper'; write `local function helper`"},
      {"return { filter = function() end, params = 7 }", "test.lua: `params` must be a table, not a number"},
      {"return { filter = function() end, params = { a = { type = 'text' } } }",
       "test.lua: rule.params.a.type is \"text\"; expected string, pattern, number, integer, boolean, array or object"},
      {"return { filter = function() end, params = { a = { default = 1, typ = 'x' } } }",
       "test.lua: rule.params.a has an unknown key `typ`; there are type, of, default, required, enum and description"},
      {"return { filter = function() end, params = { a = { type = 'string', default = 1 } } }",
       "test.lua: the default of params.a is 1; expected a string"},
      {"return { filter = function() end, check = 1 }", "test.lua: `check` must be a function, not a number"},
      {"error({})", "test.lua: the error value is a table; use error(\"text\")"},
      {"error()", "test.lua: error() was given no text; use error(\"text\")"},
      {"error('no good', 0)", "test.lua: no good"},
  };
  for (const auto& [text, message] : kErrors) EXPECT_EQ(load_error(text), message) << text;
}

TEST(ProgramTest, AFileThatIsNotThere) {
  RuleSettings settings;
  settings.script = "rules/none.lua";
  settings.path = "/nowhere/none.lua";
  const auto loaded = RuleProgram::load(settings, {});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message.rfind("rules/none.lua: can't read /nowhere/none.lua", 0), 0U);
}

TEST(ProgramTest, SelfTestsRunWhenTheScriptIsLoaded) {
  const auto rule = [](const std::string& tests) {
    return "return { params = { max = { type = 'integer', default = 3 } }, filter = function(ev, ctx) return ev.data.n "
           "<= ctx.params.max, 'big' end,"
           " transform = function(ev) ev.data.seen = true return ev end, tests = { " +
           tests + " } }";
  };
  const auto good =
      load_rule(rule("{ filter = { data = { n = 3 } }, expect = true }, { filter = { data = { n = 4 } }, expect = "
                     "false, reason = 'big' },"
                     "{ filter = { data = { n = 4 } }, params = { max = 5 }, expect = true }, { transform = { event = "
                     "'e', data = { n = 1 } }, expect = { event = 'e', data = { n = 1, seen = true } } }"));
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ((*good)->tests_run(), 4U);
  EXPECT_EQ(load_error(rule("{ filter = { data = { n = 4 } }, expect = true }")),
            "test.lua: test 1 (filter): expected it to be kept, but it was dropped (big)");
  EXPECT_EQ(load_error(rule("{ filter = { data = { n = 1 } }, expect = true }, { name = 'edge', filter = { data = { n "
                            "= 3 } }, expect = false }")),
            "test.lua: test 2 \"edge\" (filter): expected it to be dropped, but it was kept: event {\"n\":3}");
  EXPECT_EQ(load_error(rule("{ transform = { data = { n = 1 } }, expect = { data = { n = 2, seen = true } } }")),
            "test.lua: test 1 (transform): data/n: expected 2, is 1");
  EXPECT_EQ(load_error(rule("{ filter = { data = {} }, expect = true }")),
            "test.lua: test 1 (filter): test.lua:1: attempt to compare nil with number");
  EXPECT_EQ(load_error(rule("{ expect = true }")),
            "test.lua: test 1 needs one of `filter` and `transform` with an event, and `reduce` with a list of events");
  EXPECT_EQ(load_error(rule("{ filter = {}, expected = true }")),
            "test.lua: test 1 has the unknown key `expected`; there are filter, transform, reduce, ask, expect, "
            "reason, params, channel and name");
}

TEST(ParamsTest, AreCheckedAndFilledIn) {
  const char* kDeclared =
      R"({"level":{"type":"string","default":"info","enum":["info","warn"]},"count":{"type":"integer"},"must":{"required":true},"list":{"type":"array","default":{}}})";
  const auto check = [&](const char* given) {
    const auto checked = rules::check_params("r.lua", kDeclared, given);
    return checked ? *checked : checked.error().message;
  };
  EXPECT_EQ(check(R"({"must":1})"), R"({"level":"info","list":[],"must":1})");
  EXPECT_EQ(check(R"({"must":false,"count":2,"level":"warn"})"),
            R"({"count":2,"level":"warn","list":[],"must":false})");
  EXPECT_EQ(check("{}"), "r.lua: params.must is missing");
  EXPECT_EQ(check(R"({"must":1,"count":1.5})"), "r.lua: params.count is 1.5; expected an integer");
  EXPECT_EQ(check(R"({"must":1,"count":"2"})"), "r.lua: params.count is \"2\"; expected an integer");
  EXPECT_EQ(check(R"({"must":1,"level":"x"})"), "r.lua: params.level is \"x\"; expected one of \"info\", \"warn\"");
  EXPECT_EQ(check(R"({"must":1,"lvel":"x"})"), "r.lua: unknown params.lvel; did you mean `level`?");
  EXPECT_EQ(check(R"({"must":1,"something":"x"})"),
            "r.lua: unknown params.something; this rule has: count, level, list, must");
  EXPECT_EQ(check("[]"), "r.lua: params must be an object");
  EXPECT_EQ(*rules::check_params("r.lua", "", R"({"free":1})"), R"({"free":1})");
}

// `params = {a = 1, b = 2}` named `a` only.
TEST(ParamsTest, AllMistakesAreNamedAtOnce) {
  const char* kDeclared = R"({"level":{"type":"string"},"count":{"type":"integer"},"must":{"required":true}})";
  const auto checked = rules::check_params("r.lua", kDeclared, R"({"level":1,"lvel":2,"count":"x","other":3})");
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().message,
            "r.lua: params.count is \"x\"; expected an integer\n"
            "r.lua: params.level is 1; expected a string\n"
            "r.lua: params.must is missing\n"
            "r.lua: unknown params.lvel; did you mean `level`?\n"
            "r.lua: unknown params.other; this rule has: count, level, must");
}

// patterns = ["%"] and events = { a = 1 } passed `weir check`.
TEST(ParamsTest, ElementsHaveATypeAndPatternsAreTried) {
  const char* kDeclared =
      R"({"one":{"type":"pattern"},"list":{"type":"array","of":"pattern"},"map":{"type":"object","of":"string"}})";
  const auto check = [&](const char* given) {
    const auto checked = rules::check_params("r.lua", kDeclared, given);
    return checked ? *checked : checked.error().message;
  };
  EXPECT_EQ(check(R"({"one":"%d+","list":["a","[b"],"map":{"a":"x"}})"),
            "r.lua: params.list[2] is \"[b\": malformed pattern (missing ']')");
  EXPECT_EQ(check(R"({"one":"%"})"), "r.lua: params.one is \"%\": malformed pattern (ends with '%')");
  EXPECT_EQ(check(R"({"list":["a",7],"map":{"a":"x","b":1}})"),
            "r.lua: params.list[2] is 7; expected a pattern\nr.lua: params.map.b is 1; expected a string");
  EXPECT_EQ(check(R"({"one":"%d+","list":[],"map":{}})"), R"({"list":[],"map":{},"one":"%d+"})");
}

TEST(ParamsTest, AScriptChecksWhatItsDeclarationCannotSay) {
  const auto rule = [](const char* check) {
    return "return { params = { n = { type = 'integer', default = 3 } }, filter = function() return true end,\n"
           "check = function(params) " +
           std::string(check) + " end }";
  };
  const auto error = [&](const char* check, const char* params = "{}") {
    RuleSettings settings;
    settings.params_json = params;
    return load_error(rule(check), settings);
  };
  EXPECT_EQ(error("if params.n < 1 then return 'params.n is ' .. params.n end"), "loaded");
  EXPECT_EQ(error("if params.n < 1 then return 'params.n is ' .. params.n end", R"({"n":0})"),
            "test.lua: params.n is 0");
  EXPECT_EQ(error("return { 'one', 'two' }"), "test.lua: one\ntest.lua: two");
  EXPECT_EQ(error("return {}"), "loaded");
  EXPECT_EQ(error("error('no')"), "test.lua:2: no");
  EXPECT_EQ(error("return 7"), "test.lua: check returned a number; return nothing, a text, or a list of texts");
  EXPECT_EQ(error("return { 7 }"), "test.lua: check returned a list with a number in it; each entry is a text");
  EXPECT_EQ(error("while true do end").find("test.lua:2: operations budget exceeded"), 0U);
  EXPECT_EQ(error("return 'not asked'", R"({"n":"x"})"), "test.lua: params.n is \"x\"; expected an integer");
}

// `ops = 3` made an empty message, "test.lua: params: ", and hid the mistake in the params beside it.
TEST(ParamsTest, ASmallBudgetHidesNoMistakeInParams) {
  const std::string text =
      "return { params = { a = { type = 'string', default = 'x' } }, filter = function() return true end }";
  RuleSettings settings;
  settings.ops = 3;
  EXPECT_EQ(load_error(text, settings), "loaded");
  settings.params_json = R"({"b":1})";
  EXPECT_EQ(load_error(text, settings), "test.lua: unknown params.b; did you mean `a`?");
}

TEST(InstrumentTest, StaysOnTheLineAndKnowsWhatIsText) {
  const auto woven = [](const char* text) {
    auto out = *rules::instrument("t", text);
    std::size_t n = 0;
    for (std::size_t at = 0; (at = out.find("__weir_g=__weir_g-1", at)) != std::string::npos; ++at) ++n;
    EXPECT_EQ(std::count(out.begin(), out.end(), '\n'),
              std::count(text, text + std::char_traits<char>::length(text), '\n'));
    return n;
  };
  EXPECT_EQ(woven("while x do end\nfor i = 1, 2 do end repeat until x do end"), 4U);
  EXPECT_EQ(woven("function a.b:c(x, ...) end local f = function() end"), 2U);
  EXPECT_EQ(woven("::a:: goto a"), 1U);
  EXPECT_EQ(woven("local s = 'do function() end' .. \"repeat\" .. [[ do ]] .. [==[ ]] do ]==] -- do\n--[[ do\n do ]] "
                  "--[=[ do ]] ]=] x()"),
            0U);
  EXPECT_EQ(woven("local s = 'it\\'s \\\n do' .. \"\\z  \n do\" x = 0x1p+4 .. 1e+5 .. 3 do end"), 1U);
  EXPECT_EQ(woven("#!/usr/bin/lua do\nlocal done, todo, _do = 1"), 0U);
}

TEST(CasesTest, DifferencesAreReadable) {
  RuleSettings settings;
  settings.script = "c.lua";
  settings.path = (std::filesystem::path(testing::TempDir()) / "weir_cases_test.lua").string();
  std::ofstream(settings.path)
      << "return { transform = function(ev) ev.data.n = ev.data.n + 1 ev.data.extra = nil return ev end }";
  const auto problem = [&](const std::string& one) {
    const auto results = run_rule_cases(settings, "c.cases.json", "[" + one + "]", {});
    return results ? results->at(0).problem : results.error().message;
  };
  EXPECT_EQ(problem(R"({"name":"x","event":{"data":{"n":1}},"expect":{"data":{"n":2}}})"), "");
  EXPECT_EQ(problem(R"({"name":"x","event":{"data":{"n":1}},"expect":{"data":{"n":3,"m":1}}})"),
            "data/m: expected 1, is missing; data/n: expected 3, is 2");
  EXPECT_EQ(problem(R"({"name":"x","event":{"data":{"n":1}},"expect":null})"),
            "expected it to be dropped, but it was kept: event {\"n\":2}");
  EXPECT_EQ(problem(R"({"name":"x","event":{"event":"a","data":{"n":1}},"expect":{"event":"b"}})"),
            "event: expected \"b\", is \"a\"");
  EXPECT_EQ(problem(R"({"name":"x","event":{"data":{}},"expect":null})"),
            "rule error: c.lua:1: attempt to perform arithmetic on field 'n' (a nil value)");
  EXPECT_EQ(problem(R"({"name":"x","event":{"data":{}},"error":"arithmetic"})"), "");
  EXPECT_EQ(problem(R"({"name":"x","event":{"data":{"n":1}},"error":"arithmetic"})"),
            "expected the error \"arithmetic\", but the rule did not fail");
  EXPECT_EQ(problem(R"({"name":"x","event":{"data":{"n":1}},"expected":null})"),
            "the case has an unknown key `expected`");
  EXPECT_EQ(problem(R"({"event":{"data":{"n":1}}})"), "c.cases.json: case 1 is no object with a `name`");
  std::filesystem::remove(settings.path);
}

}  // namespace
}  // namespace weir
