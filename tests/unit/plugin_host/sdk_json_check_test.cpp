#include "weir/sdk/json_check.hpp"

#include <gtest/gtest.h>

#include <string>

#include "weir/sdk/json.hpp"

namespace weir::sdk {
namespace {

bool parses(std::string_view text) {
  try {
    (void)json::parse(text);
    return true;
  } catch (const Failure&) {
    return false;
  }
}

TEST(SdkJsonCheckTest, TakesWhatTheParserTakes) {
  for (const char* right : {"0", "-0", "-1.5e+3", "1E2", " null ", "true", "false", "\"\"",
                            R"("a\"\\\/\b\f\n\r\t\u00e4")", R"("\ud83d\ude00")", "\"\xf0\x9f\x98\x80\"", "[]", "[ ]",
                            "{}", "[1,[2],{\"a\":[]}]", R"( {"a" : 1 , "b":{"c":null}} )"}) {
    EXPECT_TRUE(json::is_json(right)) << right;
    EXPECT_TRUE(parses(right)) << right;
  }
}

TEST(SdkJsonCheckTest, AndNothingElse) {
  for (const char* wrong : {"",
                            " ",
                            "nul",
                            "nullx",
                            "+1",
                            "01",
                            "1.",
                            ".5",
                            "1e",
                            "1e+",
                            "-",
                            "0x1",
                            "\"",
                            "\"\\\"",
                            "\"\\x\"",
                            "\"\\u12\"",
                            R"("\ud83d")",
                            R"("\ude00\ud83d")",
                            R"("\ud83d\u0041")",
                            "\"\t\"",
                            "\"\xff\"",
                            "\"\xc0\x80\"",
                            "\"\xed\xa0\x80\"",
                            "\"\xf4\x90\x80\x80\"",
                            "\"\xe4\"",
                            "[",
                            "[1",
                            "[1,]",
                            "[,]",
                            "]",
                            "{",
                            "{\"a\"}",
                            "{\"a\":}",
                            "{\"a\":1,}",
                            "{a:1}",
                            "{1:1}",
                            "1 2",
                            "'a'",
                            "\xef\xbb\xbf"
                            "1"}) {
    EXPECT_FALSE(json::is_json(wrong)) << wrong;
  }
  EXPECT_FALSE(json::is_json(std::string_view("1\0", 2)));
}

TEST(SdkJsonCheckTest, WhatIsWrongIsToldWithItsPlace) {
  EXPECT_EQ(json::wrong_with("{}"), "");
  EXPECT_EQ(json::wrong_with(""), "not JSON at byte 0: expected a value");
  EXPECT_EQ(json::wrong_with("{\"a\":}"), "not JSON at byte 5: expected a value");
  EXPECT_EQ(json::wrong_with("[1,]"), "not JSON at byte 3: expected a value");
  EXPECT_EQ(json::wrong_with("[1}"), "not JSON at byte 2: expected ',' or ']'");
  EXPECT_EQ(json::wrong_with("{} x"), "not JSON at byte 3: expected the end of the text");
  EXPECT_EQ(json::wrong_with("{a:1}"), "not JSON at byte 1: expected a name in quotes");
  EXPECT_EQ(json::wrong_with("\"\\x\""), "not JSON at byte 2: expected an escape");
  EXPECT_EQ(json::wrong_with(std::string(65, '[')), "JSON that is nested deeper than 64 levels at byte 64");
}

TEST(SdkJsonCheckTest, Depth) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(json::is_json(nested(64)));
  EXPECT_FALSE(json::is_json(nested(65)));
  EXPECT_TRUE(json::is_json(nested(63), 1));
  EXPECT_FALSE(json::is_json(nested(64), 1));
  EXPECT_FALSE(json::is_json(std::string(1'000'000, '[')));
}

TEST(SdkTextTest, Base64) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64(std::string_view("\xff\0\x01\x02", 4)), "/wABAg==");
}

}  // namespace
}  // namespace weir::sdk
