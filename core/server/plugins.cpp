#include "server/plugins.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/log.hpp"

namespace weir {
namespace {
constexpr std::int64_t kStartMs = 2'000;
constexpr std::int64_t kSettleMs = 1'000;  // what an end waits for at most, but for answers
// What those that are exchanged have for that. An HTTP call has as much in all; while it is waited for, those who ask
// next wait as well, so it is not as long as a method's timeout may be.
constexpr std::int64_t kAnswerMs = 30'000;
constexpr std::int64_t kForEverMs = std::int64_t{1} << 40;

void nap() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

// One that can be both is what the manifest uses it as.
bool used_for_flows(const Setup& setup, const LoadedPlugin& p) {
  if (!p.is_auth || !p.flows) return p.flows;
  const auto among = [&](const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), p.entry->name) != list.end();
  };
  const Manifest& m = setup.manifest;
  return !among(m.api_auth) &&
         std::none_of(m.endpoints.begin(), m.endpoints.end(), [&](const EndpointEntry& e) { return among(e.auth); });
}
bool is_sink(const Setup& setup, const std::string& plugin) {
  const auto& channels = setup.manifest.channels;
  return std::any_of(channels.begin(), channels.end(), [&](const ChannelEntry& c) {
    return std::any_of(c.to.begin(), c.to.end(), [&](const ToEntry& t) { return t.plugin == plugin; });
  });
}
}  // namespace

struct Plugins::Stopping::State {
  std::vector<std::thread> threads;
  std::atomic<std::size_t> running{0};
  std::atomic<bool> behind{false};
  std::atomic<std::int64_t> hurried_ms{kForEverMs};  // what hurry() has said
};

Plugins::Stopping::Stopping() : state_(std::make_unique<State>()) {}
Plugins::Stopping::~Stopping() { wait(); }
void Plugins::Stopping::begin(Instance& instance, std::int64_t within_ms, std::function<bool()> settled,
                              std::int64_t settle_ms) {
  ++state_->running;
  const auto work = [&state = *state_, &instance, within_ms, settled = std::move(settled), settle_ms] {
    const SteadyMs end = system_clock().steady_ms() + settle_ms;
    while (settled && !settled() && system_clock().steady_ms() < end && state.hurried_ms == kForEverMs) nap();
    if (!instance.stop(std::min<std::int64_t>(within_ms, state.hurried_ms))) state.behind = true;
    --state.running;
  };
  try {
    state_->threads.emplace_back(work);
  } catch (const std::system_error&) {  // no thread is left; one after the other, then
    work();
  }
}
void Plugins::Stopping::hurry(std::int64_t within_ms) { state_->hurried_ms = within_ms; }
bool Plugins::Stopping::done() const { return state_->running == 0; }
bool Plugins::Stopping::wait() {
  for (std::thread& t : state_->threads) t.join();
  state_->threads.clear();
  return !state_->behind;
}

bool Plugins::Entry::serves() const {
  return auth || code->sink() != nullptr || code->responder() != nullptr || code->http() != nullptr;
}

Plugins::Plugins(Ingress& ingress, Flows& flows, Authenticator& authenticator, AuthInstance::Revoke revoke)
    : ingress_(ingress), flows_(flows), authenticator_(authenticator), revoke_(std::move(revoke)) {}

Plugins::~Plugins() {
  end_replaced(kStopMs);
  Stopping stopping;  // those that have been stopped already return at once
  for (const auto* list : {&entries_, &next_})
    for (const Entry& e : *list) stopping.begin(e.instance(), kStopMs);
}

