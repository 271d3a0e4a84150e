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

#include "base/limits.hpp"
#include "base/result.hpp"

namespace weir {

// What becomes of an event whose rule failed.
enum class RuleOnError : std::uint8_t {
  drop,          // it is dropped
  pass,          // it goes on as it was before this rule
  stop_channel,  // it and all later events of its channel are dropped, until the hub is started again
};

struct RuleSettings {
  std::string script;              // as the manifest says it, for messages
  std::string path;                // where the file is
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
  bool has_filter() const { return filter_; }
  bool has_transform() const { return transform_; }
  bool has_reduce() const { return reduce_; }
  bool has_state() const { return state_; }  // `reduce` or `snapshot`
  bool has_on_publish() const { return on_publish_; }
  bool has_on_request() const { return on_request_; }
  bool has_on_timer() const { return on_timer_; }
  bool handles_events() const { return filter_ || transform_ || state_ || on_publish_; }
  std::size_t tests_run() const { return tests_run_; }

 private:
  RuleProgram() = default;
  RuleSettings settings_;
  std::string instrumented_, params_, declared_;
  bool filter_ = false, transform_ = false, reduce_ = false, state_ = false;
  bool on_publish_ = false, on_request_ = false, on_timer_ = false;
  std::size_t tests_run_ = 0;
};

}  // namespace weir
