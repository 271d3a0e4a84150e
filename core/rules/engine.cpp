#include "rules/engine.hpp"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "base/log.hpp"
#include "rules/slot.hpp"

namespace weir {

using rules::Outcome;
using rules::Slot;
using rules::SlotStats;

namespace {
struct Stopped {
  std::string reason;
  const Slot* by;
};
}  // namespace

struct RuleEngine::Impl {
  Impl(RuleOutput& output, const Clock& clock, const Limits& l, std::shared_ptr<Kv> kv)
      : limits(l), common(output, clock, limits, std::move(kv)) {}
  Limits limits;
  rules::Common common;
  std::vector<std::unique_ptr<Slot>> slots;     // as the programs
  std::vector<std::unique_ptr<Slot>> retiring;  // of a reload under way
  std::vector<Slot*> with_timer;
  std::unordered_map<std::string, Stopped> stopped;  // channels that on_error = stop-channel ended
  std::mutex mutex;                                  // for what follows
  std::vector<std::shared_ptr<SlotStats>> stats;     // as slots

  void slots_changed() {
    with_timer.clear();
    std::vector<std::shared_ptr<SlotStats>> all;
    for (const auto& slot : slots) {
      if (slot->program().has_on_timer() && slot->program().settings().every_ms != 0) with_timer.push_back(slot.get());
      all.push_back(slot->stats());
    }
    const std::lock_guard lock(mutex);
    stats = std::move(all);
  }
};

class RuleEngine::Chain final : public RuleChain {
 public:
  Chain(Impl& engine, std::span<const std::size_t> rules, std::string_view channel, const Variables& variables)
      : engine_(engine), channel_(channel), variables_(variables) {
    for (const auto rule : rules) slots_.push_back(engine.slots.at(rule).get());
    contexts_.resize(slots_.size());
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slots_[i]->program().has_state()) state_ = i;
    for (const Slot* slot : slots_) asks_ = asks_ || slot->program().has_on_publish();
    for (auto& context : contexts_) {
      context.channel = channel_;
      context.variables = &variables_;
    }
  }
  ~Chain() override {
    for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i]->forget(contexts_[i]);
  }

  // A reload: rules that are the same keep all they have; the state of one that another one replaces goes over.
  void take_over(Chain& before) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      const auto found = std::find(before.slots_.begin(), before.slots_.end(), slots_[i]);
      if (found == before.slots_.end()) continue;
      rules::ChannelContext& had = before.contexts_[static_cast<std::size_t>(found - before.slots_.begin())];
      if (before.variables_ != variables_) slots_[i]->forget_table(had);  // it tells the old ones
      std::swap(contexts_[i], had);
      contexts_[i].channel = channel_;
      contexts_[i].variables = &variables_;
    }
    if (!state_ || !before.state_) return;
    Slot &to = *slots_[*state_], &from = *before.slots_[*before.state_];
    if (&to == &from || to.program().settings().script != from.program().settings().script) return;
    auto carried = from.carry(before.contexts_[*before.state_]);
    if (carried && to.takes(*carried, channel_)) contexts_[*state_].carried = std::move(carried);
  }

  RuleVerdict run(Draft& draft, std::vector<Draft>& more) override {
    if (!engine_.stopped.empty())
      if (const auto found = engine_.stopped.find(channel_); found != engine_.stopped.end())
        return {false, found->second.reason, true};
    engine_.common.shared.take(draft);
    engine_.common.now = 0;
    auto verdict = run_rules(draft, more);
    engine_.common.shared.give_back(draft);
    engine_.common.hand_over();
    return verdict;
  }

  bool asks_publishers() const override { return asks_; }
  RuleVerdict may_publish(const Identity& who, const Draft& draft) override {
    engine_.common.shared.ready = false;
    engine_.common.now = 0;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (!slots_[i]->program().has_on_publish()) continue;
      const auto outcome = slots_[i]->may_publish(who, draft, contexts_[i]);
      if (outcome != Outcome::keep) return {false, slots_[i]->why(), outcome == Outcome::failed};
    }
    return {};
  }

  bool has_state() const override { return state_.has_value(); }
  void reduce(const Event& event) override {
    if (slots_[*state_]->reduce(event, contexts_[*state_]) != Outcome::keep) stop_if_told(*state_);
  }
  Result<std::string> snapshot(std::string_view params) override {
    return slots_[*state_]->snapshot(params, contexts_[*state_]);
  }

 private:
  RuleVerdict run_rules(Draft& draft, std::vector<Draft>& more) {
    RuleVerdict last{false, {}, false};  // of the event that was dropped last
    bool first_kept = true;              // `draft` is still there; `others_` are the events split off
    others_.clear();
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      next_.clear();
      if (first_kept) first_kept = one(i, draft, next_, last);
      for (auto& other : others_) {
        if (stopped(last)) break;
        engine_.common.shared.ready = false;
        split_.clear();
        if (!one(i, other, split_, last)) continue;
        next_.push_back(std::move(other));
        for (auto& event : split_) next_.push_back(std::move(event));
      }
      if (!others_.empty()) engine_.common.shared.ready = false;
      others_.swap(next_);
      if (stopped(last)) return last;
      if (others_.size() + 1 > kEventsMax) return {false, "rule error: more than 256 events out of one", true};
      if (!first_kept && others_.empty()) return last;
    }
    if (!first_kept) {
      draft = std::move(others_.front());
      others_.erase(others_.begin());
    }
    for (auto& event : others_) more.push_back(std::move(event));
    return {};
  }
  bool stopped(const RuleVerdict& last) const {
    return last.failed && !engine_.stopped.empty() && engine_.stopped.contains(channel_);
  }

  bool one(std::size_t i, Draft& draft, std::vector<Draft>& more, RuleVerdict& last) {
    auto& slot = *slots_[i];
    const auto outcome = slot.apply(draft, contexts_[i], more);
    if (outcome == Outcome::keep) return true;
    if (outcome == Outcome::failed && slot.program().settings().on_error == RuleOnError::pass) return true;
    last.reason = slot.why();
    last.failed = outcome == Outcome::failed;
    if (last.failed && stop_if_told(i)) last.reason = "channel stopped by a " + last.reason;
    return false;
  }

  // A hook of that rule has failed. Does that stop the channel?
  bool stop_if_told(std::size_t i) {
    Slot& slot = *slots_[i];
    if (slot.program().settings().on_error != RuleOnError::stop_channel ||
        engine_.stopped.size() >= static_cast<std::size_t>(engine_.common.limits.channels))
      return false;
    const std::string reason = "channel stopped by a " + slot.why();
    if (engine_.stopped.emplace(channel_, Stopped{reason, &slot}).second) {
      slot.stopped(channel_);
      log::error("rules", "a channel is stopped until its rule is changed and reloaded, or the hub started again",
                 {{"channel", channel_}, {"reason", reason}});
    }
    return true;
  }

  Impl& engine_;
  const std::string channel_;
  const Variables variables_;
  std::vector<Slot*> slots_;
  std::vector<rules::ChannelContext> contexts_;
  bool asks_ = false;
  std::optional<std::size_t> state_;  // which rule keeps the channel's state
  std::vector<Draft> others_, next_, split_;
};

RuleEngine::RuleEngine(std::vector<std::shared_ptr<const RuleProgram>> programs, RuleOutput& output, const Clock& clock,
                       const Limits& limits, std::shared_ptr<Kv> kv)
    : impl_(std::make_unique<Impl>(output, clock, limits, std::move(kv))) {
  for (auto& program : programs) {
    auto stats = std::make_shared<SlotStats>(program->settings().script);
    impl_->slots.push_back(std::make_unique<Slot>(std::move(program), impl_->common, std::move(stats)));
  }
  impl_->slots_changed();
}
RuleEngine::~RuleEngine() = default;

void RuleEngine::replace(std::vector<std::shared_ptr<const RuleProgram>> programs, const Limits& limits) {
  impl_->limits = limits;
  auto old = std::move(impl_->slots);
  impl_->slots.clear();
  const auto take = [&old](const auto& fits) {
    const auto found = std::find_if(old.begin(), old.end(), [&](const auto& slot) { return slot && fits(*slot); });
    return found == old.end() ? nullptr : std::move(*found);
  };
  // Those that are the same first, so that they stay what they are.
  for (const auto& program : programs)
    impl_->slots.push_back(take([&](const Slot& slot) { return slot.program().same_as(*program); }));
  for (std::size_t i = 0; i < programs.size(); ++i) {
    auto& slot = impl_->slots[i];
    if (slot) continue;
    const std::string& script = programs[i]->settings().script;
    auto before = take([&](const Slot& one) { return one.program().settings().script == script; });
    slot = std::make_unique<Slot>(programs[i], impl_->common,
                                  before ? before->stats() : std::make_shared<SlotStats>(script));
    if (!before) continue;
    slot->take_place_of(*before);
    impl_->retiring.push_back(std::move(before));
  }
  for (auto& slot : old)
    if (slot) impl_->retiring.push_back(std::move(slot));
  for (const auto& slot : impl_->retiring)
    std::erase_if(impl_->stopped, [&](const auto& entry) { return entry.second.by == slot.get(); });
  impl_->slots_changed();
}

void RuleEngine::retire() {
  for (const auto& slot : impl_->retiring) slot->stop();
  impl_->common.hand_over();
  impl_->retiring.clear();
}

void RuleEngine::stop() {
  for (const auto& slot : impl_->slots) slot->stop();
  impl_->common.hand_over();
}

std::unique_ptr<RuleChain> RuleEngine::open(std::span<const std::size_t> rules, std::string_view channel,
                                            const Variables& variables) {
  return std::make_unique<Chain>(*impl_, rules, channel, variables);
}

std::unique_ptr<RuleChain> RuleEngine::reopen(std::unique_ptr<RuleChain> before, std::span<const std::size_t> rules,
                                              std::string_view channel, const Variables& variables) {
  auto made = std::make_unique<Chain>(*impl_, rules, channel, variables);
  if (before) made->take_over(static_cast<Chain&>(*before));
  return made;
}

Result<std::vector<std::string>> RuleEngine::may_subscribe(std::span<const std::size_t> rules, std::string_view channel,
                                                           const Variables& variables, const Identity& who,
                                                           std::string_view params) {
  std::vector<std::string> filters;
  for (const std::size_t rule : rules) {
    Slot& slot = *impl_->slots.at(rule);
    if (!slot.program().has_on_subscribe()) continue;
    rules::ChannelContext context;
    context.channel = channel;
    context.variables = &variables;
    std::string where;
    const Outcome outcome = slot.may_subscribe(who, params, context, where);
    slot.forget(context);
    if (outcome == Outcome::failed) return fail(Errc::internal, slot.why());
    if (outcome == Outcome::drop)
      return fail(Errc::forbidden,
                  slot.why().empty() ? "subscribing to " + json::quoted(channel) + " is not allowed" : slot.why());
    if (!where.empty()) filters.push_back(std::move(where));
  }
  return filters;
}

Result<std::string> RuleEngine::request(std::size_t rule, const Identity& who, std::string_view method,
                                        std::string_view params) {
  auto answer = impl_->slots.at(rule)->request(who, method, params);
  impl_->common.hand_over();
  return answer;
}

std::optional<SteadyMs> RuleEngine::timers() {
  std::optional<SteadyMs> next;
  if (impl_->with_timer.empty()) return next;
  const SteadyMs now = impl_->common.clock.steady_ms();
  for (Slot* slot : impl_->with_timer)
    if (const auto due = slot->timer(now)) next = std::min(next.value_or(*due), *due);
  impl_->common.hand_over();
  return next;
}

std::vector<RuleStatus> RuleEngine::status() const {
  std::vector<std::shared_ptr<SlotStats>> all;
  {
    const std::lock_guard lock(impl_->mutex);
    all = impl_->stats;
  }
  std::vector<RuleStatus> out;
  for (const auto& stats : all) out.push_back(stats->status());
  return out;
}

}  // namespace weir
