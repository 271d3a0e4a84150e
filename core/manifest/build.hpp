// From a tree that the schema has looked at to the Manifest, with every check that a schema can't do.
// Private to the manifest layer.
#pragma once
#include <string>
#include <vector>

#include "manifest/manifest.hpp"

namespace weir::manifest {

struct Findings {
  std::vector<tree::Problem> problems, warnings;
};

// Fills in what it can and reports the rest. Values of a wrong type are skipped in silence: the schema has named them.
Manifest build(const tree::Node& root, const std::string& file, const LoadOptions& options, Findings& findings);

// What needs the whole: names that refer to each other, what may stand open to the world, channels that can't match.
void cross_check(const Manifest& manifest, const tree::Node& root, Findings& findings);

// The "{identity.NAME}" of a mandatory filter: those that are misspelt or name nothing.
void check_templates(const tree::Node& where, const std::string& what, Findings& findings);

// "" for the current folder's files becomes ".".
std::string folder_of(const std::string& file);

}  // namespace weir::manifest
