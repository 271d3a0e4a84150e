#include "routing/lag.hpp"

namespace weir {

// Puts what was missed earlier in front of a hole that follows it directly.
void Lag::extend(Hole& hole, const Hole& earlier) {
  if (earlier.count == 0) return;
  if (hole.count == 0) {
    hole = earlier;
    return;
  }
  hole.from = earlier.from;
  hole.count += earlier.count;
}

void Lag::miss(Items::iterator item) {
  const auto following = std::next(item);
  Hole& hole = following == items_.end() ? tail_ : following->before;
  const SequenceId id = item->event->sequence_id();
  extend(hole, {id, id, 1});
  extend(hole, item->before);
  bytes_ -= item->event->memory();
  if (policy_ == OverflowPolicy::latest) by_key_.erase(item->event->key());
  items_.erase(item);
}

void Lag::add(EventPtr event, std::size_t room) {
  if (policy_ == OverflowPolicy::drop_newest || policy_ == OverflowPolicy::snapshot) {
    const SequenceId id = event->sequence_id();
    if (tail_.count == 0) tail_.from = id;
    tail_.to = id;
    ++tail_.count;
    return;
  }
  if (policy_ == OverflowPolicy::latest)
    if (const auto earlier = by_key_.find(event->key()); earlier != by_key_.end()) miss(earlier->second);
  bytes_ += event->memory();
  items_.push_back({std::exchange(tail_, {}), std::move(event)});
  if (policy_ == OverflowPolicy::latest) by_key_.emplace(items_.back().event->key(), std::prev(items_.end()));
  while (bytes_ > room && !items_.empty()) miss(items_.begin());
}

std::optional<Lag::Item> Lag::next() {
  if (items_.empty()) {
    if (tail_.count == 0) return std::nullopt;
    return Item{std::exchange(tail_, {}), nullptr};
  }
  Item item = std::move(items_.front());
  if (policy_ == OverflowPolicy::latest) by_key_.erase(item.event->key());
  bytes_ -= item.event->memory();
  items_.pop_front();
  return item;
}

SequenceId Lag::first() const {
  if (items_.empty()) return tail_.from;
  const Item& oldest = items_.front();
  return oldest.before.count != 0 ? oldest.before.from : oldest.event->sequence_id();
}

Lag::Hole Lag::all() const {
  Hole hole;
  hole.from = first();
  for (const Item& item : items_) {
    hole.count += item.before.count + 1;
    hole.to = item.event->sequence_id();
  }
  if (tail_.count != 0) hole.to = tail_.to;
  hole.count += tail_.count;
  return hole;
}

}  // namespace weir
