#include "routing/routes.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

ChannelRoute route(std::string_view pattern) { return ChannelRoute(*Pattern::parse(pattern)); }

// Whether an identity with these attributes, and the subject "u1", may see an event under that template.
bool sees(const std::string& where, const std::string& attributes, const std::string& name,
          const std::string& data = "{}", const std::string& subject = "u1") {
  AccessRule rule;
  rule.where_json = where;
  Identity who;
  who.subject = subject;
  who.attributes_json = attributes;
  const auto filter = mandatory_filter(rule, who);
  if (!filter) {
    ADD_FAILURE() << filter.error().message;
    return false;
  }
  Draft d;
  d.event = name;
  d.data = data;
  d.id = "1";
  d.time_ms = 1;
  const EventPtr event = Event::make("c", "k", 1, d);
  return *filter == nullptr || (*filter)->matches(EventView(*event));
}

TEST(RoutesTest, TheFirstEntryThatMatchesWins) {
  const Routes routes({route("a/special"), route("a/{n}"), route("a/**"), route("a/never")});
  EXPECT_EQ(routes.find("a/special"), &routes.channels()[0]);
  EXPECT_EQ(routes.find("a/never"), &routes.channels()[1]);
  EXPECT_EQ(routes.find("a/b/c"), &routes.channels()[2]);
  EXPECT_EQ(routes.find("b"), nullptr);
  EXPECT_EQ(Routes({}).find("a"), nullptr);
}

TEST(AccessTest, TellsApartWhoIsUnknownAndWhoMayNot) {
  AccessRule scoped, closed;
  scoped.scope = "s";
  closed.nobody = true;
  Identity nobody, somebody, right, all;
  somebody.subject = right.subject = all.subject = "u";
  right.scopes = {"r", "s"};
  all.scopes = {"*"};
  EXPECT_EQ(check_access(scoped, nobody, "read", "c").error().code, Errc::unauthorized);
  EXPECT_EQ(check_access(scoped, somebody, "read", "c").error().code, Errc::forbidden);
  EXPECT_TRUE(check_access(scoped, right, "read", "c"));
  EXPECT_TRUE(check_access(scoped, all, "read", "c"));
  EXPECT_TRUE(check_access({}, nobody, "read", "c"));
  EXPECT_EQ(check_access(closed, all, "read", "c").error().code, Errc::forbidden);
}

TEST(WhereTest, WithoutATemplateThereIsNoFilter) {
  const auto none = mandatory_filter({}, {});
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, nullptr);
}

TEST(WhereTest, AWholeStringIsTheAttributeWithItsType) {
  const std::string where = R"({"data.x":"{identity.a}"})";
  EXPECT_TRUE(sees(where, R"({"a":"v"})", "e", R"({"x":"v"})"));
  EXPECT_FALSE(sees(where, R"({"a":"v"})", "e", R"({"x":"w"})"));
  EXPECT_TRUE(sees(where, R"({"a":7})", "e", R"({"x":7})"));
  EXPECT_FALSE(sees(where, R"({"a":7})", "e", R"({"x":"7"})"));
  EXPECT_TRUE(sees(where, R"({"a":true})", "e", R"({"x":true})"));
}

TEST(WhereTest, AListStandsForAnyOfItsElements) {
  for (const char* where : {R"({"data.x":"{identity.a}"})", R"({"data.x":{"$in":"{identity.a}"}})"}) {
    EXPECT_TRUE(sees(where, R"({"a":["v",7]})", "e", R"({"x":"v"})"));
    EXPECT_TRUE(sees(where, R"({"a":["v",7]})", "e", R"({"x":7})"));
    EXPECT_FALSE(sees(where, R"({"a":["v",7]})", "e", R"({"x":"w"})"));
    EXPECT_FALSE(sees(where, R"({"a":[]})", "e", R"({"x":"v"})"));
  }
}

