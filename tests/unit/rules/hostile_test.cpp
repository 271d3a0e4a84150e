// Scripts that try to run for ever, eat memory, crash the process or hide that they were stopped. Each must end in an
// error of its budget (or a plain error, where said), and the next event must be handled as if nothing had happened.
#include "unit/rules/bench_rules.hpp"

namespace weir {
namespace {

struct Trick {
  const char* name;
  const char* body;
  const char* error;  // a part of it; nullptr: any budget
};

void PrintTo(const Trick& trick, std::ostream* out) { *out << trick.name; }

const Trick kTricks[] = {
    {"WhileTrue", "while true do end", nullptr},
    {"RepeatUntilFalse", "repeat until false", nullptr},
    {"ForHuge", "for i = 1, 1e18 do end", nullptr},
    {"ForInfinite", "for i = 1, math.huge do end", nullptr},
    {"ForZeroStep", "for i = 1, 2, 0 do end", nullptr},
    {"GotoLoop", "::again:: goto again", nullptr},
    {"GotoContinue", "local i = 0 ::top:: i = i + 1 if i > 0 then goto top end", nullptr},
    {"TailCalls", "local function f() return f() end f()", nullptr},
    {"MutualTailCalls", "local g local function f() return g() end function g() return f() end f()", nullptr},
    {"DeepRecursion", "local function f() return 1 + f() end f()", "nested deeper"},
    {"DeepRecursionSwallowed", "local function f() pcall(f) return 1 + f() end while true do pcall(f) end", nullptr},
    {"GenericForOverIterator", "for x in function() return 1 end do end", nullptr},
    {"PairsThatGrow", "local t = {1} for i = 1, 1e9 do t[i % 100] = i for k in pairs(t) do end end", nullptr},
    {"NextForEver", "local t = {a = 1} while true do local k = next(t) end", nullptr},
    {"PcallSwallows", "while true do pcall(function() while true do end end) end", nullptr},
    {"PcallNested",
     "local function f(n) if n == 0 then while true do end end return pcall(f, n - 1) end while true do f(50) end",
     nullptr},
    {"XpcallHandlerLoops",
     "xpcall(function() while true do end end, function() while true do end end) while true do end", nullptr},
    {"XpcallErrorInHandler", "while true do xpcall(error, function() error('again') end) end", nullptr},
    {"ErrorStorm", "while true do pcall(error, 'x') end", nullptr},
    {"ErrorWithTables", "while true do pcall(error, {}) end", nullptr},
    {"SwallowAndReturnTrue", "pcall(function() while true do end end) return true", nullptr},
    {"IndexRecursion",
     "local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k .. 'x'] end local x = t.a",
     nullptr},
    {"NewindexRecursion", "local t = setmetatable({}, {__newindex = function(t, k, v) t[k + 1] = v end}) t[1] = 1",
     "nested deeper"},
    {"CallRecursion", "local t = setmetatable({}, {}) getmetatable(t).__call = function(self) return self() end t()",
     nullptr},
    {"ConcatRecursion",
     "local t = setmetatable({}, {}) getmetatable(t).__concat = function(a, b) return a .. b end local x = t .. t",
     nullptr},
    {"EqRecursion",
     "local m = {} m.__eq = function(a, b) return setmetatable({}, m) == setmetatable({}, m) end return "
     "setmetatable({}, m) == setmetatable({}, m)",
     nullptr},
    {"LtRecursion", "local m = {} m.__lt = function(a, b) return a < b end local t = setmetatable({}, m) return t < t",
     nullptr},
    {"TostringRecursion", "local t t = setmetatable({}, {__tostring = function() return tostring(t) end}) tostring(t)",
     nullptr},
    {"FormatRecursion",
     "local t t = setmetatable({}, {__tostring = function() return string.format('%s', t) end}) return "
     "string.format('%s', t)",
     "callbacks inside callbacks"},
    {"RepBomb", "local s = ('x'):rep(1e9)", "string.rep would make more"},
    {"RepBombWithSeparator", "local s = ('x'):rep(1e6, ('y'):rep(1e6))", "string.rep would make more"},
    {"RepOfNothing", "local s = (''):rep(1e300) return true", "none"},
    {"RepStorm", "while true do local s = ('x'):rep(1e6) end", nullptr},
    {"DoublingString", "local s = 'x' while true do s = s .. s end", nullptr},
    {"ConcatStorm", "local s = ('x'):rep(1e6) while true do local t = s .. 'y' end", nullptr},
    {"TableBomb", "local t = {} while true do t[#t + 1] = {} end", nullptr},
    {"NestedTableBomb", "local t = {} while true do t = {t, t, t, t} end", nullptr},
    {"TableBombUnderPcall", "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(1e5) .. #t end) end",
     nullptr},
    {"MemoryErrorSwallowed",
     "pcall(function() local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end end) return true", nullptr},
    {"ClosureBomb", "local t = {} while true do local n = #t t[n + 1] = function() return n end end", nullptr},
    {"SparseBomb", "local t = {} for i = 1, 1e9 do t[2 ^ (i % 1000)] = i t[i] = i end", nullptr},
    {"TableConcatBomb", "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1e6) end return table.concat(t)", nullptr},
    {"PatternExplodes", "return ('a'):rep(800):find('.-.-.-b')", nullptr},
    {"PatternExplodesGreedy", "return ('a'):rep(800):find('.*.*.*.*b')", nullptr},
    {"PatternMatchExplodes", "return ('a'):rep(5000):match('a*a*a*a*a*b')", nullptr},
    {"GmatchExplodes", "for x in ('a'):rep(800):gmatch('.-.-.-b') do end", nullptr},
    {"GsubExplodes", "return (('a-b'):rep(20000):gsub('.-.-c', ''))", nullptr},
    {"GsubManySmall", "local s = ('ab'):rep(5e5) while true do s:gsub('a', 'b') end", nullptr},
    {"PatternDeep", "return ('x'):find(('('):rep(500))", "too"},
    {"PatternUnderPcall", "while true do pcall(string.find, ('a'):rep(800), '.-.-.-b') end", nullptr},
    {"GsubCallbackRecursion", "local function f() return (('x'):gsub('x', f)) end f()", "callbacks inside callbacks"},
    {"GsubCallbackRecursionSwallowed",
     "local function f() return select(2, pcall(string.gsub, 'xx', 'x', f)) and 'x' end while true do f() end",
     nullptr},
    {"GsubCallbackLoops", "('x'):gsub('x', function() while true do end end)", nullptr},
    {"GsubTableIndexRecursion",
     "local t t = setmetatable({}, {__index = function(_, k) return (k:gsub('x', t)) end}); ('x'):gsub('x', t)",
     "callbacks inside callbacks"},
    {"GsubGrowth", "local s = 'x' while true do s = s:gsub('x', 'xx') end", nullptr},
    {"SortLiar",
     "local t = {} for i = 1, 3000 do t[i] = i end table.sort(t, function() return true end) while true do "
     "table.sort(t, function(a, b) return math.random() < 0.5 end) end",
     nullptr},
    {"SortComparatorLoops", "table.sort({1, 2, 3}, function() while true do end end)", nullptr},
    {"SortRecursion", "local function f(a, b) table.sort({2, 1}, f) return a < b end table.sort({2, 1}, f)", nullptr},
    {"SortBig", "local t = {} for i = 1, 50000 do t[i] = -i end while true do table.sort(t) end", nullptr},
    {"SortComparatorShrinks",
     "local t = {3, 2, 1, 5, 4} table.sort(t, function(a, b) for i = 1, 5 do t[i] = nil end return true end) return "
     "true",
     ""},
    {"InsertFarBelow", "table.insert({}, -2000000000, 1)", "the position must be"},
    {"InsertFarAbove", "table.insert({}, 2000000000, 1)", "the position must be"},
    {"InsertFrontStorm", "local t = {} while true do table.insert(t, 1, 1) end", nullptr},
    {"RemoveFrontStorm",
     "local t = {} for i = 1, 50000 do t[i] = 1 end while true do table.insert(t, 1) table.remove(t, 1) end", nullptr},
    {"UnpackHuge", "return unpack({}, 1, 1e8)", "too many results"},
    {"SelectStorm", "while true do select('#', unpack({}, 1, 5000)) end", nullptr},
    {"UpperStorm", "local s = ('x'):rep(1e6) while true do s:upper() end", nullptr},
    {"PlainFindStorm", "local s = ('x'):rep(1e6) while true do s:find('y', 1, true) end", nullptr},
    {"TonumberStorm", "local s = ('1'):rep(1e6) while true do tonumber(s) end", nullptr},
    {"HashStorm", "local s = ('1'):rep(1e6) while true do hub.hash(s) end", nullptr},
    {"EncodeStorm", "local t = {} for i = 1, 1000 do t[i] = i end while true do hub.json.encode(t) end", nullptr},
    {"EncodeDagBomb", "local t = {1} for i = 1, 60 do t = {t, t} end hub.json.encode(t)", nullptr},
    {"EncodeDeep", "local t = {} for i = 1, 1000 do t = {t} end hub.json.encode(t)", "nested deeper"},
    {"DecodeBomb", "local s = '[' .. ('[],'):rep(200000) .. '1]' while true do hub.json.decode(s) end", nullptr},
    {"DecodeDeep", "local v, err = hub.json.decode(('['):rep(100000)) error(err)", "nested deeper"},
    {"CopyRing", "local t = {} t.t = t hub.copy(t)", "contains itself"},
    {"LogStorm", "while true do hub.log('x') end", nullptr},
    {"PublishStorm", "while true do hub.publish('x', 'y', {}) end", "more than 64"},
    {"CopyTheEventForEver", "while true do hub.copy(ev) end", nullptr},
    {"PairsOfTheEventForEver", "while true do for k, v in pairs(ev.data) do end end", nullptr},
    // Ways out of the house.
    {"GasVariableByName", "local env = (getfenv or 1) return env", "does not exist in rules"},
    {"Debug", "debug.sethook()", "does not exist in rules"},
    {"Loadstring", "loadstring('while true do end')()", "does not exist in rules"},
    {"StringDump", "return string.dump(function() end)", "attempt to call"},
    {"Require", "require('ffi')", "was not required when the script was loaded"},
    {"Ffi", "ffi.cdef('')", "does not exist in rules"},
    {"Io", "io.open('/etc/passwd')", "does not exist in rules"},
    {"Os", "os.exit()", "does not exist in rules"},
    {"Coroutine", "coroutine.wrap(function() end)()", "does not exist in rules"},
    {"StringMetatable", "getmetatable('').__index = {}", "attempt to index"},
    {"EventMetatable", "setmetatable(ev.data, {})", "protected"},
    {"ForgedHandle", "ev.data[0] = 1e15 local x = ev.data.whatever", "used after its callback"},
    {"HandleIntoPlainTable", "ev.data[0] = 'x' local x = ev.data.whatever", "the key 0"},
    {"UndeclaredGlobal", "oops = 1", "write `local oops`"},
    {"HubIsFixed", "hub.nothing()", "does not exist in this version"},
};

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
  // And nothing of it is left.
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
  EXPECT_TRUE(bench.run("{}").keep);
}

}  // namespace
}  // namespace weir
