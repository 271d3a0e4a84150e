#include "plugin_host/outlet.hpp"

#include <array>
#include <utility>

namespace weir {
namespace {
constexpr std::size_t kBatch = 256;
constexpr int kBatchesInARow = 8;         // then other tasks of the strand get their turn
constexpr std::int64_t kRetryMs = 1'000;  // after a status that says nothing useful

weir_str str(std::string_view text) { return {text.data(), text.size()}; }
}  // namespace

std::size_t Outlet::offer(std::span<Outgoing> events) {
  std::size_t taken = 0;
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (gone_) return 0;  // the next one says when there is room
    for (; taken < events.size(); ++taken) {
      const std::size_t size = size_of(events[taken]);
      // One that is larger than all of the room goes alone.
      if (!waiting_.empty() && (waiting_.size() >= bounds_.events || bytes_ + size > bounds_.bytes)) break;
      bytes_ += size;
      waiting_.push_back(std::move(events[taken]));
    }
    if (taken < events.size()) refused_ = true;
    if (taken != 0) first = !std::exchange(posted_, true);
  }
  if (first) ports_.post();
  return taken;
}

void Outlet::wake() {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = !std::exchange(posted_, true);
  }
  if (first) ports_.post();
}

void Outlet::ready() {
  ++readies_;
  wake();
}

void Outlet::use(const Bounds& bounds) {
  const std::lock_guard lock(mutex_);
  bounds_ = bounds;
}

std::size_t Outlet::size() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

std::size_t Outlet::hand_on(Outlet* next) {
  std::deque<Outgoing> old;
  std::size_t bytes;
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    old.swap(waiting_);
    bytes = std::exchange(bytes_, 0);
  }
  if (next == nullptr || old.empty()) return old.size();
  {
    const std::lock_guard lock(next->mutex_);
    for (Outgoing& o : next->waiting_) old.push_back(std::move(o));
    next->waiting_.swap(old);
    next->bytes_ += bytes;
  }
  next->wake();
  return 0;
}

void Outlet::retry() {
  retry_ = false;
  ready();
}

void Outlet::pump() {
  {
    const std::lock_guard lock(mutex_);
    posted_ = false;
  }
  for (int i = 0; i < kBatchesInARow; ++i)
    if (!deliver_some()) return;
  wake();
}

bool Outlet::deliver_some() {
  if (held_ && readies_ == seen_ready_) return false;
  held_ = false;
  seen_ready_ = readies_;
  std::array<weir_event, kBatch> batch;
  std::array<Outgoing, kBatch> held;  // a plugin that hangs reads them still when they are not waiting here any more
  std::uint32_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = waiting_.begin(); it != waiting_.end() && count < kBatch; ++it, ++count) {
      held[count] = *it;
      const Event& e = *it->event;
      batch[count] = {sizeof(weir_event), WEIR_DATA_JSON, str(*it->subject), str(e.name()), str(e.data()),
                      str(e.id()),        str(e.key()),   {nullptr, 0},      e.time_ms()};
    }
  }
  if (count == 0) return false;
  std::uint32_t taken = 0;
  weir_status status = ports_.deliver(batch.data(), count, &taken);
  if (taken > count) {
    ports_.misbehaving("deliver() says that it took " + std::to_string(taken) + " of " + std::to_string(count) +
                       " events");
    taken = count;
  }
  std::uint32_t gone = taken;
  bool go_on = true;
  switch (status) {
    case WEIR_OK:
      if (taken == count) break;
      ports_.misbehaving("deliver() took " + std::to_string(taken) + " of " + std::to_string(count) +
                         " events and returned OK; WEIR_E_FULL says that the rest is to come later");
      [[fallthrough]];
    case WEIR_PAUSE:
    case WEIR_E_FULL:
      held_ = true;
      go_on = readies_ != seen_ready_;  // it may have said so on another thread while it returned
      break;
    case WEIR_E_INVALID:
      if (taken < count) ++gone, ++counts_.undeliverable;
      break;
    default:
      // It has nothing to say about when: it is asked again.
      if (status != WEIR_E_UNAVAILABLE && status != WEIR_E_TIMEOUT && !retry_)
        ports_.misbehaving("deliver() returned the status " + std::to_string(status));
      if (!std::exchange(retry_, true)) ports_.retry_later(kRetryMs);
      held_ = true;
      go_on = readies_ != seen_ready_;
  }
  counts_.sent += taken;
  bool room = false;
  {
    const std::lock_guard lock(mutex_);
    if (gone_) return false;
    for (std::uint32_t i = 0; i < gone; ++i) {
      bytes_ -= size_of(waiting_.front());
      waiting_.pop_front();
    }
    if (refused_ && waiting_.size() <= bounds_.events / 2 && bytes_ <= bounds_.bytes / 2) {
      refused_ = false;
      room = true;
    }
  }
  if (room) ports_.room();
  return go_on;
}

}  // namespace weir
