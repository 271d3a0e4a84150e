// The rules of one shard: one isolated Lua state for each program, made when its first event comes, and the chains of
// the channels that run through them. A rule that fails is answered by its on_error; one that keeps failing
// (limits.rule_errors_in_a_row) is quarantined: not run any more, but tried with one event every 30 seconds.
// Limits: limits.rule_*; kPublishedMax events published in one hook call (kPublishedAtStopMax in on_stop), kHopsMax
// times on; kEventsMax events out of one. Threads: [channel] for all but status(), which is [any].
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/limits.hpp"
#include "routing/rule_chain.hpp"
#include "rules/kv.hpp"
#include "rules/program.hpp"

namespace weir {

// Where hub.publish goes. Called at the end of RuleChain::run(), when the engine may be used again.
class RuleOutput {
 public:
  virtual ~RuleOutput() = default;
  // The hops of `draft` are counted already. Must not throw.
  virtual void publish(std::string channel, Draft draft) = 0;
};

// A channel that a failing rule with on_error = stop-channel ended.
struct StoppedChannel {
  std::string channel;
  std::string error;
};

// One rule on one shard, for /stats and /health.
struct RuleStatus {
  static constexpr std::size_t kStoppedShown = 16;
  std::string script;
  bool quarantined = false;
  std::string reason;  // the last error; empty: there was none
  UnixMs quarantined_since = 0;
  std::uint64_t channels_stopped = 0;
  std::vector<StoppedChannel> stopped;  // the first kStoppedShown of them
  std::uint64_t events = 0;             // hook runs started: one for each event that reached the rule
  std::uint64_t kept = 0;
  std::uint64_t dropped = 0;  // because the rule said so
  std::uint64_t errors = 0;   // including budget_stops
  std::uint64_t budget_stops = 0;
  std::uint64_t skipped = 0;  // not run, the rule being quarantined
  std::uint64_t published = 0;
  std::uint64_t reduced = 0;                // events that the states of its channels took in
  std::uint64_t snapshots = 0;              // times that a state was told
  std::uint64_t refused = 0;                // publications of clients that on_publish refused
  std::uint64_t subscriptions_refused = 0;  // by on_subscribe
  std::uint64_t requests = 0;               // that on_request answered
  std::uint64_t timers = 0;                 // runs of on_timer
  std::uint64_t reloads = 0;  // times that it was replaced by another version of its script, params or settings
  std::uint64_t log_lines_lost = 0;
  std::uint64_t operations = 0;                                // of all runs; limits.rule_ops bounds those of one
  std::uint64_t allocated_bytes = 0;                           // by all runs, most of them free again
  std::vector<std::pair<std::string, std::uint64_t>> reasons;  // of `dropped`; the first 16, then "other"
  std::vector<std::pair<std::string, double>> metrics;         // of hub.metric
};

class RuleEngine final : public RuleProvider {
 public:
  static constexpr std::uint8_t kHopsMax = 4;
  static constexpr std::size_t kPublishedMax = 64, kPublishedAtStopMax = 10'000, kEventsMax = 256;
  static constexpr SteadyMs kQuarantineMs = 30'000;

  // `programs`: in the order of the manifest's list of distinct rules. `output` and `clock` outlive the engine.
  // `kv`: what the engines of a hub share; null: one of its own.
  RuleEngine(std::vector<std::shared_ptr<const RuleProgram>> programs, RuleOutput& output, const Clock& clock,
             const Limits& limits, std::shared_ptr<Kv> kv = nullptr);
  ~RuleEngine() override;

  // A reload, between two events: replace(), then reopen() for every chain there is, then retire(). Rules that are the
  // same keep what they have; those that are not any more run on_stop.
  void replace(std::vector<std::shared_ptr<const RuleProgram>> programs, const Limits& limits);
  void retire();
  // The hub ends: what rules still hold goes out (on_stop).
  void stop();

  std::unique_ptr<RuleChain> open(std::span<const std::size_t> rules, std::string_view channel,
                                  const Variables& variables) override;
  std::unique_ptr<RuleChain> reopen(std::unique_ptr<RuleChain> before, std::span<const std::size_t> rules,
                                    std::string_view channel, const Variables& variables) override;
  Result<std::vector<std::string>> may_subscribe(std::span<const std::size_t> rules, std::string_view channel,
                                                 const Variables& variables, const Identity& who,
                                                 std::string_view params) override;
  Result<std::string> request(std::size_t rule, const Identity& who, std::string_view method,
                              std::string_view params) override;
  // Runs what is due of on_timer, in the states there are. When there is something next; nothing: no rule has a timer.
  std::optional<SteadyMs> timers();
  std::vector<RuleStatus> status() const;

 private:
  class Chain;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
