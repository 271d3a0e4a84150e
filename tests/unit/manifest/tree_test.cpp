#include "manifest/tree.hpp"

#include "manifest/read.hpp"
#include "unit/manifest/support.hpp"

namespace weir::tree {
namespace {

using testing::joined;

Node toml_tree(const std::string& text) {
  std::vector<Problem> problems;
  auto node = read_toml("a.toml", text, problems);
  EXPECT_TRUE(node && problems.empty()) << joined(problems);
  return node.value_or(Node{});
}
Node json_tree(const std::string& text) {
  std::vector<Problem> problems;
  auto node = read_json("a.json", text, problems);
  EXPECT_TRUE(node && problems.empty()) << joined(problems);
  return node.value_or(Node{});
}
std::string toml_problem(const std::string& text) {
  std::vector<Problem> problems;
  read_toml("a.toml", text, problems);
  return problems.empty() ? "" : problems.front().text();
}
std::string json_problem(const std::string& text) {
  std::vector<Problem> problems;
  read_json("a.json", text, problems);
  return problems.empty() ? "" : problems.front().text();
}
std::string at(const Place& place) { return std::to_string(place.line) + ":" + std::to_string(place.column); }

TEST(TreeTest, TomlAndJsonGiveTheSameTree) {
  const Node a = toml_tree("x = 1\ny = [1.5, true, \"s\"]\n[t]\nu = { v = -3 }\n");
  const Node b = json_tree(R"({"x":1,"y":[1.5,true,"s"],"t":{"u":{"v":-3}}})");
  EXPECT_EQ(a.to_json(), R"({"x":1,"y":[1.5,true,"s"],"t":{"u":{"v":-3}}})");
  EXPECT_EQ(a.to_json(), b.to_json());
}

TEST(TreeTest, EveryValueAndKeyOfTomlKnowsItsPlace) {
  const Node root = toml_tree("[[plugin]]\nname = \"é\"\n  config = { a = [1, 2] }\n");
  const Node& plugin = root.find("plugin")->elements[0];
  EXPECT_EQ(at(plugin.place), "1:1");
  EXPECT_EQ(at(plugin.find("name")->place), "2:8");
  EXPECT_EQ(at(plugin.members[1].key_place), "3:3");
  EXPECT_EQ(at(plugin.find("config")->find("a")->elements[1].place), "3:22");
}

TEST(TreeTest, EveryValueAndKeyOfJsonKnowsItsPlaceAndColumnsCountCharacters) {
  const Node root = json_tree("{\n  \"é\": [1,\n 22],\"k\":\"ü\", \"z\": null\n}");
  EXPECT_EQ(at(root.place), "1:1");
  EXPECT_EQ(at(root.members[0].key_place), "2:3");
  EXPECT_EQ(at(root.find("é")->elements[0].place), "2:9");
  EXPECT_EQ(at(root.find("é")->elements[1].place), "3:2");
  EXPECT_EQ(at(root.find("z")->place), "3:20");
}

TEST(TreeTest, MembersOfATomlTableStandInTheOrderOfTheFile) {
  EXPECT_EQ(toml_tree("z = 1\na = 2\nm.x = 3\nb = 4\n").to_json(), R"({"z":1,"a":2,"m":{"x":3},"b":4})");
}

TEST(TreeTest, TomlDatesBecomeStrings) {
  EXPECT_EQ(toml_tree("d = 1979-05-27\nt = 07:32:00\ndt = 1979-05-27T07:32:00Z\n").to_json(),
            R"({"d":"1979-05-27","t":"07:32:00","dt":"1979-05-27T07:32:00Z"})");
}

TEST(TreeTest, SyntaxErrorsSayLineAndColumn) {
  EXPECT_EQ(toml_problem("a = 1\nb 2\n").substr(0, 15), "a.toml:2:3: not");
  EXPECT_EQ(toml_problem("a = 1\na = 2\n").substr(0, 9), "a.toml:2:");
  EXPECT_EQ(toml_problem("a = \"\xff\"").substr(0, 9), "a.toml:1:");
  EXPECT_EQ(json_problem("{\n \"a\": 1,\n}"), "a.json:3:1: not JSON: expected a member name in quotes, found '}'");
  EXPECT_EQ(json_problem(""), "a.json:1:1: not JSON: expected a value, found the end of the text");
}

TEST(TreeTest, AKeyThatStandsTwiceInJsonIsAProblem) {
  EXPECT_EQ(json_problem("{\"a\":1,\n\"b\":2,\n\"a\":3}"),
            "a.json:3:1: key \"a\" stands in this object twice, first in line 1; remove one");
}

TEST(TreeTest, InfAndNanAreProblemsSinceJsonHasNone) {
  EXPECT_EQ(toml_problem("a = inf"), "a.toml:1:5: inf and nan are no values here; write a number");
}

TEST(TreeTest, SixtyFourLevelsAreReadAndMoreAreRefused) {
  EXPECT_EQ(json_problem(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_NE(json_problem(std::string(65, '[') + std::string(65, ']')).find("nested deeper than 64 levels"),
            std::string::npos);
  EXPECT_EQ(toml_problem("a = " + std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_NE(toml_problem("a = " + std::string(65, '[') + std::string(65, ']')).find("deeper than 64 levels"),
            std::string::npos);
}

TEST(TreeTest, AKeyOfAHundredThousandDotsIsRefusedWithoutHarm) {
  std::string key = "a";
  for (int i = 0; i < 100'000; ++i) key += ".a";
  for (const std::string& text : {key + " = 1", "[" + key + "]", "x = { " + key + " = 1 }", "[[" + key + "]]"})
    EXPECT_NE(toml_problem(text).find("deeper than 64 levels"), std::string::npos);
}

TEST(TreeTest, DotsInStringsAndCommentsAreNoLevels) {
  const std::string dots(500, '.');
  EXPECT_EQ(toml_problem("a = \"" + dots + "\" # " + dots + "\nb = '" + dots + "'\nc = \"\"\"\n" + dots +
                         "\n\"\"\"\nd = '''" + dots + "'''\n"),
            "");
}

TEST(TreeTest, ATextOfMoreThanFourMebibytesIsRefused) {
  EXPECT_EQ(toml_problem("#" + std::string(kTextBytesMax, 'x')), "a.toml: larger than 4 MiB; that can't be a manifest");
}

TEST(TreeTest, NearestFollowsAJsonPointerAsFarAsItLeads) {
  const Node root = json_tree("{\"a/b\": {\n\"c~\": [1,\n2]}}");
  EXPECT_EQ(at(root.nearest("/a~1b/c~0/1").place), "3:1");
  EXPECT_EQ(at(root.nearest("/a~1b/c~0/9").place), "2:7");
  EXPECT_EQ(at(root.nearest("/nothing").place), "1:1");
  EXPECT_EQ(at(root.nearest("").place), "1:1");
}

TEST(TreeTest, EqualValuesHaveTheSameCanonicalText) {
  EXPECT_EQ(canonical(json_tree(R"({"b":1.0,"a":[2e0]})")), canonical(json_tree(R"({"a":[2],"b":1})")));
  EXPECT_NE(canonical(json_tree("1")), canonical(json_tree("true")));
  EXPECT_NE(canonical(json_tree("1")), canonical(json_tree("\"1\"")));
}

TEST(TreeTest, BigNumbersStayNumbers) {
  EXPECT_EQ(json_tree("9223372036854775807").whole(), INT64_MAX);
  EXPECT_EQ(json_tree("1e300").whole(), INT64_MAX);
  EXPECT_EQ(json_tree("-1e300").whole(), INT64_MIN);
  EXPECT_FALSE(json_tree("1.5").is_whole());
}

std::string expand(const std::string& text, std::string* problem = nullptr) {
  Node node;
  node.kind = Node::Kind::string;
  node.place = {"a.toml", 3, 4};
  node.string = text;
  std::vector<Problem> problems;
  expand_environment(
      node,
      [](const std::string& name) -> std::optional<std::string> {
        if (name == "HOST") return "example";
        if (name == "EMPTY") return "";
        return std::nullopt;
      },
      problems);
  if (problem != nullptr)
    *problem = joined(problems);
  else
    EXPECT_TRUE(problems.empty()) << joined(problems);
  return node.string;
}

TEST(EnvironmentTest, VariablesDefaultsAndEscapes) {
  EXPECT_EQ(expand("http://${HOST}/${HOST}"), "http://example/example");
  EXPECT_EQ(expand("${MISSING:-a:-b}"), "a:-b");
  EXPECT_EQ(expand("${MISSING:-}"), "");
  EXPECT_EQ(expand("${EMPTY:-x}"), "");
  EXPECT_EQ(expand("$${HOST} $HOST {HOST} $$"), "${HOST} $HOST {HOST} $$");
  EXPECT_EQ(expand("{identity.instances}"), "{identity.instances}");
}

TEST(EnvironmentTest, ValuesAreToldAndDefaultsAreNot) {
  Node node;
  node.kind = Node::Kind::string;
  node.string = "${HOST} ${MISSING:-plain}";
  std::vector<Problem> problems;
  std::string told;
  expand_environment(
      node,
      [](const std::string& name) { return name == "HOST" ? std::optional<std::string>("example") : std::nullopt; },
      problems,
      [&](const Node& where, std::string_view value, std::string_view name) {
        EXPECT_EQ(&where, &node);
        ((told += name) += '=') += value;
      });
  EXPECT_EQ(told, "HOST=example");
}

TEST(EnvironmentTest, WhatIsNotSetOrNotWellFormedIsNamed) {
  std::string problem;
  expand("${MISSING}", &problem);
  EXPECT_EQ(problem,
            "a.toml:3:4: environment variable MISSING is not set; set it, or give a default: ${MISSING:-default}\n");
  expand("${HOST", &problem);
  EXPECT_EQ(problem, "a.toml:3:4: ${ without its }; close it, or write $${ where the text ${ is meant\n");
  expand("${a b}", &problem);
  EXPECT_EQ(
      problem,
      "a.toml:3:4: \"a b\" in ${...} is no name of an environment variable; write $${ where the text ${ is meant\n");
  expand("${}", &problem);
  EXPECT_NE(problem.find("\"\" in ${...}"), std::string::npos);
}

}  // namespace
}  // namespace weir::tree
