#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "hub_rig.hpp"
#include "plugin_host/library.hpp"

namespace weir::test {
namespace {

struct Refusal {
  const char* plugin;
  const char* reason;
};

class RefusalTest : public testing::TestWithParam<Refusal> {};

TEST_P(RefusalTest, NamesTheFileAndTheReason) {
  const std::string path = plugin_path(GetParam().plugin);
  const auto loaded = Library::load(path);
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find(path), std::string::npos) << loaded.error().message;
  EXPECT_NE(loaded.error().message.find(GetParam().reason), std::string::npos) << loaded.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Plugins, RefusalTest,
    testing::Values(Refusal{"refused-note-major", ", this hub speaks 1.x; rebuild it with this hub's SDK"},
                    Refusal{"refused-note-garbage", "its plugin note is garbage"},
                    Refusal{"refused-no-note", "not a Weir plugin: it has no plugin note"},
                    Refusal{"refused-no-entry", "does not export \"weir_plugin_entry\""},
                    Refusal{"refused-entry-major", ", this hub speaks 1.x"},
                    Refusal{"refused-magic", "garbage in its entry: the magic number is wrong"},
                    Refusal{"refused-size", "garbage in its entry: struct_size is 8"},
                    Refusal{"refused-wild-pointer", "garbage in its entry: name, version or manifest_json"},
                    Refusal{"refused-manifest", "its manifest_json is broken"},
                    Refusal{"refused-kinds", "its kinds [\"store\"] are unknown to this hub"},
                    Refusal{"refused-schema", "has no object \"config_schema\""},
                    Refusal{"refused-no-table", "whose table \"weir.source/1\" it does not have"},
                    Refusal{"refused-table-garbage", "its table \"weir.source/1\" is garbage"},
                    Refusal{"refused-table-wild", "its table \"weir.source/1\" is garbage"},
                    Refusal{"refused-table-empty", "lacks create, start, stop or destroy"}),
    [](const auto& which) {
      std::string name = which.param.plugin;
      for (char& c : name)
        if (c == '-') c = '_';
      return name;
    });

TEST(LibraryTest, RefusesWhatIsNoElfFile) {
  const std::string path = testing::TempDir() + "/libweir-text.so";
  std::ofstream(path) << "#!/bin/sh\necho hello\n";
  const auto loaded = Library::load(path);
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("not an ELF file"), std::string::npos) << loaded.error().message;
}

TEST(LibraryTest, RefusesAFileThatIsNotThereAndAFolder) {
  EXPECT_EQ(Library::load("/nowhere/libweir-x.so").error().code, Errc::not_found);
  EXPECT_NE(Library::load("/tmp").error().message.find("is a folder"), std::string::npos);
}

TEST(LibraryTest, RefusesEveryPrefixOfAPluginWithoutCrashing) {
  const auto whole = read_library_file(plugin_path("golden"));
  ASSERT_TRUE(whole);
  const std::string path = testing::TempDir() + "/libweir-cut.so";
  for (const std::size_t size : {std::size_t{0}, std::size_t{3}, std::size_t{16}, std::size_t{63}, std::size_t{64},
                                 std::size_t{200}, std::size_t{700}, whole->size() / 4, whole->size() / 2}) {
    std::ofstream(path, std::ios::binary | std::ios::trunc).write(whole->data(), static_cast<std::streamsize>(size));
    EXPECT_FALSE(Library::load(path)) << size;
  }
}

TEST(LibraryTest, TheSystemsReasonIsPassedOn) {
  // Everything that the hub looks at is there; that the version in the header is wrong only the system's loader minds.
  auto whole = *read_library_file(plugin_path("golden"));
  whole[6] = 9;
  const std::string path = testing::TempDir() + "/libweir-version.so";
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(whole.data(), static_cast<std::streamsize>(whole.size()));
  const auto loaded = Library::load(path);
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("can't load it"), std::string::npos) << loaded.error().message;
}

TEST(LibraryTest, LoadsTheSameFileTwice) {
  const auto first = Library::load(plugin_path("golden")), second = Library::load(plugin_path("golden"));
  ASSERT_TRUE(first && second);
  EXPECT_EQ((*first)->source(), (*second)->source());
  EXPECT_EQ((*first)->info().name, "golden");
  EXPECT_EQ((*first)->info().subject_separator, "/");
}

TEST(FindLibraryTest, FindsTheFirstFolderThatHasIt) {
  const std::string folder = std::string(WEIR_BINARY_DIR) + "/lib/weir-tests";
  const auto found = find_library("golden", {"/nowhere", folder});
  ASSERT_TRUE(found);
  EXPECT_EQ(*found, folder + "/libweir-golden.so");
}

TEST(FindLibraryTest, SaysWhereItLookedAndWhatIsSimilar) {
  const std::string folder = std::string(WEIR_BINARY_DIR) + "/lib/weir-tests";
  const auto found = find_library("golder", {"/nowhere", folder});
  ASSERT_FALSE(found);
  const std::string& message = found.error().message;
  EXPECT_NE(message.find("libweir-golder.so"), std::string::npos) << message;
  EXPECT_NE(message.find("/nowhere (no such folder), " + folder), std::string::npos) << message;
  EXPECT_NE(message.find("similar: \"golden\""), std::string::npos) << message;
}

TEST(FindLibraryTest, TakesAPathAsItIs) {
  EXPECT_EQ(*find_library(plugin_path("golden"), {}), plugin_path("golden"));
  EXPECT_EQ(find_library("./nothing.so", {}).error().code, Errc::not_found);
}

}  // namespace
}  // namespace weir::test
