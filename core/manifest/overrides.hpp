// --set key=value: single values of a manifest changed from the command line.
// A key is a path of names divided by dots; an array of tables is entered by place ("channel.0.overflow") or by the
// name, pattern or path of an element ("plugin.logs.config.backlog"). A name with dots is put in quotes:
// channel."a.b".history. Objects on the way that are missing are made. A value is read as TOML, else taken as text.
// Threads: pure.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "manifest/tree.hpp"

namespace weir::manifest {

// Applied in order; a key that leads nowhere is a problem with the file "--set".
void apply_overrides(tree::Node& root, const std::vector<std::pair<std::string, std::string>>& set,
                     std::vector<tree::Problem>& problems);

}  // namespace weir::manifest
