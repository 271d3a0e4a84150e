// Which events the hub has not accepted yet, in the order of emission, and what place of which file each stands for.
// A number names an event to the hub; what it accepts, it accepts with all before.
// Limits: one entry of 32 bytes for each event that is under way; the hub bounds those
// (limits.source_events_in_flight). Threads: [strand].
#pragma once
#include <cstdint>
#include <deque>
#include <set>
#include <utility>

#include "place.hpp"

namespace weir::log_tail {

class Progress {
 public:
  // The event that ends at `place` of the file gets this number; `track` may be null: it has no place.
  std::uint64_t add(TrackPtr track, Place place) {
    waiting_.push_back({std::move(track), place, false});
    return first_ + waiting_.size() - 1;
  }
  // True when places moved on.
  bool accepted(std::uint64_t number) {
    bool moved = false;
    while (!waiting_.empty() && first_ <= number) moved = settle_first() || moved;
    return settle_refused() || moved;
  }
  // The files of the events up to this one that are not accepted yet.
  std::set<TrackPtr> tracks_up_to(std::uint64_t number) const {
    std::set<TrackPtr> tracks;
    for (std::size_t i = 0; i < waiting_.size() && first_ + i <= number; ++i) {
      if (waiting_[i].track != nullptr) tracks.insert(waiting_[i].track);
    }
    return tracks;
  }
  // The hub will never take this one: it holds up nothing.
  bool refused(std::uint64_t number) {
    if (number < first_ || number - first_ >= waiting_.size()) return false;
    waiting_[number - first_].refused = true;
    return settle_refused();
  }

 private:
  struct Entry {
    TrackPtr track;
    Place place;
    bool refused;
  };
  bool settle_refused() {
    bool moved = false;
    while (!waiting_.empty() && waiting_.front().refused) moved = settle_first() || moved;
    return moved;
  }
  bool settle_first() {
    const Entry& first = waiting_.front();
    const bool moved = first.track != nullptr;
    if (moved) first.track->accepted = first.place;
    waiting_.pop_front();
    ++first_;
    return moved;
  }

  std::deque<Entry> waiting_;
  std::uint64_t first_ = 1;  // number of waiting_.front()
};

}  // namespace weir::log_tail
