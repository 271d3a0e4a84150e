#include "manifest/schema.hpp"

#include "manifest/read.hpp"
#include "unit/manifest/support.hpp"

namespace weir {
namespace {

using testing::joined;

Schema schema(const std::string& text) {
  auto parsed = Schema::parse(text);
  EXPECT_TRUE(parsed.has_value()) << parsed.error().message;
  return *parsed;
}
tree::Node value(const std::string& text) {
  std::vector<tree::Problem> problems;
  auto node = tree::read_json("", text, problems);
  EXPECT_TRUE(problems.empty()) << joined(problems);
  return *node;
}
// What the schema says about the value, without places; empty when it is valid.
std::string said(const std::string& schema_text, const std::string& value_text, std::string_view what = "config") {
  std::vector<tree::Problem> problems;
  schema(schema_text).check(value(value_text), what, problems);
  std::string out;
  for (const auto& problem : problems) out += (out.empty() ? "" : "\n") + problem.message;
  return out;
}
std::string filled(const std::string& schema_text, const std::string& value_text) {
  tree::Node node = value(value_text);
  schema(schema_text).fill_defaults(node);
  return node.to_json();
}

const std::string kFiles = R"({"type":"object","additionalProperties":false,"required":["files"],"properties":{
  "files":{"type":"array","items":{"type":"string"},"minItems":1,"uniqueItems":true},
  "backlog":{"type":"integer","minimum":0,"maximum":100000,"default":10},
  "poll":{"type":"string","x-unit":"duration","minimum":10,"default":"1s"},
  "mode":{"enum":["tail","whole"],"default":"tail"}}})";

TEST(SchemaTest, AValidValueHasNoProblems) {
  EXPECT_EQ(said(kFiles, R"({"files":["a"],"backlog":0,"poll":"10ms","mode":"whole"})"), "");
}

TEST(SchemaTest, TypesAreNamedWithTheWayOut) {
  const std::string what = "plugin \"logs\": config";
  EXPECT_EQ(said(kFiles, R"({"files":"x"})", what),
            R"(plugin "logs": config.files: expected an array of strings, got a string "x"; write ["x"])");
  EXPECT_EQ(said(kFiles, R"({"files":[7]})", what),
            R"(plugin "logs": config.files[0]: expected a string, got an integer 7; write "7")");
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"backlog":"12"})"),
            R"(config.backlog: expected an integer, got a string "12"; write 12)");
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"backlog":1.5})"), "config.backlog: expected an integer, got a number 1.5");
  EXPECT_EQ(said(kFiles, "[]"), "config: expected an object, got an array");
  EXPECT_EQ(said(R"({"type":"boolean"})", R"("true")"),
            R"(config: expected true or false, got a string "true"; write true)");
  EXPECT_EQ(said(R"({"type":["string","null"]})", "{}"), "config: expected a string or null, got an object");
  EXPECT_EQ(said(R"({"type":"string"})", "null"), "config: expected a string, got null");
}

// Symptom: "write [\"vmstat -n 1\"]", a program of that name.
TEST(SchemaTest, WhoWritesACommandAsInAShellIsToldTheList) {
  const std::string command = R"({"type":"array","items":{"type":"string"},"x-command":true})";
  const std::string begin = "config: expected an array of strings, got a string ";
  EXPECT_EQ(said(command, R"("vmstat -n  1")"),
            begin + R"("vmstat -n  1"; no shell reads it, so write ["vmstat", "-n", "1"])");
  EXPECT_EQ(said(command, R"("a | b 'c d'")"),
            begin + R"("a | b 'c d'"; no shell reads it, so write ["sh", "-c", "a | b 'c d'"])");
  EXPECT_EQ(said(command, R"(" ")"), begin + R"(" "; no shell reads it, so write ["program", "argument"])");
  EXPECT_EQ(said(command, "7"), "config: expected an array of strings, got an integer 7");
}

TEST(SchemaTest, AnUnknownKeyGetsTheNearestName) {
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"bcaklog":1})"),
            R"(config: unknown key "bcaklog"; did you mean "backlog"?)");
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"zzz":1})"),
            R"(config: unknown key "zzz"; the keys here are "files", "backlog", "poll", "mode")");
  EXPECT_EQ(said(R"({"additionalProperties":false})", R"({"a":1})"),
            R"(config: unknown key "a"; no keys are known here)");
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"zzz":1})", ""),
            R"(unknown key "zzz"; the keys here are "files", "backlog", "poll", "mode")");
}

TEST(SchemaTest, AMissingKeyIsNamedWithWhatIsExpected) {
  EXPECT_EQ(said(kFiles, "{}"), R"(config: key "files" is missing; expected an array of strings)");
}

TEST(SchemaTest, RangesAndChoicesAreShown) {
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"backlog":-1})"), "config.backlog is -1; expected 0..100000");
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"backlog":100001})"), "config.backlog is 100001; expected 0..100000");
  EXPECT_EQ(said(R"({"minimum":0.5})", "0.4"), "config is 0.4; expected at least 0.5");
  EXPECT_EQ(said(R"({"maximum":3})", "4"), "config is 4; expected at most 3");
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"mode":"fast"})"),
            R"(config.mode is "fast"; expected one of "tail", "whole")");
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"mode":"tial"})"),
            R"(config.mode is "tial"; expected one of "tail", "whole"; did you mean "tail"?)");
  EXPECT_EQ(said(R"({"const":1})", "2"), "config is 2; expected 1");
}

