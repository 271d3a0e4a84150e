#include "routing/memory_log.hpp"

namespace weir {

std::uint64_t HistoryBudget::join(MemoryLog* log) {
  logs_.emplace(next_id_, log);
  return next_id_++;
}

void HistoryBudget::added(std::uint64_t log, SequenceId sequence_id, std::size_t bytes) {
  bytes_ += bytes;
  ++events_;
  order_.push_back({log, sequence_id});
  while (bytes_ > bytes_max_ && !order_.empty()) {
    const Entry oldest = order_.front();
    order_.pop_front();
    const auto found = logs_.find(oldest.log);
    if (found != logs_.end() && found->second->first() == oldest.sequence_id) found->second->drop_oldest();
  }
  // Events that left for other reasons stay behind as entries; clear them away once they are the greater part.
  if (order_.size() > 2 * events_ + 1024) compact();
}

void HistoryBudget::compact() {
  std::deque<Entry> live;
  for (const Entry& e : order_) {
    const auto found = logs_.find(e.log);
    if (found != logs_.end() && e.sequence_id >= found->second->first()) live.push_back(e);
  }
  order_.swap(live);
}

MemoryLog::MemoryLog(std::string channel, std::string epoch, const HistoryRule& rule, HistoryBudget& budget, Sink& sink,
                     const Clock& clock, IdMaker& ids)
    : channel_(std::move(channel)),
      epoch_(std::move(epoch)),
      rule_(rule),
      budget_(budget),
      id_(budget.join(this)),
      sink_(sink),
      clock_(clock),
      ids_(ids) {}

MemoryLog::~MemoryLog() {
  while (!kept_.empty()) drop_oldest();
  budget_.leave(id_);
}

void MemoryLog::append(Draft&& draft, Ticket&& ticket) {
  const UnixMs now = clock_.unix_ms();
  if (draft.time_ms == 0) draft.time_ms = now;
  auto event =
      Event::make(channel_, epoch_, ++head_, draft, draft.id.empty() ? ids_.event_id(now) : std::string_view(draft.id));
  const SteadyMs since = rule_.age_max_ms == 0 ? 0 : clock_.steady_ms();
  prune(since);
  const std::size_t size = event->memory();
  if (rule_.events_max != 0 && size <= rule_.bytes_max) {
    while (!kept_.empty() && (kept_.size() >= rule_.events_max || bytes_ + size > rule_.bytes_max)) drop_oldest();
    kept_.push_back({event, since});
    bytes_ += size;
    budget_.added(id_, head_, size);
  } else {
    // An event that can't be kept leaves a hole, so nothing before it may be kept either: history has no holes.
    while (!kept_.empty()) drop_oldest();
  }
  sink_.committed(std::move(event), std::move(ticket));
}

void MemoryLog::drop_oldest() {
  const std::size_t size = kept_.front().event->memory();
  bytes_ -= size;
  budget_.removed(size);
  kept_.pop_front();
}

void MemoryLog::keep(const HistoryRule& rule) {
  // Where nothing grew old, nobody knows since when events are here: they have their time from now on.
  if (rule_.age_max_ms == 0 && rule.age_max_ms != 0)
    for (Kept& kept : kept_) kept.since = clock_.steady_ms();
  rule_ = rule;
}

void MemoryLog::prune(SteadyMs now) {
  if (rule_.age_max_ms == 0) return;
  while (!kept_.empty() && now - kept_.front().since > rule_.age_max_ms) drop_oldest();
}

void MemoryLog::read(SequenceId since, std::size_t events_max, std::size_t bytes_max, ReadDone done) {
  prune(clock_.steady_ms());
  Slice slice;
  slice.upto = std::max(since, first() - 1);
  std::size_t bytes = 0;
  for (std::size_t i = slice.upto + 1 - first(); i < kept_.size(); ++i) {
    const EventPtr& event = kept_[i].event;
    bytes += event->frame().size();
    if (!slice.events.empty() && (slice.events.size() >= events_max || bytes > bytes_max)) break;
    slice.events.push_back(event);
    slice.upto = event->sequence_id();
  }
  done(std::move(slice));
}

void MemoryLog::walk_back(const std::function<bool(const EventPtr&)>& f) const {
  for (auto it = kept_.rbegin(); it != kept_.rend(); ++it)
    if (!f(it->event)) return;
}

}  // namespace weir
