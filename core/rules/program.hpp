// A rule's script, read, instrumented, run once and tested: what the engine makes its Lua states from.
// A program that exists is known to load; what can still go wrong are its events.
// Limits: limits.rule_load_ms for the top level, rule_ops/rule_ms/rule_bytes for each self-test, as for an event.
// Threads: [any]; constant after load().
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "rules/hook.hpp"
#include "rules/instance_settings.hpp"
#include "rules/modules.hpp"

namespace weir {

// What becomes of an event whose rule failed.
enum class RuleOnError : std::uint8_t {
  drop,          // it is dropped
  pass,          // it goes on as it was before this rule
  stop_channel,  // it and all later events of its channel are dropped, until the rule has been changed and reloaded
};

struct RuleSettings {
  std::string script;  // as the manifest says it, for messages
  std::string path;    // where the file is
  // Where scripts that it requires are looked for, in this order; empty: in its own folder and the one above.
  std::vector<std::string> folders{};
  std::string params_json = "{}";  // an object
  RuleOnError on_error = RuleOnError::drop;
  bool jit = false;
  std::optional<std::int64_t> ops{}, time_ms{}, bytes{};  // else limits.rule_*
  std::int64_t every_ms = 0;                              // how often on_timer runs; 0: never
};

class RuleProgram {
 public:
  // Errors: bad_request - "script:line: message": the file can't be read, does not compile, does not return a rule,
  //         has hooks that this version does not run, params that do not fit, or a self-test that fails. Mistakes in
  //         params are told all at once, each on a line of its own.
  static Result<std::shared_ptr<const RuleProgram>> load(RuleSettings settings, const Limits& limits);
  // The same with the text at hand; settings.path is not looked at.
  static Result<std::shared_ptr<const RuleProgram>> from_text(RuleSettings settings, std::string_view text,
                                                              const Limits& limits);

  const RuleSettings& settings() const { return settings_; }
  const std::string& instrumented() const { return instrumented_; }
  const std::string& params_json() const { return params_; }             // checked, with defaults
  const std::string& declared_params_json() const { return declared_; }  // empty: the script declares none
  const std::string& version() const { return version_; }                // JSON text; empty: the script says none
  bool has_filter() const { return has(rules::Hook::filter); }
  bool has_transform() const { return has(rules::Hook::transform); }
  bool has_reduce() const { return has(rules::Hook::reduce); }
  bool has_state() const { return has_reduce() || has(rules::Hook::snapshot); }
  bool has_migrate() const { return has(rules::Hook::migrate); }
  bool has_on_subscribe() const { return has(rules::Hook::on_subscribe); }
  bool has_on_publish() const { return has(rules::Hook::on_publish); }
  bool has_on_request() const { return has(rules::Hook::on_request); }
  bool has_on_timer() const { return has(rules::Hook::on_timer); }
  bool has_on_stop() const { return has(rules::Hook::on_stop); }
  bool handles_events() const {
    return has_filter() || has_transform() || has_state() || has_on_publish() || has_on_subscribe();
  }
  const rules::Modules& modules() const { return modules_; }
  // The files that it was made of.
  const std::vector<std::string>& files() const { return files_; }
  // The same text, params and settings: a reload need not touch what runs.
  bool same_as(const RuleProgram& other) const;
  const rules::InstanceSettings& instance_settings() const { return instance_; }
  std::size_t tests_run() const { return tests_run_; }

 private:
  RuleProgram() = default;
  bool has(rules::Hook hook) const { return (hooks_ & (1U << rules::index(hook))) != 0; }
  RuleSettings settings_;
  std::string instrumented_, params_, declared_;
  rules::InstanceSettings instance_;
  std::uint32_t hooks_ = 0;
  std::string version_;
  std::vector<std::string> files_;
  rules::Modules modules_;
  std::size_t tests_run_ = 0;
};

}  // namespace weir
