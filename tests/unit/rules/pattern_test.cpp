// The matcher against the stock one of LuaJIT, on random patterns and subjects.
#include "rules/pattern.hpp"

#include <gtest/gtest.h>

#include <lua.hpp>
#include <random>
#include <string>

#include "base/json.hpp"
#include "unit/rules/bench_rules.hpp"

namespace weir {
namespace {

struct Answer {
  bool error = false;
  std::string text;  // places and captures, or nothing
  bool operator==(const Answer&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Answer& a) { return out << (a.error ? "error " : "") << a.text; }

Answer stock(lua_State* L, const std::string& subject, const std::string& pattern) {
  lua_settop(L, 0);
  lua_getglobal(L, "string");
  lua_getfield(L, -1, "find");
  lua_pushlstring(L, subject.data(), subject.size());
  lua_pushlstring(L, pattern.data(), pattern.size());
  Answer answer;
  if (lua_pcall(L, 2, LUA_MULTRET, 0) != 0) {
    answer.error = true;
    return answer;
  }
  for (int i = 2; i <= lua_gettop(L); ++i) {
    std::size_t size = 0;
    const char* text = lua_isnil(L, i) ? "nil" : lua_tolstring(L, i, &size);
    answer.text += (lua_isnil(L, i) ? std::string("nil") : std::string(text, size)) + "|";
  }
  return answer;
}

Answer ours(const std::string& subject, std::string pattern, bool& exploded) {
  rules::Meter meter;
  meter.start(20'000, 10'000);
  Answer answer;
  if (pattern.find_first_of("^$*+?.([%-") == std::string::npos) {  // plain text, for string.find
    const auto at = subject.find(pattern);
    answer.text =
        at == std::string::npos ? "nil|" : std::to_string(at + 1) + "|" + std::to_string(at + pattern.size()) + "|";
    return answer;
  }
  const bool anchored = pattern.starts_with('^');
  if (anchored) pattern.erase(0, 1);
  rules::Matcher matcher(subject, pattern, meter);
  for (const char* from = subject.data();; ++from) {
    if (const char* to = matcher.match(from)) {
      answer.text = std::to_string(from - subject.data() + 1) + "|" + std::to_string(to - subject.data()) + "|";
      for (int i = 0; i < matcher.captures(); ++i) {
        const auto& capture = matcher.capture(i);
        if (capture.length == rules::Matcher::kPosition)
          answer.text += std::to_string(capture.begin - subject.data() + 1) + "|";
        else if (capture.length < 0)
          return {true, {}};
        else
          answer.text += std::string(capture.begin, static_cast<std::size_t>(capture.length)) + "|";
      }
      return answer;
    }
    if (matcher.failed() != nullptr) {
      exploded = *matcher.failed() == '\0';
      return {true, {}};
    }
    if (from >= subject.data() + subject.size() || anchored) break;
  }
  answer.text = "nil|";
  return answer;
}

TEST(PatternTest, AgreesWithTheStockMatcherOnRandomPatterns) {
  lua_State* L = luaL_newstate();
  luaL_openlibs(L);
  std::mt19937 random(20260210);
  const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::string kPieces[] = {
      "a",      "b",      "c",  ".",  "%a",  "%d",   "%s",    "%w",    "%A",    "%W",    "%p",   "%l",
      "%u",     "%x",     "%c", "%g", "%.",  "%%",   "[abc]", "[^a]",  "[a-c]", "[%w_]", "[]x]", "[^]]",
      "[a-]",   "[%a-z]", "(",  ")",  "(a)", "(.-)", "()",    "(%w+)", "%1",    "%2",    "%b()", "%bab",
      "%f[%w]", "%f[^a]", "*",  "+",  "-",   "?",    "a*",    "b+",    "c-",    ".-",    ".*",   "$",
      "^",      "[",      "]",  "%",  "%f",  "%b",   "-",     "1",     " ",     "\xE4",  "%z"};
  const char kLetters[] = "aaabbcc()1 _-.x%A\n]";
  int matched = 0, errors = 0, skipped = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string pattern, subject;
    for (auto n = 1 + pick(6); n != 0; --n) pattern += kPieces[pick(std::size(kPieces))];
    for (auto n = pick(12); n != 0; --n) subject += kLetters[pick(sizeof kLetters - 1)];
    bool exploded = false;
    const auto mine = ours(subject, pattern, exploded);
    if (exploded) {
      ++skipped;
      continue;
    }
    const auto theirs = stock(L, subject, pattern);
    ASSERT_EQ(mine, theirs) << "pattern \"" << pattern << "\" in \"" << subject << "\"";
    matched += mine.text != "nil|" && !mine.error ? 1 : 0;
    errors += mine.error ? 1 : 0;
    // What problem() calls well-formed never fails, whatever the subject.
    if (mine.error) {
      ASSERT_NE(rules::Matcher::problem(pattern), nullptr) << "pattern \"" << pattern << '"';
    }
  }
  lua_close(L);
  EXPECT_GT(matched, 5000);
  EXPECT_GT(errors, 1000);
  EXPECT_LT(skipped, 100);
}

TEST(PatternTest, AMistakeIsSeenBeforeAnythingIsMatched) {
  const std::pair<const char*, const char*> kMalformed[] = {
      {"%", "malformed pattern (ends with '%')"},
      {"abc%", "malformed pattern (ends with '%')"},
      {"[a", "malformed pattern (missing ']')"},
      {"[]", "malformed pattern (missing ']')"},
      {"[%", "malformed pattern (missing ']')"},
      {"x(a", "unfinished capture"},
      {"a)", "invalid pattern capture"},
      {"%b(", "unbalanced pattern"},
      {"%fa", "missing '[' after '%f' in pattern"},
      {"%f[a", "malformed pattern (missing ']')"},
      {"%1", "invalid capture index"},
      {"(a%1)", "invalid capture index"},
      {"(a)%2", "invalid capture index"},
  };
  for (const auto& [pattern, problem] : kMalformed) {
    ASSERT_NE(rules::Matcher::problem(pattern), nullptr) << pattern;
    EXPECT_STREQ(rules::Matcher::problem(pattern), problem) << pattern;
  }
  for (const char* pattern :
       {"", "^", "$", "a$b", "^%d+$", "[]x]", "[^]]", "[%]]", "(a)%1", "()", "((a)b)", "%b()", "%f[%w]a*-", "*"})
    EXPECT_EQ(rules::Matcher::problem(pattern), nullptr) << pattern;
  std::string many;
  for (int i = 0; i < rules::Matcher::kCapturesMax + 1; ++i) many += "()";
  EXPECT_STREQ(rules::Matcher::problem(many), "too many captures");
  std::string deep;
  for (int i = 0; i < rules::Matcher::kDepthMax; ++i) deep += "a?";
  EXPECT_STREQ(rules::Matcher::problem(deep), "pattern too complex");
}

TEST(PatternTest, GsubGmatchAndFindAgreeWithTheStockOnes) {
  // The same text runs in the stock world and in a rule's.
  const std::string calls[] = {
      "('hello world'):gsub('o', '0')",
      "('hello'):gsub('', '-')",
      "('abc'):gsub('%w', '%0%0')",
      "('abc'):gsub('(a)(b)', '%2%1')",
      "('abc abc'):gsub('%w+', {abc = 'x'})",
      "('abc'):gsub('b', function() return nil end)",
      "('abc'):gsub('b', function() return false end)",
      "('a.b.c'):gsub('%.', '%%')",
      "('aaa'):gsub('a', 'b', 2)",
      "('aaa'):gsub('a', 'b', 0)",
      "('aaa'):gsub('a', 'b', -1)",
      "('aaa'):gsub('^a', 'b')",
      "('abc'):gsub('()', '%1')",
      "('x = 1, y = 2'):gsub('(%w+) = (%w+)', '%2 = %1')",
      "('abc'):gsub('b', 7)",
      "('abc'):gsub('$', '!')",
      "('abc'):gsub('c*', '-')",
      "('hello'):find('l')",
      "('hello'):find('l', 4)",
      "('hello'):find('l', -2)",
      "('hello'):find('', 10)",
      "('hello'):find('xyz')",
      "('a.b'):find('.', 1, true)",
      "('a.b'):find('.', 2, true)",
      "('hello'):find('')",
      "('hello'):find('', 6)",
      "('hello'):match('l+')",
      "('hello'):match('(h)(.)')",
      "('hello'):match('()ll()')",
      "('key = value'):match('^(%w+)%s*=%s*(%w+)$')",
      "('2026-01-02'):match('(%d+)-(%d+)-(%d+)')",
      "('hello'):match('.-', 3)",
      "('x'):rep(3)",
      "('x'):rep(3, ',')",
      "('x'):rep(0)",
      "('x'):rep(-1)",
      "(function() local t = {} for a, b in ('k1=v1, k2=v2'):gmatch('(%w+)=(%w+)') do t[#t + 1] = a .. b end return "
      "table.concat(t, ' ') end)()",
      "(function() local t = {} for a in ('abc'):gmatch('') do t[#t + 1] = '.' end return #t end)()",
      "(function() local t = {} for a in ('a,b,,c'):gmatch('[^,]*') do t[#t + 1] = a end return table.concat(t, '|') "
      "end)()",
      "(function() local t = {5, 2, 8, 1, 9, 3} table.sort(t) return table.concat(t, ' ') end)()",
      "(function() local t = {'b', 'a', 'c'} table.sort(t, function(x, y) return x > y end) return table.concat(t) "
      "end)()",
      "(function() local t = {1, 2, 3} table.insert(t, 2, 9) table.insert(t, 7) return table.concat(t, ',') .. "
      "table.remove(t, 1) .. table.remove(t) .. #t end)()",
      "#{table.remove({})}",
      "('%d %s %5.2f %q'):format(3, 'x', 2.5, 'a\"b')",
      "('AbC'):upper() .. ('AbC'):lower() .. ('AbC'):reverse()",
      "tonumber('0x10') + tonumber('10', 2)",
      "tostring(tonumber('x'))",
  };
  lua_State* L = luaL_newstate();
  luaL_openlibs(L);
  for (const auto& call : calls) {
    const auto text =
        "local t = {" + call + "} for i = 1, #t do t[i] = tostring(t[i]) end local r = table.concat(t, ' / ')";
    ASSERT_EQ(luaL_dostring(L, (text + " return r").c_str()), 0) << lua_tostring(L, -1);
    const std::string expected = lua_tostring(L, -1);
    lua_settop(L, 0);
    Bench bench(transform(text + " ev.data = r return ev"));
    EXPECT_EQ(bench.data("1"), json::quoted(expected)) << call;
  }
  lua_close(L);
}

}  // namespace
}  // namespace weir
