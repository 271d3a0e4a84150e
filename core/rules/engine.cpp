#include "rules/engine.hpp"

#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/log.hpp"
#include "routing/pattern.hpp"
#include "rules/instance.hpp"

namespace weir {
namespace {

using rules::Outcome;

constexpr std::uint64_t kLogLinesPerSecond = 100;

// Written by the shard's thread only, read by all; the hot path takes no lock.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Why events were dropped. A text is written once, before `used_` says that it is there.
class Reasons {
 public:
  void add(std::string_view reason) {
    const auto used = used_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < used; ++i)
      if (text_[i] == reason) return count_[i].add();
    if (used == kMax) return other_.add();
    text_[used] = reason;
    count_[used].add();
    used_.store(used + 1, std::memory_order_release);
  }
  std::vector<std::pair<std::string, std::uint64_t>> get() const {
    std::vector<std::pair<std::string, std::uint64_t>> out;
    const auto used = used_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < used; ++i) out.emplace_back(text_[i], count_[i].get());
    if (other_.get() != 0) out.emplace_back("other", other_.get());
    return out;
  }

 private:
  static constexpr std::size_t kMax = 16;
  std::array<std::string, kMax> text_;
  std::array<Counter, kMax> count_;
  Counter other_;
  std::atomic<std::size_t> used_{0};
};

}  // namespace

struct RuleEngine::Impl {
  Impl(RuleOutput& o, const Clock& c, const Limits& l, std::shared_ptr<Kv> k)
      : output(o), clock(c), limits(l), kv(k ? std::move(k) : std::make_shared<Kv>(l.kv_bytes)) {}
  UnixMs event_time() {
    if (now == 0) now = clock.unix_ms();
    return now;
  }

  RuleOutput& output;
  const Clock& clock;
  const Limits limits;
  const std::shared_ptr<Kv> kv;
  std::vector<std::unique_ptr<Slot>> slots;
  std::unordered_map<std::string, std::string> stopped;  // channels that on_error = stop-channel ended, and why
  rules::SharedDoc shared;
  const Draft* current = nullptr;  // the event that the running hook looks at
  UnixMs now = 0;                  // 0: not asked for yet in this run
  std::vector<std::pair<std::string, Draft>> published;
  std::size_t published_before = 0;  // by hooks that have returned
  std::vector<Slot*> with_timer;

  // What rules have published goes out. What receives it may run rules of this engine again.
  void hand_over() {
    if (published.empty()) return;
    auto all = std::move(published);
    published.clear();
    for (auto& [channel, event] : all) output.publish(std::move(channel), std::move(event));
  }
};

// One program on this shard.
class RuleEngine::Slot final : public rules::Host {
 public:
  Slot(std::shared_ptr<const RuleProgram> program, Impl& engine) : program_(std::move(program)), engine_(engine) {}

  // Runs the rule's hooks. failed: on_error has not been applied yet; why() tells.
  Outcome apply(Draft& draft, rules::ChannelContext& context, std::vector<Draft>& more) {
    events_.add();
    const bool looks = program_->has_filter() || program_->has_transform();
    if (looks && quarantined_ && engine_.clock.steady_ms() < retry_at_) {
      skipped_.add();
      return Outcome::failed;
    }
    if (!ensure_instance()) return failed(why_, &errors_in_a_row_);
    if (!looks) {  // its other hooks have their own say
      kept_.add();
      return Outcome::keep;
    }
    engine_.current = &draft;
    engine_.published_before = engine_.published.size();
    const Spent spent(*this);
    auto outcome = Outcome::keep;
    if (program_->has_filter()) outcome = instance_->filter(draft, engine_.shared, context);
    if (outcome == Outcome::keep && program_->has_transform())
      outcome = instance_->transform(draft, engine_.shared, context, more);
    engine_.current = nullptr;
    if (outcome == Outcome::failed) {
      engine_.published.resize(engine_.published_before);  // a call that failed has said nothing
      return failed(instance_->reason(), &errors_in_a_row_);
    }
    published_.add(engine_.published.size() - engine_.published_before);
    errors_in_a_row_ = 0;
    if (quarantined_) release();
    if (outcome == Outcome::keep) {
      kept_.add();
    } else {
      dropped_.add();
      why_ = instance_->reason();
      reasons_.add(why_);
    }
    return outcome;
  }
  bool has_state() const { return program_->has_state(); }
  bool asks_publishers() const { return program_->has_on_publish(); }
  bool has_timer() const { return program_->has_on_timer() && program_->settings().every_ms != 0; }