Result<void> Plugins::prepare(const Setup& setup) {
  FlowInstance::Settings settings;
  const Limits& next_limits = setup.manifest.limits;  // those that hold once these instances do
  settings.bounds.data_max = static_cast<std::uint64_t>(next_limits.data_bytes);
  settings.outlet = {static_cast<std::size_t>(next_limits.sink_events),
                     static_cast<std::size_t>(next_limits.sink_bytes)};
  settings.linger_ms = next_limits.demand_linger_ms;
  settings_ = settings;
  std::vector<Entry> next;
  const auto give_up = [&next](Error error) -> Result<void> {
    Stopping stopping;
    for (const Entry& made : next)
      if (made.fresh) stopping.begin(made.instance(), kStopMs);
    return error;
  };
  for (std::size_t i = 0; i < setup.plugins.size(); ++i) {
    const LoadedPlugin& p = setup.plugins[i];
    Entry e;
    e.name = p.entry->name;
    e.library = p.entry->library;
    e.code = p.library;
    e.config = p.config_json;
    e.place = p.entry->place;
    e.routes = setup.source_routes[i];
    const bool flows = used_for_flows(setup, p);
    e.alone = flows && (!e.routes.empty() || is_sink(setup, e.name));
    const auto same = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& now) {
      return now.name == e.name && now.code->same_code(*e.code) && now.config == e.config &&
             (now.flow != nullptr) == flows;
    });
    if (same != entries_.end()) {
      e.flow = same->flow;
      e.auth = same->auth;
      next.push_back(std::move(e));
      continue;
    }
    std::string pointer;
    const auto refused = [&](const Error& error) {
      const tree::Problem problem{p.entry->config.nearest(pointer).place, error.message};  // it names the plugin
      return give_up(fail(Errc::bad_request, problem.text()));
    };
    if (flows) {
      auto made = FlowInstance::create(e.name, p.library, p.config_json, ingress_, settings, &pointer);
      if (!made) return refused(made.error());
      e.flow = std::move(*made);
    } else {
      auto made = AuthInstance::create(e.name, p.library, p.config_json, revoke_, &pointer);
      if (!made) return refused(made.error());
      e.auth = std::move(*made);
    }
    e.fresh = true;
    next.push_back(std::move(e));
  }
  next_ = std::move(next);
  next_routes_ = setup.routes;
  return {};
}

bool Plugins::kept(const Entry& e) const {
  return std::any_of(next_.begin(), next_.end(), [&](const Entry& n) { return &n.instance() == &e.instance(); });
}

void Plugins::hold() {
  std::vector<std::string> names;
  for (const Entry& e : entries_)
    if (e.alone && !kept(e)) names.push_back(e.name);
  flows_.hold(names);
  flows_.expect(next_routes_);
  const SteadyMs end = system_clock().steady_ms() + kSettleMs;
  for (const Entry& e : next_)
    while (e.flow && !e.fresh && !ingress_.hold(*e.flow, e.routes) && system_clock().steady_ms() < end) nap();
}

void Plugins::stop_source(const Entry& e, std::int64_t within_ms, Stopping& stopping) {
  const std::int64_t settle_ms = std::min(kSettleMs, within_ms / 2);
  stopping.begin(
      *e.flow, within_ms - settle_ms, [&ingress = ingress_, &flow = *e.flow] { return ingress.settled(flow); },
      settle_ms);
}

bool Plugins::take(const std::function<bool()>& leaving, std::int64_t drain_ms) {
  // Owners know the new channels, and the old ones no more: what goes on feeds those before anything is waited for.
  for (const Entry& e : next_)
    if (e.flow && !e.fresh) ingress_.reroute(*e.flow, e.routes);
  SteadyMs end = system_clock().steady_ms() + kAnswerMs;
  bool leaves = false;
  for (const Entry& e : entries_)
    while (e.alone && !kept(e) && !e.instance().idle() && system_clock().steady_ms() < end) {
      if (!leaves && (leaves = leaving())) end = std::min(end, system_clock().steady_ms() + drain_ms);
      nap();
    }
  const std::size_t before = replaced_.size();
  Stopping sources;
  for (Entry& e : entries_) {
    if (kept(e)) continue;
    log::info("hub", "a plugin instance ends", {{"plugin", e.name}});
    if (e.alone) stop_source(e, kStopMs + kSettleMs, sources);
    replaced_.push_back({std::move(e), nullptr});
  }
  const bool stopped = sources.wait();
  for (std::size_t i = before; i < replaced_.size(); ++i)
    if (const Entry& e = replaced_[i].entry;
        e.alone && e.code->source() != nullptr && !e.code->info().lossless && !ingress_.goes_on(*e.flow))
      ingress_.gap(*e.flow, "", 0, "its plugin was exchanged by a reload; what came meanwhile may be missing");
  for (const Entry& e : next_)
    if (e.flow && !e.fresh) e.flow->use(settings_);
  entries_ = std::move(next_);
  next_.clear();
  routes_ = next_routes_;
  std::vector<Ingress::Feeding> feeding;
  std::vector<View> views;
  for (const Entry& e : entries_) {
    if (e.flow) feeding.push_back({e.flow, e.routes});
    views.push_back({e.name, e.library, e.flow && e.code->source() != nullptr, e.flow && e.code->sink() != nullptr,
                     e.flow ? std::shared_ptr<const Instance>(e.flow) : std::shared_ptr<const Instance>(e.auth)});
  }
  ingress_.feed_from(feeding);
  const std::lock_guard lock(mutex_);
  views_ = std::move(views);
  return stopped;
}

