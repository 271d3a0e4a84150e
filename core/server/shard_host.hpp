// One shard on its thread: the loop, the sans-I/O shard, its rules, and the mailbox through which everybody else
// reaches it. Mail between shards is collected during a burst and handed over in one go, so a lock is taken once per
// burst, not per event. The mailbox is opened in slices, so that sockets get their turn and outboxes are flushed in
// between, however much mail there is. Bounds: limits.mailbox_messages; beyond it publishers are told to slow down
// (full()). Threads: as each function says.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "net/http.hpp"
#include "net/loop.hpp"
#include "routing/shard.hpp"
#include "rules/engine.hpp"
#include "server/setup.hpp"

namespace weir {

class Client;

// What shards ask of the rest of the hub; as ShardPort has it. [any]
class ShardServices {
 public:
  virtual ~ShardServices() = default;
  virtual std::size_t hand_over(const std::string& plugin, std::span<Outgoing> events) = 0;
  virtual void lost(const std::string& plugin, std::string_view channel, std::uint64_t count) = 0;
  virtual void demand(const std::string& channel, std::uint64_t ask) = 0;
  virtual void watched(const Pattern& pattern, const Scopes* scopes) = 0;
  virtual void request(ResponderAsk ask) = 0;
};

class ShardHost final : private ShardPort, private RuleOutput {
 public:
  using Authenticate = std::function<void(ShardHost&, Connection&, std::string token, std::string id)>;
  // `limits` outlives it and may change under it.
  ShardHost(ShardId id, unsigned count, const Setup& setup, const Limits& limits, std::uint64_t seed,
            ShardServices& services, Authenticate authenticate);
  ~ShardHost() override;
  // Once, before start(): all shards, itself among them. [main]
  void know(std::vector<ShardHost*> all) {
    all_ = std::move(all);
    outgoing_.resize(all_.size());
  }
  void start();  // [main]
  void stop();   // ends the thread [main]
  // After stop(), in two steps, each for all shards before the next: what is forgotten may refer to other shards'
  // loops. [main]
  void forget();                        // all mail, the shard and its rules
  void clear_loop() { loop_.clear(); }  // what still waits on the loop

  // A reload, in two steps, each for all shards before the next (Shard::reroute_channels). [shard]
  void take_rules(const Setup& setup);
  void take_routes() { shard_->reroute_clients(); }

  net::Loop& loop() { return loop_; }
  Shard& shard() { return *shard_; }  // [shard]
  RuleEngine& rules() { return *rules_; }
  ShardId id() const { return id_; }
  ShardId owner(std::string_view channel) const { return shard_->owner(channel); }  // [any]

  // The open connections, in no order. [shard]
  void list(Client& client);
  void unlist(Client& client);
  const std::vector<Client*>& clients() const { return clients_; }

  void put(Mail mail);                 // [any]
  void put(std::vector<Mail>& mails);  // in order; empties it [any]
  bool full() const {
    return mailbox_size_.load(std::memory_order_relaxed) >= static_cast<std::size_t>(limits_.mailbox_messages) ||
           mailbox_bytes_.load(std::memory_order_relaxed) >= static_cast<std::size_t>(limits_.mailbox_bytes);
  }

  // Lets everything out that has come so far. How many mails it has read; nothing: it has more to do. [shard]
  std::optional<std::uint64_t> quiet();

  // What /health shows without asking the shard. [any]
  struct Gauges {
    std::atomic<std::uint64_t> connections{0}, subscriptions{0}, channels{0};
  };
  const Gauges& gauges() const { return gauges_; }

 private:
  void mail(ShardId to, Mail mail) override;
  bool full(ShardId of) const override;
  std::size_t hand_over(const std::string& plugin, std::span<Outgoing> events) override {
    return services_.hand_over(plugin, events);
  }
  void lost(const std::string& plugin, std::string_view channel, std::uint64_t count) override {
    services_.lost(plugin, channel, count);
  }
  void demand(const std::string& channel, std::uint64_t ask) override { services_.demand(channel, ask); }
  void watched(const Pattern& pattern, const Scopes* scopes) override { services_.watched(pattern, scopes); }
  void request(ResponderAsk ask) override { services_.request(std::move(ask)); }
  void authenticate(Connection& connection, std::string token, std::string id) override;
  void publish(std::string channel, Draft draft) override;  // a rule's hub.publish
  std::optional<std::int64_t> after_burst();
  void open_mailbox();
  void flush();

  const ShardId id_;
  const Limits& limits_;
  ShardServices& services_;
  Authenticate authenticate_;
  net::Loop loop_;
  std::unique_ptr<RuleEngine> rules_;
  std::unique_ptr<Shard> shard_;
  std::vector<ShardHost*> all_;
  std::vector<std::vector<Mail>> outgoing_;  // [shard] collected during the burst
  std::vector<Connection*> flushing_;        // [shard]
  net::SendBatch batch_;                     // [shard]
  std::vector<Client*> clients_;             // [shard]
  SteadyMs tick_at_ = 0;                     // [shard] 0: nothing to wait for
  std::uint64_t opened_seen_ = 0;            // [shard]
  std::uint64_t mails_read_ = 0;             // [shard]
  std::mutex mailbox_mutex_;
  std::vector<Mail> mailbox_;   // guarded by mailbox_mutex_
  bool opening_ = false;        // guarded by mailbox_mutex_: open_mailbox() is posted or under way
  std::vector<Mail> reading_;   // [shard] from reading_at_ on, older than all of mailbox_
  std::size_t reading_at_ = 0;  // [shard]
  std::atomic<std::size_t> mailbox_size_{0}, mailbox_bytes_{0};  // of both
  Gauges gauges_;
  std::thread thread_;
};

}  // namespace weir
