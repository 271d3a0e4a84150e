// One connection's interest in one channel, whatever number of its subscriptions it comes from, and how far it has
// come. Each of them is in one of these states:
//
//   asked ──Attached──▶ reading ──caught up──▶ live ──outbox full──▶ reading ──▶ ...
//                          ▲  └── room in the outbox: next chunk of history
//
// A live attachment is pushed events; a reading one pulls them from history at its own pace, so a slow reader costs
// nothing, and replay of any length and catching up after an overflow are the same thing. On a channel whose overflow
// policy loses events instead, a live attachment without room lags (lag.hpp). Where the channel has a state, a reading
// attachment asks for that before it goes on whenever one of its grants is owed it, and so does one that lags, where
// the policy is `snapshot`. Threads: [shard].
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "routing/connection.hpp"
#include "routing/filter.hpp"
#include "routing/lag.hpp"

namespace weir {

struct Feed;
struct SubscribeGroup;

// Why a grant waits for the channel's state.
enum class Owed : std::uint8_t {
  none,
  start,   // its subscription begins there
  again,   // something was lost: events that the snapshot has in it come as replays
  lagged,  // it takes the place of what its lag would have been
};

struct Grant {
  const Subscription* subscription;
  FilterPtr filter;     // the client's own and the mandatory one, both
  SequenceId head = 0;  // where the channel stood when it was asked for: events up to here are replays
  SequenceId from =
      0;  // events up to here are not wanted, or were delivered: history may be read again for another grant
  Owed snapshot = Owed::none;
  bool part = false;  // a rule let it see only some of the channel, so the channel's state is not for it
};

struct Attachment {
  enum class State : std::uint8_t { asked, held, reading, live };
  std::uint64_t id = 0;
  std::uint64_t request = 0;  // the newest Attach; answers to earlier ones are void
  bool placed = false;        // `at` means something
  Connection* connection = nullptr;
  Feed* feed = nullptr;
  State state = State::asked;
  std::uint64_t read = 0;   // the Read that is under way; 0: none
  std::uint32_t holds = 0;  // subscribe frames that have to be answered before it starts
  bool ended = false;       // held: its channel has ended already
  bool waits = false;       // stands in connection->waiting
  bool queues = false;      // stands in connection->queued
  bool fetches = false;     // counts in connection->fetching
  std::vector<Grant> grants;
  SequenceId at = 0;            // everything up to here was delivered or did not match
  std::vector<EventPtr> chunk;  // from history, not yet delivered from chunk_next on
  std::size_t chunk_next = 0;
  bool chunked = false;  // there is a chunk, maybe an empty one; `at` moves only as it is delivered
  SequenceId chunk_upto = 0;
  const Subscription* picked_for = nullptr;  // the chunk is what "last" picked for it; `at` does not count by these
  std::optional<Gap> chunk_gap;              // to be said before the chunk
  const Subscription* gap_for = nullptr;     // whose replay has that hole; null: reading on from history found it
  std::unique_ptr<Gap> source_gap;           // what its sources have lost; to be said before any event behind it
  std::unique_ptr<Lag> lag;                  // live: what it is owed since its outbox was full
  std::shared_ptr<SubscribeGroup> group;     // asked: the subscribe frame that waits for this channel's answer
  void* audience_group = nullptr;            // live: where it stands in the audience
  std::uint32_t audience_index = 0;
  std::uint32_t feed_index = 0;
};

}  // namespace weir
