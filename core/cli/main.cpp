// The one program: `weir run`, `weir check`, `weir reload`, `weir rules`, `weir plugin`. Exit status: 0 all well, 2 for
// a manifest, script or plugin that can't be loaded, 1 for anything else; also for a hub with a plugin that would not
// stop.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/allocator.hpp"
#include "cli/commands.hpp"
#include "weir/abi/version.h"

int main(int argc, char** argv) {
  weir::cli::prepare_allocator();
  CLI::App app{
      "weir: takes events from where they are, runs a few lines of Lua over them, and delivers them live.\n"
      "Begin with:  weir run hub.toml     (docs/manifest.md says what stands in it)"};
  app.set_version_flag("--version", std::string("weir ") + WEIR_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);

  weir::cli::RunOptions run;
  auto* run_command = app.add_subcommand("run", "Run a hub from a manifest until SIGTERM or Ctrl-C");
  run_command->footer(
      "Exit status: 0 after a drain; 1 when a plugin would not stop, after a second signal, or when the address is "
      "taken;\n"
      "2 when the manifest or what it names can't be loaded.");
  run_command->add_option("manifest", run.manifest, "hub.toml, or the same tree as .json")->required();
  run_command->add_option("--listen", run.listen, "ADDR:PORT instead of the manifest's; port 0 takes any free one");
  run_command
      ->add_option("--set", run.set,
                   "Override a key: --set limits.frame_bytes=64KiB --set plugin.logs.config.backlog=5")
      ->type_name("KEY=VALUE");
  run_command->add_option("--log-format", run.log_format, "text or json")->check(CLI::IsMember({"text", "json"}));
  run_command->add_option("--log-level", run.log_level, "trace, debug, info, warn, error or off");

  weir::cli::RunOptions check;
  bool limits = false;
  auto* check_command =
      app.add_subcommand("check", "Check a manifest with its plugins, rules and filters; opens no socket");
  check_command->add_option("manifest", check.manifest, "hub.toml, or the same tree as .json");
  check_command->add_option("--listen", check.listen, "as for run");
  check_command->add_option("--set", check.set, "as for run")->type_name("KEY=VALUE");
  check_command->add_flag("--limits", limits, "Print every limit with its value, what happens at it, and why");

  weir::cli::ReloadOptions reload;
  auto* reload_command = app.add_subcommand("reload", "Let a running hub read its manifest and scripts again");
  reload_command->footer(
      "The manifest only says where the hub listens: it reads its own. Without a change that can be loaded it goes on "
      "as it\nwas. Exit status: 0 done; 2 refused, and why; 1 the hub did not answer, or not to us.");
  reload_command->add_option("manifest", reload.manifest, "the manifest that the hub was started with");
  reload_command->add_option("--at", reload.at, "where it listens, when it is not what the manifest says")
      ->type_name("ADDRESS:PORT");
  reload_command->add_option("--key", reload.key, "a key with the scope api.admin_scope; better in WEIR_KEY");
  reload_command->add_flag("--json", reload.json, "Print the hub's report as it is");

  auto* rules = app.add_subcommand("rules", "Work on Lua rules");
  rules->require_subcommand(1);
  std::vector<std::string> scripts;
  auto* rules_test = rules->add_subcommand("test", "Run NAME.cases.json beside each NAME.lua in the real engine");
  rules_test->add_option("script", scripts, "Lua files")->required();

  weir::cli::RuleRunOptions rule;
  const auto rule_options = [&rule](CLI::App* command) {
    command->add_option("script", rule.script, "a Lua file")->required();
    command->add_option("--params", rule.params, "params for the script, as a JSON object")->type_name("JSON");
    command->add_option("--channel", rule.channel, "of events that name none; \"test\" when left out");
    command->add_option("--pattern", rule.pattern, "of the channels, for ctx.vars: --pattern \"agents/{id}\"");
    command->add_flag("--log-lines", rule.log_lines,
                      "the input is plain text: each line becomes the event that log-tail makes");
  };
  auto* rules_run = rules->add_subcommand("run", "Run a script over events of a file and print what comes out");
  rule_options(rules_run);
  rules_run->add_option("--input", rule.input, "events as JSON, one a line; standard input when left out");
  rules_run->add_flag("--jit", rule.jit, "as `jit = true` in the manifest");
  rules_run->footer(
      "An input line: {\"event\":\"order\",\"data\":{\"n\":1}}, with id, key, time, source and channel if they "
      "matter;\n"
      "events as clients get them are taken, too. What comes out can be read again. What was dropped or failed is "
      "said\n"
      "on standard error. Exit status: 0; 1 when an event failed or a line was no event; 2 when the script can't be "
      "loaded.");
  auto* rules_bench = rules->add_subcommand("bench", "Measure what a script costs for the events of a file");
  rule_options(rules_bench);
  rules_bench->add_option("--input", rule.input, "events as JSON, one a line")->required();
  rules_bench->add_option("--seconds", rule.seconds, "how long, for each of jit = false and true")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();

  auto* plugin = app.add_subcommand("plugin", "Write and check plugins");
  plugin->require_subcommand(1);
  std::string kind, name, folder, library, config;
  auto* plugin_new = plugin->add_subcommand("new", "Begin a plugin of your own: a folder that builds, with a test");
  plugin_new->add_option("kind", kind, "source or auth")->required();
  plugin_new->add_option("name", name, "lower-case letters, digits and '-': the library becomes libweir-NAME.so")
      ->required();
  plugin_new->add_option("folder", folder, "where to put it; NAME when left out");
  auto* plugin_check =
      plugin->add_subcommand("check", "Load a plugin as a hub would, and try what it does under stress");
  plugin_check->add_option("library", library, "libweir-NAME.so")->required();
  plugin_check->add_option("--config", config, "the config to try it with, as JSON");
  bool verbose = false;
  plugin_check->add_flag("--verbose", verbose, "Each check on a line of its own, and what the plugin logs");

  app.footer("weir NAME runs the program weir-NAME, if one stands beside this one or in PATH: weir pg --help");

  const auto named = [&](const CLI::App* command) { return command->get_name() == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(named).empty()) {
    std::fprintf(stderr, "weir: %s\n", weir::cli::run_external(argv[1], argv + 1).c_str());
    return 1;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 1;
  }
  try {
    if (*run_command) return weir::cli::run(run);
    if (*check_command) return weir::cli::check(check, limits);
    if (*reload_command) return weir::cli::reload(reload);
    if (*rules_test) return weir::cli::rules_test(scripts);
    if (*rules_run) return weir::cli::rules_run(rule);
    if (*rules_bench) return weir::cli::rules_bench(rule);
    if (*plugin_new) return weir::cli::plugin_new(kind, name, folder);
    if (*plugin_check) return weir::cli::plugin_check(library, config, verbose);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "weir: %s\n", e.what());
  }
  return 1;
}
