// `weir plugin new` and `weir plugin check`.
#include <algorithm>
#include <cstdio>

#include "base/log.hpp"
#include "cli/commands.hpp"
#include "plugin_host/checker.hpp"
#include "plugin_host/scaffold.hpp"

namespace weir::cli {

int plugin_new(const std::string& kind, const std::string& name, const std::string& folder) {
  const std::string where = folder.empty() ? name : folder;
  const auto made = scaffold_plugin(kind, name, where);
  if (!made) {
    std::fprintf(stderr, "weir plugin new: %s\n", made.error().message.c_str());
    return 1;
  }
  for (const std::string& file : *made) std::printf("wrote %s\n", file.c_str());
  std::printf("\n%s/README.md says how to build and try it.\n", where.c_str());
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
