// One simulated connection: a client behind a socket that takes as many bytes at a time as it is told to, and the judge
// of all that the hub puts into its outbox. Every frame is judged at the moment it enters the outbox, against what
// really happened; what the client receives is then compared byte for byte with what entered. Threads: one.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "routing/connection.hpp"
#include "sim/truth.hpp"
#include "sim/wish.hpp"

namespace weir::sim {

// What a client remembers from one connection to the next.
struct Client {
  int number = 0;
  User user;
  std::map<std::string, Position> positions;  // of the last event that it received of each channel
};

class Session final : public ConnectionPort {
 public:
  Session(int number, ShardId shard, Client& client, Truth& truth, const Limits& limits, bool verbose);

  // --- the hub's side ---
  void close(CloseCode code, std::string_view reason) override;
  void read(bool go_on) override;
  void ping() override;
  // Some take compressed messages, by their number, so that it takes no choice from the seed.
  unsigned deflate_bits() const override { return number % 3 == 0 ? 15 : number % 7 == 0 ? 9 : 0; }

  // --- what the client says; the texts are sent by the world ---
  std::string subscribe(const std::vector<std::string>& names, bool many, const SimFilter& filter,
                        const ReplayRequest& replay);
  std::string unsubscribe(const std::string& name);
  std::string publish(const std::string& channel, std::uint64_t n, const std::string& name, const std::string& data,
                      const std::string& dedupe, bool with_id);
  std::string plain(const std::string& type);
  std::string auth(const std::string& token);

  // Judges what entered the outbox since the last call.
  void look();
  // The socket takes up to `bytes`.
  std::size_t take(std::size_t bytes);
  // Whether that Attach is one of its, and the newest.
  bool waits_for(std::uint64_t attachment, std::uint64_t request) const;
  // The channels whose answer has come since the last call.
  std::vector<std::string> answered();
  // It was let in before the source of the channel was at work.
  void let_in_late(const std::string& channel);
  // Whether it was, and has been told so.
  bool was_let_in_late(const std::string& channel, const std::string& epoch) const;
  // Its shard is told that the source was not at work until now.
  void hears_of_late(const std::string& channel);
  // When nothing is under way any more: everything that was promised must have come.
  void settled();
  // Around a call into the hub with a frame of this client: an error that is answered inside refuses the frame as a
  // whole.
  void begin_call(std::uint64_t request) { in_call_ = request; }
  void end_call() { in_call_ = 0; }
  std::uint64_t last_request() const { return next_id_ - 1; }

  const int number;
  const ShardId shard;
  Client& client;
  Connection* connection = nullptr;
  std::optional<CloseCode> closed_with;
  bool gone = false, reading = true, stalled = false, by_bytes = false;
  bool authenticated = true, leaving = false;
  std::vector<std::unique_ptr<Wish>> wishes;
  std::uint64_t events_seen = 0, gaps_seen = 0, replays_seen = 0, losses_seen = 0, compressed_seen = 0,
                snapshots_seen = 0;

 private:
  struct Waiting {  // a frame between outbox and client
    std::string bytes, channel;
    Position at;
  };
  struct Asked {
    enum class Kind { subscribe, unsubscribe, publish, other, auth } kind = Kind::other;
    std::string channel;
    std::uint64_t n = 0;
    std::string dedupe;
    std::vector<std::string> names;
  };
  struct Order {
    std::string epoch;
    SequenceId last = 0;
    bool fresh = true;  // a new replay has been asked for: the next event may stand before the last one
    int extra = 0;      // the same, once more: several subscriptions to one channel
    SequenceId replay_low = 0, replay_high = 0;
    struct {  // the life that comes next, where that has been answered already
      std::string epoch;
      SequenceId replay_low = 0, replay_high = 0;
    } answered;
    std::vector<std::pair<SequenceId, SequenceId>> gaps;
    std::vector<std::pair<SequenceId, SequenceId>> losses, returning;  // by policy; before a replay was asked for
    // Replays that came while several subscriptions overlapped: "last" of one may stand before the stretch of another.
    std::set<SequenceId> out_of_line;
    std::set<SequenceId> received;
  };
  // What a client makes of snapshots and events together, of a channel that it follows by one subscription without a
  // filter.
  struct Model {
    std::string epoch;
    SequenceId at = 0;
    bool good = false;  // equals the channel's state at that event
  };

  [[noreturn]] void fail(const std::string& what) const;
  Waiting judge(std::string_view frame, std::size_t before);
  Waiting on_event(json::Value v, std::size_t before);
  void on_gap(json::Value data);
  void on_snapshot(json::Value v);
  void on_no_snapshot(const std::string& message);
  void on_ended(const std::string& message);
  void model_event(const std::string& channel, const std::string& epoch, SequenceId id, bool replay);
  bool modelled(const std::string& channel) const;
  void on_loss(const std::string& channel, json::Value data, SequenceId from, SequenceId to, std::uint64_t count);
  void on_ack(std::uint64_t id, const Asked& asked, json::Value data);
  void on_error(std::uint64_t id, const Asked& asked, json::Value data);
  void subscribed(Wish& wish, json::Value data);
  void subscribed_pattern(Wish& wish, json::Value data);
  bool wanted(const Wish& wish, const std::string& channel, const Record& r) const;
  bool in_gap(const Order& order, const std::string& epoch, SequenceId id) const;
  void check_none_lost(const Wish& wish, const std::string& channel, const Life& life, SequenceId from,
                       SequenceId to) const;
  Order& order(const std::string& channel) { return orders_[channel]; }
  bool alone(const Wish& wish, const std::string& channel) const;
  void not_alone(Wish& wish);
  std::uint64_t next_request(Asked asked);
  std::string as_kept(const std::string& dedupe) const;

  Truth& truth_;
  const Limits& limits_;
  const bool verbose_;
  json::Doc doc_;
  Inflater inflater_;
  std::deque<Waiting> waiting_;
  std::size_t taken_of_first_ = 0;
  std::uint64_t next_id_ = 1, in_call_ = 0;
  std::map<std::uint64_t, Asked> asked_;
  std::map<std::string, Order> orders_;
  std::map<std::string, Model> models_;
  std::map<std::string, int> late_gaps_;  // of a channel: how many may come
  std::map<std::string, std::pair<std::string, SequenceId>> last_published_;
  bool greeted_ = false;
};

}  // namespace weir::sim
