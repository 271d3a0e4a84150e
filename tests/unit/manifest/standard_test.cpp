// We wrote our own validator; this shows that its verdicts are those of the standard. Debian's python3-jsonschema
// judges the same schemas and values (standard_cases.json). x-unit has no counterpart there, so the cases give units by
// pattern alone.
#include "base/json.hpp"
#include "manifest/read.hpp"
#include "manifest/schema.hpp"
#include "unit/manifest/support.hpp"

namespace weir {
namespace {

std::string output_of(const std::string& command, int& status) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return out;
  char buffer[4096];
  for (std::size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) != 0;) out.append(buffer, n);
  status = pclose(pipe);
  return out;
}

TEST(StandardTest, VerdictsEqualThoseOfTheReferenceValidator) {
  int status = 0;
  output_of(WEIR_PYTHON " -c 'from jsonschema import Draft202012Validator' 2>&1", status);
  if (status != 0) FAIL() << "needs Debian's python3-jsonschema, which ./dev test installs";

  const std::string here = std::string(WEIR_SOURCE_DIR) + "/tests/unit/manifest";
  testing::TempFolder folder;
  const std::string manifest = folder.write("manifest.schema.json", std::string(manifest_schema()));
  const std::string theirs = output_of(
      WEIR_PYTHON " " + here + "/standard_verdicts.py " + here + "/standard_cases.json " + manifest + " 2>&1", status);
  ASSERT_EQ(status, 0) << theirs;

  std::vector<tree::Problem> problems;
  const auto cases = tree::read_json("cases", testing::read_file(here + "/standard_cases.json"), problems);
  ASSERT_TRUE(cases && problems.empty()) << testing::joined(problems);
  std::istringstream lines(theirs);
  std::size_t valid = 0, invalid = 0;
  for (const auto& group : cases->elements) {
    const auto* schema_node = group.find("schema");
    const std::string text =
        schema_node->string == "manifest" ? std::string(manifest_schema()) : schema_node->to_json();
    const auto schema = Schema::parse(text);
    ASSERT_TRUE(schema.has_value()) << text << ": " << schema.error().message;
    for (const auto& value : group.find("values")->elements) {
      std::string verdict;
      ASSERT_TRUE(std::getline(lines, verdict));
      std::vector<tree::Problem> found;
      schema->check(value, "", found);
      EXPECT_EQ(found.empty() ? "valid" : "invalid", verdict) << text.substr(0, 300) << "\n"
                                                              << value.to_json() << "\n"
                                                              << testing::joined(found);
      ++(found.empty() ? valid : invalid);
    }
  }
  EXPECT_GT(valid, 40U);
  EXPECT_GT(invalid, 60U);
}

}  // namespace
}  // namespace weir
