// What shards say to each other. A mailbox between two shards keeps its order, and the promises rest on that: whatever
// a channel's shard sent before an answer has arrived before the answer. "owner" is the shard that owns the channel,
// "subscriber" the one that owns the connection; both may be the same. Threads: plain values, moved.
#pragma once
#include <compare>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/position.hpp"
#include "routing/channel_log.hpp"
#include "routing/filter.hpp"
#include "routing/pattern.hpp"
#include "routing/snapshot.hpp"

namespace weir::mail {

// --- subscriber to owner ---
struct Attach {  // send me the channel's events from now on, and tell me where it stands
  ShardId from;
  std::uint64_t attachment, request;
  std::string channel;
  ReplayRequest replay;
  FilterPtr filter;  // for counting what is replayed
};
struct Detach {  // nobody here wants the channel any more
  ShardId from;
  std::string channel;
  bool by_name_only = false;  // patterns still do
};
struct Read {  // the next stretch of history
  ShardId from;
  std::uint64_t attachment;
  std::uint64_t read;  // comes back with the answer: an answer to an earlier question is none to this one
  std::string channel;
  Position since;
  std::vector<std::string> snapshots{};  // not empty: the channel's state instead, once for each of these params
};
struct Watch {  // the same for all channels that match, those there are and those to come
  ShardId from;
  std::uint64_t watch;
  Pattern pattern;
  ReplayRequest replay;
  // For finding what this subscriber may and wants to see of each.
  std::shared_ptr<const Identity> who;
  std::string params;
  FilterPtr filter;  // the client's own; null: none
};
struct Unwatch {
  ShardId from;
  std::string pattern;
};
struct Publish {
  std::string channel;
  Draft draft;
  Ticket ticket;
};
struct Ask {  // a request for the rule of a method, which lives on one shard
  ShardId from;
  ConnectionId connection;
  std::string id;              // JSON text
  std::string method, params;  // params: JSON text
  SteadyMs deadline;           // afterwards nobody waits for it any more
  std::shared_ptr<const Identity> who;
};
struct SourceGap {  // a source lost something
  std::string source;
  std::vector<std::string> channels;  // empty: all that it feeds, or ...
  std::optional<Pattern> subject;     // ... of those on demand the ones that such subjects feed
  std::uint64_t count;
  std::string reason;
  std::function<void()> told{};  // called when this shard has told it
};

// What sources on demand say. Of one subject, in the order in which it happened: so whoever has read that a subject is
// at work, and not yet that another is not any more, knows that nothing was missed in between.
struct Subject {
  std::string source, subject;
  auto operator<=>(const Subject&) const = default;
};
struct Awake {
  std::string what;                  // the channel, or a pattern
  std::uint64_t ask = 0;             // which question this answers: the channel may have asked anew; 0: a pattern
  std::optional<Error> error{};      // all of its sources say that there is no such thing, or that they can't now
  std::optional<Subject> at_work{};  // nothing: those who wait have waited long enough, or the last one said no
  bool more = false;                 // others of its sources have not answered yet
  // Of a channel: a source of it is not at work yet, or can't be now, and is waited for no longer. Of a pattern: so it
  // was with this one until now.
  bool late = false;
};
struct Asleep {  // it has been let go of: nobody had watched for a while
  std::string what;
  Subject subject;
};
struct Anew {           // these channels have to be asked for again (a reload): ...
  std::string source;   // ... all that are fed by it on demand, as it is another instance, or ...
  std::string channel;  // ... this one
};

// --- owner to subscriber ---
struct Attached {
  std::uint64_t attachment = 0, request = 0;
  std::string channel;
  std::string epoch;
  SequenceId head = 0;         // the newest event when this was written
  SequenceId start = 0;        // where the subscription begins: everything behind it is delivered
  std::uint64_t replayed = 0;  // events up to head that match
  bool recovered = false;
  std::optional<Gap> gap;
  std::vector<EventPtr> picked;  // replay "last": exactly these
  std::optional<Error> error;    // the channel can't be opened
};
struct Chunk {
  std::uint64_t attachment, read;
  std::string channel, epoch;
  std::vector<EventPtr> events;
  SequenceId upto, head;
  std::optional<Gap> gap;
  bool over = false;  // the channel was let go
  struct State {
    std::string params;
    SnapshotPtr snapshot;  // at `head`; null: it failed
  };
  std::vector<State> states{};  // not empty: the answer to Read::snapshots
  std::string state_error{};    // why one failed
};
struct Watched {
  std::uint64_t watch;
  std::vector<Attached> channels;
};
struct ChannelOpened {  // a channel that somebody here watches for has come to be
  std::string channel, epoch;
};
struct ChannelLetGo {  // its history has ended, and no event of it comes before it is opened again
  std::string channel, epoch;
  SequenceId head;
  // room: it had to make some; gone: it is not in the manifest any more; anew: its source begins again.
  enum class Why : std::uint8_t { room, gone, anew } why = Why::room;
};
struct Delivery {
  EventPtr event;
};
struct Settled {  // a publication of that connection has its place, and nobody asked where
  ConnectionId connection;
};
struct GapNotice {
  std::string channel;
  Gap gap;
};
struct Behind {  // events were held back because your mailbox was full; they are in history
  std::string channel, epoch;
  SequenceId head;
};
struct Answer {
  ConnectionId connection;
  std::string id;
  Result<std::string> result;  // JSON text
};
struct Published {
  ConnectionId connection;
  std::string id;
  std::string channel;
  PublishOutcome outcome;
};

}  // namespace weir::mail

namespace weir {

// Delivery and Settled come by the million, so they lie inside; the others are boxed to keep a Mail small.
using Mail =
    std::variant<mail::Delivery, mail::Settled, std::unique_ptr<mail::Publish>, std::unique_ptr<mail::Published>,
                 std::unique_ptr<mail::Attach>, std::unique_ptr<mail::Detach>, std::unique_ptr<mail::Read>,
                 std::unique_ptr<mail::Watch>, std::unique_ptr<mail::Unwatch>, std::unique_ptr<mail::SourceGap>,
                 std::unique_ptr<mail::Attached>, std::unique_ptr<mail::Chunk>, std::unique_ptr<mail::Watched>,
                 std::unique_ptr<mail::ChannelOpened>, std::unique_ptr<mail::ChannelLetGo>,
                 std::unique_ptr<mail::GapNotice>, std::unique_ptr<mail::Behind>, std::unique_ptr<mail::Awake>,
                 std::unique_ptr<mail::Asleep>, std::unique_ptr<mail::Anew>, std::unique_ptr<mail::Ask>,
                 std::unique_ptr<mail::Answer>>;

template <class T>
Mail letter(T content) {
  return Mail(std::make_unique<T>(std::move(content)));
}

}  // namespace weir
