// How events get to the connections of one shard: pushed while a subscription is live, read from history while it is
// behind, and what happens when an outbox is full. A connection gets each event of a channel once, however many of its
// subscriptions match it. Bounds: limits.outbox_bytes for each connection, limits.outboxes_bytes for all together.
// Threads: [shard].
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

#include "base/limits.hpp"
#include "routing/feed.hpp"
#include "routing/mail.hpp"

namespace weir {

struct SubscriberCounters {
  std::uint64_t delivered = 0;  // events put into an outbox
  std::uint64_t overflows = 0;  // times a subscription fell behind
  std::uint64_t missed = 0;     // events that an overflow policy lost, told by gaps
  std::uint64_t gaps = 0;       // gap frames said
  std::uint64_t disconnected_slow = 0;
  std::uint64_t snapshots = 0;  // put into an outbox
};

class Delivery {
 public:
  class Port {
   public:
    virtual ~Port() = default;
    virtual void to_owner(std::string_view channel, Mail mail) = 0;
    virtual void to_all_owners(const std::function<Mail()>& mail) = 0;
    virtual void send(Connection& connection, const FramePtr& frame) = 0;  // into the outbox, to be flushed
  };
  Delivery(ShardId shard, unsigned shard_count, const Limits& limits, Port& port)
      : shard_(shard), shard_count_(shard_count), limits_(limits), port_(port) {}

  // An event of the channel has come by.
  void deliver(Feed& feed, const EventPtr& event);
  // Goes on with one that is not live: delivers what is there, asks for more, or makes it live.
  void go_on(Attachment& a);
  // Takes it out of the live ones: it stands where it has come to, and reads on from there.
  void pause(Attachment& a);
  // The grants of a live one have changed.
  void refresh(Attachment& a);
  // The answer to its Read, without an error.
  void chunk(Attachment& a, mail::Chunk& m);
  // What "last" picked for one of its subscriptions.
  static void pick(Attachment& a, const Subscription& subscription, std::vector<EventPtr> events);
  static void forget_picked(Attachment& a);
  void forget_chunk(Attachment& a);
  // There is room in its outbox again.
  void drained(Connection& connection);
  // The channel is known to have come as far as `head`, other than by the events themselves.
  void advance(Feed& feed, SequenceId head);
  // The channel began anew at its owner; what we knew of its numbers is void for all who follow it.
  void new_life(Feed& feed, const std::string& epoch);
  // The channel was let go at its owner: says that what it was still owed will not come.
  void end(Attachment& a);
  // It will be told the channel's state, as soon as it may. For a subscription: of that one only.
  void owe_state(Attachment& a, Owed why, const Subscription* subscription = nullptr);
  // Its sources have lost something that nobody can name: it is told so before any event that comes from now on, and
  // the state anew, where the channel has one. What finds no room in the outbox is one with the gaps that follow.
  void source_gap(Attachment& a, const Gap& gap);
  // It is going to be removed: takes it off all lists.
  void forget(Attachment& a);

  // How much a connection's outbox may hold right now.
  std::size_t outbox_max() const;
  // Everything up to there has been delivered or told.
  static SequenceId reached(const Attachment& a);
  std::uint64_t next_id() { return next_id_++; }  // for whatever needs one on this shard
  const SubscriberCounters& counters() const { return counters_; }

 private:
  enum class Wanted : std::uint8_t { no, live, replay };
  static Wanted wants(const Attachment& a, const EventView& event);
  static bool owes_state(const Attachment& a);
  void push(Connection& connection, const FramePtr& frame);
  void overflow(Attachment& a, const EventPtr& event);
  void go_live(Attachment& a);
  void catch_up_lag(Attachment& a);
  void end_lag(Attachment& a);
  void ask(Attachment& a);
  void ask_for_state(Attachment& a);
  void settle_state(Attachment& a, mail::Chunk& m);
  static FramePtr frame_of(Feed& feed, const SnapshotPtr& snapshot);
  void say_gap(Connection& connection, const Feed& feed, const Gap& gap);
  void say_source_gap(Attachment& a);
  void say_lost(Attachment& a);
  void wait(Attachment& a);
  void fetched(Attachment& a);  // it holds no chunk any more; another one may ask
  std::size_t outbox_max(OverflowPolicy policy) const;
  std::size_t read_ahead() const;
  bool full(const Connection& connection) const;
  std::size_t lag_room(const Attachment& a, std::size_t event) const;

  const ShardId shard_;
  const unsigned shard_count_;
  const Limits& limits_;
  Port& port_;
  json::Doc doc_;  // reused for each event
  std::uint64_t next_id_ = 1;
  SubscriberCounters counters_;
};

}  // namespace weir
