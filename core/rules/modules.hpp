// Scripts that other scripts `require`. They are read once, with the rule's program; the Lua states of the shards get
// the very same texts later, whatever the files say by then.
// Limits: kModulesMax for a rule; each as long as a script may be. Private to this layer.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weir::rules {

struct Module {
  std::string text;  // instrumented
  std::string file;
  bool operator==(const Module&) const = default;
};
using Modules = std::map<std::string, Module, std::less<>>;

class ModuleSource {
 public:
  virtual ~ModuleSource() = default;
  // nullptr: there is none, and `why` says why. The text lives as long as the source.
  virtual const Module* find(std::string_view name, std::string& why) = 0;
};

// Reads them from folders, the first that has one, and keeps what it read.
class ModuleFolders final : public ModuleSource {
 public:
  static constexpr std::size_t kModulesMax = 64;
  explicit ModuleFolders(std::vector<std::string> folders) : folders_(std::move(folders)) {}
  const Module* find(std::string_view name, std::string& why) override;
  Modules take() { return std::move(read_); }

 private:
  const std::vector<std::string> folders_;
  Modules read_;
};

// Those that were read when the script was loaded.
class ModulesRead final : public ModuleSource {
 public:
  explicit ModulesRead(const Modules& modules) : modules_(modules) {}
  const Module* find(std::string_view name, std::string& why) override;

 private:
  const Modules& modules_;
};

}  // namespace weir::rules
