#include "base/json.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace weir::json {
namespace {

bool valid(std::string_view text) { return Doc().parse(text).has_value(); }
std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
}

TEST(JsonTest, WhatRfc8259AllowsIsRead) {
  for (const char* text : {"null", " true ", "false", "0", "-0", "1.5e+10", "\"\"", "[]", "{}", "[1,[2,{\"a\":[]}]]",
                           "\t\r\n[ 1 , 2 ]\n", "\"\\u0000\"", "1e999"})
    EXPECT_TRUE(valid(text)) << text;
}

TEST(JsonTest, WhatItDoesNotAllowIsRefused) {
  for (const char* text :
       {"",        " ",           "nul",      "True", "01",         "+1",    ".5",      "1.",    "1e",
        "1e+",     "-",           "[1,]",     "[,1]", "{\"a\":1,}", "{a:1}", "{\"a\"}", "[1 2]", "\"",
        "\"\\x\"", "\"\\u12g4\"", "\"a\nb\"", "1 2",  "[",          "{",     "NaN",     "'a'",   "\xEF\xBB\xBF[]"})
    EXPECT_FALSE(valid(text)) << text;
}

TEST(JsonTest, ARefusalNamesTheByte) {
  Doc doc;
  const auto r = doc.parse("{\"a\":x}");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Errc::bad_frame);
  EXPECT_EQ(doc.stopped_at(), 5U);
  EXPECT_NE(r.error().message.find("byte 5"), std::string::npos) << r.error().message;
}

TEST(JsonTest, DepthIsBoundedExactly) {
  EXPECT_TRUE(valid(nested(Doc::kDepthMax)));
  const auto r = Doc().parse(nested(Doc::kDepthMax + 1));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Errc::too_large);
  EXPECT_TRUE(Doc().parse("[1]", 1));
  EXPECT_FALSE(Doc().parse("[[1]]", 1));
}

TEST(JsonTest, ALoneSurrogateIsAnErrorAndAPairIsNot) {
  EXPECT_FALSE(valid("\"\\ud800\""));
  EXPECT_FALSE(valid("\"\\udc00\""));
  EXPECT_FALSE(valid("\"\\ud800\\ud800\""));
  EXPECT_FALSE(valid("\"\\ud800x\""));
  Doc doc;
  EXPECT_FALSE(doc.parse("[\"\\ud800\\ud83d\\ude00\\udc00x\",\"\\ud800\\u0041\",1]"));
  EXPECT_EQ(doc.stopped_at(), 2U);
  ASSERT_TRUE(doc.whole());
  EXPECT_EQ(doc.root().at(0).string(), "\xEF\xBF\xBD\xF0\x9F\x98\x80\xEF\xBF\xBDx");
  EXPECT_EQ(doc.root().at(1).string(),
            "\xEF\xBF\xBD"
            "A");
  EXPECT_EQ(doc.root().at(2).integer(), 1);
  EXPECT_FALSE(doc.parse("[\"\\ud800\",]"));  // the grammar's error is the one that counts
  EXPECT_EQ(doc.stopped_at(), 10U);
  EXPECT_FALSE(doc.whole());
  ASSERT_TRUE(doc.parse("\"\\ud83d\\ude00\""));
  EXPECT_EQ(doc.root().string(), "\xF0\x9F\x98\x80");
}

TEST(JsonTest, OnlyShortestFormsOfUtf8Count) {
  for (const char* good : {"\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(valid_utf8(good)) << good;
    EXPECT_TRUE(valid("\"" + std::string(good) + "\"")) << good;
  }
  for (const char* bad : {"\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC2", "\xE2\x82", "\xF0\x9F\x98"}) {
    EXPECT_FALSE(valid_utf8(bad)) << bad;
    EXPECT_FALSE(valid("\"" + std::string(bad) + "\"")) << bad;
  }
}

// Strings are looked at 16 and 8 bytes at a time: what ends such a stretch is found wherever it stands, and nothing is
// read behind the text (which AddressSanitizer sees: the text is all that its memory holds).
class JsonStringTest : public ::testing::Test {
 protected:
  template <class F>
  static void at_every_place(F&& f) {
    for (std::size_t before = 0; before <= 40; ++before)
      for (std::size_t behind = 0; behind <= 40; ++behind) f(std::string(before, 'x'), std::string(behind, 'y'));
  }
  bool parse(const std::string& text) {
    memory_.assign(text.begin(), text.end());
    memory_.shrink_to_fit();
    return doc_.parse({memory_.data(), memory_.size()}).has_value();
  }
  std::vector<char> memory_;
  Doc doc_;
};

TEST_F(JsonStringTest, WhatNeedsALookIsFoundAtEveryPlace) {
  at_every_place([&](const std::string& x, const std::string& y) {
    for (const char* good : {"\x7F", " ", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xC3\xA9\xC3\xA9"}) {
      ASSERT_TRUE(parse("\"" + x + good + y + "\"")) << x << good << y;
      ASSERT_EQ(doc_.root().plain_string(), x + good + y);
    }
    ASSERT_TRUE(parse("[\"" + x + "\\n" + y + "\",\"" + x + "\",\"\\u00e9" + y + "\"]"));
    ASSERT_EQ(doc_.root().at(0).string(), x + "\n" + y);
    ASSERT_FALSE(doc_.root().at(0).plain_string());
    ASSERT_EQ(doc_.root().at(1).plain_string(), x);
    ASSERT_EQ(doc_.root().at(2).string(), "\xC3\xA9" + y);
    ASSERT_EQ(needs_no_escape(x + y), true);
  });
}

TEST_F(JsonStringTest, WhatIsWrongIsNamedAtEveryPlace) {
  at_every_place([&](const std::string& x, const std::string& y) {
    for (const char* bad : {"\x01", "\x1F", "\n", "\xFF", "\x80", "\xC3", "\xED\xA0\x80", "\\x", "\\u12g4"}) {
      ASSERT_FALSE(parse("\"" + x + bad + y + "\"")) << x << bad << y;
      ASSERT_EQ(doc_.stopped_at(), 1 + x.size());
    }
    ASSERT_FALSE(parse("\"" + x + std::string(1, '\0') + y + "\""));
    ASSERT_EQ(doc_.stopped_at(), 1 + x.size());
    ASSERT_FALSE(parse("\"" + x + "\"" + y + "\""));
    ASSERT_EQ(doc_.stopped_at(), 2 + x.size());
    for (const char* open : {"", "\xC3", "\\", "\\u00e"}) ASSERT_FALSE(parse("\"" + x + open));
    ASSERT_FALSE(parse("\"" + x + "\xE2\x82\xAC"));
    ASSERT_EQ(doc_.stopped_at(), 4 + x.size());
  });
}

TEST_F(JsonStringTest, WhatIsWrittenIsEscapedAtEveryPlace) {
  at_every_place([&](const std::string& x, const std::string& y) {
    const std::pair<const char*, const char*> pairs[] = {
        {"\"", "\\\""},           {"\\", "\\\\"},   {"\n", "\\n"},           {"\x1F", "\\u001f"},
        {"\xC3\xA9", "\xC3\xA9"}, {"\x7F", "\x7F"}, {"\xFF", "\xEF\xBF\xBD"}};
    for (const auto& [raw, written] : pairs) {
      ASSERT_EQ(json::quoted(x + raw + y), "\"" + x + written + y + "\"");
      ASSERT_EQ(needs_no_escape(x + raw + y), *raw == '\x7F');
    }
  });
}

TEST(JsonTest, EveryValueKnowsWhatComesBehindItHoweverManyThereAre) {
  Doc doc;
  std::string text = "[";
  for (int i = 0; i < 100; ++i) text += "{\"a\":[1,true,\"x\"],\"b\":{}},";
  ASSERT_TRUE(doc.parse(text += "null]"));
  ASSERT_EQ(doc.end_index(), 1U + 100 * 8 + 1);
  EXPECT_EQ(doc.node(0).next, doc.end_index());
  EXPECT_EQ(doc.node(0).count, 101U);
  for (std::uint32_t i = 1; i < 801; i += 8) {
    ASSERT_EQ(doc.node(i).next, i + 8);
    ASSERT_EQ(doc.node(i).count, 2U);
    ASSERT_EQ(doc.node(i + 1).next, i + 2) << "the name a";
    ASSERT_EQ(doc.node(i + 2).next, i + 6);
    ASSERT_EQ(doc.node(i + 2).count, 3U);
    ASSERT_EQ(doc.node(i + 7).next, i + 8);
    ASSERT_EQ(doc.node(i + 7).count, 0U);
  }
  ASSERT_FALSE(doc.parse("[1,2"));
  ASSERT_TRUE(doc.parse("[3]")) << "a Doc is used again, also after a text that was refused";
  EXPECT_EQ(doc.end_index(), 2U);
  EXPECT_EQ(doc.root().at(0).integer(), 3);
}

TEST(JsonTest, OfTwoEqualKeysTheLastOneCountsAlsoWhenEscaped) {
  Doc doc;
  ASSERT_TRUE(doc.parse(R"({"a":1,"b":{"a":9},"\u0061":2})"));
  EXPECT_EQ(doc.root().find("a").integer(), 2);
  EXPECT_EQ(doc.root().count(), 3U);
  EXPECT_FALSE(doc.root().find("c"));
  EXPECT_FALSE(doc.root().find("a").find("x"));
}

TEST(JsonTest, ValuesAreSlicesOfTheText) {
  Doc doc;
  ASSERT_TRUE(doc.parse(R"( { "a" : [ 1.50 , "x" ] , "b":{ } } )"));
  EXPECT_EQ(doc.root().find("a").raw(), "[ 1.50 , \"x\" ]");
  EXPECT_EQ(doc.root().find("a").at(0).raw(), "1.50");
  EXPECT_EQ(doc.root().find("a").at(1).string(), "x");
  EXPECT_FALSE(doc.root().find("a").at(2));
  EXPECT_FALSE(doc.root().at(0));
  EXPECT_EQ(doc.root().find("b").raw(), "{ }");
  std::string keys;
  doc.root().each_member([&](Value k, Value) { keys += k.string(); });
  EXPECT_EQ(keys, "ab");
}

TEST(JsonTest, NumbersBeyondADoubleAreInfiniteAndKeepTheirText) {
  Doc doc;
  ASSERT_TRUE(doc.parse("[1e999,-1e999,9223372036854775807,9223372036854775808,-9223372036854775808,1.0,1e-999]"));
  EXPECT_TRUE(std::isinf(doc.root().at(0).number()));
  EXPECT_LT(doc.root().at(1).number(), 0);
  EXPECT_EQ(doc.root().at(2).integer(), INT64_MAX);
  EXPECT_FALSE(doc.root().at(3).integer());
  EXPECT_EQ(doc.root().at(4).integer(), INT64_MIN);
  EXPECT_FALSE(doc.root().at(5).integer());
  EXPECT_EQ(doc.root().at(6).number(), 0);
  EXPECT_EQ(doc.root().at(3).raw(), "9223372036854775808");
}

TEST(JsonTest, StringsAreUnescapedOnlyWhereTheyNeedIt) {
  Doc doc;
  ASSERT_TRUE(doc.parse(R"(["plain","\"\\\/\b\f\n\r\t\u20ac"])"));
  EXPECT_TRUE(doc.root().at(0).plain_string());
  EXPECT_FALSE(doc.root().at(1).plain_string());
  EXPECT_EQ(doc.root().at(1).string(), "\"\\/\b\f\n\r\t\xE2\x82\xAC");
}

TEST(JsonTest, WhatIsQuotedReadsBackAndForeignBytesAreReplaced) {
  const std::string text = std::string("a\"\\\n\x01\x7F\xC3\xA9") + '\0';
  const std::string all = json::quoted(text);
  Doc doc;
  ASSERT_TRUE(doc.parse(all));
  EXPECT_EQ(doc.root().string(), text);
  EXPECT_EQ(json::quoted("a\xFFz"), "\"a\xEF\xBF\xBDz\"");
  EXPECT_EQ(to_utf8("\xC0z"), "\xEF\xBF\xBDz");
}

// An index that is handed on must say the same as the one that parsing again would make.
void expect_same(const Doc& got, const Doc& parsed) {
  ASSERT_EQ(got.end_index() - got.root_index(), parsed.end_index());
  EXPECT_TRUE(got.whole());
  EXPECT_EQ(got.slice(got.begin(), got.end()), parsed.slice(parsed.begin(), parsed.end()));
  for (std::uint32_t n = 0; n < parsed.end_index(); ++n) {
    const Node &a = got.node(got.root_index() + n), &b = parsed.node(n);
    EXPECT_TRUE(a.begin - got.begin() == b.begin && a.end - got.begin() == b.end &&
                a.next - got.root_index() == b.next && a.count == b.count && a.kind == b.kind && a.escaped == b.escaped)
        << parsed.root().raw() << " node " << n;
    EXPECT_EQ(Value(&got, got.root_index() + n).raw(), Value(&parsed, n).raw());
  }
}

TEST(JsonTest, ThePartOfAnIndexIsTheIndexOfThePart) {
  const std::string text = R"( {"a":[1,{"b":"x\n","c":[]},null], "d":{"e":{"f":[true,-1.5e3,"\u00e4"]}},"a":""} )";
  Doc whole;
  ASSERT_TRUE(whole.parse(text));
  const auto count = whole.end_index();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string raw(Value(&whole, i).raw());
    Doc parsed, copied, lent;
    ASSERT_TRUE(parsed.parse(raw)) << raw;
    Index index = whole.index_of(Value(&whole, i));
    copied.adopt(raw, index);
    EXPECT_TRUE(index.empty());
    expect_same(copied, parsed);

    whole.lend(Value(&whole, i), index);
    EXPECT_FALSE(whole.whole());
    lent.adopt(raw, index);
    expect_same(lent, parsed);
    whole.reuse(index);
    ASSERT_TRUE(whole.parse(text));  // with what memory ever came back
    ASSERT_EQ(whole.end_index(), count);
  }
}

TEST(JsonTest, StripLeavesWhatStandsInside) {
  EXPECT_EQ(strip("\r\n\t {\"a\" : 1 } \n"), "{\"a\" : 1 }");
  EXPECT_EQ(strip(" \n"), "");
  EXPECT_EQ(strip("null"), "null");
}

}  // namespace
}  // namespace weir::json
