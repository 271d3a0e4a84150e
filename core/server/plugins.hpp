// The plugin instances of a hub: made, started, stopped, and exchanged by a reload. One whose library, config and use
// are the same runs on; of the others the new one is made first, so that a config which it refuses changes nothing, and
// then takes the old one's place. Threads: [main], but for views().
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "manifest/tree.hpp"
#include "plugin_host/flow_instance.hpp"
#include "plugin_host/instance.hpp"
#include "server/admission.hpp"
#include "server/flows.hpp"
#include "server/ingress.hpp"
#include "server/setup.hpp"

namespace weir {

class Plugins {
 public:
  Plugins(Ingress& ingress, Flows& flows, Authenticator& authenticator, AuthInstance::Revoke revoke);
  ~Plugins();  // stops what still runs

  // Makes the instances that `setup` wants and that do not run as it wants them. Nothing else changes yet.
  // Errors: bad_request - a plugin refuses its config; the message says where in the manifest.
  Result<void> prepare(const Setup& setup);
  // What is asked of those that are to be exchanged waits from now on until begin(); take() comes when the shards have
  // been heard of that.
  void hold();
  // Those that prepare() has made take their places; sources that are not wanted any more stop first. False: one of
  // them would not.
  bool take();
  // Lets those begin; what is sent to them, and asked of them, comes behind that.
  void begin();
  // Waits a moment, so that what can't work is known at once. Errors, a line each: could not start.
  std::vector<std::string> begun();
  // The auth providers that take() has replaced stop: what they had been asked has been answered, or is now.
  bool stop_replaced();

  // The end of the hub: sources first, those that serve clients when all have left. done(): of those that began to
  // stop.
  class Stopping;
  std::unique_ptr<Stopping> stop_sources(std::int64_t within_ms);
  std::unique_ptr<Stopping> stop_providers(std::int64_t within_ms);

  struct View {
    std::string name, library;
    bool source, sink;
    std::shared_ptr<const Instance> instance;
  };
  std::vector<View> views() const;  // in the order of the manifest [any]

 private:
  struct Entry {
    std::string name, library, config;
    std::shared_ptr<const Library> code;
    tree::Place place;
    std::vector<SourceRoute> routes;
    std::shared_ptr<FlowInstance> flow;  // one of these two
    std::shared_ptr<AuthInstance> auth;
    bool fresh = false;
    bool answers_only = false;  // no channel knows it: two of them at once do no harm
    Instance& instance() const { return flow ? static_cast<Instance&>(*flow) : *auth; }
    // Clients need it until they have left: it answers them, or takes what they publish.
    bool serves() const;
  };
  bool kept(const Entry& e) const;  // it runs on
  void stop_source(const Entry& e, std::int64_t within_ms, Stopping& stopping);

  Ingress& ingress_;
  Flows& flows_;
  RoutesPtr routes_, next_routes_;
  Authenticator& authenticator_;
  const AuthInstance::Revoke revoke_;
  FlowInstance::Settings settings_;  // of next_
  std::vector<Entry> entries_, next_, replaced_;
  mutable std::mutex mutex_;
  std::vector<View> views_;  // guarded by mutex_
};

// Stops instances all at once, each on a thread of its own, because one that hangs must not take the time of the
// others.
class Plugins::Stopping {
 public:
  Stopping();
  ~Stopping();
  Stopping(const Stopping&) = delete;
  Stopping& operator=(const Stopping&) = delete;
  // Before that instance stops, `settled` is asked until it says yes, for so long at most.
  void begin(Instance& instance, std::int64_t within_ms, std::function<bool()> settled = {},
             std::int64_t settle_ms = 0);
  bool done() const;
  bool wait();  // false: at least one was left behind. An instance's stop() keeps its time, so this returns

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir
