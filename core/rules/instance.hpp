// One rule in one Lua state: loads the script, tells what it has, and runs its hooks on one event at a time.
// Private to this layer. Threads: [channel].
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rules/hook.hpp"
#include "rules/instance_settings.hpp"
#include "rules/state.hpp"

namespace weir::rules {

// Which functions the returned table has, and what it says besides as JSON texts; empty: not there.
struct Description {
  std::uint32_t hooks = 0;  // a bit for each Hook
  bool operator()(Hook hook) const { return (hooks & (1U << index(hook))) != 0; }
  bool has_state() const { return (*this)(Hook::reduce) || (*this)(Hook::snapshot); }
  std::string params, tests, version;
};

enum class Outcome : std::uint8_t { keep, drop, failed };

class Instance {
 public:
  // Errors: bad_request - "script:line: message", whatever keeps the script from being a rule.
  // `host` and `modules` (what the script may require) outlive it.
  static Result<std::unique_ptr<Instance>> load(const InstanceSettings& settings, const std::string& instrumented,
                                                Host& host, ModuleSource& modules);

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

  // For a reload. Errors: the state can't be told as JSON, or takes more than loading may.
  Result<std::string> save_state(ChannelContext& context);
  // Of what `context` carries. Errors: `migrate` failed; then, too, there is nothing carried any more.
  Result<void> adopt_state(ChannelContext& context);

  // drop: that client may not publish this; reason() says why, or is empty.
  Outcome may_publish(const Identity& identity, const Draft& draft, SharedDoc& shared, ChannelContext& context);
  // drop: that client may not subscribe. keep: `where` is the filter that it must have, as JSON, or empty.
  Outcome may_subscribe(const Identity& identity, std::string_view params_json, ChannelContext& context,
                        std::string& where);
  // The answer, as JSON text. Errors: whatever the script says; as State::call.
  struct Answer {
    std::string json;
    std::optional<Error> refusal;
  };
  Result<Answer> request(const Identity& identity, std::string_view method, std::string_view params_json);
  // Errors: as State::call.
  Result<void> timer() { return call_without_event(Hook::on_timer); }
  Result<void> stop();  // with what loading may take

  const std::string& reason() const { return state_.reason; }
  // By the last call, which failed: its own time, and what it took to get rid of what it had left.
  std::int64_t spent_ns() const { return state_.meter.spent_ns() + cleanup_ns_; }
  std::int64_t operations() const { return state_.operations_last; }
  std::uint64_t operations_all() const { return state_.operations_all; }
  std::uint64_t bytes_allocated() const { return state_.bytes_allocated; }
  bool keeps_state(const ChannelContext& context) const {
    return context.incarnation == state_.incarnation && context.state_reference >= 0;
  }
  void forget_table(ChannelContext& context);
  void forget(ChannelContext& context);    // gives the context's table and state back
  bool usable() const { return usable_; }  // false: throw the instance away and load a new one

 private:
  Instance() = default;
  Result<void> describe_table(int table);
  Result<void> call(Hook hook);
  Result<void> call_without_event(Hook hook);
  Result<void> call_with_state(Hook hook, ChannelContext& context);
  Outcome judge(Hook hook, const Draft& draft, SharedDoc& shared, ChannelContext& context);
  Outcome judged(const Result<void>& called);
  State state_;
  Description description_;
  Budget budget_;
  std::int64_t load_ops_ = 0, load_ms_ = 0;
  // References in the state's registry, by Hook: the script's function, and what calls it.
  std::array<int, kHooks> hooks_{}, runners_{};
  int save_ = -2, adopt_ = -2;
  bool clean_up();  // after a call that failed. False: the state is nearly full even so
  bool usable_ = true;
  std::int64_t cleanup_ns_ = 0;
};

}  // namespace weir::rules