TEST(WhereTest, AttributesCanStandInsideAText) {
  const std::string where = R"({"data.x":"t-{identity.a}/{identity.b}!"})";
  EXPECT_TRUE(sees(where, R"({"a":"v","b":7})", "e", R"({"x":"t-v/7!"})"));
  EXPECT_FALSE(sees(where, R"({"a":"v","b":8})", "e", R"({"x":"t-v/7!"})"));
  EXPECT_FALSE(sees(where, R"({"a":["v"],"b":7})", "e", R"({"x":"t-v/7!"})")) << "a list has no place inside a text";
  EXPECT_TRUE(sees(R"({"data.x":"{identity.a"})", "{}", "e", R"({"x":"{identity.a"})")) << "what is not closed is text";
}

TEST(WhereTest, TheSubjectIsAnAttribute) {
  EXPECT_TRUE(sees(R"({"data.x":"{identity.subject}"})", "{}", "e", R"({"x":"u1"})"));
  EXPECT_FALSE(sees(R"({"data.x":"{identity.subject}"})", "{}", "e", R"({"x":"u2"})"));
  EXPECT_TRUE(sees(R"({"data.x":"user:{identity.subject}"})", "{}", "e", R"({"x":"user:u1"})"));
}

TEST(WhereTest, AMissingAttributeMatchesNothingAlsoWhenNegated) {
  for (const char* where : {R"({"data.x":"{identity.a}"})", R"({"$not":{"data.x":"{identity.a}"}})",
                            R"({"data.x":{"$nin":"{identity.a}"}})", R"({"data.x":"t-{identity.a}"})",
                            R"({"$not":{"data.x":"t-{identity.a}"}})", R"({"data.x":{"$nin":["t-{identity.a}"]}})",
                            R"({"$or":[{"data.x":"v"},{"data.x":"{identity.a}"}]})"}) {
    for (const char* attributes : {"{}", R"({"a":null})", R"({"a":{"b":1}})", R"({"b":"v"})"}) {
      EXPECT_FALSE(sees(where, attributes, "e", R"({"x":"v"})")) << where << attributes;
      EXPECT_FALSE(sees(where, attributes, "e", R"({})")) << where << attributes;
    }
  }
}

TEST(WhereTest, AnAttributeIsNeverAPatternForTheEventsName) {
  for (const char* where : {R"({"event":"{identity.a}"})", R"({"event":["{identity.a}"]})",
                            R"({"event":{"$in":["{identity.a}"]}})", R"({"event":{"$eq":"{identity.a}"}})",
                            R"({"event":{"$glob":"{identity.a}"}})", R"({"$and":[{"event":"{identity.a}"}]})"}) {
    EXPECT_TRUE(sees(where, R"({"a":"x*"})", "x*")) << where;
    EXPECT_FALSE(sees(where, R"({"a":"x*"})", "xy")) << where;
    EXPECT_TRUE(sees(where, R"({"a":"x?\\"})", "x?\\")) << where;
    EXPECT_FALSE(sees(where, R"({"a":"x?\\"})", "xy\\")) << where;
  }
  EXPECT_TRUE(sees(R"({"event":"{identity.a}"})", R"({"a":["x*","z"]})", "z"));
  EXPECT_FALSE(sees(R"({"event":"{identity.a}"})", R"({"a":["x*","z"]})", "xy"));
  EXPECT_FALSE(sees(R"({"event":"{identity.subject}"})", "{}", "anything", "{}", "*"));
}

TEST(WhereTest, AnAttributeInsideATextForTheEventsNameIsTakenLiterally) {
  const std::string plain = R"({"event":"task?{identity.a}"})", glob = R"({"event":"task.{identity.a}.*"})";
  EXPECT_TRUE(sees(plain, R"({"a":"b"})", "task?b"));
  EXPECT_TRUE(sees(plain, R"({"a":"b?"})", "task?b?"));
  EXPECT_TRUE(sees(plain, R"({"a":"b*"})", "task?b*"));
  EXPECT_FALSE(sees(plain, R"({"a":"b*"})", "task?bc"));
  EXPECT_FALSE(sees(plain, R"({"a":"b*"})", "taskXb*"))
      << "the star of an attribute makes no glob of the operator's text";
  EXPECT_TRUE(sees(glob, R"({"a":"b"})", "task.b.c"));
  EXPECT_TRUE(sees(glob, R"({"a":"?*"})", "task.?*.c"));
  EXPECT_FALSE(sees(glob, R"({"a":"?*"})", "task.bb.c"));
}

TEST(WhereTest, WhatIsExcludedByAnAttributeWithAStarStaysExcluded) {
  for (const char* where : {R"({"event":{"$ne":"{identity.a}"}})", R"({"event":{"$nin":["{identity.a}"]}})",
                            R"({"$not":{"event":"{identity.a}"}})", R"({"event":{"$ne":"{identity.b}*"}})"}) {
    EXPECT_FALSE(sees(where, R"({"a":"x*","b":"x"})", "x*")) << where;
    EXPECT_TRUE(sees(where, R"({"a":"x*","b":"x"})", "xy")) << where;
  }
}

TEST(WhereTest, AttributesAreEscapedForGlob) {
  const std::string where = R"({"data.x":{"$glob":"{identity.a}/*"}})";
  EXPECT_TRUE(sees(where, R"({"a":"v"})", "e", R"({"x":"v/1"})"));
  EXPECT_TRUE(sees(where, R"({"a":"*"})", "e", R"({"x":"*/1"})"));
  EXPECT_FALSE(sees(where, R"({"a":"*"})", "e", R"({"x":"v/1"})"));
  EXPECT_FALSE(sees(where, R"({"a":"?"})", "e", R"({"x":"v/1"})"));
  EXPECT_FALSE(sees(R"({"data.x":{"$glob":"{identity.a}"}})", R"({"a":"*"})", "e", R"({"x":"v"})"));
  EXPECT_TRUE(sees(R"({"data.x":"{identity.a}"})", R"({"a":"v*"})", "e", R"({"x":"v*"})"))
      << "elsewhere a star is a star";
}

