// From a manifest to everything that a hub needs before it opens a socket: plugins loaded and their configs checked,
// rules compiled and self-tested, routes and filters built. `weir check` is this and nothing more. Everything that is
// wrong is collected, not only the first. Threads: [main].
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "manifest/manifest.hpp"
#include "plugin_host/library.hpp"
#include "routing/connection.hpp"
#include "routing/routes.hpp"
#include "rules/kv.hpp"
#include "rules/program.hpp"

namespace weir {

struct LoadedPlugin {
  const PluginEntry* entry;
  std::shared_ptr<const Library> library;
  std::string config_json;              // checked and with defaults
  bool flows = false, is_auth = false;  // something besides an auth provider; an auth provider
};

// Which channels a source's subject feeds.
struct SourceRoute {
  Pattern subject;
  Pattern channel;
  bool rules = false;  // there are some, which will want to look into the data
};

struct Setup {
  Manifest manifest;
  std::vector<LoadedPlugin> plugins;
  std::vector<std::shared_ptr<const RuleProgram>> programs;  // as Manifest::rules
  std::shared_ptr<Kv> kv;                                    // what the rules of all shards share
  RoutesPtr routes;
  std::vector<std::vector<SourceRoute>> source_routes;  // by plugin
  std::vector<std::shared_ptr<const EndpointRule>> endpoints;
};

struct SetupResult {
  std::unique_ptr<Setup> setup;  // absent when there is a problem
  std::vector<tree::Problem> problems, warnings;
  std::vector<std::string> scripts;  // the files of its rules, those with a problem too
};

// With options.for_check an instance of every plugin is made and destroyed as well, as only a plugin can judge all of
// its config and the files that it names. (A hub makes them anyway.)
SetupResult set_up(const std::string& manifest_file, const LoadOptions& options);

// Where the hub's own plugins and scripts are, seen from the running program: ../lib/weir and ../share/weir/scripts.
std::string own_plugin_folder();
std::string own_scripts_folder();

}  // namespace weir
