// Every Lua snippet of docs/rules.md loads, passes its own tests and runs on an event; every file of cases in it holds.
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench_rules.hpp"
#include "rules/cases.hpp"

namespace weir {
namespace {

struct Snippet {
  std::string language, text;
  std::size_t line;
};

void PrintTo(const Snippet& s, std::ostream* out) { *out << "docs/rules.md:" << s.line; }

std::vector<Snippet> snippets(const std::string& language) {
  std::ifstream docs(std::string(WEIR_SOURCE_DIR) + "/docs/rules.md");
  std::vector<Snippet> all;
  std::string line;
  bool inside = false;
  for (std::size_t n = 1; std::getline(docs, line); ++n) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) all.push_back({line.substr(3), "", n});
    } else if (inside) {
      all.back().text += line + "\n";
    }
  }
  std::erase_if(all, [&](const Snippet& s) { return s.language != language; });
  return all;
}

// A part of a script becomes a whole one.
std::string whole(std::string text) {
  const bool returns = text.find("\nreturn ") != std::string::npos || text.starts_with("return ");
  if (returns) return text;
  const bool names = text.find("local rule =") != std::string::npos;
  return (names ? "" : "local rule = {} ") + text +
         "rule.filter = rule.filter or function(ev) return ev.data.level ~= 'debug', 'debug line' end\n"
         "rule.transform = rule.transform or function(ev) ev.data.secret = nil return ev end\n"
         "return rule\n";
}

class DocsTest : public testing::TestWithParam<Snippet> {};

TEST_P(DocsTest, TheSnippetRuns) {
  RuleSettings settings;
  settings.script = "snippet.lua";
  settings.folders = {std::string(WEIR_SOURCE_DIR) + "/scripts"};
  settings.every_ms = 1000;
  // Params that the one snippet which needs some asks for, and those of the one that looks at `every`.
  if (GetParam().text.find("required = true") != std::string::npos) settings.params_json = R"({"fields":["a"]})";
  if (GetParam().text.find("params.every") != std::string::npos) settings.params_json = R"({"every":1})";
  const auto program = load_rule(whole(GetParam().text), settings);
  ASSERT_TRUE(program) << program.error().message;
  Published output;
  ManualTime clock;
  RuleEngine engine({*program}, output, clock, Limits{});
  const std::size_t rules[] = {0};
  const auto chain = engine.open(rules, "logs/web", {{"name", "web"}});
  Draft draft;
  draft.event = "line";
  draft.key = "a7";
  draft.data = R"({"level":"info","items":[1,2],"secret":"x","state":"busy","author":"ann","user":{"id":7}})";
  std::vector<Draft> more;
  Identity ann;
  ann.subject = "ann";
  if (chain->asks_publishers()) {
    EXPECT_TRUE(chain->may_publish(ann, draft).keep);
  }
  const auto verdict = chain->run(draft, more);
  EXPECT_FALSE(verdict.failed) << verdict.reason;
  if (chain->has_state()) {
    chain->reduce(*Event::make("logs/web", "epoch", 1, draft));
    EXPECT_TRUE(chain->snapshot("{}"));
  }
  if ((*program)->has_on_subscribe()) {
    EXPECT_TRUE(engine.may_subscribe(rules, "logs/web", {{"name", "web"}}, ann, "{}"));
  }
  if ((*program)->has_on_request()) {
    EXPECT_TRUE(engine.request(0, ann, "todos.add", R"({"text":"milk"})"));
    EXPECT_EQ(*engine.request(0, ann, "todos.list", "{}"), R"([{"by":"ann","id":1,"text":"milk"}])");
  }
  engine.timers();
  engine.stop();
  EXPECT_EQ(engine.status().front().errors, 0U) << engine.status().front().reason;
}

INSTANTIATE_TEST_SUITE_P(Rules, DocsTest, testing::ValuesIn(snippets("lua")),
                         [](const auto& test) { return "Line" + std::to_string(test.param.line); });

TEST(DocsOfRulesTest, ThereAreSnippetsFromTheFirstFilterToMethods) { EXPECT_GT(snippets("lua").size(), 10U); }

TEST(DocsOfRulesTest, TheCasesHold) {
  const auto files = snippets("json");
  ASSERT_EQ(files.size(), 1U);
  RuleSettings settings;
  settings.script = "filters/severity.lua";
  settings.path = std::string(WEIR_SOURCE_DIR) + "/scripts/filters/severity.lua";
  const auto results = run_rule_cases(settings, "docs/rules.md", files[0].text, Limits{});
  ASSERT_TRUE(results) << results.error().message;
  for (const auto& result : *results) EXPECT_EQ(result.problem, "") << result.name;
}

}  // namespace
}  // namespace weir