TEST(WhereTest, AListOfThousandsOfAttributesWorks) {
  std::string list;
  for (int i = 0; i < 2000; ++i) {
    const std::string number = std::to_string(i);
    list += (list.empty() ? "\"" : ",\"") + std::string(40 - number.size(), 'i') + number + "\"";
  }
  const std::string attributes = "{\"a\":[" + list + "]}", where = R"({"data.x":{"$in":"{identity.a}"}})";
  const std::string last = std::string(36, 'i') + "1999";
  EXPECT_TRUE(sees(where, attributes, "e", "{\"x\":\"" + last + "\"}"));
  EXPECT_FALSE(sees(where, attributes, "e", "{\"x\":\"" + last + "9\"}"));
}

TEST(WhereTest, ATemplateThatIsNoFilterIsAnError) {
  AccessRule rule;
  for (const char* where : {"{", R"({"x":"{identity.a}"})", R"({"data.x":{"$what":1}})"}) {
    rule.where_json = where;
    EXPECT_FALSE(mandatory_filter(rule, {})) << where;
  }
}

// Regression: a manifest with {identity.NAME} as an operand of $eq, or in a list, could not be loaded, as the check
// knows nobody.
TEST(WhereTest, ATemplateMayStandWhereverAValueMay) {
  for (const char* where :
       {R"({"data.owner":{"$eq":"{identity.team}"}})", R"({"data.owner":["x","{identity.team}"]})",
        R"({"data.owner":{"$in":"{identity.team}"}})", R"({"data.path":{"$prefix":"{identity.team}"}})"}) {
    AccessRule rule;
    rule.where_json = where;
    const auto nobody = mandatory_filter(rule, Identity{});
    ASSERT_TRUE(nobody) << where << nobody.error().message;
    Identity known;
    known.attributes_json = R"({"team":"blue"})";
    const auto filter = mandatory_filter(rule, known);
    ASSERT_TRUE(filter) << where << filter.error().message;
    Draft d;
    d.event = "e";
    d.id = "1";
    d.data = R"({"owner":"blue","path":"blue/1"})";
    const EventPtr event = Event::make("c", "k", 1, d);
    EXPECT_TRUE((*filter)->matches(EventView(*event))) << where;
    EXPECT_FALSE((*nobody)->matches(EventView(*event))) << where;
  }
}

}  // namespace
}  // namespace weir
