// docs/manifest.md is written from the schema; a key without a place there is a key that nobody finds.
#include "manifest/read.hpp"
#include "unit/manifest/support.hpp"

namespace weir {
namespace {

void collect(const tree::Node& schema, std::vector<std::string>& keys, std::vector<std::string>& nameless) {
  if (const auto* properties = schema.find("properties"))
    for (const auto& member : properties->members) {
      keys.push_back(member.key);
      if (member.value.find("description") == nullptr) nameless.push_back(member.key);
    }
  for (const auto& member : schema.members)
    if (member.key != "default" && member.key != "examples") collect(member.value, keys, nameless);
  for (const auto& element : schema.elements) collect(element, keys, nameless);
}

TEST(ManifestDocsTest, EveryKeyOfTheSchemaIsDescribedThereAndInTheDocs) {
  std::vector<tree::Problem> problems;
  const auto schema = tree::read_json("manifest.schema.json", manifest_schema(), problems);
  ASSERT_TRUE(schema && problems.empty()) << testing::joined(problems);
  std::vector<std::string> keys, nameless;
  collect(*schema, keys, nameless);
  EXPECT_GT(keys.size(), 60U);
  EXPECT_TRUE(nameless.empty()) << nameless.front() << " has no description";
  const std::string docs = testing::read_file(std::string(WEIR_SOURCE_DIR) + "/docs/manifest.md");
  for (const auto& key : keys)
    EXPECT_NE(docs.find("`" + key + "`"), std::string::npos) << "docs/manifest.md does not mention `" << key << "`";
}

// Each block of TOML in the docs, with the plugins that its lines need.
TEST(ManifestDocsTest, TheExamplesOfTheDocsAreValid) {
  testing::TempFolder folder;
  for (const char* script : {"filters/redact.lua", "rules/instances.lua"}) folder.write(script, "return {}");
  folder.write("lib/x", "");
  const std::string docs = testing::read_file(std::string(WEIR_SOURCE_DIR) + "/docs/manifest.md");
  std::size_t count = 0;
  for (std::size_t at = 0; (at = docs.find("```toml\n", at)) != std::string::npos; ++count) {
    at += 8;
    const auto end = docs.find("```", at);
    ASSERT_NE(end, std::string::npos);
    const auto result = load_manifest(folder.write("hub.toml", docs.substr(at, end - at)), {});
    EXPECT_TRUE(result.manifest) << docs.substr(at, end - at) << "\n" << testing::joined(result.problems);
    at = end + 3;
  }
  EXPECT_GE(count, 2U);
}

}  // namespace
}  // namespace weir
