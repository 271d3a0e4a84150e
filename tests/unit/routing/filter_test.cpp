#include "routing/filter.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

bool holds(const std::string& filter, const std::string& data, const std::string& name = "task.done",
           const std::string& key = "") {
  Draft d;
  d.event = name;
  d.id = "1";
  d.key = key;
  d.data = data;
  const EventPtr event = Event::make("open/a", "e", 1, d);
  const auto f = Filter::parse(filter);
  EXPECT_TRUE(f) << filter;
  return f && (!*f || (*f)->matches(EventView(*event)));
}
std::string pointer(const std::string& filter) {
  const auto f = Filter::parse(filter);
  EXPECT_FALSE(f) << filter;
  return f ? "accepted" : f.error().pointer;
}

TEST(FilterTest, EqualityIsThatOfJson) {
  EXPECT_TRUE(holds(R"({"data.x":1})", R"({"x":1.0})"));
  EXPECT_FALSE(holds(R"({"data.x":1})", R"({"x":"1"})"));
  EXPECT_FALSE(holds(R"({"data.x":0})", R"({"x":false})"));
  EXPECT_TRUE(holds(R"({"data.x":null})", R"({"x":null})"));
  EXPECT_FALSE(holds(R"({"data.x":null})", R"({})"));
  EXPECT_TRUE(holds(R"({"data.x":9007199254740993})", R"({"x":9007199254740993})"));
  EXPECT_FALSE(holds(R"({"data.x":9007199254740993})", R"({"x":9007199254740992})"));
  EXPECT_TRUE(holds(R"({"data.x":"\u0061"})", R"({"x":"a"})"));
}

TEST(FilterTest, AnArrayHoldsWhenAnyElementDoes) {
  EXPECT_TRUE(holds(R"({"data.t":"b"})", R"({"t":["a","b"]})"));
  EXPECT_TRUE(holds(R"({"data.t":{"$gt":2}})", R"({"t":[1,3]})"));
  EXPECT_FALSE(holds(R"({"data.t":{"$ne":"b"}})", R"({"t":["a","b"]})"));
  EXPECT_TRUE(holds(R"({"data.t":{"$nin":["x","y"]}})", R"({"t":["a","b"]})"));
  EXPECT_FALSE(holds(R"({"data.t":1})", R"({"t":[]})"));
  EXPECT_TRUE(holds(R"({"data.t.1":"b"})", R"({"t":["a","b"]})"));
}

TEST(FilterTest, APathThatLeadsNowhereHoldsForTheNegativeOnes) {
  for (const char* yes : {R"({"data.x":{"$ne":1}})", R"({"data.x":{"$nin":[1]}})", R"({"data.x":{"$exists":false}})",
                          R"({"key":{"$exists":false}})"})
    EXPECT_TRUE(holds(yes, "{}")) << yes;
  for (const char* no :
       {R"({"data.x":1})", R"({"data.x":{"$in":[1]}})", R"({"data.x":{"$lt":9}})", R"({"data.x":{"$prefix":""}})",
        R"({"data.x":{"$glob":"*"}})", R"({"data.x":{"$exists":true}})"})
    EXPECT_FALSE(holds(no, "{}")) << no;
}

TEST(FilterTest, OrderIsDefinedForNumbersAndForStrings) {
  EXPECT_TRUE(holds(R"({"data.x":{"$gte":10,"$lt":11}})", R"({"x":10})"));
  EXPECT_TRUE(holds(R"({"data.x":{"$gt":"a"}})", R"({"x":"b"})"));
  EXPECT_FALSE(holds(R"({"data.x":{"$gt":"1"}})", R"({"x":2})"));
  EXPECT_FALSE(holds(R"({"data.x":{"$lte":1}})", R"({"x":null})"));
}

TEST(FilterTest, AGlobThatCouldCostTooMuchIsRefusedWhereItStands) {
  const std::string long_part = "*" + std::string(64, 'a') + "?b*";
  EXPECT_EQ(pointer("{\"data.x\":{\"$glob\":\"" + long_part + "\"}}"), "/data.x/$glob");
  EXPECT_EQ(pointer("{\"event\":\"" + long_part + "\"}"), "/event");
  EXPECT_EQ(pointer("{\"event\":[\"a\",\"" + long_part + "\"]}"), "/event/1");
  EXPECT_TRUE(holds(R"({"event":"task.*"})", "1"));
  EXPECT_FALSE(holds(R"({"data":"task.*"})", "\"task.x\""));
}

TEST(FilterTest, CombinationsNest) {
  EXPECT_TRUE(holds(R"({"$or":[{"data.x":1},{"$not":{"event":"b"}}]})", "{}"));
  EXPECT_FALSE(holds(R"({"$and":[{"event":"task.done"},{"data.x":1}]})", "{}"));
  EXPECT_TRUE(holds(R"({"data.a\\.b":1})", R"({"a.b":1})"));
}