TEST(SchemaTest, TextAndArraysHaveTheirBounds) {
  EXPECT_EQ(said(R"({"minLength":1})", R"("")"), "config is empty; expected text");
  EXPECT_EQ(said(R"({"minLength":2})", R"("é")"), "config is \"é\"; expected at least 2 characters");
  EXPECT_EQ(said(R"({"maxLength":2})", R"("éé")"), "");
  EXPECT_EQ(said(R"({"maxLength":2})", R"("abc")"), "config is \"abc\", 3 characters; expected at most 2");
  EXPECT_EQ(said(R"({"pattern":"^a+$"})", R"("ab")"), R"(config is "ab"; expected text that matches "^a+$")");
  EXPECT_EQ(said(kFiles, R"({"files":[]})"), "config.files has 0 elements; expected at least 1");
  EXPECT_EQ(said(R"({"maxItems":1})", "[1,2]"), "config has 2 elements; expected at most 1");
  EXPECT_EQ(said(kFiles, R"({"files":["x","y","x"]})"), "config.files: \"x\" stands here twice; remove one");
}

TEST(SchemaTest, UnitsCountInTheirUnit) {
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"poll":"5ms"})"), "config.poll is \"5ms\"; expected at least 10ms");
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"poll":"5 s"})"),
            "config.poll is \"5 s\"; expected a duration: a number with ms, s, m, h or d, such as \"30s\"");
  EXPECT_EQ(said(kFiles, R"({"files":["x"],"poll":30})"),
            "config.poll: expected a duration such as \"30s\", got an integer 30; write \"30s\" or \"30ms\"");
  const std::string size = R"({"type":["string","integer"],"x-unit":"bytes","minimum":1024,"maximum":16777216})";
  EXPECT_EQ(said(size, "4096"), "");
  EXPECT_EQ(said(size, "\"1KiB\""), "");
  EXPECT_EQ(said(size, "100"), "config is 100; expected 1KiB..16MiB");
  EXPECT_EQ(said(size, "\"big\""),
            "config is \"big\"; expected a size: a number with B, KiB, MiB, GiB or TiB, such as \"16MiB\"");
}

TEST(SchemaTest, OneOfSpeaksForTheBranchThatWasMeant) {
  const std::string either =
      R"({"oneOf":[{"const":false},{"type":"string","minLength":1},{"type":"object","additionalProperties":false,"properties":{"scope":{"type":"string"}}}]})";
  EXPECT_EQ(said(either, "false"), "");
  EXPECT_EQ(said(either, "{}"), "");
  EXPECT_EQ(said(either, "5"), "config is 5; expected false or a string or an object");
  EXPECT_EQ(said(either, "true"), "config is true; expected false or a string or an object");
  EXPECT_EQ(said(either, R"({"scpoe":"x"})"), R"(config: unknown key "scpoe"; did you mean "scope"?)");
  EXPECT_EQ(said(either, R"({"scope":1})"), R"(config.scope: expected a string, got an integer 1; write "1")");
  EXPECT_EQ(said(either, R"("")"), "config is empty; expected text");
  EXPECT_EQ(said(R"({"oneOf":[{"type":"integer"},{"minimum":1}]})", "2"),
            "config: fits more than one of the forms that exclude each other: an integer or a value");
  EXPECT_EQ(said(R"({"anyOf":[{"type":"integer"},{"minimum":1}]})", "2"), "");
}

TEST(SchemaTest, ReferencesMayRecurse) {
  const std::string text = R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","additionalProperties":false,
    "properties":{"next":{"$ref":"#/$defs/node"},"value":{"type":"integer","default":7}}}}})";
  EXPECT_EQ(said(text, R"({"next":{"next":{"value":1}}})"), "");
  EXPECT_EQ(said(text, R"({"next":{"next":{"valeu":1}}})"),
            R"(config.next.next: unknown key "valeu"; did you mean "value"?)");
  EXPECT_EQ(filled(text, R"({"next":{}})"), R"({"next":{"value":7},"value":7})");
}

TEST(SchemaTest, ElementsAreCalledByTheirName) {
  const std::string text =
      R"({"properties":{"server":{"type":"array","items":{"type":"object","x-name":"host","additionalProperties":false,
    "properties":{"host":{"type":"string"},"port":{"type":"integer"}}}}}})";
  EXPECT_EQ(said(text, R"({"server":[{"host":"a","prot":1}]})", ""),
            R"(server "a": unknown key "prot"; did you mean "port"?)");
  EXPECT_EQ(said(text, R"({"server":[{"port":"x"}]})", ""),
            R"(server[0]: port: expected an integer, got a string "x")");
}

TEST(SchemaTest, OddKeysAreQuotedInPaths) {
  EXPECT_EQ(said(R"({"additionalProperties":{"type":"integer"}})", R"({"a b":null})"),
            "config.\"a b\": expected an integer, got null");
}

