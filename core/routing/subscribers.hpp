// The subscribers' side of one shard: which of its connections want which channels, how far each has come, and what to
// do when one can't keep up. Every subscription of a connection to one channel is an Attachment in one of these states:
//
//   asked ──Attached──▶ reading ──caught up──▶ live ──outbox full──▶ reading ──▶ ...
//                          ▲  └── room in the outbox: next chunk of history
//
// A live attachment is pushed events; a reading one pulls them from history at its own pace, so a slow reader costs
// nothing, and replay of any length and catching up after an overflow are the same thing. A connection gets each event
// of a channel once, however many of its subscriptions match it. Bounds: limits.subscriptions_per_connection,
// limits.outbox_bytes. Threads: [shard].
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/limits.hpp"
#include "routing/channels.hpp"
#include "routing/connection.hpp"
#include "routing/mail.hpp"
#include "routing/routes.hpp"

namespace weir {

struct Feed;
struct SubscribeGroup;

struct Grant {
  const Subscription* subscription;
  FilterPtr filter;     // the client's own and the mandatory one, both
  SequenceId head = 0;  // where the channel stood when it was asked for: events up to here are replays
  SequenceId from =
      0;  // events up to here are not wanted, or were delivered: history may be read again for another grant
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
  std::shared_ptr<SubscribeGroup> group;     // asked: the subscribe frame that waits for this channel's answer
  std::uint32_t live_index = 0;
  std::uint32_t feed_index = 0;
};

struct SubscriberCounters {
  std::uint64_t delivered = 0;  // events put into an outbox
  std::uint64_t overflows = 0;  // times a subscription fell behind and went on from history
  std::uint64_t gaps = 0;       // gap frames said
  std::uint64_t disconnected_slow = 0;
};

class Subscribers {
 public:
  class Port {
   public:
    virtual ~Port() = default;
    virtual void to_owner(std::string_view channel, Mail mail) = 0;
    virtual void to_all_owners(const std::function<Mail()>& mail) = 0;
    virtual void send(Connection& connection, FramePtr frame) = 0;  // into the outbox, to be flushed
  };
  Subscribers(ShardId shard, unsigned shard_count, RoutesPtr routes, const Limits& limits, const Clock& clock,
              Port& port);
  ~Subscribers();

  // A subscribe frame: all of its channels, or none with an error. The answer is sent when every channel's shard has
  // spoken.
  Result<void> subscribe(Connection& connection, std::string_view id, const std::vector<std::string>& channels,
                         bool many, const FilterPtr& filter, const ReplayRequest& replay);
  // Errors: not_found - there is no such subscription.
  Result<void> unsubscribe(Connection& connection, const std::string& channel);
  // The identity has changed: what it may not see any more ends, and mandatory filters are made anew.
  void reauthorize(Connection& connection);
  void closed(Connection& connection);
  // There is room in its outbox again.
  void drained(Connection& connection);

  void attached(mail::Attached a);
  void chunk(mail::Chunk c);
  void watched(mail::Watched w);
  void opened(const mail::ChannelOpened& o);
  void deliver(const EventPtr& event);
  void gap(const mail::GapNotice& g);
  void behind(const mail::Behind& b);

  const SubscriberCounters& counters() const { return counters_; }
  std::size_t attachments() const { return attachments_.size(); }
  std::size_t subscriptions() const { return subscriptions_; }
  // All subscriptions of a connection and how far each has come: a JSON list.
  static std::string describe(const Connection& connection);

 private:
  struct WatchEntry {
    Connection* connection;
    Subscription* subscription;
    std::shared_ptr<SubscribeGroup> group;  // until every shard has answered
    unsigned answers_missing;
  };
  Feed& feed(std::string_view channel);
  Attachment& attachment(Connection& connection, Feed& feed);
  Attachment* find(Connection& connection, const Feed& feed) const;
  void grant(Attachment& a, const Subscription& subscription, FilterPtr filter);
  void revoke(Attachment& a, const Subscription& subscription);
  void remove(Attachment& a);
  void drop_feed_if_unused(Feed& feed);
  void drop_subscription(Connection& connection, Subscription& subscription);
  static std::optional<FilterPtr> allowed(const Connection& connection, const ChannelRoute& route,
                                          std::string_view channel, const FilterPtr& own);
  void forget_chunk(Attachment& a);
  // Returns the frame that has to be answered now, if that was the last channel it waited for. The caller answers it
  // once it is not walking over attachments any more: the answer may remove some.
  [[nodiscard]] std::shared_ptr<SubscribeGroup> cancel_request(Attachment& a);
  void refresh(Attachment& a);  // its grants have changed
  void fetched(Attachment& a);  // it holds no chunk any more; another one may ask
  void apply(Attachment& a, const Subscription& subscription, mail::Attached& answer);
  static void pick(Attachment& a, const Subscription& subscription, std::vector<EventPtr> events);
  void hold(Attachment& a, SubscribeGroup& group, std::string answer);
  void finish(const std::shared_ptr<SubscribeGroup>& group);
  void advance(Feed& f, SequenceId head);
  void new_life(Feed& f, const std::string& epoch);
  void go_on(Attachment& a);  // deliver what is there, ask for more, or go live
  void go_live(Attachment& a);
  void not_live(Attachment& a);
  void wait(Attachment& a);
  enum class Wanted : std::uint8_t { no, live, replay };
  static Wanted wants(const Attachment& a, const EventView& event);
  void say_gap(Connection& connection, std::string_view channel, const Gap& gap);

  const ShardId shard_;
  const unsigned shard_count_;
  RoutesPtr routes_;
  const Limits& limits_;
  const Clock& clock_;
  Port& port_;
  StringMap<std::unique_ptr<Feed>> feeds_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Attachment>> attachments_;
  std::unordered_map<std::uint64_t, WatchEntry> watches_;
  StringMap<std::vector<std::uint64_t>> watch_ids_;  // by pattern
  std::uint64_t next_id_ = 1;
  std::size_t subscriptions_ = 0;
  SubscriberCounters counters_;
};

}  // namespace weir
