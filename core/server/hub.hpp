// The hub: shards on their threads, plugins, the listener, and the order in which they start and end.
//   start: plugins are made, shards run, the listener opens, sources start
//   drain: readiness fails, upgrades and publications are answered 503; sources stop while connections leave at
//          drain.rate; then the listener closes and auth providers stop, all within drain.timeout and half a second
// Threads: [main]; what says otherwise may be called from there.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/http.hpp"
#include "server/admission.hpp"
#include "server/flows.hpp"
#include "server/ingress.hpp"
#include "server/insight.hpp"
#include "server/plugins.hpp"
#include "server/reload.hpp"
#include "server/revocations.hpp"
#include "server/setup.hpp"
#include "server/shard_host.hpp"

namespace weir {

class HttpApi;

class Hub {
 public:
  explicit Hub(std::unique_ptr<Setup> setup);
  ~Hub();
  // Errors: bad_request - a plugin can't be made; unavailable - the address can't be listened on.
  Result<void> start();
  std::string address() const;  // "127.0.0.1:8080"
  // Ends politely; returns when all is done or drain.timeout has passed. True: every connection left and every plugin
  // stopped in time. `hurry` is looked at on the way; once it is true the rest is cut short.
  bool drain(const std::function<bool()>& hurry);
  // After drain(): a plugin did not stop, then or in a reload, and its thread still runs. The process must then end
  // without tidying up behind it, this hub least of all.
  bool left_behind() const { return left_behind_; }

  // A manifest that was read again takes the place of the one that runs, under live connections: events are run by the
  // rules before or by those after it, each channel's in order. When `loaded` has problems, or a plugin refuses its
  // config, nothing changes. Says in the log what came of it. `leaving`: whether the hub has been asked to end; plugins
  // that are exchanged then have no longer than drain.timeout for their answers.
  ReloadReport reload(
      SetupResult loaded, const std::function<bool()>& leaving = [] { return false; });
  // Who wants one from another thread is told its report; `wake` then lets [main] call reload(). Before start().
  void on_reload_wanted(std::function<void()> wake) { wake_for_reload_ = std::move(wake); }

  // --- for HttpApi; [any] ---
  using Reloaded = std::function<void(const ReloadReport&)>;
  void ask_for_reload(Reloaded done);
  std::string reload_trouble() const;  // why the last reload was refused; empty: it was not
  // What holds now. The pointer may be kept for a request, not longer.
  std::shared_ptr<const Setup> setup() const;
  const Limits& limits() const { return limits_; }
  bool ready() const { return ready_; }
  bool draining() const { return draining_; }
  UnixMs started_at() const { return started_at_; }
  std::vector<std::unique_ptr<ShardHost>>& shards() { return shards_; }
  void tell_to_go(Shard& shard, Connection& connection) const;  // [shard]
  const Revocations& revocations() const { return revocations_; }
  const Authenticator& authenticator() const { return authenticator_; }
  Registry& registry() { return registry_; }
  const Ingress& ingress() const { return ingress_; }
  Flows& flows() { return flows_; }
  Insight& insight() { return insight_; }
  const Plugins& plugins() const { return plugins_; }

 private:
  void authenticate(ShardHost& host, Connection& connection, std::string token, std::string id);
  void revoke(const std::string& provider, std::string_view key, std::string_view reason);
  Result<std::unique_ptr<net::Admission>> admit(std::string_view peer);
  // Runs it on every shard and waits until all have.
  void on_all_shards(const std::function<void(ShardHost&)>& what);
  void keep_endpoints(Setup& setup);
  ReloadReport apply(SetupResult loaded, const std::function<bool()>& leaving);

  Limits limits_;                       // a reload changes them under those who read
  std::shared_ptr<const Setup> setup_;  // guarded by mutex_
  // All that there ever were: connections refer to them. They are few, and small.
  std::vector<std::shared_ptr<const EndpointRule>> endpoints_;
  Registry registry_;
  Revocations revocations_;
  Authenticator authenticator_;
  Ingress ingress_;
  Flows flows_;
  Insight insight_;
  std::vector<std::unique_ptr<ShardHost>> shards_;
  Plugins plugins_;
  std::unique_ptr<HttpApi> api_;
  std::unique_ptr<net::Listener> listener_;
  std::atomic<bool> ready_{false}, draining_{false}, left_behind_{false};
  UnixMs started_at_ = 0;
  std::function<void()> wake_for_reload_;
  mutable std::mutex mutex_;
  std::vector<Reloaded> waiting_;  // guarded by mutex_
  std::string reload_trouble_;     // guarded by mutex_
};

}  // namespace weir
