#include "manifest/text.hpp"

#include <gtest/gtest.h>

#include "base/json.hpp"

namespace weir::manifest {
namespace {

const std::vector<std::string> kNames{"history", "overflow", "from", "rules", "id"};

TEST(HintTest, ASlipOfTheFingerFindsTheName) {
  EXPECT_EQ(nearest_name("histroy", kNames), "history");
  EXPECT_EQ(nearest_name("History", kNames), "history");
  EXPECT_EQ(nearest_name("over_flow", kNames), "overflow");
  EXPECT_EQ(nearest_name("form", kNames), "from");
  EXPECT_EQ(nearest_name("rule", kNames), "rules");
}

TEST(HintTest, NoNameIsForcedOnSomethingElse) {
  EXPECT_EQ(nearest_name("banana", kNames), "");
  EXPECT_EQ(nearest_name("", kNames), "");
  EXPECT_EQ(nearest_name("xy", kNames), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'h'), kNames), "");
  EXPECT_EQ(nearest_name("history", {}), "");
}

TEST(ShownTest, LongTextIsCutBetweenCharacters) {
  const std::string shown_text = in_quotes(std::string(59, 'a') + "éé");
  EXPECT_EQ(shown_text, "\"" + std::string(59, 'a') + "…\"");
  EXPECT_TRUE(json::valid_utf8(shown_text));
  EXPECT_EQ(in_quotes("a\"\n"), R"("a\"\n")");
}

TEST(ShownTest, TextFromTheEnvironmentIsShownAsTheFileHasIt) {
  tree::Node node;
  node.kind = tree::Node::Kind::string;
  node.string = "hunter2";
  node.as_written = "${SECRET}";
  EXPECT_EQ(shown(node), "\"${SECRET}\" (by the environment)");
}

}  // namespace
}  // namespace weir::manifest
