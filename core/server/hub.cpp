#include "server/hub.hpp"

#include <algorithm>
#include <future>
#include <thread>

#include "base/ids.hpp"
#include "base/log.hpp"
#include "server/client.hpp"
#include "server/http_api.hpp"

namespace weir {
namespace {
constexpr std::int64_t kStartMs = 2'000;
constexpr std::int64_t kPollMs = 5;        // how often drain() looks whether all have left
constexpr std::int64_t kAuthStopMs = 500;  // what auth providers have at least, however long the rest took
constexpr std::int64_t kReconnectMinMs = 500, kReconnectMaxMs = 5000;

// Stops plugins all at once, each on a thread of its own, because one that hangs must not take the time of the others.
class Stopping {
 public:
  Stopping() = default;
  Stopping(const Stopping&) = delete;
  Stopping& operator=(const Stopping&) = delete;
  ~Stopping() { wait(); }
  void begin(Instance& instance, std::int64_t within_ms) {
    ++running_;
    threads_.emplace_back([this, &instance, within_ms] {
      if (!instance.stop(within_ms)) behind_ = true;
      --running_;
    });
  }
  bool done() const { return running_ == 0; }
  // False: at least one was left behind. Instance::stop() keeps its time, so this returns.
  bool wait() {
    for (std::thread& t : threads_) t.join();
    threads_.clear();
    return !behind_;
  }

