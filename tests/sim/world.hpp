// A hub of several shards without threads, sockets or time of its own: one seed decides the routes' limits, who
// connects, what is asked and published, in which order mail between shards arrives (kept for each pair of shards, as
// real mailboxes keep it), how many bytes each socket takes, and when time moves. It calls exactly what the real server
// calls. Threads: one.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "routing/shard.hpp"
#include "sim/session.hpp"
#include "sim/truth.hpp"
#include "sim/upstream.hpp"
#include "support/manual_clock.hpp"

namespace weir::sim {

struct Totals {
  std::uint64_t events = 0, replays = 0, gaps = 0, published = 0, overflows = 0, slow_closed = 0, sessions = 0,
                losses = 0, compressed = 0, snapshots = 0;
};

// A plugin that events go out to: what it takes of each channel comes in order and once, and what is missing was said
// to be lost.
class Sink {
 public:
  std::size_t take(std::span<Outgoing> events, std::size_t most);
  void lost(std::string_view channel, std::uint64_t count);
  std::string describe(const std::string& channel) const;
  bool has_all(const std::string& channel, const std::string& epoch, SequenceId head) const;
  std::uint64_t taken() const { return taken_; }

 private:
  struct At {
    std::string epoch;
    SequenceId last = 0;
    std::uint64_t lost = 0;
  };
  std::map<std::string, At> channels_;
  std::uint64_t taken_ = 0;
};

class World {
 public:
  World(std::uint64_t seed, bool verbose);
  ~World();
  void run(int steps);
  const std::deque<std::string>& trace() const { return trace_; }
  int step() const { return step_; }
  Totals totals() const;

 private:
  class Host;
  struct PendingAuth {
    ShardId shard;
    ConnectionId connection;
    std::string token, id;
  };

  void one_step();
  void connect();
  void client_acts(Session& s);
  void send(Session& s, const std::string& frame);
  void subscribe(Session& s);
  void change_hands(Session& s);
  void publish_from_source();
  void answer_auth();
  RoutesPtr make_routes();
  void reload_some();
  void deliver_some(std::size_t from, std::size_t to, std::size_t count);
  void deliver_somewhere();
  void flush(Session& s, std::size_t bytes);
  void end(Session& s);
  void look();
  void exchange_sources();
  void come_upstream(const std::string& channel);
  void note_missed(const std::string& channel, bool asked);
  bool is_missed(const Mail& mail);
  bool knows_at_work(ShardId owner, const std::string& channel);
  void owner_hears(ShardId owner, const Mail& mail);
  void owner_says(ShardId to, const Mail& mail);
  void owner_has_heard();
  void look_who_is_let_in();
  void clients_hear(ShardId shard, const Mail& mail);
  void settle();
  void finish();
  void note(std::string text);
  std::string channel_name();
  std::string pattern_name();
  Session* somebody();
  std::uint64_t below(std::uint64_t n) { return random_.below(n); }
  bool chance(unsigned percent) { return random_.below(100) < percent; }

  const bool verbose_;
  Random random_;
  testing::ManualClock clock_;
  Limits limits_;
  RoutesPtr routes_;
  Truth truth_;
  Sink sink_;
  Upstream upstream_;
  EndpointRule open_endpoint_, auth_endpoint_;
  std::size_t drained_below_;
  unsigned shard_count_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<std::vector<std::deque<Mail>>> mail_;  // [from][to]
  std::vector<User> users_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Session>> sessions_;
  // Channels on demand, as their owners hear of sources: what is at work for patterns, by owner; whom they have let in
  // before that, by shard, attachment and request; for the mail that is just delivered, the channels of which a gap is
  // to be told, and which shards were.
  std::map<ShardId, std::map<std::string, std::set<mail::Subject>>> at_work_;
  std::set<std::tuple<ShardId, std::uint64_t, std::uint64_t>> let_in_late_;
  std::set<std::string> late_;
  std::set<std::pair<std::string, ShardId>> told_late_;
  std::deque<PendingAuth> auths_;
  std::deque<std::string> trace_;
  std::vector<std::string> names_;
  // A reload under way: shards that have not taken the new routes yet, first as owners, then for their clients.
  RoutesPtr next_routes_;
  std::vector<ShardId> owners_left_, clients_left_;
  int step_ = 0, next_session_ = 1;
  bool quiet_ = false;  // nobody is left: mail about events must not flow any more
  Totals totals_;
};

}  // namespace weir::sim
