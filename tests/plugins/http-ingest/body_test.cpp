#include "body.hpp"

#include <gtest/gtest.h>

#include "gunzip.hpp"
#include "ingest_rig.hpp"
#include "refused.hpp"
#include "seen_ids.hpp"
#include "text.hpp"
#include "weir/sdk/text.hpp"

namespace weir::http_ingest {
namespace {

using test::Asked;

struct Seen {
  std::string data;
  sdk::Data kind;
  bool operator==(const Seen&) const = default;
};
std::vector<Seen> read(const std::string& type, const std::string& body, const BodyConfig& config = {}) {
  const Asked asked({{"content-type", type}}, body);
  std::vector<Seen> out;
  for (const Draft& d : read_events(asked.request(), asked.body(), config))
    out.push_back({std::string(d.data()), d.kind});
  return out;
}
std::string refusal(const std::string& type, const std::string& body, const BodyConfig& config = {}) {
  try {
    read(type, body, config);
    return "taken";
  } catch (const Refused& e) {
    return std::to_string(e.status()) + " " + e.what();
  }
}
std::vector<Seen> all_json(std::initializer_list<const char*> texts) {
  std::vector<Seen> out;
  for (const char* text : texts) out.push_back({text, sdk::Data::json});
  return out;
}

TEST(BodyTest, JsonIsOneEventByteForByte) {
  EXPECT_EQ(read("application/json", " {\"a\" : 1.10} \n"), all_json({"{\"a\" : 1.10}"}));
  EXPECT_EQ(read("application/vnd.github.v3+json; charset=utf-8", "[1,2]"), all_json({"[1,2]"}));
  EXPECT_EQ(read("application/json", "[1, {\"a\":[]} ]", {.batch = true}), all_json({"1", "{\"a\":[]}"}));
  EXPECT_EQ(read("application/json", "7", {.batch = true}), all_json({"7"}));
  EXPECT_EQ(refusal("application/json", "{\"a\":}"), "400 the body is not JSON at byte 5: expected a value");
  EXPECT_EQ(refusal("application/json", " \n"), "400 the body is empty; JSON is expected");
}

TEST(BodyTest, LinesAreEventsAndABadOneIsNamed) {
  for (const char* type : {"application/x-ndjson", "application/jsonl", "application/ndjson"})
    EXPECT_EQ(read(type, "{\"n\":1}\r\n\n 2 \n\"three\""), all_json({"{\"n\":1}", "2", "\"three\""})) << type;
  EXPECT_TRUE(read("application/x-ndjson", "\n\n").empty());
  EXPECT_EQ(refusal("application/x-ndjson", "1\n\n{\n4"),
            "400 line 3 is not JSON at byte 1: expected a name in quotes; nothing of the request was taken");
}

TEST(BodyTest, TextIsText) {
  EXPECT_EQ(read("text/plain", "{\"a\":1}\n"), (std::vector<Seen>{{"{\"a\":1}\n", sdk::Data::text}}));
  EXPECT_EQ(read("Text/Plain; Charset=\"UTF-8\"", ""), all_json({"\"\""}));
  EXPECT_EQ(refusal("text/plain; charset=latin1", "x"), "415 the charset is \"latin1\"; utf-8 is taken");
}

TEST(BodyTest, AFormIsAnObjectOfStrings) {
  const std::string type = "application/x-www-form-urlencoded";
  EXPECT_EQ(read(type, "a=1+2&b=%C3%A9%22&a=3&&c"), all_json({R"({"b":"é\"","a":"3","c":""})"}));
  EXPECT_EQ(read(type, ""), all_json({"{}"}));
  EXPECT_EQ(read(type, "payload=%7B%22ref%22%3A+1%7D&x=y", {.form_json = "payload"}), all_json({R"({"ref": 1})"}));
  EXPECT_EQ(refusal(type, "x=y", {.form_json = "payload"}), "400 the form has no field payload");
  EXPECT_NE(refusal(type, "payload=%7B", {.form_json = "payload"}).find("field payload is not JSON"),
            std::string::npos);
  for (const char* bad : {"a=%", "a=%2", "a=%zz", "a=%FF"})
    EXPECT_NE(refusal(type, bad).find("400 the form has a broken escape"), std::string::npos) << bad;
}

TEST(BodyTest, OtherTypesAreAnsweredWithWhatIsTaken) {
  EXPECT_NE(refusal("image/png", "x").find("415 content-type is \"image/png\"; taken are application/json"),
            std::string::npos);
  EXPECT_NE(refusal("", "x").find("415 the request has no content-type"), std::string::npos);
}

TEST(BodyTest, AsManyEventsAsCanWaitAtOnce) {
  std::string lines, array = "[";
  for (std::size_t i = 0; i < kEventsMax; ++i) lines += "1\n", array += "1,";
  EXPECT_EQ(read("application/jsonl", lines).size(), kEventsMax);
  EXPECT_NE(refusal("application/jsonl", lines + "1").find("413 more than 4096 events"), std::string::npos);
  EXPECT_NE(refusal("application/json", array + "1]", {.batch = true}).find("413"), std::string::npos);
}

TEST(GunzipTest, WithinItsBound) {
  const std::string text(100'000, 'x');
  EXPECT_EQ(gunzip(test::gzipped(text), text.size()), text);
  EXPECT_EQ(gunzip(test::gzipped("a") + test::gzipped("b"), 10), "ab");
  EXPECT_EQ(gunzip(test::gzipped(""), 10), "");
  const auto refusal = [](const std::string& bytes, std::size_t most) {
    try {
      gunzip(bytes, most);
      return 0;
    } catch (const Refused& e) {
      return e.status();
    }
  };
  EXPECT_EQ(refusal(test::gzipped(text), text.size() - 1), 413);
  EXPECT_EQ(refusal(test::gzipped(std::string(50'000'000, '\0')), 1'000'000), 413);  // 50 KB on the wire
  EXPECT_EQ(refusal(test::gzipped(text).substr(0, 40), text.size()), 400);
  EXPECT_EQ(refusal(test::gzipped("a") + "rubbish", 10), 400);
  EXPECT_EQ(refusal("", 10), 400);
  EXPECT_EQ(refusal("{\"a\":1}", 10), 400);
}

TEST(SeenIdsTest, ForATimeAndUpToANumber) {
  SeenIds ids(1000, 3);
  ids.remember(hashed("a"), 1, 0);
  EXPECT_EQ(ids.find(hashed("a"), 999), 1u);
  EXPECT_FALSE(ids.find(hashed("b"), 999));
  EXPECT_FALSE(ids.find(hashed("a"), 1000));
  EXPECT_EQ(ids.size(), 0u);
  for (std::uint64_t n = 1; n <= 10'000; ++n) ids.remember(hashed(std::to_string(n)), n, 2000);
  EXPECT_EQ(ids.size(), 3u);
  EXPECT_TRUE(ids.find(hashed("10000"), 2000) && ids.find(hashed("9998"), 2000) && !ids.find(hashed("9997"), 2000));
  ids.forget(hashed("9999"), 1);  // another event's
  EXPECT_TRUE(ids.find(hashed("9999"), 2000));
  ids.forget(hashed("9999"), 9999);
  EXPECT_FALSE(ids.find(hashed("9999"), 2000));
  ids.remember(hashed("9999"), 10'001, 2000);  // and came again
  ids.remember(hashed("x"), 10'002, 2000);
  EXPECT_EQ(ids.find(hashed("9999"), 2000), 10'001u);
  SeenIds none(1000, 0);
  none.remember(hashed("a"), 1, 0);
  EXPECT_FALSE(none.find(hashed("a"), 0));
}

TEST(TextTest, Base64AndUtf8) {
  EXPECT_EQ(from_base64("aGk="), "hi");
  EXPECT_EQ(from_base64(""), "");
  for (const char* bad : {"a", "aGk", "aG=k", "aG k", "====", "a===", "aGk=\n"}) EXPECT_FALSE(from_base64(bad)) << bad;
  EXPECT_EQ(sdk::base64("hi"), "aGk=");
  EXPECT_TRUE(sdk::is_utf8("\xed\x9f\xbf\xf4\x8f\xbf\xbf"));
  for (const char* bad : {"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\xaf", "\xc3", "\x80", "\xf8\x88\x80\x80\x80"})
    EXPECT_FALSE(sdk::is_utf8(bad)) << bad;
  EXPECT_EQ(shown(std::string(79, 'a') + "\xc3\xa9"), "\"" + std::string(79, 'a') + "\"");
  EXPECT_EQ(shown("\xff"), "no UTF-8");
}

}  // namespace
}  // namespace weir::http_ingest
