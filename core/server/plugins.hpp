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
  // What is asked of those that are to be exchanged waits from now on until begin(), and nothing is taken of sources
  // that go on under other names until take(), which comes when the shards have been heard of all that.
  void hold();
  // Those that prepare() has made take their places; those before them answer what they have been asked, for which they
  // have 30 s, or `drain_ms` once the hub is `leaving`, and stop first, unless two at once do no harm. False: one of
  // them would not stop.
  bool take(const std::function<bool()>& leaving, std::int64_t drain_ms);
  // Lets those begin; what is sent to them, and asked of them, comes behind that.
  void begin();
  // Waits a moment, so that what can't work is known at once. Errors, a line each: could not start.
  std::vector<std::string> begun();
  // Those that take() has replaced and that may run beside their successors stop as soon as they have answered what
  // they had been asked, whatever comes next. False: one of an earlier reload would not.
  bool stop_replaced();

  // The end of the hub: sources first, those that serve clients when all have left. done(): of those that began to
  // stop.
  class Stopping;
  std::unique_ptr<Stopping> stop_sources(std::int64_t within_ms);
  std::unique_ptr<Stopping> stop_providers(std::int64_t within_ms);
  // And what reloads have replaced, whoever waits for its answers. False: one did not stop.
  bool end_replaced(std::int64_t within_ms);

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
    bool alone = false;  // a channel knows it: two of them at once would feed it, or be sent its events, both
    Instance& instance() const { return flow ? static_cast<Instance&>(*flow) : *auth; }
    // Clients need it until they have left: it answers them, or takes what they publish.
    bool serves() const;
  };
  struct Leaving {
    Entry entry;
    std::unique_ptr<Stopping> stopping;  // null: it has stopped, or stop_replaced() comes next
  };
  bool kept(const Entry& e) const;  // it runs on
  void stop_source(const Entry& e, std::int64_t within_ms, Stopping& stopping);

  Ingress& ingress_;
  Flows& flows_;
  RoutesPtr routes_, next_routes_;
  Authenticator& authenticator_;
  const AuthInstance::Revoke revoke_;
  FlowInstance::Settings settings_;  // of next_
  std::vector<Entry> entries_, next_;
  std::vector<Leaving> replaced_;
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
  // Nothing is waited for any more before they stop, and they have so long for that at most.
  void hurry(std::int64_t within_ms);
  bool done() const;
  bool wait();  // false: at least one was left behind. An instance's stop() keeps its time, so this returns

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir
