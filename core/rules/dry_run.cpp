#include "rules/dry_run.hpp"

#include <algorithm>
#include <chrono>
#include <istream>
#include <limits>
#include <map>
#include <ostream>

#include "base/clock.hpp"
#include "rules/engine.hpp"
#include "rules/event_lines.hpp"

namespace weir {
namespace {

class Collected final : public RuleOutput {
 public:
  void publish(std::string channel, Draft draft) override { events.emplace_back(std::move(channel), std::move(draft)); }
  std::vector<std::pair<std::string, Draft>> events;
};

// One rule in an engine of its own, with the chains of the channels that came up so far.
class Bench {
 public:
  static Result<std::unique_ptr<Bench>> open(const RuleSettings& settings, const Limits& limits,
                                             const DryRunInput& input) {
    auto program = RuleProgram::load(settings, limits);
    if (!program) return program.error();
    std::unique_ptr<Bench> made(new Bench(*program, limits, input));
    if (auto chain = made->chain(input.channel); !chain && !input.pattern) return chain.error();
    return made;
  }

  // Errors: bad_request - the name is none, or does not match the pattern.
  Result<RuleChain*> chain(const std::string& channel) {
    if (const auto found = chains_.find(channel); found != chains_.end()) return found->second.get();
    if (auto good = check_channel_name(channel); !good) return good.error();
    Variables variables;
    if (input_.pattern) {
      auto matched = input_.pattern->match(channel);
      if (!matched)
        return fail(Errc::bad_request, "the channel " + json::quoted(channel) + " does not match the pattern " +
                                           json::quoted(input_.pattern->text()));
      variables = std::move(*matched);
    }
    static constexpr std::size_t kTheRule[] = {0};
    return chains_.emplace(channel, engine_.open(kTheRule, channel, variables)).first->second.get();
  }

  RuleVerdict run(RuleChain& chain, Draft& draft, std::vector<Draft>& more) {
    const auto start = std::chrono::steady_clock::now();
    RuleVerdict verdict = chain.run(draft, more);
    const auto took = std::chrono::steady_clock::now() - start;
    took_.push_back(std::chrono::duration_cast<std::chrono::nanoseconds>(took).count());
    return verdict;
  }

  // What the hub does once an event has its place.
  void reduce(const std::string& channel, Draft draft) {
    if (draft.time_ms == 0) draft.time_ms = system_clock().unix_ms();
    chains_.at(channel)->reduce(*Event::make(channel, "run", ++places_[channel], draft));
  }
  void tell_states(std::ostream& notes) {
    for (const auto& [channel, chain] : chains_) {
      if (!chain->has_state()) continue;
      const auto state = chain->snapshot("{}");
      notes << "state of " << channel << ": " << (state ? *state : state.error().message) << "\n";
    }
  }

  void forget_times() { took_.clear(); }
  std::vector<std::pair<std::string, Draft>>& published() { return output_.events; }

  DryRunTotals totals() {
    const RuleStatus status = engine_.status().front();
    DryRunTotals t;
    t.events = status.events;
    t.kept = status.kept;
    t.dropped = status.dropped;
    t.failed = status.errors;
    t.published = status.published;
    t.reasons = status.reasons;
    t.operations = status.operations;
    t.allocated_bytes = status.allocated_bytes;
    if (took_.empty()) return t;
    std::sort(took_.begin(), took_.end());
    t.median_ns = took_[(took_.size() - 1) / 2];
    t.p99_ns = took_[took_.size() * 99 / 100];
    t.slowest_ns = took_.back();
    return t;
  }

 private:
  Bench(std::shared_ptr<const RuleProgram> program, const Limits& limits, const DryRunInput& input)
      : limits_(patient(limits)), input_(input), engine_({std::move(program)}, output_, system_clock(), limits_) {}
  static Limits patient(Limits limits) {
    limits.rule_errors_in_a_row = std::numeric_limits<std::int64_t>::max();
    return limits;
  }