 private:
  std::vector<std::thread> threads_;
  std::atomic<std::size_t> running_{0};
  std::atomic<bool> behind_{false};
};

unsigned thread_count(const Manifest& m) {
  return m.threads != 0 ? m.threads : std::max(1U, std::thread::hardware_concurrency());
}
}  // namespace

Hub::Hub(std::unique_ptr<Setup> setup)
    : setup_(std::move(setup)),
      registry_(setup_->manifest.limits),
      revocations_(setup_->manifest.limits.handshake_ms + setup_->manifest.limits.auth_ms),
      ingress_(setup_->manifest.limits) {}

Hub::~Hub() {
  {
    Stopping stopping;  // those that drain() has stopped already return at once
    for (auto& source : sources_) stopping.begin(*source, kStopMs);
    for (const auto& instance : authenticator_.instances()) stopping.begin(*instance, kStopMs);
  }
  for (auto& shard : shards_) shard->stop();
  // With the threads gone, all of it is this thread's. What waits on one shard's loop may hold what belongs to
  // another's, so each step is done for all before the next.
  if (listener_) listener_->stop();
  for (auto& shard : shards_)
    shard->shard().each_connection([](Connection& c) {
      static_cast<net::WsSocket&>(c.port).abort(CloseCode::going_away, "the hub is shutting down");
    });
  for (auto& shard : shards_) shard->forget();
  for (int round = 0; round < 2; ++round)  // what is let go of may post its farewell to a loop that was cleared before
    for (auto& shard : shards_) shard->clear_loop();
}

std::string Hub::address() const { return listener_->address(); }

Result<void> Hub::make_plugins() {
  const Limits& limits = setup_->manifest.limits;
  const auto asked = [this](const std::string& name) {
    const auto among = [&](const std::vector<std::string>& list) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    const Manifest& m = setup_->manifest;
    return among(m.api_auth) ||
           std::any_of(m.endpoints.begin(), m.endpoints.end(), [&](const EndpointEntry& e) { return among(e.auth); });
  };
  EventBounds bounds;
  bounds.data_max = static_cast<std::uint64_t>(limits.data_bytes);
  for (std::size_t i = 0; i < setup_->plugins.size(); ++i) {
    const LoadedPlugin& p = setup_->plugins[i];
    std::string pointer;
    const auto refused = [&](const Error& e) {
      const tree::Problem problem{p.entry->config.nearest(pointer).place, e.message};  // it names the plugin
      return fail(Errc::bad_request, problem.text());
    };
    if (!p.is_auth || (p.is_source && !asked(p.entry->name))) {  // one that can be both is what the manifest uses it as
      ingress_.add(p.entry->name, setup_->source_routes[i]);
      auto made = SourceInstance::create(p.entry->name, p.library, p.config_json, ingress_, bounds, &pointer);
      if (!made) return refused(made.error());
      ingress_.started(p.entry->name, made->get());
      sources_.push_back(*made);
      views_.push_back({&p, made->get()});
    } else {
      auto made = AuthInstance::create(
          p.entry->name, p.library, p.config_json,
          [this](const std::string& provider, std::string_view key, std::string_view reason) {
            revoke(provider, key, reason);
          },
          &pointer);
      if (!made) return refused(made.error());
      authenticator_.add(*made);
      views_.push_back({&p, made->get()});
    }
  }
  return {};
}

// A hub says that it is ready when its plugins have begun: a key file that is not there is found now, by whoever starts
// the hub, and not by the first client. One that takes its time (or whose upstream is away, which it says itself) is
// not waited for longer.
Result<void> Hub::start_plugins() {
  for (const PluginView& view : views_) const_cast<Instance*>(view.instance)->start();
  const SteadyMs end = system_clock().steady_ms() + kStartMs;
  for (const PluginView& view : views_) {
    while (!view.instance->start_returned() && system_clock().steady_ms() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (!view.instance->start_returned())
      log::warn("hub", "a plugin takes long to start", {{"plugin", view.instance->name()}});
    const InstanceStatus status = view.instance->status();
    if (view.instance->start_returned() && status.state == InstanceState::failed) {
      const tree::Problem problem{view.plugin->entry->place,
                                  "plugin \"" + view.instance->name() + "\" could not start: " + status.reason};
      return fail(Errc::bad_request, problem.text());
    }
  }
  return {};
}

Result<void> Hub::start() {
  const Manifest& m = setup_->manifest;
  started_at_ = system_clock().unix_ms();
  const unsigned count = thread_count(m);
  for (unsigned i = 0; i < count; ++i)
    shards_.push_back(std::make_unique<ShardHost>(
        i, count, *setup_, random_seed(), [this](ShardHost& host, Connection& c, std::string token, std::string id) {
          authenticate(host, c, std::move(token), std::move(id));
        }));
  std::vector<ShardHost*> all;
  std::vector<net::Loop*> loops;
  for (auto& s : shards_) {
    all.push_back(s.get());
    loops.push_back(&s->loop());
  }
  for (auto& s : shards_) s->know(all);
  ingress_.shards(all);
  if (auto ok = make_plugins(); !ok) return ok;
  api_ = std::make_unique<HttpApi>(*this);
  auto listener = net::Listener::open(
      {m.listen_host, m.listen_port, &m.limits}, loops,
      [this](std::size_t loop, net::ExchangePtr exchange) { api_->handle(*shards_[loop], std::move(exchange)); },
      [this](std::string_view peer) { return admit(peer); });
  if (!listener) return listener.error();
  listener_ = std::move(*listener);
  if (auto ok = start_plugins(); !ok) return ok;
  for (auto& s : shards_) s->start();  // from here on the listener takes connections; until now they wait in the kernel
  ready_ = true;
  log::info("hub", "ready",
            {{"address", address()},
             {"shards", count},
             {"plugins", setup_->plugins.size()},
             {"channels", m.channels.size()},
             {"rules", m.rules.size()}});
  return {};
}

// A connection that has not said anything yet costs a descriptor; this bounds them beside the WebSockets.
Result<std::unique_ptr<net::Admission>> Hub::admit(std::string_view peer) {
  if (listener_ != nullptr &&
      listener_->http_connections() > static_cast<std::size_t>(setup_->manifest.limits.connections))
    return fail(Errc::unavailable, "the hub takes no more connections right now (limits.connections)");
  auto place = registry_.enter(std::string(peer));
  if (!place) return place.error();
  return std::unique_ptr<net::Admission>(std::move(*place));
}

void Hub::authenticate(ShardHost& host, Connection& connection, std::string token, std::string id) {
  auto& client = *static_cast<Client*>(connection.user);
  authenticator_.ask(connection.endpoint.auth, client.described(), token,
                     static_cast<std::uint32_t>(setup_->manifest.limits.auth_ms),
                     [this, &host, connection_id = connection.id, id = std::move(id),
                      asked = revocations_.mark()](Result<Identity> identity) mutable {
                       host.loop().post([this, &host, connection_id, asked, id = std::move(id),
                                         identity = std::move(identity)]() mutable {
                         Connection* c = host.shard().find(connection_id);
                         if (c == nullptr) return;
                         if (identity)
                           if (const auto why = revocations_.since(asked, *identity))
                             identity = fail(Errc::unauthorized, *why);
                         if (identity)
                           if (auto ok = static_cast<Client*>(c->user)->place().take(*identity); !ok)
                             identity = ok.error();
                         host.shard().authenticated(connection_id, id, std::move(identity));
                       });
                     });
}

void Hub::revoke(const std::string& provider, std::string_view key, std::string_view reason) {
  revocations_.add(provider, key, reason);  // first: what opens behind the shard's back looks there
  for (auto& s : shards_)
    s->loop().post([&shard = s->shard(), provider, k = std::string(key), why = std::string(reason)] {
      shard.revoke(provider, k, why);
    });
}

void Hub::tell_to_go(Shard& shard, Connection& connection) const {
  shard.close(connection, CloseCode::going_away, "the hub is shutting down", kReconnectMinMs, kReconnectMaxMs);
}

bool Hub::drain(const std::function<bool()>& hurry) {
  const SteadyMs begin = system_clock().steady_ms(), end = begin + setup_->manifest.drain_timeout_ms;
  const auto late = [&] { return hurry() || system_clock().steady_ms() >= end; };
  const auto nap = [] { std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs)); };
  draining_ = true;
  ready_ = false;
  log::info("hub", "draining",
            {{"connections", registry_.clients()}, {"timeout_ms", setup_->manifest.drain_timeout_ms}});
  const auto left = [end](std::int64_t least) {
    return std::clamp<std::int64_t>(end - system_clock().steady_ms(), least, kStopMs);
  };
  Stopping sources, providers;
  for (auto& source : sources_) sources.begin(*source, left(100));

