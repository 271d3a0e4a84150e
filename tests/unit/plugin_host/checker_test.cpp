#include "plugin_host/checker.hpp"

#include <gtest/gtest.h>

#include "abi/hub_rig.hpp"

namespace weir::test {
namespace {

// "group: name" of each finding that is not ok, in order.
std::string failures(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& f : findings)
    if (!f.ok) out += f.group + ": " + f.name + "; ";
  return out;
}
const Finding* find(const std::vector<Finding>& findings, const std::string& name) {
  for (const Finding& f : findings)
    if (f.group + ": " + f.name == name) return &f;
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
  EXPECT_FALSE(findings.back().tried);
  EXPECT_NE(findings.back().detail.find("\"file\" is required and has no default; give one with --config"),
            std::string::npos);
}

TEST(CheckerTest, AnInstanceThatCantBeMadeIsAFinding) {
  const auto findings = check_plugin(shipped_path("api-key"), R"({"file":"/nowhere/keys.json"})");
  EXPECT_EQ(failures(findings), "auth: create and destroy; ");
}

TEST(CheckerTest, AStartThatFailsIsAFinding) {
  const auto findings = check_plugin(plugin_path("misbehaving"), R"({"mode":"start: fails"})");
  EXPECT_EQ(failures(findings), "library: summary; source: start and stop 20 times; auth: start and stop 20 times; ");
}

TEST(CheckerTest, CallsAfterStopAreAFinding) {
  EXPECT_EQ(failures(check_plugin(plugin_path("misbehaving"), R"({"mode":"destroy: emits"})")),
            "library: summary; source: quiet after stop; auth: quiet after stop; ");
}

TEST(CheckerTest, BrokenRulesAreAFinding) {
  EXPECT_EQ(failures(check_plugin(plugin_path("misbehaving"), R"({"mode":"emit: json"})")),
            "library: summary; source: no misbehaviour; auth: no misbehaviour; ");
}

TEST(CheckerTest, APluginThatDoesNotLoadEndsTheCheck) {
  const auto wrong_version = check_plugin(plugin_path("refused-entry-major"), std::nullopt);
  EXPECT_EQ(failures(wrong_version), "library: loads; ");
  const auto no_note = check_plugin(plugin_path("refused-no-note"), std::nullopt);
  EXPECT_EQ(failures(no_note), "file: note; ");
  EXPECT_EQ(failures(check_plugin("/nowhere.so", std::nullopt)), "file: file; ");
}

// A healthy plugin printed some forty lines, most of them "info check running".
TEST(CheckerTest, TheReportIsALineForEachGroupAndOneForEachFailure) {
  const std::vector<Finding> good = {{true, "file", "note", "ABI 1.0"},
                                     {true, "file", "exports", "one"},
                                     {true, "source", "start and stop 20 times", "all in time"}};
  EXPECT_EQ(check_report("x.so", good, false),
            "ok         file     note, exports\n"
            "ok         source   start and stop 20 times\n"
            "x.so: 3 checks, all passed\n");
  EXPECT_EQ(check_report("x.so", good, true),
            "ok         file     note: ABI 1.0\n"
            "ok         file     exports: one\n"
            "ok         source   start and stop 20 times: all in time\n"
            "x.so: 3 checks, all passed\n");
  const std::vector<Finding> bad = {{true, "file", "note", "ABI 1.0"},
                                    {false, "file", "exports", "also x"},
                                    {true, "library", "running it", "no config", false}};
  EXPECT_EQ(check_report("x.so", bad, false),
            "ok         file     note\n"
            "FAIL       file     exports: also x\n"
            "not tried  library  running it: no config\n"
            "x.so: 2 checks, 1 failed, 1 not tried\n");
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