  const Limits limits_;
  const DryRunInput& input_;
  Collected output_;
  RuleEngine engine_;
  std::map<std::string, std::unique_ptr<RuleChain>> chains_;
  std::map<std::string, SequenceId> places_;
  std::vector<std::int64_t> took_;
};

// The events of a stream, one a line; empty lines are none.
class Lines {
 public:
  Lines(std::istream& in, const DryRunInput& input) : in_(in), input_(input) {}
  bool next() {
    while (std::getline(in_, line_)) {
      ++number_;
      if (!line_.empty() && line_.back() == '\r') line_.pop_back();
      if (line_.find_first_not_of(" \t") != std::string::npos) return true;
    }
    return false;
  }
  std::string where() const { return input_.name + ":" + std::to_string(number_) + ": "; }
  // Without its folder, as log-tail gives it.
  std::string_view file_name() const { return std::string_view(input_.name).substr(input_.name.find_last_of('/') + 1); }
  Result<rules::EventLine> event() {
    if (input_.log_lines) return rules::EventLine{rules::draft_of_log_line(line_, file_name()), {}};
    return rules::read_event_line(line_, doc_);
  }

 private:
  std::istream& in_;
  const DryRunInput& input_;
  std::string line_;
  std::size_t number_ = 0;
  json::Doc doc_;
};

const std::string& channel_of(const rules::EventLine& line, const DryRunInput& input) {
  return line.channel.empty() ? input.channel : line.channel;
}

}  // namespace

Result<DryRunTotals> dry_run(const RuleSettings& settings, const Limits& limits, const DryRunInput& input,
                             std::istream& in, std::ostream& out, std::ostream& notes) {
  auto bench = Bench::open(settings, limits, input);
  if (!bench) return bench.error();
  std::uint64_t unreadable = 0;
  for (Lines lines(in, input); lines.next();) {
    auto line = lines.event();
    auto chain = line ? (*bench)->chain(channel_of(*line, input)) : Result<RuleChain*>(line.error());
    if (!chain) {
      ++unreadable;
      notes << lines.where() << chain.error().message << "\n";
      continue;
    }
    std::vector<Draft> more;
    const RuleVerdict verdict = (*bench)->run(**chain, line->draft, more);
    if (verdict.keep && (*chain)->has_state()) {
      (*bench)->reduce(channel_of(*line, input), line->draft);
      for (const Draft& draft : more) (*bench)->reduce(channel_of(*line, input), draft);
    }
    if (verdict.keep) out << rules::event_line(line->draft, line->channel);
    for (const Draft& draft : more) out << rules::event_line(draft, line->channel);
    for (const auto& [channel, draft] : (*bench)->published()) out << rules::event_line(draft, channel);
    (*bench)->published().clear();
    if (verdict.keep) continue;
    notes << lines.where() << (verdict.failed ? "" : "dropped");
    if (!verdict.reason.empty()) notes << (verdict.failed ? "" : ": ") << verdict.reason;
    notes << "\n";
  }
  if (in.bad()) return fail(Errc::bad_request, input.name + ": can't be read to its end");
  (*bench)->tell_states(notes);
  DryRunTotals totals = (*bench)->totals();
  totals.unreadable = unreadable;
  return totals;
}

Result<DryRunTotals> bench_rule(const RuleSettings& settings, const Limits& limits, const DryRunInput& input,
                                std::istream& in, double seconds) {
  auto bench = Bench::open(settings, limits, input);
  if (!bench) return bench.error();
  std::vector<std::pair<RuleChain*, Draft>> events;
  for (Lines lines(in, input); lines.next();) {
    auto line = lines.event();
    auto chain = line ? (*bench)->chain(channel_of(*line, input)) : Result<RuleChain*>(line.error());
    if (!chain) return fail(chain.error().code, lines.where() + chain.error().message);
    events.emplace_back(*chain, std::move(line->draft));
  }
  if (in.bad()) return fail(Errc::bad_request, input.name + ": can't be read to its end");
  if (events.empty()) return fail(Errc::bad_request, input.name + ": no events");

  constexpr std::size_t kTimesMax = 1'000'000;  // 8 MB of them
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  std::vector<Draft> more;
  std::size_t ran = 0;
  for (bool warm = false; std::chrono::steady_clock::now() < end && ran < kTimesMax; warm = true) {
    for (const auto& [chain, event] : events) {
      Draft draft = event;
      more.clear();
      (void)(*bench)->run(*chain, draft, more);
      (*bench)->published().clear();
    }
    if (!warm)
      (*bench)->forget_times();  // the first round made the Lua state
    else
      ran += events.size();
  }
  return (*bench)->totals();
}

}  // namespace weir
