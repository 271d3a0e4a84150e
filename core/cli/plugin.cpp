// `weir plugin new` and `weir plugin check`.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/log.hpp"
#include "cli/commands.hpp"
#include "plugin_host/checker.hpp"
#include "plugin_host/scaffold.hpp"

namespace weir::cli {

namespace {

// As one word of a shell's command line.
std::string shell_word(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._-+:,@").find(c) != std::string_view::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), plain)) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The words with which cmake finds the SDK that belongs to this very program: where it was built, or installed. Nothing
// when that is where cmake looks anyway, or when there is no SDK beside it.
std::string prefix_option(const std::filesystem::path& program) {
  namespace fs = std::filesystem;
  const fs::path prefix = program.parent_path().parent_path();
  if (prefix == "/usr" || prefix == "/usr/local") return {};
  std::error_code ec;
  if (!fs::exists(prefix / "lib/cmake/weir-plugin-sdk/weir-plugin-sdk-config.cmake", ec)) return {};
  return " -DCMAKE_PREFIX_PATH=" + shell_word(prefix.string());
}

}  // namespace

int plugin_new(const std::string& kind, const std::string& name, const std::string& folder) {
  const std::string where = folder.empty() ? name : folder;
  const auto made = scaffold_plugin(kind, name, where);
  if (!made) {
    std::fprintf(stderr, "weir plugin new: %s\n", made.error().message.c_str());
    return 1;
  }
  for (const std::string& file : *made) std::printf("wrote %s\n", file.c_str());
  std::error_code ec;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ec);
  std::printf(
      "\nBuild and try it with:\n\n  cd %s\n  cmake -B build%s && cmake --build build\n  ctest --test-dir build\n"
      "  %s plugin check build/libweir-%s.so%s\n\n%s/README.md has a manifest that runs it.\n",
      shell_word(where).c_str(), prefix_option(program).c_str(), ec ? "weir" : shell_word(program.string()).c_str(),
      name.c_str(), kind == "auth" ? " --config '{\"word\":\"sesame seeds\"}'" : "", where.c_str());
  return 0;
}

int plugin_check(const std::string& library, const std::string& config, bool verbose) {
  // The instances come and go twenty times, which the log would tell each time; what they do wrong it still tells.
  if (!verbose) log::set_level(log::Level::warn);
  const auto findings = check_plugin(library, config.empty() ? std::nullopt : std::optional(config));
  std::fputs(check_report(library, findings, verbose).c_str(), stdout);
  return std::all_of(findings.begin(), findings.end(), [](const Finding& f) { return f.ok; }) ? 0 : 2;
}

}  // namespace weir::cli
