// One rule on one shard: its Lua state, made when it is first needed, its errors and quarantine, its figures.
// Private to this layer. Threads: [channel].
#pragma once
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/limits.hpp"
#include "rules/engine.hpp"
#include "rules/instance.hpp"
#include "rules/program.hpp"
#include "rules/slot_stats.hpp"

namespace weir::rules {

// What calls that fail may take of a shard's time, all rules together: three parts in a thousand, and kBurstNs at once.
// While there is nothing left, a rule whose last call failed and took long for it waits (its on_error applies), so that
// the channels beside it need not.
class Waste {
 public:
  static constexpr std::int64_t kNsPerMs = 3'000, kBurstNs = 50'000'000;
  void take(std::int64_t ns, SteadyMs now) {
    fill(now);
    left_ -= ns;
  }
  bool allowed(SteadyMs now) {
    fill(now);
    return left_ > 0;
  }

 private:
  void fill(SteadyMs now) {
    left_ = std::min(kBurstNs, left_ + (now - at_) * kNsPerMs);
    at_ = now;
  }
  std::int64_t left_ = kBurstNs;
  SteadyMs at_ = 0;
};

// What the rules of a shard have in common while they run.
struct Common {
  Common(RuleOutput& o, const Clock& c, const Limits& l, std::shared_ptr<Kv> k)
      : output(o), clock(c), limits(l), kv(k ? std::move(k) : std::make_shared<Kv>(l.kv_bytes)) {}
  UnixMs event_time() {
    if (now == 0) now = clock.unix_ms();
    return now;
  }
  // What rules have published goes out. What receives it may run rules of this engine again.
  void hand_over() {
    if (published.empty()) return;
    auto all = std::move(published);
    published.clear();
    for (auto& [channel, event] : all) output.publish(std::move(channel), std::move(event));
  }

  RuleOutput& output;
  const Clock& clock;
  const Limits& limits;
  const std::shared_ptr<Kv> kv;
  SharedDoc shared;
  Waste waste;
  const Draft* current = nullptr;  // the event that the running hook looks at
  UnixMs now = 0;                  // 0: not asked for yet in this run
  std::vector<std::pair<std::string, Draft>> published;
  std::size_t published_before = 0;                       // by hooks that have returned
  std::size_t published_max = RuleEngine::kPublishedMax;  // by this one
};

class Slot final : public Host {
 public:
  Slot(std::shared_ptr<const RuleProgram> program, Common& common, std::shared_ptr<SlotStats> stats)
      : program_(std::move(program)), common_(common), stats_(std::move(stats)) {}

  const RuleProgram& program() const { return *program_; }
  const std::shared_ptr<SlotStats>& stats() const { return stats_; }
  const std::string& why() const { return why_; }  // of what was last not kept, or failed

  // Runs filter and transform. failed: on_error has not been applied yet.
  Outcome apply(Draft& draft, ChannelContext& context, std::vector<Draft>& more);
  // drop: that client may not publish it. failed: nobody can say, so it may not either.
  Outcome may_publish(const Identity& who, const Draft& draft, ChannelContext& context);
  // The same for a subscription; keep: `where` is the filter that it must have, as JSON, or empty.
  Outcome may_subscribe(const Identity& who, std::string_view params, ChannelContext& context, std::string& where);
  // Errors: what the script says; internal - it failed.
  Result<std::string> request(const Identity& who, std::string_view method, std::string_view params);
  // Only where its state has been made by an event. When it is due next; nothing: no state.
  std::optional<SteadyMs> timer(SteadyMs now);
  // It is not needed any more: the last that it can say. Nothing where it has not run.
  void stop();

  // The channel's state takes in the event. failed: its state is without it, or has it by half.
  Outcome reduce(const Event& event, ChannelContext& context);
  // Errors: unavailable - it failed.
  Result<std::string> snapshot(std::string_view params, ChannelContext& context);
  // The channel's state for the rule that takes this one's place; nothing where there is none, or it can't be told.
  std::optional<Carried> carry(ChannelContext& context);
  // Whether a state that this version of the script made can be gone on with; if not, the log says so.
  bool takes(const Carried& carried, std::string_view channel);

  // A reload: `before` has been here until now.
  void take_place_of(const Slot& before);

  // The channel has been stopped because of the error that a hook just came to. From now on health says so.
  void stopped(const std::string& channel) { stats_->stopped(channel); }
  // Gives back what it keeps for a channel.
  void forget(ChannelContext& context) {
    if (instance_) instance_->forget(context);
  }

  // Its `ctx` is made anew when it is needed.
  void forget_table(ChannelContext& context) {
    if (instance_) instance_->forget_table(context);
  }

  // Host
  UnixMs now() override { return common_.event_time(); }
  Kv& kv() override { return *common_.kv; }
  SteadyMs steady_ms() override { return common_.clock.steady_ms(); }
  void log(log::Level level, std::string_view message) override;
  const char* publish(std::string_view channel, std::string_view event, std::string_view data) override;
  bool metric(std::string_view name, double by) override { return stats_->metric(name, by); }

 private:
  class Publishing;
  class Spent;
  void throw_away();
  bool ensure_instance();
  bool adopt(ChannelContext& context);
  bool waits();
  // in_a_row: of the kind of hook; null where clients decide what it is called with, since they must not be able to
  // quarantine a rule for each other.
  Outcome failed(const std::string& reason, std::int64_t* in_a_row = nullptr);
  void went_well(std::int64_t& in_a_row);

  const std::shared_ptr<const RuleProgram> program_;
  ModulesRead modules_{program_->modules()};
  Common& common_;
  const std::shared_ptr<SlotStats> stats_;
  std::unique_ptr<Instance> instance_;
  std::string why_;
  std::string refused_;  // why the last hub.publish was not taken
  // By the kind of hook: one that is well must not hide that another one keeps failing.
  std::int64_t errors_in_a_row_ = 0, reduce_errors_in_a_row_ = 0, timer_errors_in_a_row_ = 0;
  SteadyMs timer_at_ = 0;
  bool thrown_away_ = false;
  bool was_costly_ = false;  // the last call failed, and took long for it
  bool quarantined_ = false;
  SteadyMs retry_at_ = 0;
  SteadyMs log_second_ = -1;
  std::uint64_t logged_ = 0, lost_now_ = 0;
};

}  // namespace weir::rules
