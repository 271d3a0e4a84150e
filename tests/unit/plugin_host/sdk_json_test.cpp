#include "weir/sdk/json.hpp"

#include <gtest/gtest.h>

namespace weir::sdk::json {
namespace {

TEST(SdkJsonTest, ReadsAndWritesTheSame) {
  for (const char* text : {"null", "true", "[]", "{}", "-0.5e+10", "12345678901234567890",
                           R"({"a":[1,"x\"y",{"b":null}],"c":false})", R"("\u0001\\")"})
    EXPECT_EQ(parse(text).to_json(), text);
  EXPECT_EQ(parse(" [ 1 , 2 ] ").to_json(), "[1,2]");
  EXPECT_EQ(parse(R"("\u00e9\ud83d\ude00\/")").text, "\xc3\xa9\xf0\x9f\x98\x80/");
}

TEST(SdkJsonTest, WhatIsNotJsonIsRefused) {
  for (const char* text : {"", "nul", "01", "1.", "-", "1e", "[1,]", "{\"a\"}", "{a:1}", "\"", "\"\\x\"", "\"\\u12\"",
                           "\"\\ud800\"", "\"\n\"", "1 2", "[", "{\"a\":1,}"})
    EXPECT_THROW((void)parse(text), Failure) << text;
  EXPECT_THROW((void)parse(std::string(100, '[') + std::string(100, ']')), Failure);
}

TEST(SdkJsonTest, EveryValueKnowsItsPointer) {
  const Value root = parse(R"({"a/b":[{"c~d":1}]})");
  EXPECT_EQ(root.find("a/b")->elements[0].find("c~d")->pointer, "/a~1b/0/c~0d");
}

TEST(SdkJsonTest, DurationsAndSizesHaveUnits) {
  const Value v = parse(
      R"({"a":250,"b":"250ms","c":"1.5s","d":"2h","e":"1 m","bad":"10x","neg":-1,"k":"64KiB","m":"1MB","n":4096,"l":[]})");
  EXPECT_EQ(v.duration_ms_or("a", 0), 250);
  EXPECT_EQ(v.duration_ms_or("b", 0), 250);
  EXPECT_EQ(v.duration_ms_or("c", 0), 1500);
  EXPECT_EQ(v.duration_ms_or("d", 0), 7'200'000);
  EXPECT_EQ(v.duration_ms_or("e", 0), 60'000);
  EXPECT_EQ(v.duration_ms_or("none", 7), 7);
  EXPECT_EQ(v.bytes_or("k", 0), 65536);
  EXPECT_EQ(v.bytes_or("m", 0), 1'000'000);
  EXPECT_EQ(v.bytes_or("n", 0), 4096);
  for (const char* key : {"bad", "neg", "l"}) EXPECT_THROW((void)v.duration_ms_or(key, 0), Failure) << key;
}

TEST(SdkJsonTest, IntegersAreWholeNumbers) {
  const Value v = parse("[5, 5.0, 1e3, 5.5, 9223372036854775807, 9223372036854775808, \"5\"]");
  EXPECT_EQ(v.elements[0].as_integer(), 5);
  EXPECT_EQ(v.elements[1].as_integer(), 5);
  EXPECT_EQ(v.elements[2].as_integer(), 1000);
  EXPECT_EQ(v.elements[4].as_integer(), INT64_MAX);
  for (const std::size_t i : {3u, 5u, 6u}) EXPECT_THROW((void)v.elements[i].as_integer(), Failure) << i;
}

TEST(SdkJsonTest, TheLastOfEqualKeysCounts) { EXPECT_EQ(parse(R"({"a":1,"a":2})").integer_or("a", 0), 2); }

}  // namespace
}  // namespace weir::sdk::json
