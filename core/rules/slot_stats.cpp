#include "rules/slot_stats.hpp"

namespace weir::rules {

void SlotStats::failed(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  reason_ = reason;
}

void SlotStats::quarantined(UnixMs since) {
  const std::lock_guard lock(mutex_);
  quarantined_ = true;
  since_ = since;
}

void SlotStats::released() {
  const std::lock_guard lock(mutex_);
  quarantined_ = false;
}

void SlotStats::stopped(const std::string& channel) {
  const std::lock_guard lock(mutex_);
  ++channels_stopped_;
  if (stopped_.size() < RuleStatus::kStoppedShown) stopped_.push_back({channel, reason_});
}

void SlotStats::begin_anew() {
  reloads.add();
  const std::lock_guard lock(mutex_);
  quarantined_ = false;
  reason_.clear();
  channels_stopped_ = 0;
  stopped_.clear();
}

bool SlotStats::metric(std::string_view name, double by) {
  const std::lock_guard lock(mutex_);
  auto found = metrics_.find(name);
  if (found == metrics_.end()) {
    if (metrics_.size() >= kMetricsMax) return false;
    found = metrics_.emplace(name, 0).first;
  }
  found->second += by;
  return true;
}

RuleStatus SlotStats::status() const {
  RuleStatus out;
  out.script = script_;
  {
    const std::lock_guard lock(mutex_);
    out.quarantined = quarantined_;
    out.reason = reason_;
    out.quarantined_since = since_;
    out.channels_stopped = channels_stopped_;
    out.stopped = stopped_;
    out.metrics.assign(metrics_.begin(), metrics_.end());
  }
  out.events = events.get();
  out.kept = kept.get();
  out.dropped = dropped.get();
  out.errors = errors.get();
  out.budget_stops = budget_stops.get();
  out.skipped = skipped.get();
  out.published = published.get();
  out.reduced = reduced.get();
  out.snapshots = snapshots.get();
  out.refused = refused.get();
  out.subscriptions_refused = subscriptions.get();
  out.requests = requests.get();
  out.timers = timers.get();
  out.log_lines_lost = log_lines_lost.get();
  out.operations = operations.get();
  out.allocated_bytes = allocated_bytes.get();
  out.reloads = reloads.get();
  out.reasons = reasons.get();
  return out;
}

}  // namespace weir::rules
