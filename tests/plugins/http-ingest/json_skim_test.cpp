#include "json_skim.hpp"

#include <gtest/gtest.h>

namespace weir::http_ingest::json {
namespace {

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