void Plugins::begin() {
  std::vector<std::shared_ptr<FlowInstance>> flows;
  std::vector<std::shared_ptr<AuthInstance>> providers;
  for (const Entry& e : entries_) {
    if (e.fresh) e.instance().start();
    if (e.flow)
      flows.push_back(e.flow);
    else
      providers.push_back(e.auth);
  }
  flows_.use(flows, routes_);
  authenticator_.set(std::move(providers));
}

// A hub says that it is ready when its plugins have begun: a key file that is not there is found now, by whoever starts
// the hub, and not by the first client. One that takes its time (or whose upstream is away, which it says itself) is
// not waited for longer.
std::vector<std::string> Plugins::begun() {
  std::vector<std::string> problems;
  const SteadyMs end = system_clock().steady_ms() + kStartMs;
  for (Entry& e : entries_) {
    if (!std::exchange(e.fresh, false)) continue;
    const Instance& instance = e.instance();
    while (!instance.start_returned() && system_clock().steady_ms() < end) nap();
    if (!instance.start_returned()) log::warn("hub", "a plugin takes long to start", {{"plugin", e.name}});
    const InstanceStatus status = instance.status();
    if (instance.start_returned() && status.state == InstanceState::failed) {
      const tree::Problem problem{e.place, "plugin \"" + e.name + "\" could not start: " + status.reason};
      problems.push_back(problem.text());
    }
  }
  return problems;
}

bool Plugins::stop_replaced() {
  bool stopped = true;
  for (Leaving& l : replaced_) {
    if (l.stopping && l.stopping->done()) stopped = l.stopping->wait() && stopped;
    if (l.stopping || l.entry.alone) continue;
    l.stopping = std::make_unique<Stopping>();
    const Instance& instance = l.entry.instance();
    l.stopping->begin(
        l.entry.instance(), kStopMs, [&instance] { return instance.idle(); }, kForEverMs);
  }
  // Whoever looks at one of them right now (views()) must not be the last to let it go: that is [main].
  std::erase_if(replaced_, [](const Leaving& l) {
    return (!l.stopping || l.stopping->done()) &&
           (l.entry.flow ? l.entry.flow.use_count() : l.entry.auth.use_count()) == 1;
  });
  return stopped;
}

bool Plugins::end_replaced(std::int64_t within_ms) {
  bool stopped = true;
  for (const Leaving& l : replaced_)
    if (l.stopping) l.stopping->hurry(within_ms);
  for (const Leaving& l : replaced_)
    if (l.stopping) stopped = l.stopping->wait() && stopped;
  return stopped;
}

std::unique_ptr<Plugins::Stopping> Plugins::stop_sources(std::int64_t within_ms) {
  auto stopping = std::make_unique<Stopping>();
  for (const Entry& e : entries_) {
    if (!e.serves())
      stop_source(e, within_ms, *stopping);
    else if (e.flow && e.code->source() != nullptr)
      e.flow->pause(), ingress_.end(*e.flow);
  }
  return stopping;
}

std::unique_ptr<Plugins::Stopping> Plugins::stop_providers(std::int64_t within_ms) {
  auto stopping = std::make_unique<Stopping>();
  for (const Entry& e : entries_)
    if (e.serves()) stopping->begin(e.instance(), within_ms);
  return stopping;
}

std::vector<Plugins::View> Plugins::views() const {
  const std::lock_guard lock(mutex_);
  return views_;
}

}  // namespace weir
