#include "rules/modules.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "rules/instrument.hpp"

namespace weir::rules {
namespace {

constexpr std::size_t kNameBytesMax = 200;

// Segments of letters, digits, '_' and '-', with '/' or '.' between them; so it leads nowhere but down.
bool well_formed(std::string_view name) {
  bool segment = false;  // something stands in it
  for (const char c : name) {
    if (c == '/' || c == '.') {
      if (!segment) return false;
      segment = false;
    } else {
      segment = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
      if (!segment) return false;
    }
  }
  return segment && name.size() <= kNameBytesMax;
}

}  // namespace

const Module* ModuleFolders::find(std::string_view name, std::string& why) {
  if (!well_formed(name)) {
    std::string shown(name.substr(0, kNameBytesMax));
    std::replace_if(
        shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
    why = "'" + shown +
          "' is no name of a script; write its path in the scripts' folder without .lua, such as \"lib/util\"";
    return nullptr;
  }
  if (const auto known = read_.find(name); known != read_.end()) return &known->second;
  if (read_.size() >= kModulesMax) {
    why = "more than " + std::to_string(kModulesMax) + " scripts are required";
    return nullptr;
  }
  std::string path(name);
  std::replace(path.begin(), path.end(), '.', '/');
  path += ".lua";
  std::string looked;
  for (const std::string& folder : folders_) {
    std::error_code ec;
    const auto root = std::filesystem::canonical(folder, ec);
    if (ec) continue;
    const auto file = std::filesystem::canonical(root / path, ec);
    looked += (looked.empty() ? "" : ", ") + (root / path).string();
    if (ec) continue;
    const auto [end, unused] = std::mismatch(root.begin(), root.end(), file.begin(), file.end());
    if (end != root.end()) {
      why = "'" + std::string(name) + "' leads out of " + folder + " by a link";
      return nullptr;
    }
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf())) {
      why = "can't read " + file.string() + ", or it is empty";
      return nullptr;
    }
    auto instrumented = instrument_module(path, text.str());
    if (!instrumented) {
      why = instrumented.error().message;
      return nullptr;
    }
    return &read_.emplace(name, Module{std::move(*instrumented), file.string()}).first->second;
  }
  why = "there is no script '" + std::string(name) + "'; looked for " + (looked.empty() ? "nothing" : looked);
  return nullptr;
}

const Module* ModulesRead::find(std::string_view name, std::string& why) {
  if (const auto known = modules_.find(name); known != modules_.end()) return &known->second;
  why = "'" + std::string(name.substr(0, kNameBytesMax)) +
        "' was not required when the script was loaded; require it at the script's top";
  return nullptr;
}

}  // namespace weir::rules
