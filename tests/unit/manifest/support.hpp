// Short ways to load a manifest and to look at what was said about it.
#pragma once
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "manifest/manifest.hpp"

namespace weir::testing {

// A folder of its own that is gone with the test.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "weir-manifest-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  std::string write(const std::string& name, const std::string& text) const {
    const std::string file = path_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return file;
  }

 private:
  std::string path_;
};

inline std::string read_file(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline std::vector<std::string> texts(const std::vector<tree::Problem>& problems) {
  std::vector<std::string> out;
  for (const auto& problem : problems) out.push_back(problem.text());
  return out;
}
inline std::string joined(const std::vector<tree::Problem>& problems) {
  std::string out;
  for (const auto& problem : problems) out += problem.text() + "\n";
  return out;
}

inline LoadResult toml(const std::string& text, const LoadOptions& options = {}) {
  return parse_manifest("hub.toml", text, options);
}
inline LoadResult json(const std::string& text, const LoadOptions& options = {}) {
  return parse_manifest("hub.json", text, options);
}

// What is said about a manifest that has exactly one problem.
inline std::string only_problem(const LoadResult& result) {
  EXPECT_EQ(result.problems.size(), 1U) << joined(result.problems);
  EXPECT_FALSE(result.manifest);
  return result.problems.empty() ? "" : result.problems.front().text();
}
inline std::string only_problem(const std::string& text) { return only_problem(toml(text)); }
inline Manifest good(const LoadResult& result) {
  EXPECT_TRUE(result.manifest) << joined(result.problems);
  return result.manifest.value_or(Manifest{});
}
inline Manifest good(const std::string& text) { return good(toml(text)); }

inline const std::string kSmallest = "[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\n";

}  // namespace weir::testing
