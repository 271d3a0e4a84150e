// The subcommands of `weir`. Each returns the exit status: 0 all well, 2 something that was to be loaded can't be, 1
// else. Threads: [main].
#pragma once
#include <string>
#include <vector>

namespace weir::cli {

struct RunOptions {
  std::string manifest, listen, log_format, log_level;
  std::vector<std::string> set;  // "key=value"
};

int run(const RunOptions& options);
int check(const RunOptions& options, bool limits);

struct ReloadOptions {
  std::string manifest, at, key;
  bool json = false;
};
int reload(const ReloadOptions& options);

struct RuleRunOptions {
  std::string script, input = "-", params = "{}", channel, pattern;
  bool log_lines = false, jit = false;
  double seconds = 1;
};
int rules_test(const std::vector<std::string>& scripts);
int rules_run(const RuleRunOptions& options);
int rules_bench(const RuleRunOptions& options);

// `weir NAME ...` where NAME is no command of ours: runs weir-NAME, which stands beside this program or in PATH, in its
// place. Returns only when there is none, with what to say.
std::string run_external(const std::string& name, char** arguments);

int plugin_new(const std::string& kind, const std::string& name, const std::string& folder);
int plugin_check(const std::string& library, const std::string& config, bool verbose);

}  // namespace weir::cli
