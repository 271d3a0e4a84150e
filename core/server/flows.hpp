// What goes from the hub to plugin instances: events of channels to sinks, clients' requests to responders, HTTP
// requests to their handlers, and to sources that work on demand what is watched. Ingress is the other direction.
// Threads: [any], but for what says otherwise.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plugin_host/flow_instance.hpp"
#include "plugin_host/pending.hpp"
#include "server/shard_host.hpp"

namespace weir {

class Flows final : public ShardServices {
 public:
  // Before the plugins start. [main]
  void shards(std::vector<ShardHost*> shards) { shards_ = std::move(shards); }
  // These are about to be exchanged: what they are asked waits for use(), as nobody should hear of an exchange. Shards
  // that had found one of them before are done with that once they have all been heard. [main]
  void hold(const std::vector<std::string>& plugins);
  // The channels that use() will bring: owners may have them already. [main]
  void expect(RoutesPtr routes);
  // The instances and channels from now on; the others have stopped. What was watched goes to those that are new.
  // [main]
  void use(const std::vector<std::shared_ptr<FlowInstance>>& instances, RoutesPtr routes);
  // The sink has room: shards may go on.
  void room(const std::string& plugin);
  bool sinks_empty() const;

  std::size_t hand_over(const std::string& plugin, std::span<Outgoing> events) override;
  void lost(const std::string& plugin, std::string_view channel, std::uint64_t count) override;
  void demand(const std::string& channel, std::uint64_t ask) override;
  void watched(const Pattern& pattern, const Scopes* scopes) override;
  void request(ResponderAsk ask) override;
  void handle(const std::string& plugin, HttpCall call, std::uint32_t deadline_ms,
              std::function<void(Result<HttpAnswer>)> answered);
  // Events that left their channel's history before that sink had room for them.
  std::uint64_t lost(const std::string& plugin) const;
  // Sinks that have not got all yet, and how many events wait for each.
  std::vector<std::pair<std::string, std::size_t>> waiting() const;

 private:
  struct Entry {
    std::shared_ptr<FlowInstance> instance;
    std::shared_ptr<std::atomic<std::uint64_t>> lost = std::make_shared<std::atomic<std::uint64_t>>(0);
    bool held = false;
  };
  // A request or an HTTP call, for the instance that has the name by then and with the time that it has left; or why
  // there is none.
  using Ask = std::function<void(Result<FlowInstance*> instance, std::uint32_t deadline_ms)>;
  void ask(const std::string& plugin, std::uint32_t deadline_ms, std::size_t bytes, Ask ask);
  Entry find(const std::string& plugin) const;
  RoutesPtr routes() const;
  using Subjects = std::vector<std::pair<std::string, std::string>>;  // plugin, subject
  // Of a channel: how many of its sources have not answered yet, whether one of the others is at work, and how many
  // can't be now and are asked again. The mutex is held until the owner has been told, so that it hears what they say
  // in the order in which it was counted.
  struct Asked {
    explicit Asked(std::size_t sources) : left(sources) {}
    std::mutex mutex;
    std::size_t left;  // guarded by mutex, as all below
    bool any = false;
    std::size_t failing = 0;
    std::optional<Error> why_not_now{};  // of one of those
  };
  // ask: of a channel, what it is answered by; 0: a pattern, that nobody waits for, and `asked` is null.
  // Under demand_mutex_.
  void want(FlowInstance& instance, const std::string& subject, const std::string& who, std::uint64_t ask,
            const std::shared_ptr<Asked>& asked);
  void unwatched(const std::string& what);  // under demand_mutex_
  // The subjects that feed what is watched: a channel, or of a pattern what is open to these scopes.
  static Subjects subjects_of(const RoutesPtr& routes, const Pattern& channel);
  static Subjects subjects_of(const RoutesPtr& routes, const Pattern& pattern, const Scopes& scopes);
  void tell(const std::string& what, std::function<Mail()> mail);

  std::vector<ShardHost*> shards_;
  mutable std::shared_mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;  // guarded by mutex_ down to here
  RoutesPtr routes_;
  // What waits for use(), each until its own deadline.
  std::unique_ptr<PendingCalls> held_;  // null: nobody is being exchanged
  std::vector<std::uint64_t> held_tokens_;
  std::size_t held_bytes_ = 0;
  // What is watched and what the sources wish to know of it change together: shards and a reload one after the other.
  // Before mutex_, and before the locks of Demand, strands and mailboxes.
  std::mutex demand_mutex_;
  RoutesPtr coming_;  // guarded by demand_mutex_ down to here; null: no reload is under way
  // By what is watched, a name or a pattern: what the sources were asked for, so that it is taken back as it was asked.
  // Of a name nothing: that waits for use().
  struct Wanted {
    Subjects subjects{};
    Scopes scopes{};  // of those who watch a pattern
  };
  std::map<std::string, Wanted> wanted_;
};

}  // namespace weir
