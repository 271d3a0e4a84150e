// A script that the counter was woven into compiles if and only if it did before, and gives the same.
#include "rules/instrument.hpp"

#include <gtest/gtest.h>

#include <lua.hpp>
#include <random>
#include <string>

namespace weir {
namespace {

bool compiles(lua_State* L, const std::string& text) {
  const bool good = luaL_loadbuffer(L, text.data(), text.size(), "=x") == 0;
  lua_settop(L, 0);
  return good;
}

TEST(InstrumentTest, CompilesIfAndOnlyIfTheOriginalDoes) {
  lua_State* L = luaL_newstate();
  std::mt19937 random(4711);
  const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  // Whole statements, so that many of the results are valid, and single tokens, so that many are just not.
  const std::string kPieces[] = {"do",
                                 "end",
                                 "while x do",
                                 "for i=1,2 do",
                                 "for k,v in pairs(t) do",
                                 "repeat",
                                 "until x",
                                 "if x then",
                                 "else",
                                 "elseif y then",
                                 "function f(a,b)",
                                 "local function g(...)",
                                 "local x = function() return 1 end",
                                 "return",
                                 "break",
                                 "goto a",
                                 "::a::",
                                 "local a = 1",
                                 "x = {do_ = 1, ['end'] = 2}",
                                 "f'do'",
                                 "f[[repeat]]",
                                 "f\"\\\"do\"",
                                 "-- do\n",
                                 "--[[ while true do ]]",
                                 "--[==[ ]] do ]==]",
                                 "x = 1e+5",
                                 "x = 0x1p-3",
                                 "x = 'a\\\nb'",
                                 "x = a.b.c",
                                 "x:m()",
                                 ";",
                                 "\n",
                                 "(f or g)()",
                                 "x = #t",
                                 "x = -y",
                                 "x = y .. z",
                                 "...",
                                 "x = ...",
                                 ")",
                                 "(",
                                 "function",
                                 "=",
                                 "'",
                                 "\"",
                                 "[[",
                                 "]]",
                                 "--",
                                 "a",
                                 "1..2",
                                 "\xC3\xA4 = 1",
                                 "x = y ~= z",
                                 "a.b = function() end",
                                 "not",
                                 "and",
                                 "nil"};
  int good = 0, bad = 0;
  for (int round = 0; round < 40'000; ++round) {
    std::string text;
    for (auto n = 1 + pick(8); n != 0; --n) text += kPieces[pick(std::size(kPieces))] + (pick(8) == 0 ? "\n" : " ");
    const auto woven = rules::instrument("x", text);
    if (!woven) continue;  // a name that is refused
    const bool before = compiles(L, text);
    ASSERT_EQ(compiles(L, *woven), before) << text << "\n" << *woven;
    ++(before ? good : bad);
  }
  lua_close(L);
  EXPECT_GT(good, 1000);
  EXPECT_GT(bad, 10'000);
}

TEST(InstrumentTest, GivesTheSameResults) {
  const std::string kScripts[] = {
      "local n = 0 for i = 1, 10 do if i % 2 == 0 then goto next end n = n + i ::next:: end return n",
      "local function f(n) if n < 2 then return n end return f(n - 1) + f(n - 2) end return f(15)",
      "local n = 0 repeat local m = n n = n + 1 until m > 5 return n",
      "local t = setmetatable({}, {__index = function(t, k) return k .. '!' end}) return t.a .. t.b",
      "local s = 0 while true do s = s + 1 if s > 100 then break end end return s",
      "return (function(...) return select('#', ...) end)(1, nil, 3)",
      "local r = {} for w in ('do end while'):gmatch('%a+') do r[#r + 1] = w end return table.concat(r, ',')",
  };
  for (const auto& text : kScripts) {
    const auto run = [](const std::string& source) {
      lua_State* L = luaL_newstate();
      luaL_openlibs(L);
      // Counts without an end: only what the weaving itself does to the script is looked at.
      lua_pushcfunction(L, [](lua_State* l) -> int {
        lua_pushnumber(l, 3);
        return 1;
      });
      lua_setglobal(L, "__weir_trip");
      std::string result = luaL_dostring(L, source.c_str()) != 0 ? "error: " : "";
      result += lua_tostring(L, -1);
      lua_close(L);
      return result;
    };
    EXPECT_EQ(run(*rules::instrument("x", text)), run(text)) << text;
  }
}

}  // namespace
}  // namespace weir
