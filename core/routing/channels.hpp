// The channels that one shard owns: their rules, numbers and history, and which shards want to hear of them.
// Knows no connections: it speaks to the subscribers' side by mail, also within one shard.
// Bounds: limits.channels (its share per shard), history by HistoryBudget, limits.dedupe_ids per channel.
// Threads: [shard].
#pragma once
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/string_map.hpp"
#include "routing/exits.hpp"
#include "routing/mail.hpp"
#include "routing/memory_log.hpp"
#include "routing/routes.hpp"
#include "routing/rule_chain.hpp"

namespace weir {

struct ChannelCounters {
  std::uint64_t published = 0;  // got a place
  std::uint64_t dropped = 0;    // by a rule
  std::uint64_t failed = 0;     // by a rule that failed
  std::uint64_t refused = 0;    // no place: limits
};

class Channel;

class Channels {
 public:
  class Port : public Exits::Port {
   public:
    virtual void to_subscribers(ShardId to, Mail&& mail) = 0;
    virtual bool full(ShardId to) const = 0;  // its mailbox; events are not put on top of that
    // A channel whose sources work on demand is watched by its name: answered by an Awake with that `ask`. 0: it is
    // not any more; some time later an Asleep says that they have stopped.
    virtual void demand(const std::string& channel, std::uint64_t ask) = 0;
    // A pattern is watched by people who have these scopes among them: sources are asked for nothing that none of
    // them may subscribe to. Again when these change; null: nobody watches it any more.
    virtual void watched(const Pattern& pattern, const Scopes* scopes) = 0;
  };
  Channels(RoutesPtr routes, const Limits& limits, unsigned shard_count, RuleProvider* rules, const Clock& clock,
           std::uint64_t seed, Port& port);
  ~Channels();

  // `channel` is a name that check_channel_name() takes; so is that of every open channel.
  void publish(std::string_view channel, Draft&& draft, Ticket&& ticket);
  // The channel if it is open, for the next call only: any other may let it go.
  Channel* find(std::string_view name);
  static const ChannelRoute& route(const Channel& channel);
  static void publish(Channel& channel, Draft&& draft, Ticket&& ticket);
  void attach(mail::Attach request);
  void detach(const mail::Detach& request);
  void read(mail::Read request);
  void awake(const mail::Awake& m);
  void asleep(const mail::Asleep& m);
  void anew(const mail::Anew& m);
  void watch(mail::Watch request);
  void unwatch(const mail::Unwatch& request);
  void source_gap(const mail::SourceGap& gap);
  // What was published goes out to sinks. True: there is more to do, call again soon.
  bool flush_exits() { return exits_.flush(); }
  bool owes_sinks() const { return exits_.owes(); }
  void sink_has_room(const std::string& plugin) { exits_.has_room(plugin); }
  // Shards that were too busy to be sent events are told where the channel stands by now, as soon as they have room;
  // they go on from history. True: some still have none, call again soon.
  bool tell_those_behind();
  // A reload: the manifest's channels and their rules are these from now on. The provider has the new rules already.
  void reroute(RoutesPtr routes);
  void prune(SteadyMs now);  // every few seconds: old events, channels that nobody needs

  struct Info {
    std::string name, epoch;
    SequenceId head;
    std::size_t events, bytes;
    ChannelCounters counters;
  };
  void each(const std::function<void(const Info&)>& f) const;
  std::size_t size() const { return channels_.size(); }
  const ChannelCounters& counters() const { return counters_; }
  std::size_t history_bytes() const { return budget_.bytes(); }

 private:
  friend class Channel;
  struct Watched {
    Pattern pattern;
    // Those with somebody who watches it, and what scopes these have had; as many as the manifest names at most.
    std::map<ShardId, Scopes> shards{};
    Scopes scopes() const;
  };
  struct AtWork {
    Pattern pattern;
    std::set<mail::Subject> subjects{};
  };
  // The channel of that name, made when it is new. Errors: no_such_channel, limit_exceeded.
  Result<Channel*> open(std::string_view name);
  void let_quiet_ones_go();
  void attach(Channel& channel, const mail::Attach& request);
  bool awake(Channel& channel, const mail::Attach& request);
  void less_wanted(Channel& channel, ShardId shard);
  bool at_work(Channel& channel, const DemandRoute& by);
  std::size_t idle_sources(Channel& channel);
  void at_work_now(Channel& channel, std::size_t idle_before, bool late);
  static constexpr const char* kNotAtWorkYet = "the source was not at work yet";
  bool starts_late(Channel& channel);
  void pattern_awake(const mail::Awake& m);
  void lost(Channel& channel, std::uint64_t count, const std::string& reason);
  bool slept_through(Channel& channel);
  void end(Channel& channel, mail::ChannelLetGo::Why why);
  std::size_t channels_max() const { return static_cast<std::size_t>(limits_.channels) / shard_count_ + 1; }
  static mail::Chunk snapshots(Channel& channel, const mail::Read& request);
  struct KeptSnapshot {
    std::string channel;
    Position at;
    std::string params;
    SnapshotPtr snapshot;
  };
  SnapshotPtr kept_snapshot(const std::string& channel, const Position& at, const std::string& params) const;
  void keep_snapshot(KeptSnapshot snapshot);
  mail::Attached describe(Channel& channel, const ReplayRequest& replay, const FilterPtr& filter);

  RoutesPtr routes_;
  const Limits& limits_;
  const unsigned shard_count_;
  RuleProvider* rules_;  // may be null: no rules
  const Clock& clock_;
  Port& port_;
  IdMaker ids_;
  HistoryBudget budget_;
  Exits exits_;
  StringMap<std::unique_ptr<Channel>> channels_;
  StringMap<Watched> watched_;  // by the pattern's text
  StringMap<AtWork> at_work_;   // likewise; as sources say it, which is in another order than it is watched
  ChannelCounters counters_;
  std::vector<std::pair<std::string, ShardId>> behind_;  // channel, shard
  // The newest of the shard: made once for all who ask with the same params before the channel's next event. Few, as
  // each may be as large as limits.data_bytes.
  std::array<KeptSnapshot, 8> kept_snapshots_;
  std::size_t next_kept_ = 0;
  std::uint64_t uses_ = 0, asks_ = 0;
  SteadyMs no_room_until_ = 0;
};

}  // namespace weir
