// One channel as one shard's connections follow it. Threads: [shard].
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "routing/audience.hpp"
#include "routing/frame.hpp"
#include "routing/snapshot.hpp"

namespace weir {

struct Feed {
  std::uint64_t id = 0;
  std::string channel;
  const ChannelRoute* route = nullptr;
  std::string epoch;
  SequenceId last = 0;  // the newest event that came by
  // The owner is known to send us the channel's events. Not so when a feed comes to be by what the owner told about
  // channels that match a pattern: a Detach of ours may have crossed that. A Read settles it, because it asks for the
  // events as well.
  bool sure = false;
  std::size_t by_name = 0;  // grants of subscriptions to this very channel
  Audience live;
  std::vector<Attachment*> attachments;  // all of them
  // The last snapshot that somebody got, as long as it is on its way to anybody: many who lag get the same.
  std::weak_ptr<const SharedBytes> snapshot;
  const Snapshot* snapshot_of = nullptr;
};

}  // namespace weir
