#include "routing/pattern.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

Pattern p(std::string_view text) { return Pattern::parse(text).value(); }

TEST(ChannelNameTest, TheRulesHoldToTheByte) {
  for (const std::string& good : {std::string("a"), std::string("a/b"), std::string("session:42"),
                                  std::string("gr\xC3\xBC\xC3\x9F"), std::string(255, 'x')})
    EXPECT_TRUE(check_channel_name(good)) << good;
  for (const std::string& bad : {std::string(), std::string(256, 'x'), std::string("a b"), std::string("a\n"),
                                 std::string("a*"), std::string("{a"), std::string("a}"), std::string("/a"),
                                 std::string("a/"), std::string("a//b"), std::string("\xFF"), std::string("a\x7F")})
    EXPECT_FALSE(check_channel_name(bad)) << bad;
}

// Symptom: "a\u0085b" and "a\u00a0b" were names, which look like "ab" and "a b" wherever they are shown.
TEST(ChannelNameTest, ControlCharactersAndSpacesOfUnicodeAreRefused) {
  for (const char* bad :
       {"a\xC2\x80", "a\xC2\x85z", "a\xC2\x9F", "a\xC2\xA0z", "a\xE1\x9A\x80z", "a\xE2\x80\x80", "\xE2\x80\x8Az",
        "a\xE2\x80\xA8", "a\xE2\x80\xA9", "a\xE2\x80\xAF", "a\xE2\x81\x9Fz", "a\xE3\x80\x80z"}) {
    EXPECT_FALSE(check_channel_name(bad)) << bad;
    EXPECT_FALSE(Pattern::parse(bad)) << bad;
    EXPECT_TRUE(Pattern::parse_subject(bad, '.')) << bad;  // a source's own terms
    const std::string name = p("a/{x}").expand({{"x", bad}}).value();
    EXPECT_TRUE(check_channel_name(name)) << name;
  }
  EXPECT_EQ(p("{x}").expand({{"x", "\xC2\xA0\xC3\xA9"}}).value(), "%C2%A0\xC3\xA9");
  for (const char* good : {"a\xC2\xA1", "\xC3\xA0", "\xE2\x80\x8B", "\xE2\x80\x93", "\xE3\x81\x82", "\xEF\xBB\xBF"})
    EXPECT_TRUE(check_channel_name(good)) << good;
}

TEST(PatternTest, VariablesStandForPartOfOneSegment) {
  EXPECT_TRUE(p("agents/{id}").matches("agents/7"));
  EXPECT_FALSE(p("agents/{id}").matches("agents/7/x"));
  EXPECT_FALSE(p("agents/{id}").matches("agents"));
  EXPECT_TRUE(p("session:{id}").matches("session:42"));
  EXPECT_FALSE(p("session:{id}").matches("session:"));
  const auto v = p("{tenant}/logs/{file}.log").match("t1/logs/a.b.log");
  ASSERT_TRUE(v);
  EXPECT_EQ((*v)[0], (std::pair<std::string, std::string>("tenant", "t1")));
  EXPECT_EQ((*v)[1], (std::pair<std::string, std::string>("file", "a.b")));
}

TEST(PatternTest, StarsStandForSegments) {
  EXPECT_TRUE(p("logs/*").matches("logs/a"));
  EXPECT_FALSE(p("logs/*").matches("logs/a/b"));
  EXPECT_TRUE(p("logs/**").matches("logs/a/b"));
  EXPECT_FALSE(p("logs/**").matches("logs"));
  EXPECT_TRUE(p("**").matches("a/b"));
}

TEST(PatternTest, MistakesAreNamed) {
  for (const char* text : {"", "a//b", "/a", "a/", "{a}/{a}", "{a}{b}", "{", "}", "{1a}", "{}", "a*", "**/a", "a b"})
    EXPECT_FALSE(Pattern::parse(text)) << text;
  EXPECT_FALSE(Pattern::parse_wildcard("a/{b}"));
}

TEST(PatternTest, AValueNeverAddsASegmentToAName) {
  EXPECT_EQ(p("a/{x}").expand({{"x", "b/c d%"}}).value(), "a/b%2Fc%20d%");
  EXPECT_FALSE(p("a/{x}").expand({}));
  EXPECT_FALSE(p("a/{x}").expand({{"x", ""}}));
  EXPECT_FALSE(p("a/{x}").expand({{"x", std::string(254, 'y')}}));
}

