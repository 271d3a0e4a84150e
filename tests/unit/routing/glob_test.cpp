#include "routing/glob.hpp"

#include <gtest/gtest.h>

#include <random>

namespace weir {
namespace {

TEST(GlobTest, AStarIsAnyRunAndAQuestionMarkOneCodePoint) {
  for (const auto& [pattern, text] :
       std::initializer_list<std::pair<const char*, const char*>>{{"", ""},
                                                                  {"*", ""},
                                                                  {"*", "x"},
                                                                  {"**", "x"},
                                                                  {"a", "a"},
                                                                  {"a*", "a"},
                                                                  {"*a", "ba"},
                                                                  {"a*?", "ab"},
                                                                  {"?", "\xC3\xA9"},
                                                                  {"*a*b*c", "xxaxxbxxbc"},
                                                                  {"*ab", "aab"},
                                                                  {"*?b", "aab"},
                                                                  {"*a?c*", "abaabcx"},
                                                                  {"\xC3\xA9*", "\xC3\xA9t\xC3\xA9"},
                                                                  {"*t?", "\xC3\xA9t\xC3\xA9"},
                                                                  {"a*a", "aa"},
                                                                  {"*\xC3\xA9?z", "a\xC3\xA9\xC3\xA9yz"}})
    EXPECT_TRUE(glob_matches(pattern, text)) << pattern << " " << text;
  for (const auto& [pattern, text] : std::initializer_list<std::pair<const char*, const char*>>{{"", "x"},
                                                                                                {"a", ""},
                                                                                                {"a", "ab"},
                                                                                                {"a*?", "a"},
                                                                                                {"??", "\xC3\xA9"},
                                                                                                {"a*a", "a"},
                                                                                                {"*ab", "abc"},
                                                                                                {"*a?c*", "abab"},
                                                                                                {"?*?", "x"},
                                                                                                {"*a*a*", "xax"}})
    EXPECT_FALSE(glob_matches(pattern, text)) << pattern << " " << text;
}

TEST(GlobTest, ABackslashTakesTheNextOneLiterally) {
  EXPECT_TRUE(glob_matches("a\\*", "a*"));
  EXPECT_FALSE(glob_matches("a\\*", "ab"));
  EXPECT_TRUE(glob_matches("*\\?*", "a?b"));
  EXPECT_FALSE(glob_matches("*\\?*", "ab"));
  EXPECT_TRUE(glob_matches("*\\\\", "a\\"));
  EXPECT_TRUE(glob_matches("a\\", "a\\"));  // nothing follows: it is itself
}

TEST(GlobTest, APartThatDoesNotFitAWordIsRefused) {
  EXPECT_TRUE(check_glob("*" + std::string(5000, 'a') + "*"));
  EXPECT_TRUE(check_glob("*" + std::string(63, 'a') + "?*" + std::string(63, 'b') + "?"));
  const auto no = check_glob("*" + std::string(64, 'a') + "?*");
  ASSERT_FALSE(no);
  EXPECT_EQ(no.error().code, Errc::bad_filter);
  EXPECT_NE(no.error().message.find("has 65 characters; with ? or \\ in it at most 64 are allowed"), std::string::npos)
      << no.error().message;
}

// By trying everything: what a glob means, as slowly as it can be said. Over single bytes.
bool by_trying(std::string_view p, std::string_view t) {
  if (p.empty()) return t.empty();
  if (p[0] == '*') return by_trying(p.substr(1), t) || (!t.empty() && by_trying(p, t.substr(1)));
  if (t.empty()) return false;
  if (p[0] == '?') return by_trying(p.substr(1), t.substr(1));
  const std::size_t own = p[0] == '\\' && p.size() > 1 ? 1 : 0;
  return p[own] == t[0] && by_trying(p.substr(own + 1), t.substr(1));
}

TEST(GlobTest, ItMeansWhatTryingEverythingFinds) {
  std::mt19937 random(7);
  const auto some = [&random](std::string_view of, std::size_t most) {
    std::string out;
    for (std::size_t n = random() % (most + 1); n != 0; --n) out += of[random() % of.size()];
    return out;
  };
  int matches = 0;
  for (int i = 0; i < 200'000; ++i) {
    const std::string pattern = some("ab*?*\\", 7), text = some("ab*\\", 8);
    ASSERT_EQ(glob_matches(pattern, text), by_trying(pattern, text)) << pattern << " " << text;
    matches += glob_matches(pattern, text) ? 1 : 0;
  }
  EXPECT_GT(matches, 5'000);
}

}  // namespace
}  // namespace weir
