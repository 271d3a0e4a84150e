// The hub: shards on their threads, plugins, the listener, and the order in which they start and end.
//   start: plugins are made, shards run, the listener opens, sources start
//   drain: readiness fails, upgrades and publications are answered 503; sources stop while connections leave at
//          drain.rate; then the listener closes and auth providers stop, all within drain.timeout and half a second
// Threads: [main]; what says otherwise may be called from there.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/http.hpp"
#include "server/admission.hpp"
#include "server/ingress.hpp"
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
  // After drain(): a plugin did not stop, and its thread still runs. The process must then end without tidying up
  // behind it.
  bool left_behind() const { return left_behind_; }

  // --- for HttpApi; [any] ---
  const Setup& setup() const { return *setup_; }
  bool ready() const { return ready_; }
  bool draining() const { return draining_; }
  UnixMs started_at() const { return started_at_; }
  std::vector<std::unique_ptr<ShardHost>>& shards() { return shards_; }
  void tell_to_go(Shard& shard, Connection& connection) const;  // [shard]
  const Revocations& revocations() const { return revocations_; }
  const Authenticator& authenticator() const { return authenticator_; }
  Registry& registry() { return registry_; }
  const Ingress& ingress() const { return ingress_; }
  struct PluginView {
    const LoadedPlugin* plugin;
    const Instance* instance;
  };
  const std::vector<PluginView>& plugin_views() const { return views_; }

 private:
  Result<void> make_plugins();
  Result<void> start_plugins();
  void authenticate(ShardHost& host, Connection& connection, std::string token, std::string id);
  void revoke(const std::string& provider, std::string_view key, std::string_view reason);
  Result<std::unique_ptr<net::Admission>> admit(std::string_view peer);

  std::unique_ptr<Setup> setup_;
  Registry registry_;
  Revocations revocations_;
  Authenticator authenticator_;
  Ingress ingress_;
  std::vector<std::unique_ptr<ShardHost>> shards_;
  std::vector<std::shared_ptr<SourceInstance>> sources_;
  std::vector<PluginView> views_;
  std::unique_ptr<HttpApi> api_;
  std::unique_ptr<net::Listener> listener_;
  std::atomic<bool> ready_{false}, draining_{false}, left_behind_{false};
  UnixMs started_at_ = 0;
};

}  // namespace weir