TEST(PatternTest, CoversOnlyWhatItCertainlyMatches) {
  EXPECT_TRUE(p("**").covers(p("a/{b}")));
  EXPECT_TRUE(p("a/*").covers(p("a/{x}")));
  EXPECT_TRUE(p("a/{x}").covers(p("a/*")));
  EXPECT_FALSE(p("a/x{b}").covers(p("a/*")));
  EXPECT_FALSE(p("a/*").covers(p("a/**")));
}

// ---------------------------------------------------------------- subjects

std::string subject_for(const char* watched, const char* channel, const char* subject, char separator = '.') {
  const auto w = Pattern::parse_wildcard(watched), c = Pattern::parse(channel);
  const auto s = Pattern::parse_subject(subject, separator);
  EXPECT_TRUE(w && c && s);
  return Pattern::subject_for(*w, *c, *s).value_or("none");
}

TEST(PatternTest, TheSubjectThatFeedsAChannel) {
  EXPECT_EQ(subject_for("instances/i1", "instances/{id}", "omni.{id}.>"), "omni.i1.**");
  EXPECT_EQ(subject_for("instances/i1", "instances/{id}", "omni.{id}.*.x"), "omni.i1.*.x");
  EXPECT_EQ(subject_for("logs/a%2Fb", "logs/{file}", "f.{file}"), "f.a/b") << "as expand() made the name";
  EXPECT_EQ(subject_for("session:7", "session:{id}", "s.{id}.in-{id2}"), "s.7.*");
  EXPECT_EQ(subject_for("a/x/y", "a/{one}/{two}", "{two}.{one}"), "y.x");
  EXPECT_EQ(subject_for("b/x", "a/{one}", "{one}"), "none");
  EXPECT_EQ(subject_for("a/x/y", "a/{one}", "{one}"), "none");
  EXPECT_EQ(subject_for("a", "a/{one}", "{one}"), "none");
}

TEST(PatternTest, ANameFromAClientMakesOnePartOfASubjectOrNone) {
  for (const char* name : {"a/x.y", "a/>", "a/%2A", "a/%3E", "a/x%2Ey", "a/%20", "a/%00", "a/%61", "a/%FF", "a/?"})
    EXPECT_EQ(subject_for(name, "a/{one}", "s.{one}"), "none") << name;
  EXPECT_EQ(subject_for("a/..", "a/{one}", "{one}", '/'), "..") << "what a source makes of it is the source's to judge";
  EXPECT_EQ(subject_for("a/..%2Fx", "a/{one}", "{one}", '/'), "none");
}

TEST(PatternTest, TheSubjectsThatFeedAWatchedPattern) {
  EXPECT_EQ(subject_for("acme/logs/*", "{tenant}/logs/{file}", "t.{tenant}.{file}.>"), "t.acme.*.**");
  EXPECT_EQ(subject_for("*/logs/a", "{tenant}/logs/{file}", "t.{tenant}.{file}"), "t.*.a");
  EXPECT_EQ(subject_for("**", "{tenant}/logs/{file}", "t.{tenant}.{file}"), "t.*.*");
  EXPECT_EQ(subject_for("acme/**", "{tenant}/logs/{file}", "t.{tenant}.{file}"), "t.acme.*");
  EXPECT_EQ(subject_for("acme/logs/a/**", "{tenant}/logs/{file}", "t.{tenant}.{file}"), "none");
  EXPECT_EQ(subject_for("acme/other/*", "{tenant}/logs/{file}", "t.{tenant}.{file}"), "none");
  EXPECT_EQ(subject_for("a/*", "a/{one}", "x-{one}.y"), "*.y") << "a part that is not known whole";
}

TEST(PatternTest, ASubjectIsMadeWithoutItsDividersAndWildcards) {
  const auto subject = Pattern::parse_subject("commands.{id}.x-{id2}", '.');
  ASSERT_TRUE(subject);
  EXPECT_EQ(*subject->expand_subject({{"id", "7"}, {"id2", "a/b"}}), "commands.7.x-a/b");
  EXPECT_EQ(*subject->expand_subject({{"id", "a.b"}, {"id2", ">"}}), "commands.a%2Eb.x-%3E");
  EXPECT_EQ(*subject->expand_subject({{"id", "a%2Eb"}, {"id2", "?"}}), "commands.a%252Eb.x-%3F");
  EXPECT_EQ(*subject->expand_subject({{"id", "*"}, {"id2", " \n"}}), "commands.%2A.x-%20%0A");
  EXPECT_FALSE(subject->expand_subject({{"id", "7"}}));
  EXPECT_FALSE(Pattern::parse_subject("a.>", '.')->expand_subject({}));
}

}  // namespace
}  // namespace weir
