// Names alone: which are rotated files, in which order they are read, and what a pattern finds.
#include "glob.hpp"
#include "log_files.hpp"
#include "siblings.hpp"

namespace weir::log_tail::test {
namespace {

TEST(RotatedNameTest, NumbersAndDatesBehindTheNameAreSure) {
  for (const char* name : {"app.log.1", "app.log.01", "app.log-20261121", "app.log.2026-11-21",
                           "app.log_2026-11-21T10:00", "app.log.1.2"}) {
    EXPECT_EQ(rotated_name("app.log", name), RotatedName::numbered) << name;
  }
}

TEST(RotatedNameTest, NumbersAndDatesBeforeTheEndingArePossible) {
  for (const char* name : {"app.1.log", "app-20261121.log", "app_1.log"}) {
    EXPECT_EQ(rotated_name("app.log", name), RotatedName::inside) << name;
  }
}

TEST(RotatedNameTest, WordsBehindTheNameArePossible) {
  for (const char* name : {"app.log.old", "app.log-previous", "app.log.1-saved"}) {
    EXPECT_EQ(rotated_name("app.log", name), RotatedName::other) << name;
  }
}

TEST(RotatedNameTest, OtherNamesAndCompressedFilesAreNot) {
  for (const char* name : {"app.log", "app.log1", "app1.log", "app-web.log", "app..log", "web.log.1", "app", "",
                           "app.log.1.gz", "app.log.2.xz", "app.log.zst", "app.log~", "app.log.tmp"}) {
    EXPECT_EQ(rotated_name("app.log", name), RotatedName::no) << name;
  }
  EXPECT_EQ(rotated_name("messages", "messages.1"), RotatedName::numbered);
  EXPECT_EQ(rotated_name("messages", "messages2"), RotatedName::no);
  EXPECT_EQ(rotated_name(".log", "1.log"), RotatedName::no);
}

std::vector<Sibling> siblings_beside(const std::string& path) {
  FolderNames folders;
  return siblings_of(path, folders.now(folder_of(path)).names).value();
}

TEST(SiblingsTest, NumbersGoFromTheHighestToTheLowest) {
  const LogFolder folder;
  for (const char* name : {"a.log.9", "a.log.10", "a.log.1", "a.log", "b.log.1"}) folder.append(name, "");
  std::vector<std::string> names;
  for (const Sibling& sibling : siblings_beside(folder.at("a.log"))) names.emplace_back(base_name(sibling.path));
  EXPECT_EQ(names, (std::vector<std::string>{"a.log.10", "a.log.9", "a.log.1"}));
}

TEST(SiblingsTest, LinksAndFoldersAreNoSiblings) {
  const LogFolder folder;
  folder.append("a.log", "");
  folder.link("a.log", "a.log.1");
  folder.make_folder("a.log.2");
  EXPECT_TRUE(siblings_beside(folder.at("a.log")).empty());
  EXPECT_TRUE(siblings_beside(folder.at("nowhere/a.log")).empty());
}

TEST(GlobTest, FoldersThatCouldChangeTheAnswerAreNamed) {
  const LogFolder folder;
  folder.make_folder("web1");
  folder.append("web1/a.log", "");
  const Expansion found = expand(folder.at("web*/logs/*.log"));
  EXPECT_TRUE(found.paths.empty());
  EXPECT_EQ(found.folders, (std::vector<std::string>{folder.path(), folder.at("web1")}));
  EXPECT_EQ(expand(folder.at("web1/a.log")).folders, std::vector<std::string>{folder.at("web1")});
}

TEST(GlobTest, AMissingFolderIsWaitedForInTheNearestThatExists) {
  const LogFolder folder;
  const Expansion found = expand(folder.at("x/y/a.log"));
  EXPECT_EQ(found.folders, std::vector<std::string>{folder.path()});
  EXPECT_TRUE(found.problems.empty());
}

TEST(GlobTest, SpecialCharactersCanBeEscapedOrNamedInBrackets) {
  const LogFolder folder;
  folder.append("a*b.log", "");
  folder.append("axb.log", "");
  folder.append("[", "");
  EXPECT_EQ(expand(folder.at("a\\*b.log")).paths, std::vector<std::string>{folder.at("a*b.log")});
  EXPECT_EQ(expand(folder.at("a[*]b.log")).paths, std::vector<std::string>{folder.at("a*b.log")});
  EXPECT_EQ(expand(folder.at("a[!x]b.log")).paths, std::vector<std::string>{folder.at("a*b.log")});
  EXPECT_EQ(expand(folder.at("[")).paths, std::vector<std::string>{folder.at("[")}) << "an open bracket is a character";
}

TEST(GlobTest, NothingIsFoundForEmptyPatterns) {
  EXPECT_TRUE(expand("").paths.empty());
  EXPECT_TRUE(expand("/").paths.empty());
}

}  // namespace
}  // namespace weir::log_tail::test
