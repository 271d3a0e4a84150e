#include "plugin_host/checker.hpp"

#include <gtest/gtest.h>

#include "abi/hub_rig.hpp"

namespace weir::test {
namespace {

// "name" of each finding that is not ok, in order.
std::string failures(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& f : findings)
    if (!f.ok) out += f.name + "; ";
  return out;
}
const Finding* find(const std::vector<Finding>& findings, const std::string& name) {
  for (const Finding& f : findings)
    if (f.name == name) return &f;
  return nullptr;
}

TEST(CheckerTest, AShippedSourcePassesAndIsFlooded) {
  const auto findings = check_plugin(shipped_path("ticker"), R"({"interval":1})");
  EXPECT_EQ(failures(findings), "");
  const Finding* waits = find(findings, "source: waits while the hub is full");
  ASSERT_NE(waits, nullptr);
  EXPECT_EQ(waits->detail, "it waited");
  EXPECT_NE(find(findings, "source: goes on after resume"), nullptr);
}

TEST(CheckerTest, WithoutTheConfigThatItNeedsAPluginIsOnlyLookedAt) {
  const auto findings = check_plugin(shipped_path("api-key"), std::nullopt);
  EXPECT_EQ(failures(findings), "");
  EXPECT_NE(findings.back().detail.find("\"file\" is required and has no default; give one with --config"),
            std::string::npos);
}

TEST(CheckerTest, AStartThatFailsIsAFinding) {
  const auto findings = check_plugin(shipped_path("api-key"), R"({"file":"/nowhere/keys.json"})");
  EXPECT_EQ(failures(findings), "auth: start and stop 20 times; ");
}

TEST(CheckerTest, CallsAfterStopAreAFinding) {
  EXPECT_EQ(failures(check_plugin(plugin_path("misbehaving"), R"({"mode":"destroy: emits"})")),
            "summary; source: quiet after stop; auth: quiet after stop; ");
}

TEST(CheckerTest, BrokenRulesAreAFinding) {
  EXPECT_EQ(failures(check_plugin(plugin_path("misbehaving"), R"({"mode":"emit: json"})")),
            "summary; source: no misbehaviour; auth: no misbehaviour; ");
}

TEST(CheckerTest, APluginThatDoesNotLoadEndsTheCheck) {
  const auto wrong_version = check_plugin(plugin_path("refused-entry-major"), std::nullopt);
  EXPECT_EQ(failures(wrong_version), "loads; ");
  const auto no_note = check_plugin(plugin_path("refused-no-note"), std::nullopt);
  EXPECT_EQ(failures(no_note), "note; ");
  EXPECT_EQ(failures(check_plugin("/nowhere.so", std::nullopt)), "file; ");
}

TEST(SchemaCheckTest, TheSubsetIsAccepted) {
  EXPECT_TRUE(schema_problems("{}").empty());
  EXPECT_TRUE(schema_problems(R"({"type":"object","required":["a"],"additionalProperties":false,"properties":{
    "a":{"type":"string","x-secret":true,"minLength":1,"default":"x"},
    "b":{"type":["integer","string"],"x-unit":"duration","minimum":0,"maximum":5,"default":"5s"},
    "c":{"type":"array","items":{"type":"object","properties":{"d":{"enum":[1,2]}}},"minItems":0}}})")
                  .empty());
}

TEST(SchemaCheckTest, EachProblemIsNamedWithItsPlace) {
  const auto first = [](std::string_view schema) {
    const auto problems = schema_problems(schema);
    return problems.empty() ? std::string("none") : problems.front().substr(0, problems.front().find(": "));
  };
  EXPECT_EQ(first("{"), "/");
  EXPECT_EQ(first("[]"), "/");
  EXPECT_EQ(first(R"({"type":"array"})"), "/type");
  EXPECT_EQ(first(R"({"properties":{"a":{"type":"strnig"}}})"), "/properties/a/type");
  EXPECT_EQ(first(R"({"properties":{"a":{"$ref":"#/x"}}})"), "/properties/a/$ref");
  EXPECT_EQ(first(R"({"properties":{"a":{"type":"integer","default":"x"}}})"), "/properties/a/default");
  EXPECT_EQ(first(R"({"properties":{"a":{"x-unit":"miles"}}})"), "/properties/a/x-unit");
  EXPECT_EQ(first(R"({"properties":{"a":{"minLength":-1}}})"), "/properties/a/minLength");
  EXPECT_EQ(first(R"({"required":["a"]})"), "/required");
}

TEST(SchemaCheckTest, DefaultsMakeAConfig) {
  EXPECT_EQ(*default_config(R"({"properties":{"a":{"default":1},"b":{}}})"), R"({"a":1})");
  EXPECT_FALSE(default_config(R"({"required":["b"],"properties":{"a":{"default":1},"b":{}}})"));
}

}  // namespace
}  // namespace weir::test
