#include "rules/slot.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "routing/pattern.hpp"

namespace weir::rules {
namespace {
constexpr std::uint64_t kLogLinesPerSecond = 100;
// A call that was stopped has cost all that it may; other channels of the shard have waited for it.
constexpr std::int64_t kBudgetStopCounts = 4;
constexpr std::int64_t kCostlyNs = 1'000'000;
}  // namespace

// As long as it lives hooks may publish though no event is being handled.
class Slot::Publishing {
 public:
  Publishing(Common& common, const std::string& script) : common_(common) {
    common_.now = 0;
    draft_.time_ms = common_.event_time();
    draft_.source = script;  // where it comes from
    common_.current = &draft_;
    common_.published_before = common_.published.size();
  }
  ~Publishing() { common_.current = nullptr; }
  Publishing(const Publishing&) = delete;
  Publishing& operator=(const Publishing&) = delete;

 private:
  Common& common_;
  Draft draft_;
};

// What the calls made as long as it lives have cost. A state that can't be used any more goes with it.
class Slot::Spent {
 public:
  explicit Spent(Slot& slot)
      : slot_(slot), operations_(slot.instance_->operations_all()), allocated_(slot.instance_->bytes_allocated()) {}
  ~Spent() {
    slot_.stats_->operations.add(slot_.instance_->operations_all() - operations_);
    slot_.stats_->allocated_bytes.add(slot_.instance_->bytes_allocated() - allocated_);
    if (!slot_.instance_->usable()) slot_.throw_away();
  }
  Spent(const Spent&) = delete;
  Spent& operator=(const Spent&) = delete;

