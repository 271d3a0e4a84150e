#include "plugin_host/scaffold.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace weir {
namespace {

struct ScaffoldTest : testing::Test {
  ScaffoldTest() : folder(testing::TempDir() + "/weir-scaffold-" + std::to_string(::getpid())) {
    std::filesystem::remove_all(folder);
  }
  ~ScaffoldTest() override { std::filesystem::remove_all(folder); }
  const std::string folder;
};

TEST_F(ScaffoldTest, EveryKindIsWrittenWithoutAPlaceholderLeft) {
  EXPECT_EQ(template_kinds(), (std::vector<std::string>{"auth", "source", "source-c"}));
  for (const auto& kind : template_kinds()) {
    const auto written = scaffold_plugin(kind, "my-thing", folder + "/" + kind);
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(written->size(), 4u);
    for (const auto& path : *written) {
      std::ifstream in(path);
      const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
      EXPECT_FALSE(text.empty()) << path;
      EXPECT_EQ(text.find("@NAME@"), std::string::npos) << path;
      EXPECT_EQ(text.find("@CLASS@"), std::string::npos) << path;
    }
  }
  EXPECT_TRUE(std::filesystem::exists(folder + "/source/my-thing.cpp"));
  EXPECT_TRUE(std::filesystem::exists(folder + "/source-c/my-thing.c"));
  EXPECT_TRUE(std::filesystem::exists(folder + "/auth/my-thing_test.cpp"));
}

TEST_F(ScaffoldTest, WhatIsThereIsNotOverwritten) {
  ASSERT_TRUE(scaffold_plugin("source", "a", folder));
  const auto again = scaffold_plugin("source", "a", folder);
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find("is there already"), std::string::npos);
}

TEST_F(ScaffoldTest, AnEmptyFolderIsUsed) {
  std::filesystem::create_directories(folder);
  EXPECT_TRUE(scaffold_plugin("auth", "a", folder));
}

TEST_F(ScaffoldTest, UnknownKindsAndBadNamesAreRefused) {
  EXPECT_NE(scaffold_plugin("sauce", "a", folder).error().message.find("there are auth, source, source-c"),
            std::string::npos);
  for (const char* name : {"", "A", "1a", "-a", "a b", "a/b", "../a"})
    EXPECT_FALSE(scaffold_plugin("source", name, folder)) << name;
  EXPECT_FALSE(scaffold_plugin("source", std::string(65, 'a'), folder));
  EXPECT_FALSE(std::filesystem::exists(folder));
}

}  // namespace
}  // namespace weir
