// `weir plugin check FILE.so`: does a plugin keep the rules of the ABI? Looks at the file, loads it, reads its schema,
// and makes instances run, stop and wait. Takes some seconds. Threads: [main].
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace weir {

struct Finding {
  bool ok = false;
  std::string group;   // "file", "library", "source" or "auth"
  std::string name;    // what was looked at: "start and stop 20 times"
  std::string detail;  // what was found; for a failure with the way out
  bool tried = true;   // false: it could not be looked at, and `detail` says why
};

// `config_json`: the config of the instances; without it the schema's defaults. Stops at the first failure after which
// nothing else can be tried.
std::vector<Finding> check_plugin(const std::string& path, const std::optional<std::string>& config_json);

// For people: a line for each group of checks, one more for each that failed or was not tried, and a summary; verbose:
// a line for each check. Ends in a newline.
std::string check_report(std::string_view path, const std::vector<Finding>& findings, bool verbose);

// What is wrong with a config schema, each with its JSON pointer; empty when it is within the subset of
// docs/plugins.md.
std::vector<std::string> schema_problems(std::string_view schema_json);

// The defaults of a schema as an object. Errors: bad_request - a property is required and has no default.
Result<std::string> default_config(std::string_view schema_json);

}  // namespace weir
