// One shard of the hub, without sockets, threads or clocks of its own: the channels it owns, the connections it has,
// and the native protocol between them. It is given frames, mail and time, and answers through its port. The simulator
// drives it the same way as the real threads do. Threads: [shard]: all calls from one thread at a time.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "routing/channels.hpp"
#include "routing/flush_list.hpp"
#include "routing/subscribers.hpp"

namespace weir {

struct ClientFrame;

// A client's request for a responder; `from` is told by a mail::Answer.
struct ResponderAsk {
  ShardId from;
  ConnectionId connection;
  std::string id;  // JSON text
  std::string plugin, method, subject, params_json, identity_json;
  std::int64_t timeout_ms;
};

// What a shard needs from outside.
class ShardPort {
 public:
  virtual ~ShardPort() = default;
  virtual void mail(ShardId to, Mail mail) = 0;  // into the mailbox of another shard, in order
  virtual bool full(ShardId of) const = 0;       // its mailbox is; publishers are told to come back later
  // As Channels::Port has them.
  virtual std::size_t hand_over(const std::string& plugin, std::span<Outgoing> events) = 0;
  virtual void lost(const std::string& plugin, std::string_view channel, std::uint64_t count) = 0;
  virtual void demand(const std::string& channel, std::uint64_t ask) = 0;
  virtual void watched(const Pattern& pattern, const Scopes* scopes) = 0;
  // A request for the responder of a method: answered by a mail::Answer, some time.
  virtual void request(ResponderAsk ask) = 0;
  // An `auth` frame: somebody answers later with Shard::authenticated.
  virtual void authenticate(Connection& connection, std::string token, std::string id) = 0;
};

struct ConnectionCounters {
  std::uint64_t opened = 0, closed = 0, frames_in = 0, frames_refused = 0, pings = 0, idle_closed = 0,
                publications_refused = 0;
  std::uint64_t deflated = 0;       // messages compressed
  std::uint64_t deflate_saved = 0;  // bytes that were not sent because of it
};

class Shard final : private Channels::Port, private Subscribers::Port {
 public:
  struct Settings {
    ShardId id = 0;
    unsigned count = 1;
    RoutesPtr routes;
    const Limits* limits;
    RuleProvider* rules = nullptr;
    const Clock* clock;
    std::uint64_t seed;
    int deflate_level = 1;  // 1..9; for all endpoints of the shard, as one event is compressed once
    std::string (*token)(std::size_t bytes) = &random_token;  // unguessable text, for session ids
  };
  Shard(const Settings& settings, ShardPort& port);
  ~Shard() override;

  // --- connections ---
  // A client is connected; it is greeted at once. `identity` is nothing when it has still to authenticate by frame.
  Connection& open(ConnectionPort& port, const EndpointRule& endpoint, std::optional<Identity> identity,
                   std::string peer);
  void receive(Connection& connection, std::string_view text);                    // one whole text message
  void heard(Connection& connection);                                             // anything else arrived: a pong
  void refuse_frame(Connection& connection, const Error& error, CloseCode code);  // says why and closes
  void drained(Connection& connection);  // its outbox went below what wants_drained() asks
  bool wants_drained(const Connection& connection) const { return !connection.waiting.empty() || !connection.reading; }
  void closed(Connection& connection);  // the socket is gone; the reference ends here
  Connection* find(ConnectionId id);
  void authenticated(ConnectionId connection, const std::string& id, Result<Identity> identity);
  void revoke(std::string_view provider, std::string_view key, std::string_view reason);
  // Says `closing`, then closes with that code.
  void close(Connection& connection, CloseCode code, std::string_view reason, std::int64_t reconnect_min_ms,
             std::int64_t reconnect_max_ms);
  void each_connection(const std::function<void(Connection&)>& f);
  std::size_t connections() const { return connections_.size(); }

  // --- events and mail ---
  // To whichever shard owns the channel, whose name check_channel_name() takes.
  void publish(std::string_view channel, Draft&& draft, Ticket&& ticket) {
    publish(owner(channel), nullptr, channel, std::move(draft), std::move(ticket));
  }
  void deliver(Mail mail);  // from another shard's mailbox
  ShardId owner(std::string_view channel) const {
    return settings_.count == 1 ? 0 : static_cast<ShardId>(std::hash<std::string_view>()(channel) % settings_.count);
  }

  // --- a reload ---
  // In two steps, each on every shard before the next: first the channels that it owns and their rules, so that what
  // clients may ask for from then on is there. The provider has the new rules already.
  void reroute_channels(RoutesPtr routes);
  void reroute_clients();

