// Promises about all events, tried on generated ones.
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "unit/rules/bench_rules.hpp"

namespace weir {
namespace {

using Json = nlohmann::json;

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}
  std::size_t pick(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  std::string space() { return std::string(pick(4) == 0 ? 1 + pick(2) : 0, " \n\t"[pick(3)]); }
  std::string key() {
    static const char* kKeys[] = {"a",      "b",        "c", "level", "\\u0061x",
                                  "q\\\"q", "\xC3\xA4", "",  "0",     "long key with spaces"};
    return '"' + std::string(kKeys[pick(std::size(kKeys))]) + '"';
  }
  std::string scalar() {
    static const char* kScalars[] = {"1",
                                     "1.0",
                                     "-0",
                                     "1e3",
                                     "0.10",
                                     "9007199254740993",
                                     "-12345678901234567890",
                                     "true",
                                     "false",
                                     "null",
                                     "\"\"",
                                     "\"text\"",
                                     "\"esc\\n\\u0041\\ud83d\\ude00\"",
                                     "\"\xE2\x82\xAC\"",
                                     "[]",
                                     "{}",
                                     "[ ]",
                                     "{ }"};
    return kScalars[pick(std::size(kScalars))];
  }
  std::string value(int depth) {
    const auto kind = pick(depth <= 0 ? 1 : 4);
    if (kind <= 1) return scalar();
    const auto count = pick(6);
    std::string out = kind == 2 ? "[" : "{";
    for (std::size_t i = 0; i < count; ++i) {
      if (i != 0) out += ',' + space();
      if (kind == 3) out += key() + space() + ":" + space();
      out += value(depth - 1) + space();
    }
    return out + (kind == 2 ? "]" : "}");
  }

 private:
  std::mt19937 random_;
};

TEST(PropertyTest, WhatARuleLooksAtComesOutByteForByte) {
  Bench bench(std::vector<std::string>{
      transform("return ev"),
      transform("local function walk(t) if type(t) ~= 'table' then return end for k, v in pairs(t) do walk(v) end for "
                "i, v in ipairs(t) do end end walk(ev.data) return ev"),
      transform("local x = type(ev.data) == 'table' and ev.data.a, type(ev.data) == 'table' and ev.data.level ev.data "
                "= ev.data return ev"),
      "return { filter = function(ev) for k in pairs(ev) do end hub.copy(ev) return true end }"});
  Generator make(7);
  for (int i = 0; i < 4000; ++i) {
    const auto text = make.space() + make.value(4) + make.space();
    ASSERT_EQ(bench.data(text), text);
  }
}

TEST(PropertyTest, OneFieldSetEqualsTheSameDoneByAnotherParser) {
  Bench set(transform("if type(ev.data) == 'table' then ev.data.level = {n = 1.5, t = 'x'} end return ev"));
  Bench remove(
      transform("local function clean(t) if type(t) ~= 'table' then return end for k, v in pairs(t) do clean(v) end "
                "t.a = nil end clean(ev.data) return ev"));
  const std::function<void(Json&)> clean = [&](Json& node) {
    if (node.is_object()) node.erase("a");
    if (node.is_structured())
      for (auto& one : node) clean(one);
  };
  Generator make(11);
  for (int i = 0; i < 4000; ++i) {
    auto text = make.value(4);
    if (!text.starts_with('{')) text = R"({"inner":)" + text + "}";
    auto expected = Json::parse(text);
    clean(expected);
    const auto removed = remove.data(text);
    ASSERT_EQ(Json::parse(removed, nullptr, false), expected) << text << "\n" << removed;
    expected = Json::parse(text);
    expected["level"] = {{"n", 1.5}, {"t", "x"}};
    const auto changed = set.data(text);
    ASSERT_EQ(Json::parse(changed, nullptr, false), expected) << text << "\n" << changed;
  }
}

TEST(PropertyTest, ArraysThatChangeEqualTheSameDoneByAnotherParser) {
  Bench bench(
      transform("local t = ev.data.t if #t % 3 == 0 then t[#t + 1] = 'new' elseif #t % 3 == 1 then table.remove(t) "
                "else table.insert(t, 1, {x = t[2]}) end return ev"));
  Generator make(13);
  for (int i = 0; i < 3000; ++i) {
    std::string list;
    for (auto n = make.pick(7); n != 0; --n) list += (list.empty() ? "" : ", ") + make.value(2);
    const auto text = R"({"t":[)" + list + R"( ],"z":1.0})";
    auto expected = Json::parse(text);
    auto& t = expected["t"];
    if (t.size() % 3 == 0)
      t.push_back("new");
    else if (t.size() % 3 == 1)
      t.erase(t.size() - 1);
    else
      t.insert(t.begin(), t[1].is_null() ? Json{{"x", nullptr}} : Json{{"x", t[1]}});
    const auto changed = bench.data(text);
    ASSERT_EQ(Json::parse(changed, nullptr, false), expected) << text << "\n" << changed;
  }
}

}  // namespace
}  // namespace weir
