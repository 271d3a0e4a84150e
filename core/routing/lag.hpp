// What one subscription is owed while its connection's outbox is full, on a channel whose overflow policy loses events
// rather than making anybody wait:
//   drop_newest  nothing is kept; everything that comes meanwhile is missed
//   snapshot     likewise; the channel's state comes in its place
//   drop_oldest  the newest are kept, as many bytes as there is room for; the oldest are missed
//   latest       the newest of each key is kept, those that it supersedes are missed; beyond the room the oldest go
// What was missed is known exactly: each run of missed events becomes one Hole, which is said at its place between the
// events that were kept. Threads: [shard].
#pragma once
#include <list>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "protocol/position.hpp"
#include "routing/event.hpp"
#include "routing/routes.hpp"

namespace weir {

class Lag {
 public:
  struct Hole {
    SequenceId from = 0, to = 0;  // of the first and the last event that was missed
    std::uint64_t count = 0;      // how many that the subscription wanted
  };
  struct Item {
    Hole before;     // missed between the item before this one and this one; count 0: none
    EventPtr event;  // null: the hole is all there is, so far
  };
  // `first` could not be delivered. policy: one of the four.
  Lag(OverflowPolicy policy, EventPtr first, std::size_t room) : policy_(policy) { add(std::move(first), room); }

  // Another event that is wanted. `room`: how many bytes all that it keeps may take.
  void add(EventPtr event, std::size_t room);
  // The oldest there is to say or to deliver; nothing when all has been taken.
  std::optional<Item> next();
  bool empty() const { return items_.empty() && tail_.count == 0; }
  SequenceId first() const;  // the sequence id of the oldest event that was missed or is kept; 0: none
  std::size_t bytes() const { return bytes_; }  // kept
  // Everything that is kept or missed as one hole.
  Hole all() const;

 private:
  using Items = std::list<Item>;
  void miss(Items::iterator item);  // an item that was kept is missed after all
  static void extend(Hole& earlier_part_of, const Hole& earlier);

  const OverflowPolicy policy_;
  Items items_;                                                   // oldest first
  Hole tail_;                                                     // missed behind the newest item
  std::unordered_map<std::string_view, Items::iterator> by_key_;  // latest; the text lies in the item's event
  std::size_t bytes_ = 0;
};

}  // namespace weir
