// Lines as JSON text: whatever bytes a log holds, the result parses and says what was in them.
#include "json_line.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "weir/sdk/json.hpp"

namespace weir::log_tail {
namespace {

struct Encoded {
  std::string text;
  bool valid;
};
Encoded encode(std::string_view bytes) {
  Encoded out;
  out.valid = append_json_string(out.text, bytes);
  return out;
}

TEST(JsonLineTest, PlainTextIsOnlyQuoted) {
  EXPECT_EQ(encode("").text, "\"\"");
  EXPECT_EQ(encode("a line of more than eight bytes \x7f").text, "\"a line of more than eight bytes \x7f\"");
}

TEST(JsonLineTest, QuotesBackslashesAndControlCharactersAreEscaped) {
  EXPECT_EQ(encode(std::string_view("\"\\\b\f\n\r\t\0\x1b[0m\x1f", 13)).text,
            R"("\"\\\b\f\n\r\t\u0000\u001b[0m\u001f")");
}

TEST(JsonLineTest, ASpecialByteIsFoundAtEveryPlaceOfAWord) {
  for (std::size_t at = 0; at < 32; ++at) {
    for (const char c : {'"', '\\', '\0', '\x1f', '\n'}) {
      std::string line(32, 'x');
      line[at] = c;
      const Encoded out = encode(line);
      EXPECT_TRUE(out.valid);
      EXPECT_EQ(sdk::json::parse(out.text).as_string(), line);
    }
  }
}

TEST(JsonLineTest, ValidUtf8StaysAsItIs) {
  for (const std::string_view text : {"\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000",
                                      "\U0010ffff", "gr\u00fc\u00dfe \U0001F600!"}) {
    const Encoded out = encode(text);
    EXPECT_TRUE(out.valid) << text;
    EXPECT_EQ(out.text, "\"" + std::string(text) + "\"");
  }
}

TEST(JsonLineTest, WhatIsNotUtf8BecomesAReplacementForEachPiece) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"a\xff"
       "b",
       "a\uFFFDb"},            // never a byte of UTF-8
      {"\x80", "\uFFFD"},      // continues nothing
      {"\xc3", "\uFFFD"},      // ends too early
      {"\xe2\x82", "\uFFFD"},  // two bytes that belong together are one piece
      {"\xe2\x82"
       "a",
       "\uFFFDa"},
      {"\xf0\x9f\x98\xe2\x82\xac", "\uFFFD\u20ac"},
      {"\xc0\xaf", "\uFFFD\uFFFD"},  // overlong
      {"\xe0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},            // a surrogate
      {"\xf4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},  // beyond U+10FFFF
      {"caf\xe9 au lait", "caf\uFFFD au lait"},          // Latin-1
  };
  for (const auto& [bytes, expected] : cases) {
    const Encoded out = encode(bytes);
    EXPECT_FALSE(out.valid);
    EXPECT_EQ(out.text, "\"" + std::string(expected) + "\"");
  }
}

TEST(JsonLineTest, AnyBytesGiveJsonThatParses) {
  std::uint64_t state = 42;
  for (int round = 0; round < 20'000; ++round) {
    std::string line;
    for (int i = 0; i < round % 40; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      // Half of them from the bytes where UTF-8 is decided.
      const auto byte = static_cast<unsigned char>(state >> 56);
      line += static_cast<char>((state >> 40 & 1) != 0 ? 0x80 | byte : byte);
    }
    const Encoded out = encode(line);
    const std::string back = sdk::json::parse(out.text).as_string();
    EXPECT_TRUE(!out.valid || back == line) << line;
    EXPECT_TRUE(encode(back).valid) << "what stands in the JSON is UTF-8";
  }
}

TEST(JsonLineTest, TextIsCutBetweenCharacters) {
  EXPECT_EQ(cut_at_character("abc", 5), 3U);
  EXPECT_EQ(cut_at_character("abc", 2), 2U);
  EXPECT_EQ(cut_at_character("a\u00e9", 2), 1U);
  EXPECT_EQ(cut_at_character("a\u20acb", 3), 1U);
  EXPECT_EQ(cut_at_character("a\u20acb", 4), 4U);
  EXPECT_EQ(cut_at_character("\U0001F600", 3), 0U);
  EXPECT_EQ(cut_at_character("\x80\x80\x80\x80\x80", 4), 4U);
  EXPECT_EQ(cut_at_character("", 0), 0U);
}

}  // namespace
}  // namespace weir::log_tail