  // So many connections leave in each step that the rate holds and that all have been asked before the time is up.
  std::vector<std::vector<ConnectionId>> waiting(shards_.size());
  std::vector<std::future<void>> asked;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    auto done = std::make_shared<std::promise<void>>();
    asked.push_back(done->get_future());
    shards_[i]->loop().post([&shard = shards_[i]->shard(), &list = waiting[i], done] {
      shard.each_connection([&](Connection& c) { list.push_back(c.id); });
      done->set_value();
    });
  }
  for (auto& a : asked) a.wait();
  std::size_t total = 0, sent = 0;
  for (const auto& list : waiting) total += list.size();
  const SteadyMs closing_from = system_clock().steady_ms();
  const double rate = std::max(
      static_cast<double>(setup_->manifest.drain_rate),
      static_cast<double>(total) * 1000.0 / static_cast<double>(std::max<SteadyMs>(1, (end - closing_from) / 2)));
  while (sent < total && !late()) {
    const auto due = std::min(
        total,
        1 + static_cast<std::size_t>(rate * static_cast<double>(system_clock().steady_ms() - closing_from) / 1000.0));
    for (std::size_t i = 0; sent < due; i = (i + 1) % shards_.size()) {
      if (waiting[i].empty()) continue;
      const ConnectionId id = waiting[i].back();
      waiting[i].pop_back();
      ++sent;
      shards_[i]->loop().post([this, &shard = shards_[i]->shard(), id] {
        if (Connection* c = shard.find(id)) tell_to_go(shard, *c);
      });
    }
    nap();
  }
  while ((registry_.clients() != 0 || !sources.done()) && !late()) nap();
  // Until here plain HTTP was answered, so that whoever asks /ready sees it fail before the port is gone.
  shards_[0]->loop().post([this] { listener_->stop(); });
  const std::size_t remain = registry_.clients();
  for (const auto& instance : authenticator_.instances()) providers.begin(*instance, left(kAuthStopMs));
  const bool stopped = sources.wait(), providers_stopped = providers.wait();
  left_behind_ = !stopped || !providers_stopped;
  const bool clean = remain == 0 && !left_behind_;
  log::info("hub", clean ? "drained" : "drain cut short",
            {{"ms", system_clock().steady_ms() - begin}, {"left", remain}});
  return clean;
}

}  // namespace weir