TEST(FilterTest, ARefusalPointsAtTheSpot) {
  EXPECT_EQ(pointer(R"({"data.x":{"$foo":1}})"), "/data.x/$foo");
  EXPECT_EQ(pointer(R"({"$and":[{},{"$nope":1}]})"), "/$and/1/$nope");
  EXPECT_EQ(pointer(R"({"da/ta":1})"), "/da~1ta");
  EXPECT_EQ(pointer(R"({"data.x":{"$in":[1,{},[]]}})"), "/data.x/$in/1");
  EXPECT_EQ(pointer(R"({"data.n1":[[1]]})"), "/data.n1/0");
  EXPECT_EQ(pointer(R"({"data.x":{}})"), "/data.x");
  EXPECT_EQ(pointer(R"({"data..x":1})"), "/data..x");
}

// Symptom: {"$gt":false} was refused, although only objects and arrays are no operands.
TEST(FilterTest, AnOrderWithOtherScalarsIsNeverTrueAndNoMistake) {
  for (const char* op : {"$gt", "$gte", "$lt", "$lte"})
    for (const char* operand : {"false", "true", "null"})
      for (const char* found : {"false", "true", "null", "0", "\"a\"", "[null,1]"})
        EXPECT_FALSE(
            holds("{\"data.t\":{\"" + std::string(op) + "\":" + operand + "}}", "{\"t\":" + std::string(found) + "}"))
            << op << operand << found;
  EXPECT_EQ(pointer(R"({"data.t":{"$gt":[1]}})"), "/data.t/$gt");
}

TEST(FilterTest, TheOneThatMatchesNothingIsAFilterThatTheHubAccepts) {
  const auto again = Filter::parse(Filter::nothing()->text());
  ASSERT_TRUE(again) << Filter::nothing()->text();
  Draft d;
  d.event = "e";
  d.data = "{}";
  const EventPtr event = Event::make("c", "k", 1, d);
  EXPECT_FALSE((*again)->matches(EventView(*event)));
  EXPECT_FALSE(Filter::nothing()->matches(EventView(*event)));
}

TEST(FilterTest, AllMistakesAreFoundInOneGo) {
  const auto pointers = [](std::string_view text) {
    json::Doc doc;
    EXPECT_TRUE(doc.parse(text));
    std::string out;
    for (const Error& e : Filter::mistakes(doc.root(), Filter::kTrusted)) out += e.pointer + " ";
    return out;
  };
  EXPECT_EQ(pointers(R"({"x":1,"data.a":{"$foo":1,"$in":[{},[]]},"$or":[{"y":1},{"data":1},{"$not":5}],"data.b":{}})"),
            "/x /data.a/$foo /data.a/$in/0 /data.a/$in/1 /$or/0/y /$or/2/$not /data.b ");
  EXPECT_EQ(pointers(R"({"data.a":1})"), "");
  EXPECT_EQ(pointers("[]"), " ");
  std::string many = "{";
  for (int i = 0; i < 1000; ++i) many += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\":1";
  many += "}";
  json::Doc doc;
  ASSERT_TRUE(doc.parse(many));
  EXPECT_EQ(Filter::mistakes(doc.root(), Filter::kTrusted).size(), 100U);
}

TEST(FilterTest, TheBoundsAreExact) {
  const auto conditions = [](int n) {
    std::string text = "{";
    for (int i = 0; i < n; ++i) text += (i == 0 ? "\"data.k" : ",\"data.k") + std::to_string(i) + "\":1";
    return text + "}";
  };
  EXPECT_TRUE(Filter::parse(conditions(64)));
  EXPECT_FALSE(Filter::parse(conditions(65)));
  const auto levels = [](int n) {
    std::string text = "{\"id\":1}";
    for (int i = 1; i < n; ++i) text = "{\"$not\":" + text + "}";
    return text;
  };
  EXPECT_TRUE(Filter::parse(levels(8)));
  EXPECT_FALSE(Filter::parse(levels(9)));
  const auto list = [](int n) {
    std::string text = "{\"id\":[1";
    for (int i = 1; i < n; ++i) text += ",1";
    return text + "]}";
  };
  EXPECT_TRUE(Filter::parse(list(1024)));
  EXPECT_FALSE(Filter::parse(list(1025)));
  const std::string rest = R"({"id":""})";
  EXPECT_TRUE(Filter::parse("{\"id\":\"" + std::string(4096 - rest.size(), 'x') + "\"}"));
  EXPECT_FALSE(Filter::parse("{\"id\":\"" + std::string(4097 - rest.size(), 'x') + "\"}"));
}

}  // namespace
}  // namespace weir
