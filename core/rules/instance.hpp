// One rule in one Lua state: loads the script, tells what it has, and runs its hooks on one event at a time.
// Private to this layer. Threads: [channel].
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rules/state.hpp"

namespace weir::rules {

struct Budget {
  std::int64_t ops = 0, time_ms = 0, bytes = 0;
};

struct InstanceSettings {
  std::string script;
  std::string params_json = "{}";
  Budget budget;
  std::int64_t load_ms = 0;
  std::size_t data_bytes_max = 1024 * 1024;
  bool jit = false;
};

// Which functions the returned table has, and what it says besides as JSON texts; empty: not there.
struct Description {
  bool filter = false, transform = false, check = false;
  bool initial = false, reduce = false, snapshot = false;
  bool on_publish = false, on_request = false, on_timer = false;
  bool has_state() const { return reduce || snapshot; }
  std::string params, tests;
};

enum class Outcome : std::uint8_t { keep, drop, failed };

class Instance {
 public:
  // Errors: bad_request - "script:line: message", whatever keeps the script from being a rule.
  static Result<std::unique_ptr<Instance>> load(const InstanceSettings& settings, const std::string& instrumented,
                                                Host& host);

  const Description& description() const { return description_; }
  Result<void> set_params(const std::string& params_json);
  // Asks the script's `check` about the params that are set. Errors: bad_request - a line for each thing it said.
  Result<void> check_params();

  // `shared` is the index of draft.data, ready or not; it must be marked not ready when the data changes.
  // drop: reason() is what the rule said, or empty. failed: reason() is the error.
  Outcome filter(const Draft& draft, SharedDoc& shared, ChannelContext& context);
  // keep: draft is what came of it, further events are appended to `more`.
  Outcome transform(Draft& draft, SharedDoc& shared, ChannelContext& context, std::vector<Draft>& more);

  // The channel's state, which `context` keeps: takes in an event, is told. Errors: as State::call.
  Result<void> reduce(const Event& event, ChannelContext& context);
  Result<std::string> snapshot(std::string_view params_json, ChannelContext& context);

  // drop: that client may not publish this; reason() says why, or is empty.
  Outcome may_publish(const Identity& identity, const Draft& draft, SharedDoc& shared, ChannelContext& context);
  // The answer, as JSON text. Errors: whatever the script says; as State::call.
  struct Answer {
    std::string json;
    std::optional<Error> refusal;
  };
  Result<Answer> request(const Identity& identity, std::string_view method, std::string_view params_json);
  Result<void> timer();

  const std::string& reason() const { return state_.reason; }
  std::int64_t operations() const { return state_.operations_last; }
  std::uint64_t operations_all() const { return state_.operations_all; }
  std::uint64_t bytes_allocated() const { return state_.bytes_allocated; }
  void forget(ChannelContext& context);    // gives the context's table and state back
  bool usable() const { return usable_; }  // false: throw the instance away and load a new one

 private:
  Instance() = default;
  Result<void> run_on_state(int runner, ChannelContext& context);
  Outcome run(int hook, int runner, const Draft& draft, SharedDoc& shared, ChannelContext& context);
  State state_;
  Description description_;
  Budget budget_;
  std::int64_t load_ops_ = 0, load_ms_ = 0;
  int rule_table_ = -2, filter_ = -2, transform_ = -2, check_ = -2, reduce_ = -2, snapshot_ = -2, on_publish_ = -2,
      on_request_ = -2, on_timer_ = -2;
  int run_filter_ = -2, run_transform_ = -2, run_check_ = -2, run_reduce_ = -2, run_snapshot_ = -2,
      run_on_publish_ = -2, run_on_request_ = -2, run_on_timer_ = -2;
  bool usable_ = true;
};

}  // namespace weir::rules