  // drop: that client may not publish it. failed: nobody can say, so it may not either. why() tells.
  Outcome may_publish(const Identity& who, const Draft& draft, rules::ChannelContext& context) {
    if (!ensure_instance()) return failed(why_);
    const Spent spent(*this);
    const auto outcome = instance_->may_publish(who, draft, engine_.shared, context);
    if (outcome == Outcome::failed) return failed(instance_->reason());
    if (outcome == Outcome::drop) refused_publications_.add();
    why_ = instance_->reason();
    return outcome;
  }

  Result<std::string> request(const Identity& who, std::string_view method, std::string_view params) {
    const auto broken = [this](const std::string& why) {
      (void)failed(why);
      return fail(Errc::internal, why_);
    };
    if (!ensure_instance()) return broken(why_);
    const Publishing publishing(engine_, program_->settings().script);
    const Spent spent(*this);
    auto answer = instance_->request(who, method, params);
    if (!answer) {
      engine_.published.resize(engine_.published_before);
      return broken(answer.error().message);
    }
    published_.add(engine_.published.size() - engine_.published_before);
    requests_.add();
    if (answer->refusal) return *answer->refusal;
    return std::move(answer->json);
  }

  // Only where its state has been made by an event. When it is due next; nothing: no state.
  std::optional<SteadyMs> timer(SteadyMs now) {
    if (!instance_) return std::nullopt;
    if (now < timer_at_ || (quarantined_ && now < retry_at_)) return std::max(timer_at_, quarantined_ ? retry_at_ : 0);
    timer_at_ = now + program_->settings().every_ms;
    const Publishing publishing(engine_, program_->settings().script);
    const Spent spent(*this);
    if (const auto ran = instance_->timer(); !ran) {
      engine_.published.resize(engine_.published_before);
      (void)failed(ran.error().message, &timer_errors_in_a_row_);
    } else {
      published_.add(engine_.published.size() - engine_.published_before);
      timers_.add();
      timer_errors_in_a_row_ = 0;
      if (quarantined_) release();
    }
    return timer_at_;
  }
  // The channel's state takes in the event. failed: its state is without it, or has it by half; why() tells.
  Outcome reduce(const Event& event, rules::ChannelContext& context) {
    if (!program_->has_reduce()) return Outcome::keep;
    if (quarantined_ && engine_.clock.steady_ms() < retry_at_) {
      skipped_.add();
      return Outcome::keep;
    }
    if (!ensure_instance()) return failed(why_, &reduce_errors_in_a_row_);
    engine_.now = event.time_ms();
    const Spent spent(*this);
    if (const auto done = instance_->reduce(event, context); !done)
      return failed(done.error().message, &reduce_errors_in_a_row_);
    reduced_.add();
    reduce_errors_in_a_row_ = 0;
    if (quarantined_) release();
    return Outcome::keep;
  }
  Result<std::string> snapshot(std::string_view params, rules::ChannelContext& context) {
    if (quarantined_) return fail(Errc::unavailable, "the rule " + program_->settings().script + " is quarantined");
    if (!ensure_instance()) {
      (void)failed(why_);
      return fail(Errc::unavailable, why_);
    }
    engine_.now = 0;
    const Spent spent(*this);
    auto made = instance_->snapshot(params, context);
    if (!made) {
      (void)failed(made.error().message);
      return fail(Errc::unavailable, why_);
    }
    snapshots_.add();
    return made;
  }
  // The channel has been stopped because of the error that apply() just came to. From now on health says so.
  void stopped(const std::string& channel) {
    const std::lock_guard lock(mutex_);
    ++shown_stopped_;
    if (stopped_.size() < RuleStatus::kStoppedShown) stopped_.push_back({channel, shown_reason_});
  }
  const std::string& why() const { return why_; }
  RuleOnError on_error() const { return program_->settings().on_error; }
  void forget(rules::ChannelContext& context) {
    if (instance_) instance_->forget(context);
  }

  RuleStatus status() const {
    RuleStatus out;
    out.script = program_->settings().script;
    {
      const std::lock_guard lock(mutex_);
      out.quarantined = shown_quarantined_;
      out.reason = shown_reason_;
      out.quarantined_since = shown_since_;
      out.channels_stopped = shown_stopped_;
      out.stopped = stopped_;
    }
    out.events = events_.get();
    out.kept = kept_.get();
    out.dropped = dropped_.get();
    out.errors = errors_.get();
    out.budget_stops = budget_stops_.get();
    out.skipped = skipped_.get();
    out.published = published_.get();
    out.reduced = reduced_.get();
    out.snapshots = snapshots_.get();
    out.refused = refused_publications_.get();
    out.requests = requests_.get();
    out.timers = timers_.get();
    out.log_lines_lost = log_lines_lost_.get();
    out.operations = operations_.get();
    out.allocated_bytes = allocated_bytes_.get();
    out.reasons = reasons_.get();
    return out;
  }

  // Host
  UnixMs now() override { return engine_.event_time(); }
  Kv& kv() override { return *engine_.kv; }
  SteadyMs steady_ms() override { return engine_.clock.steady_ms(); }
  void log(log::Level level, std::string_view message) override {
    const auto second = engine_.clock.steady_ms() / 1000;
    if (second != log_second_) {
      if (lost_now_ != 0)
        log::warn("rules", "log lines of a rule were left out",
                  {{"script", program_->settings().script}, {"count", lost_now_}});
      log_second_ = second;
      logged_ = lost_now_ = 0;
    }
    if (++logged_ > kLogLinesPerSecond) {
      ++lost_now_;
      log_lines_lost_.add();
      return;
    }
    log::write(level, "rules", message, {{"script", program_->settings().script}});
  }
  const char* publish(std::string_view channel, std::string_view event, std::string_view data) override {
    if (engine_.current == nullptr) return "it works in filter, transform, on_request and on_timer only";
    if (auto checked = check_channel_name(channel); !checked) {
      refused_ = std::move(checked.error().message);
      return refused_.c_str();
    }
    if (event.empty() || event.size() > 255 || !json::valid_utf8(event))
      return "an event's name has 1 to 255 bytes of UTF-8";
    if (engine_.current->hops >= kHopsMax)
      return "this event was published on by rules 4 times already; do they go in circles?";
    if (engine_.published.size() - engine_.published_before >= kPublishedMax)
      return "more than 64 events published in one call";
    Draft draft;
    draft.event = event;
    draft.data = data;
    draft.key = engine_.current->key;
    draft.time_ms = engine_.current->time_ms;
    draft.source = engine_.current->source;
    draft.hops = static_cast<std::uint8_t>(engine_.current->hops + 1);
    engine_.published.emplace_back(std::string(channel), std::move(draft));
    return nullptr;
  }

 private:
  // As long as it lives hooks may publish though no event is being handled.
  class Publishing {
   public:
    Publishing(Impl& engine, const std::string& script) : engine_(engine) {
      engine_.now = 0;
      draft_.time_ms = engine_.event_time();
      draft_.source = script;  // where it comes from
      engine_.current = &draft_;
      engine_.published_before = engine_.published.size();
    }
    ~Publishing() { engine_.current = nullptr; }
    Publishing(const Publishing&) = delete;
    Publishing& operator=(const Publishing&) = delete;

   private:
    Impl& engine_;
    Draft draft_;
  };

  // What the calls made as long as it lives have cost. A state that can't be used any more goes with it.
  class Spent {
   public:
    explicit Spent(Slot& slot)
        : slot_(slot), operations_(slot.instance_->operations_all()), allocated_(slot.instance_->bytes_allocated()) {}
    ~Spent() {
      slot_.operations_.add(slot_.instance_->operations_all() - operations_);
      slot_.allocated_bytes_.add(slot_.instance_->bytes_allocated() - allocated_);
      if (!slot_.instance_->usable()) slot_.instance_.reset();
    }
    Spent(const Spent&) = delete;
    Spent& operator=(const Spent&) = delete;

   private:
    Slot& slot_;
    const std::uint64_t operations_, allocated_;
  };

  bool ensure_instance() {
    if (instance_) return true;
    const auto& settings = program_->settings();
    rules::InstanceSettings wanted;
    wanted.script = settings.script;
    wanted.params_json = program_->params_json();
    wanted.budget = {settings.ops.value_or(engine_.limits.rule_ops), settings.time_ms.value_or(engine_.limits.rule_ms),
                     settings.bytes.value_or(engine_.limits.rule_bytes)};
    wanted.load_ms = engine_.limits.rule_load_ms;
    wanted.data_bytes_max = static_cast<std::size_t>(engine_.limits.data_bytes);
    wanted.jit = settings.jit;
    auto made = rules::Instance::load(wanted, program_->instrumented(), *this);
    if (!made) {
      why_ = made.error().message;
      return false;
    }
    instance_ = std::move(*made);
    timer_at_ = engine_.clock.steady_ms() + settings.every_ms;
    return true;
  }

  // in_a_row: of the kind of hook; null where clients decide what it is called with, since they must not be able to
  // quarantine a rule for each other.
  Outcome failed(std::string reason, std::int64_t* in_a_row = nullptr) {
    errors_.add();
    if (reason.find(" budget exceeded (") != std::string::npos) budget_stops_.add();
    if (in_a_row != nullptr) ++*in_a_row;
    why_ = "rule error: " + reason;
    log(log::Level::warn, why_);
    const bool over = in_a_row != nullptr && (quarantined_ || *in_a_row >= engine_.limits.rule_errors_in_a_row);
    if (over) retry_at_ = engine_.clock.steady_ms() + kQuarantineMs;
    const std::lock_guard lock(mutex_);
    shown_reason_ = reason;
    if (over && !quarantined_) {
      quarantined_ = shown_quarantined_ = true;
      shown_since_ = engine_.clock.unix_ms();
      log::error("rules", "a rule is quarantined; it is tried again every 30 s",
                 {{"script", program_->settings().script}, {"errors", *in_a_row}, {"error", reason}});
    }
    return Outcome::failed;
  }
  void release() {
    quarantined_ = false;
    log::info("rules", "a rule is out of quarantine", {{"script", program_->settings().script}});
    const std::lock_guard lock(mutex_);
    shown_quarantined_ = false;
  }

  const std::shared_ptr<const RuleProgram> program_;
  Impl& engine_;
  std::unique_ptr<rules::Instance> instance_;
  std::string why_;
  std::string refused_;  // why the last hub.publish was not taken
  // By the kind of hook: one that is well must not hide that another one keeps failing.
  std::int64_t errors_in_a_row_ = 0, reduce_errors_in_a_row_ = 0, timer_errors_in_a_row_ = 0;
  SteadyMs timer_at_ = 0;
  bool quarantined_ = false;
  SteadyMs retry_at_ = 0;
  SteadyMs log_second_ = -1;
  std::uint64_t logged_ = 0, lost_now_ = 0;
  Counter events_, kept_, dropped_, errors_, budget_stops_, skipped_, published_, reduced_, snapshots_,
      refused_publications_, requests_, timers_, log_lines_lost_, operations_, allocated_bytes_;
  Reasons reasons_;

  mutable std::mutex mutex_;  // for what follows; taken on errors and by status(), never by an event that goes well
  bool shown_quarantined_ = false;
  std::string shown_reason_;
  UnixMs shown_since_ = 0;
  std::uint64_t shown_stopped_ = 0;
  std::vector<StoppedChannel> stopped_;
};

class RuleEngine::Chain final : public RuleChain {
 public:
  Chain(Impl& engine, std::span<const std::size_t> rules, std::string_view channel, const Variables& variables)
      : engine_(engine), channel_(channel), variables_(variables) {
    for (const auto rule : rules) slots_.push_back(engine.slots.at(rule).get());
    contexts_.resize(slots_.size());
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slots_[i]->has_state()) state_ = i;
    for (const Slot* slot : slots_) asks_ = asks_ || slot->asks_publishers();
    for (auto& context : contexts_) {
      context.channel = channel_;
      context.variables = &variables_;
    }
  }
  ~Chain() override {
    for (std::size_t i = 0; i < slots_.size(); ++i) slots_[i]->forget(contexts_[i]);
  }

  RuleVerdict run(Draft& draft, std::vector<Draft>& more) override {
    if (!engine_.stopped.empty())
      if (const auto found = engine_.stopped.find(channel_); found != engine_.stopped.end())
        return {false, found->second, true};
    engine_.shared.ready = false;
    engine_.now = 0;
    auto verdict = run_rules(draft, more);
    engine_.hand_over();
    return verdict;
  }

  bool asks_publishers() const override { return asks_; }
  RuleVerdict may_publish(const Identity& who, const Draft& draft) override {
    engine_.shared.ready = false;
    engine_.now = 0;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (!slots_[i]->asks_publishers()) continue;
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
        engine_.shared.ready = false;
        split_.clear();
        if (!one(i, other, split_, last)) continue;
        next_.push_back(std::move(other));
        for (auto& event : split_) next_.push_back(std::move(event));
      }
      if (!others_.empty()) engine_.shared.ready = false;
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
    if (outcome == Outcome::failed && slot.on_error() == RuleOnError::pass) return true;
    last.reason = slot.why();
    last.failed = outcome == Outcome::failed;
    if (last.failed && stop_if_told(i)) last.reason = "channel stopped by a " + last.reason;
    return false;
  }

  // A hook of that rule has failed. Does that stop the channel?
  bool stop_if_told(std::size_t i) {
    Slot& slot = *slots_[i];
    if (slot.on_error() != RuleOnError::stop_channel ||
        engine_.stopped.size() >= static_cast<std::size_t>(engine_.limits.channels))
      return false;
    const std::string reason = "channel stopped by a " + slot.why();
    if (engine_.stopped.emplace(channel_, reason).second) {
      slot.stopped(channel_);
      log::error("rules", "a channel is stopped until the hub is started again",
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
  for (auto& program : programs) impl_->slots.push_back(std::make_unique<Slot>(std::move(program), *impl_));
  for (const auto& slot : impl_->slots)
    if (slot->has_timer()) impl_->with_timer.push_back(slot.get());
}
RuleEngine::~RuleEngine() = default;

std::unique_ptr<RuleChain> RuleEngine::open(std::span<const std::size_t> rules, std::string_view channel,
                                            const Variables& variables) {
  return std::make_unique<Chain>(*impl_, rules, channel, variables);
}

Result<std::string> RuleEngine::request(std::size_t rule, const Identity& who, std::string_view method,
                                        std::string_view params) {
  auto answer = impl_->slots.at(rule)->request(who, method, params);
  impl_->hand_over();
  return answer;
}

std::optional<SteadyMs> RuleEngine::timers() {
  std::optional<SteadyMs> next;
  if (impl_->with_timer.empty()) return next;
  const SteadyMs now = impl_->clock.steady_ms();
  for (Slot* slot : impl_->with_timer)
    if (const auto due = slot->timer(now)) next = std::min(next.value_or(*due), *due);
  impl_->hand_over();
  return next;
}

std::vector<RuleStatus> RuleEngine::status() const {
  std::vector<RuleStatus> out;
  for (const auto& slot : impl_->slots) out.push_back(slot->status());
  return out;
}

}  // namespace weir
