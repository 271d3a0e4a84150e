#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "cli/commands.hpp"

namespace weir::cli {
namespace {

// Lower-case letters, digits and '-': what stands in a command line should not reach into other folders.
bool plain(std::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

bool runs(const std::string& file) {
  std::error_code ec;
  return std::filesystem::is_regular_file(file, ec) && ::access(file.c_str(), X_OK) == 0;
}

// The first folder of PATH that has it; empty when none does.
std::string in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const std::string file = std::string(rest.substr(0, colon)) + "/" + program;
    if (file[0] == '/' && runs(file)) return file;  // an empty or relative entry would be wherever one stands
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  return {};
}

}  // namespace

std::string run_external(const std::string& name, char** arguments) {
  const std::string no = "there is no command \"" + name + "\"";
  if (!plain(name)) return no + "; weir --help lists them";
  const std::string program = "weir-" + name;
  std::error_code ec;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ec).parent_path();
  std::string file = (self / program).string();
  if (self.empty() || !runs(file)) file = in_path(program);
  if (file.empty())
    return no + ", and no program " + program + " in " + self.string() + " or in PATH; weir --help lists the commands";
  ::execv(file.c_str(), arguments);
  return "can't run " + file + ": " + std::generic_category().message(errno);
}

}  // namespace weir::cli
