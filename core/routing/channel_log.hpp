// Where a channel's events get their place and rest. Behind this one interface stand the memory ring of this version, a
// store that commits what the hub numbered, and a store that numbers by itself and hands the events to several hubs.
// What they share: append() promises nothing yet. An event exists when the log says committed(), and only then is it
// delivered and its publisher answered. So what is acknowledged, when, and in which order is decided in one place,
// Channel::committed. Threads: [channel].
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "protocol/position.hpp"
#include "routing/draft.hpp"
#include "routing/event.hpp"
#include "routing/identity.hpp"
#include "routing/routes.hpp"

namespace weir {

using ShardId = std::uint32_t;
using ConnectionId = std::uint64_t;  // unique in the hub; 0: none

// What became of a publication.
struct PublishOutcome {
  Position at{};
  bool duplicate = false;  // `dedupe` was seen before; `at` is where the first one went
  bool dropped = false;    // a rule dropped it
  std::string reason{};
  std::optional<Error> error{};
};

// Waits for a publication that did not come from a connection. Called once, on the channel's shard.
class PublishWaiter {
 public:
  virtual ~PublishWaiter() = default;
  virtual void published(std::string_view channel, const PublishOutcome& outcome) = 0;
};

// Who gets the answer. Empty: nobody asks.
struct Ticket {
  ShardId shard = 0;
  ConnectionId connection = 0;
  std::string id;  // JSON text of the client's id
  std::shared_ptr<PublishWaiter> waiter;
  std::shared_ptr<const Identity> who;  // the client, where a rule asks (ChannelRoute::asks_publishers)
  std::string dedupe;  // filled in by the channel: the publisher's id, remembered once the event has its place
};

class ChannelLog {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    // In the channel's order. `ticket` is empty when the event came from another hub.
    virtual void committed(EventPtr event, Ticket&& ticket) = 0;
    virtual void refused(Ticket&& ticket, Error error) = 0;
  };
  struct Slice {
    std::vector<EventPtr> events;  // oldest first
    SequenceId upto = 0;           // everything up to here was looked at; go on behind it
  };

  virtual ~ChannelLog() = default;
  // Leads to exactly one committed() or refused(), now or later.
  virtual void append(Draft&& draft, Ticket&& ticket) = 0;
  virtual const std::string& epoch() const = 0;
  virtual SequenceId head() const = 0;   // of the newest committed event; 0: none yet
  virtual SequenceId first() const = 0;  // of the oldest one kept; head() + 1 when none is
  // The events behind `since`, at most so many and so many bytes (at least one, if there is one). `done` is called
  // once.
  using ReadDone = std::function<void(Slice)>;
  virtual void read(SequenceId since, std::size_t events_max, std::size_t bytes_max, ReadDone done) = 0;
  // Walks back from the newest event while `f` says so. For finding the last N and the last of each name.
  virtual void walk_back(const std::function<bool(const EventPtr&)>& f) const = 0;
  virtual std::size_t events() const = 0;
  virtual std::size_t bytes() const = 0;
  virtual void prune(SteadyMs now) = 0;            // lets events go that are too old
  virtual void keep(const HistoryRule& rule) = 0;  // from now on (a reload); what is too much goes with the next event
};

}  // namespace weir