  // --- time and output ---
  // What is due: heartbeats, expiry, old history. Returns in how many ms to come back; nothing when there is nothing to
  // wait for.
  std::optional<std::int64_t> tick();
  // Shards whose mailbox was full have room again, perhaps. True: call again in a few ms.
  bool tell_those_behind() {
    const bool more = channels_.tell_those_behind();
    run_local();
    return more;
  }
  // What was published goes out to sinks. True: call again soon.
  bool flush_exits() { return channels_.flush_exits(); }
  bool owes_sinks() const { return channels_.owes_sinks(); }
  void sink_has_room(const std::string& plugin) { channels_.sink_has_room(plugin); }
  // Moves the connections whose outbox is to be flushed now into `out`, which is empty.
  void take_flushes(std::vector<Connection*>& out) { flushes_.take(flushes_.ticks() ? clock_.steady_ms() : 0, out); }
  // When there will be some although nothing has happened: an endpoint's tick ends.
  std::optional<SteadyMs> flushes_due() const { return flushes_.due(); }

  const Channels& channels() const { return channels_; }
  const Subscribers& subscribers() const { return subscribers_; }
  const ConnectionCounters& counters() const { return counters_; }
  const Settings& settings() const { return settings_; }

 private:
  void to_subscribers(ShardId to, Mail&& mail) override;
  bool full(ShardId to) const override { return to != settings_.id && port_.full(to); }
  std::size_t hand_over(const std::string& plugin, std::span<Outgoing> events) override {
    return port_.hand_over(plugin, events);
  }
  void lost(const std::string& plugin, std::string_view channel, std::uint64_t count) override {
    port_.lost(plugin, channel, count);
  }
  void demand(const std::string& channel, std::uint64_t ask) override { port_.demand(channel, ask); }
  // Every owner knows all patterns that are watched; one of them speaks for all.
  void watched(const Pattern& pattern, const Scopes* scopes) override {
    if (settings_.id == 0) port_.watched(pattern, scopes);
  }
  void to_owner(std::string_view channel, Mail mail) override;
  void to_all_owners(const std::function<Mail()>& mail) override;
  void send(Connection& connection, const FramePtr& frame) override;
  const Frame* twin_for(const Connection& connection, const Frame& frame);
  bool may_deflate_alone(std::size_t bytes);
  void post(ShardId to, Mail&& mail);
  void run_local();
  void handle(Mail& mail);
  void say(Connection& connection, std::string_view json);
  void say_error(Connection& connection, std::string_view id, const Error& error);
  void act(Connection& connection, ClientFrame& frame);
  void act_publish(Connection& connection, ClientFrame& frame);
  void act_request(Connection& connection, const ClientFrame& frame);
  void ask_responder(Connection& connection, const MethodRoute& route, const ClientFrame& frame);
  void answer(const mail::Ask& ask);
  void answered(const mail::Answer& answer);
  // `open`: the channel, where it is known to be open here.
  void publish(ShardId to, Channel* open, std::string_view channel, Draft&& draft, Ticket&& ticket);
  void published(const mail::Published& p);
  void settled(Connection& connection);
  void greet(Connection& connection);
  void pace(Connection& connection);  // stop or go on reading
  void schedule(Connection& connection);
  void unschedule(Connection& connection);
  void check(Connection& connection, SteadyMs now);

  const Settings settings_;
  const Limits& limits_;
  const Clock& clock_;
  ShardPort& port_;
  Random random_;
  RoutesPtr owned_routes_, routes_;  // the channels' side has a reload's first, the clients' second
  Channels channels_;
  Subscribers subscribers_;
  std::unordered_map<ConnectionId, std::unique_ptr<Connection>> connections_;
  std::uint64_t next_connection_ = 1;
  FlushList flushes_;
  std::deque<Mail> local_;
  bool in_local_ = false;
  json::Doc doc_;     // reused for each frame
  std::string data_;  // room for the data of the next publication
  // Heartbeats without a timer for each connection: a wheel of short slots, each connection in that of its next due
  // time.
  std::vector<std::vector<Connection*>> wheel_;
  SteadyMs wheel_at_ = 0;               // in slots since the clock began; those up to here are done
  std::unique_ptr<Deflater> deflater_;  // once somebody takes compressed messages
  // How many bytes may be compressed for one connection alone, as of alone_at_.
  std::int64_t alone_bytes_;
  SteadyMs alone_at_ = 0;
  bool ages_ = false;  // some channel's history has an age limit
  SteadyMs pruned_at_ = 0;
  ConnectionCounters counters_;
};

}  // namespace weir
