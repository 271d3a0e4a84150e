#include "json_skim.hpp"

#include <gtest/gtest.h>

namespace weir::http_ingest::json {
namespace {

TEST(JsonSkimTest, WhatIsRight) {
  for (const char* text : {"{}", " [ ] ", "null", "true", "false", "0", "-0.5e+7", "\"\"", R"("\u00e9\ud83d\ude00\n")",
                           R"({"a":[1,{"b":"}]"}],"a":2})", "\"\xf0\x9f\x98\x80\""})
    EXPECT_EQ(wrong_with(text), "") << text;
  EXPECT_EQ(wrong_with(std::string(64, '[') + std::string(64, ']')), "");
}

TEST(JsonSkimTest, WhatIsWrongIsToldWithItsPlace) {
  EXPECT_EQ(wrong_with(""), "not JSON at byte 0: expected a value");
  EXPECT_EQ(wrong_with("{\"a\":}"), "not JSON at byte 5: expected a value");
  EXPECT_EQ(wrong_with("[1,]"), "not JSON at byte 3: expected a value");
  EXPECT_EQ(wrong_with("{} x"), "not JSON at byte 3: expected the end of the text");
  EXPECT_EQ(wrong_with("{a:1}"), "not JSON at byte 1: expected a name in quotes");
  EXPECT_NE(wrong_with("01"), "");
  EXPECT_NE(wrong_with("1."), "");
  EXPECT_NE(wrong_with("\"\t\""), "");
  EXPECT_NE(wrong_with("\"\xc0\xa0\""), "");
  EXPECT_NE(wrong_with(R"("\ud800")"), "");
  EXPECT_NE(wrong_with(R"("\udc00\ud800")"), "");
  EXPECT_NE(wrong_with(R"("\ud800\u0041")"), "");
  EXPECT_NE(wrong_with(std::string("nul\0", 4)), "");
  EXPECT_EQ(wrong_with(std::string(65, '[') + std::string(65, ']')),
            "JSON that is nested deeper than 64 levels at byte 64");
}

TEST(JsonSkimTest, PartsStandWhereTheyStand) {
  const auto found = members(R"( { "a" : 1 , "b\"" : [ 1 , "]" ] , "a":{"x":[]} } )", 10);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].value, "1");
  EXPECT_EQ(found[1].name, R"("b\"")");
  EXPECT_EQ(found[1].value, R"([ 1 , "]" ])");
  EXPECT_EQ(found[2].value, R"({"x":[]})");
  EXPECT_EQ(members("[1]", 10).size(), 0u);
  const auto few = elements("[1, [2] ,\"3\",4]", 3);
  ASSERT_EQ(few.size(), 3u);
  EXPECT_EQ(few[1], "[2]");
  EXPECT_EQ(few[2], "\"3\"");
  EXPECT_EQ(elements("{}", 3).size(), 0u);
}

TEST(JsonSkimTest, PointersAndEscapes) {
  const std::string_view text = R"({"a":{"b/c":[10,{"d~":"\u00e9\ud83d\ude00\n\/"}]},"a2":1,"a2":2,"\u0065":3})";
  EXPECT_EQ(at(text, ""), text);
  EXPECT_EQ(at(text, "/a/b~1c/0"), "10");
  EXPECT_EQ(unquoted(*at(text, "/a/b~1c/1/d~0")), "\xc3\xa9\xf0\x9f\x98\x80\n/");
  EXPECT_EQ(at(text, "/a2"), "2");
  EXPECT_EQ(at(text, "/e"), "3");
  for (const char* none : {"/b", "/a/b~1c/2", "/a/b~1c/00", "/a/b~1c/x", "/a2/0"}) EXPECT_FALSE(at(text, none)) << none;
}

}  // namespace
}  // namespace weir::http_ingest::json