 private:
  Slot& slot_;
  const std::uint64_t operations_, allocated_;
};

// A state that a failing call has used up costs time once more when it goes, and when the next one is made.
void Slot::throw_away() {
  const auto begin = thread_cpu_ns();
  instance_.reset();
  thrown_away_ = true;
  common_.waste.take(thread_cpu_ns() - begin, common_.clock.steady_ms());
}

bool Slot::ensure_instance() {
  if (instance_) return true;
  const auto begin = thread_cpu_ns();
  auto made = Instance::load(program_->instance_settings(), program_->instrumented(), *this, modules_);
  if (thrown_away_) common_.waste.take(thread_cpu_ns() - begin, common_.clock.steady_ms());
  if (!made) {
    why_ = made.error().message;
    return false;
  }
  thrown_away_ = false;
  instance_ = std::move(*made);
  timer_at_ = common_.clock.steady_ms() + program_->settings().every_ms;
  return true;
}

bool Slot::waits() {
  if (!quarantined_ && !was_costly_) return false;
  const SteadyMs now = common_.clock.steady_ms();
  return (quarantined_ && now < retry_at_) || (was_costly_ && !common_.waste.allowed(now));
}

Outcome Slot::failed(const std::string& reason, std::int64_t* in_a_row) {
  stats_->errors.add();
  const bool budget = reason.find(" budget exceeded (") != std::string::npos;
  if (budget) stats_->budget_stops.add();
  const std::int64_t spent_ns = instance_ ? instance_->spent_ns() : 0;
  if (spent_ns > 0) common_.waste.take(spent_ns, common_.clock.steady_ms());
  if (in_a_row != nullptr) was_costly_ = budget || spent_ns > kCostlyNs;
  if (in_a_row != nullptr) *in_a_row += budget ? kBudgetStopCounts : 1;
  why_ = "rule error: " + reason;
  log(log::Level::warn, why_);
  stats_->failed(reason);
  if (in_a_row == nullptr || (!quarantined_ && *in_a_row < common_.limits.rule_errors_in_a_row)) return Outcome::failed;
  retry_at_ = common_.clock.steady_ms() + RuleEngine::kQuarantineMs;
  if (quarantined_) return Outcome::failed;
  quarantined_ = true;
  stats_->quarantined(common_.clock.unix_ms());
  log::error("rules", "a rule is quarantined; it is tried again every 30 s",
             {{"script", program_->settings().script}, {"errors", *in_a_row}, {"error", reason}});
  return Outcome::failed;
}

void Slot::went_well(std::int64_t& in_a_row) {
  in_a_row = 0;
  was_costly_ = false;
  if (!quarantined_) return;
  quarantined_ = false;
  stats_->released();
  log::info("rules", "a rule is out of quarantine", {{"script", program_->settings().script}});
}

Outcome Slot::apply(Draft& draft, ChannelContext& context, std::vector<Draft>& more) {
  stats_->events.add();
  const bool looks = program_->has_filter() || program_->has_transform();
  if (looks && waits()) {
    stats_->skipped.add();
    return Outcome::failed;
  }
  if (!ensure_instance()) return failed(why_, &errors_in_a_row_);
  if (!looks) {  // its other hooks have their own say
    stats_->kept.add();
    return Outcome::keep;
  }
  common_.current = &draft;
  common_.published_before = common_.published.size();
  const Spent spent(*this);
  auto outcome = Outcome::keep;
  if (program_->has_filter()) outcome = instance_->filter(draft, common_.shared, context);
  if (outcome == Outcome::keep && program_->has_transform())
    outcome = instance_->transform(draft, common_.shared, context, more);
  common_.current = nullptr;
  if (outcome == Outcome::failed) {
    common_.published.resize(common_.published_before);  // a call that failed has said nothing
    return failed(instance_->reason(), &errors_in_a_row_);
  }
  stats_->published.add(common_.published.size() - common_.published_before);
  went_well(errors_in_a_row_);
  if (outcome == Outcome::keep) {
    stats_->kept.add();
  } else {
    stats_->dropped.add();
    why_ = instance_->reason();
    stats_->reasons.add(why_);
  }
  return outcome;
}

Outcome Slot::may_publish(const Identity& who, const Draft& draft, ChannelContext& context) {
  if (!ensure_instance()) return failed(why_);
  const Spent spent(*this);
  const auto outcome = instance_->may_publish(who, draft, common_.shared, context);
  if (outcome == Outcome::failed) return failed(instance_->reason());
  if (outcome == Outcome::drop) stats_->refused.add();
  why_ = instance_->reason();
  return outcome;
}

Outcome Slot::may_subscribe(const Identity& who, std::string_view params, ChannelContext& context, std::string& where) {
  if (!ensure_instance()) return failed(why_);
  common_.now = 0;
  const Spent spent(*this);
  const auto outcome = instance_->may_subscribe(who, params, context, where);
  if (outcome == Outcome::failed) return failed(instance_->reason());
  if (outcome == Outcome::drop) stats_->subscriptions.add();
  why_ = instance_->reason();
  return outcome;
}

Result<std::string> Slot::request(const Identity& who, std::string_view method, std::string_view params) {
  const auto broken = [this](const std::string& why) {
    (void)failed(why);
    return fail(Errc::internal, why_);
  };
  if (!ensure_instance()) return broken(why_);
  const Publishing publishing(common_, program_->settings().script);
  const Spent spent(*this);
  auto answer = instance_->request(who, method, params);
  if (!answer) {
    common_.published.resize(common_.published_before);
    return broken(answer.error().message);
  }
  stats_->published.add(common_.published.size() - common_.published_before);
  stats_->requests.add();
  if (answer->refusal) return *answer->refusal;
  return std::move(answer->json);
}

std::optional<SteadyMs> Slot::timer(SteadyMs now) {
  if (!instance_) return std::nullopt;
  if (now < timer_at_ || (quarantined_ && now < retry_at_)) return std::max(timer_at_, quarantined_ ? retry_at_ : 0);
  if (waits()) return timer_at_ = now + program_->settings().every_ms;
  timer_at_ = now + program_->settings().every_ms;
  const Publishing publishing(common_, program_->settings().script);
  const Spent spent(*this);
  if (const auto ran = instance_->timer(); !ran) {
    common_.published.resize(common_.published_before);
    (void)failed(ran.error().message, &timer_errors_in_a_row_);
  } else {
    stats_->published.add(common_.published.size() - common_.published_before);
    stats_->timers.add();
    went_well(timer_errors_in_a_row_);
  }
  return timer_at_;
}

void Slot::stop() {
  if (!instance_ || !program_->has_on_stop()) return;
  const Publishing publishing(common_, program_->settings().script);
  const Spent spent(*this);
  common_.published_max = RuleEngine::kPublishedAtStopMax;
  const auto ran = instance_->stop();
  common_.published_max = RuleEngine::kPublishedMax;
  if (!ran) {
    common_.published.resize(common_.published_before);
    (void)failed(ran.error().message);
  } else {
    stats_->published.add(common_.published.size() - common_.published_before);
  }
}

// Makes the state that a reload has brought over. False: it failed, and the state begins anew.
bool Slot::adopt(ChannelContext& context) {
  if (!context.carried) return true;
  const auto adopted = instance_->adopt_state(context);
  if (!adopted)
    (void)failed("the state of " + json::quoted(context.channel) + " begins anew: " + adopted.error().message);
  return adopted.has_value();
}

Outcome Slot::reduce(const Event& event, ChannelContext& context) {
  if (!program_->has_reduce()) return Outcome::keep;
  if (waits()) {
    stats_->skipped.add();
    return Outcome::keep;
  }
  if (!ensure_instance()) return failed(why_, &reduce_errors_in_a_row_);
  common_.now = event.time_ms();
  const Spent spent(*this);
  (void)adopt(context);
  if (const auto done = instance_->reduce(event, context); !done)
    return failed(done.error().message, &reduce_errors_in_a_row_);
  stats_->reduced.add();
  went_well(reduce_errors_in_a_row_);
  return Outcome::keep;
}

Result<std::string> Slot::snapshot(std::string_view params, ChannelContext& context) {
  if (quarantined_) return fail(Errc::unavailable, "the rule " + program_->settings().script + " is quarantined");
  if (!ensure_instance()) {
    (void)failed(why_);
    return fail(Errc::unavailable, why_);
  }
  common_.now = 0;
  const Spent spent(*this);
  (void)adopt(context);
  auto made = instance_->snapshot(params, context);
  if (!made) {
    (void)failed(made.error().message);
    return fail(Errc::unavailable, why_);
  }
  stats_->snapshots.add();
  return made;
}

std::optional<Carried> Slot::carry(ChannelContext& context) {
  if (context.carried) return std::move(context.carried);
  if (!instance_ || !instance_->keeps_state(context)) return std::nullopt;
  const Spent spent(*this);
  auto saved = instance_->save_state(context);
  if (saved) return Carried{std::move(*saved), instance_->description().version};
  (void)failed("the state of " + json::quoted(context.channel) +
               " can't be kept over a reload: " + saved.error().message);
  return std::nullopt;
}

bool Slot::takes(const Carried& carried, std::string_view channel) {
  if (carried.version == program_->version() || program_->has_migrate()) return true;
  log::warn("rules", "the state of a channel begins anew: its script has another version and no migrate",
            {{"script", program_->settings().script},
             {"channel", channel},
             {"version", carried.version},
             {"now", program_->version()}});
  return false;
}

void Slot::take_place_of(const Slot& before) {
  stats_->begin_anew();
  if (before.instance_ && program_->has_on_timer()) (void)ensure_instance();  // its timer goes on without an event
}

void Slot::log(log::Level level, std::string_view message) {
  const auto second = common_.clock.steady_ms() / 1000;
  if (second != log_second_) {
    if (lost_now_ != 0)
      log::warn("rules", "log lines of a rule were left out",
                {{"script", program_->settings().script}, {"count", lost_now_}});
    log_second_ = second;
    logged_ = lost_now_ = 0;
  }
  if (++logged_ > kLogLinesPerSecond) {
    ++lost_now_;
    stats_->log_lines_lost.add();
    return;
  }
  log::write(level, "rules", message, {{"script", program_->settings().script}});
}

const char* Slot::publish(std::string_view channel, std::string_view event, std::string_view data) {
  if (common_.current == nullptr) return "it works in filter, transform, on_request, on_timer and on_stop only";
  if (auto checked = check_channel_name(channel); !checked) {
    refused_ = std::move(checked.error().message);
    return refused_.c_str();
  }
  if (event.empty() || event.size() > 255 || !json::valid_utf8(event))
    return "an event's name has 1 to 255 bytes of UTF-8";
  if (common_.current->hops >= RuleEngine::kHopsMax)
    return "this event was published on by rules 4 times already; do they go in circles?";
  if (common_.published.size() - common_.published_before >= common_.published_max)
    return common_.published_max == RuleEngine::kPublishedMax ? "more than 64 events published in one call"
                                                              : "more than 10,000 events published in on_stop";
  Draft draft;
  draft.event = event;
  draft.data = data;
  draft.key = common_.current->key;
  draft.time_ms = common_.current->time_ms;
  draft.source = common_.current->source;
  draft.hops = static_cast<std::uint8_t>(common_.current->hops + 1);
  common_.published.emplace_back(std::string(channel), std::move(draft));
  return nullptr;
}

}  // namespace weir::rules