TEST(SchemaTest, PlacesPointAtTheValueOrTheKey) {
  std::vector<tree::Problem> problems;
  auto node = tree::read_toml("hub.toml", "files = [\"x\"]\nbacklog = -1\nbcaklog = 2\n", problems);
  schema(kFiles).check(*node, "config", problems);
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_EQ(problems[0].text(), "hub.toml:2:11: config.backlog is -1; expected 0..100000");
  EXPECT_EQ(problems[1].text(), "hub.toml:3:1: config: unknown key \"bcaklog\"; did you mean \"backlog\"?");
}

TEST(SchemaTest, DefaultsAreFilledInWhereTheyAreMissing) {
  EXPECT_EQ(filled(kFiles, R"({"files":["x"]})"), R"({"files":["x"],"backlog":10,"poll":"1s","mode":"tail"})");
  EXPECT_EQ(filled(kFiles, R"({"backlog":1})"), R"({"backlog":1,"poll":"1s","mode":"tail"})");
  EXPECT_EQ(filled(kFiles, "[]"), "[]");
  const std::string nested =
      R"({"properties":{"a":{"type":"object","default":{},"properties":{"b":{"default":[1]}}},"c":{"type":"object","properties":{"d":{"default":1}}}}})";
  EXPECT_EQ(filled(nested, "{}"), R"({"a":{"b":[1]}})");
  EXPECT_EQ(filled(nested, R"({"c":{}})"), R"({"c":{"d":1},"a":{"b":[1]}})");
}

TEST(SchemaTest, DefaultsOfABranchComeFromTheOneThatFits) {
  const std::string text =
      R"({"type":"array","items":{"oneOf":[{"type":"string"},{"type":"object","properties":{"n":{"type":"integer","default":1}}}]}})";
  EXPECT_EQ(filled(text, R"(["x",{},{"n":2},5])"), R"(["x",{"n":1},{"n":2},5])");
}

TEST(SchemaTest, RelativePathsStartAtTheFolder) {
  const auto s = schema(R"({"properties":{"file":{"type":"string","x-path":true},"name":{"type":"string"}}})");
  for (const auto& [before, after] :
       {std::pair{R"({"file":"k.json","name":"k.json"})", R"({"file":"/etc/weir/k.json","name":"k.json"})"},
        std::pair{R"({"file":"/k.json"})", R"({"file":"/k.json"})"}, std::pair{R"({"file":""})", R"({"file":""})"}}) {
    tree::Node node = value(before);
    s.resolve_paths(node, "/etc/weir");
    EXPECT_EQ(node.to_json(), after);
  }
}

TEST(SchemaTest, NamesWithoutASlashStayWhereTheSchemaSaysSo) {
  const auto s = schema(R"({"items":{"type":"string","x-path":"with-slash"}})");
  tree::Node node = value(R"(["secret.*","a/secret.*","./secret.*","/secret.*",""])");
  s.resolve_paths(node, "/etc/weir");
  EXPECT_EQ(node.to_json(), R"(["secret.*","/etc/weir/a/secret.*","/etc/weir/secret.*","/secret.*",""])");
  EXPECT_FALSE(Schema::parse(R"({"x-path":"without"})"));
}

TEST(SchemaTest, ManyMistakesAreCutAtALimit) {
  std::string many = "[0";
  for (int i = 0; i < 1000; ++i) many += ",0";
  std::vector<tree::Problem> problems;
  schema(R"({"items":{"type":"string"}})").check(value(many + "]"), "", problems);
  EXPECT_EQ(problems.size(), Schema::kProblemsMax);
}

TEST(SchemaTest, APatternThatExplodesIsAProblemAndNoHang) {
  const auto text = said(R"({"pattern":"^(a+)+$"})", "\"" + std::string(100'000, 'a') + "!\"");
  EXPECT_FALSE(text.empty());
}

TEST(SchemaTest, SecretsFromTheEnvironmentAreNotShown) {
  tree::Node node = value(R"({"files":"hunter2"})");
  node.find("files")->as_written = "${SECRET}";
  std::vector<tree::Problem> problems;
  schema(kFiles).check(node, "config", problems);
  EXPECT_EQ(joined(problems).find("hunter2"), std::string::npos) << joined(problems);
}

// A plugin whose schema said nothing of additionalProperties took a misspelt key without a word.
TEST(SchemaTest, UnknownKeysAreRefusedWhereAPluginSaysNothingOfThem) {
  constexpr const char* kText = R"({"properties":{"interval":{"type":"string"},"data":{"type":"object"}}})";
  std::vector<tree::Problem> found;
  const auto config = tree::read_json("x.json", R"({"intervall":"1s","data":{"any":1}})", found);
  ASSERT_TRUE(config);
  Schema::parse(kText)->check(*config, "config", found);
  EXPECT_TRUE(found.empty());
  Schema::parse(kText, Schema::Unknown::refused)->check(*config, "config", found);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].text().find("did you mean \"interval\"?"), std::string::npos) << found[0].text();
}

}  // namespace
}  // namespace weir
