// One channel at its owner: its rules, its log, who wants to hear of it. Only for core/routing/channel*.cpp.
// Threads: [channel].
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "routing/channels.hpp"
#include "routing/exits.hpp"
#include "routing/memory_log.hpp"

namespace weir {

// Tells the publisher, if anybody asked.
void answer(Channels::Port& port, std::string_view channel, Ticket&& ticket, PublishOutcome outcome);

class Channel final : public ChannelLog::Sink {
 public:
  Channel(Channels& all, std::string name, const ChannelRoute& route);
  ~Channel() override;
  // A reload: what the manifest says of it now, and the rules that it has now.
  void reroute(const ChannelRoute& route);

  void publish(Draft&& draft, Ticket&& ticket);
  // The one place where an event becomes real: it is remembered, answered and sent out, in this order for every
  // channel.
  void committed(EventPtr event, Ticket&& ticket) override;
  void refused(Ticket&& ticket, Error error) override;
  // The channel's state now.
  Result<SnapshotPtr> snapshot(const std::string& params);

  struct Interest {
    ShardId shard;
    bool behind;   // events were held back; it will be told where the channel stands
    bool by_name;  // by a subscription to this very channel, not only by patterns
  };
  const std::vector<Interest>& interested() const { return interested_; }
  void interest(ShardId shard);
  void interest_by_name(ShardId shard, bool by_name);
  bool is_interested(ShardId shard) const;
  void no_interest(ShardId shard);
  // The shard has room again. False: it was not behind (any more).
  bool catches_up(ShardId shard);
  bool unwanted() const { return interested_.empty(); }
  bool wanted_by_name() const;
  // A sink has not got all of it yet.
  bool owes() const { return Exits::behind(exits_); }

  // What its sources have lost upstream since it has that epoch, as far as they said so.
  struct Missed {
    SequenceId at;  // behind that event, or before it
    Gap gap;        // no range; the count is not known where it was more than once
  };
  void missed(std::uint64_t count, const std::string& reason) {
    missed_ = {log_->head(), {0, 0, missed_ ? 0 : count, reason}};
  }
  const std::optional<Missed>& missed() const { return missed_; }

  // On demand: whether its sources are at work, and who waits until they are.
  struct Waking {
    enum class State : std::uint8_t { asleep, asked, awake };
    State state = State::asleep;
    bool wanted = false;    // the sources have been told so
    std::uint64_t ask = 0;  // and will answer with that
    std::vector<mail::Attach> waiting{};
    std::set<mail::Subject> at_work{};  // by the channel's name
    bool late = false;                  // some were let in before a source was, and it is still expected
  };
  Waking& waking() { return waking_; }

  std::uint64_t used_at() const { return used_at_; }
  void touch(std::uint64_t use) { used_at_ = use; }
  const std::string& name() const { return name_; }
  const ChannelRoute& route() const { return *route_; }
  ChannelLog& log() { return *log_; }
  const ChannelLog& log() const { return *log_; }
  const ChannelCounters& counters() const { return counters_; }

 private:
  Variables variables() const { return route_->pattern.match(name_).value_or(Variables()); }
  void open_rules();
  void remember(std::string dedupe, SequenceId at);
  void forget_old_ids();
  void forget_oldest_id();

  Channels& all_;
  const std::string name_;
  const ChannelRoute* route_;
  std::unique_ptr<RuleChain> rules_;
  bool state_ = false, asks_ = false;
  std::vector<std::unique_ptr<Exits::Exit>> exits_;
  std::vector<Draft> more_;
  std::vector<Interest> interested_;
  Waking waking_;
  std::optional<Missed> missed_;
  struct Seen {
    SequenceId at;
    SteadyMs when;
  };
  StringMap<Seen> dedupe_;
  std::deque<const std::string*> dedupe_order_;
  std::uint64_t used_at_ = 0;  // counts publications of all channels: the smaller, the longer quiet
  ChannelCounters counters_;
  std::unique_ptr<ChannelLog> log_;
};

}  // namespace weir
