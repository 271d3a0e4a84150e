#include "server/hub.hpp"

#include <algorithm>
#include <future>
#include <optional>
#include <thread>

#include "base/ids.hpp"
#include "base/log.hpp"
#include "server/client.hpp"
#include "server/http_api.hpp"

namespace weir {
namespace {
constexpr std::int64_t kPollMs = 5;  // how often drain() looks whether all have left
constexpr std::int64_t kSourcesFirstMs = 1000;
constexpr std::int64_t kAuthStopMs = 500;  // what auth providers have at least, however long the rest took
constexpr std::int64_t kReconnectMinMs = 500, kReconnectMaxMs = 5000;

unsigned thread_count(const Manifest& m) {
  return m.threads != 0 ? m.threads : std::max(1U, std::thread::hardware_concurrency());
}
}  // namespace

Hub::Hub(std::unique_ptr<Setup> setup)
    : limits_(setup->manifest.limits),
      registry_(limits_),
      revocations_(limits_.handshake_ms + limits_.auth_ms),
      ingress_(limits_),
      insight_(*this),
      plugins_(ingress_, flows_, authenticator_,
               [this](const std::string& provider, std::string_view key, std::string_view reason) {
                 revoke(provider, key, reason);
               }) {
  keep_endpoints(*setup);
  setup_ = std::move(setup);
}

Hub::~Hub() {
  {
    const auto sources = plugins_.stop_sources(kStopMs), providers = plugins_.stop_providers(kStopMs);
    plugins_.end_replaced(kStopMs);
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

std::shared_ptr<const Setup> Hub::setup() const {
  const std::lock_guard lock(mutex_);
  return setup_;
}

// One that is the same stays the very same.
void Hub::keep_endpoints(Setup& setup) {
  for (auto& endpoint : setup.endpoints) {
    const auto same =
        std::find_if(endpoints_.begin(), endpoints_.end(), [&](const auto& e) { return *e == *endpoint; });
    if (same == endpoints_.end())
      endpoints_.push_back(endpoint);
    else
      endpoint = *same;
  }
}

std::string Hub::address() const { return listener_->address(); }

Result<void> Hub::start() {
  const auto setup = this->setup();
  const Manifest& m = setup->manifest;
  started_at_ = system_clock().unix_ms();
  const unsigned count = thread_count(m);
  for (unsigned i = 0; i < count; ++i)
    shards_.push_back(
        std::make_unique<ShardHost>(i, count, *setup, limits_, random_seed(), flows_,
                                    [this](ShardHost& host, Connection& c, std::string token, std::string id) {
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
  flows_.shards(all);
  ingress_.others(
      {[this](const std::string& sink) { flows_.room(sink); },
       [this](std::function<void(std::string)> done) { insight_.figures(shards_[0]->loop(), std::move(done)); }});
  if (auto ok = plugins_.prepare(*setup); !ok) return ok;
  (void)plugins_.take([] { return false; }, 0);  // there is nothing yet whose place it would be
  api_ = std::make_unique<HttpApi>(*this);
  auto listener = net::Listener::open(
      {m.listen_host, m.listen_port, &limits_}, loops,
      [this](std::size_t loop, net::ExchangePtr exchange) { api_->handle(*shards_[loop], std::move(exchange)); },
      [this](std::string_view peer) { return admit(peer); });
  if (!listener) return listener.error();
  listener_ = std::move(*listener);
  plugins_.begin();
  if (const auto problems = plugins_.begun(); !problems.empty()) return fail(Errc::bad_request, problems.front());
  for (auto& s : shards_) s->start();  // from here on the listener takes connections; until now they wait in the kernel
  ready_ = true;
  log::info("hub", "ready",
            {{"address", address()},
             {"shards", count},
             {"plugins", setup->plugins.size()},
             {"channels", m.channels.size()},
             {"rules", m.rules.size()}});
  return {};
}

// A connection that has not said anything yet costs a descriptor; this bounds them beside the WebSockets.
Result<std::unique_ptr<net::Admission>> Hub::admit(std::string_view peer) {
  if (listener_ != nullptr && listener_->http_connections() > static_cast<std::size_t>(limits_.connections))
    return fail(Errc::unavailable, "the hub takes no more connections right now (limits.connections)");
  auto place = registry_.enter(std::string(peer));
  if (!place) return place.error();
  return std::unique_ptr<net::Admission>(std::move(*place));
}

void Hub::authenticate(ShardHost& host, Connection& connection, std::string token, std::string id) {
  auto& client = *static_cast<Client*>(connection.user);
  authenticator_.ask(connection.endpoint.auth, client.described(), token, static_cast<std::uint32_t>(limits_.auth_ms),
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

void Hub::on_all_shards(const std::function<void(ShardHost&)>& what) {
  std::vector<std::future<void>> all;
  for (auto& shard : shards_) {
    auto done = std::make_shared<std::promise<void>>();
    all.push_back(done->get_future());
    shard->loop().post([&what, &host = *shard, done] {
      what(host);
      done->set_value();
    });
  }
  for (auto& one : all) one.wait();
}

void Hub::ask_for_reload(Reloaded done) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(done));
  }
  if (wake_for_reload_) wake_for_reload_();
}

std::string Hub::reload_trouble() const {
  const std::lock_guard lock(mutex_);
  return reload_trouble_;
}

ReloadReport Hub::reload(SetupResult loaded, const std::function<bool()>& leaving) {
  std::vector<Reloaded> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(waiting_);
  }
  const ReloadReport report = apply(std::move(loaded), leaving);
  for (const std::string& problem : report.problems) log::error("reload", problem);
  for (const std::string& warning : report.warnings) log::warn("reload", warning);
  for (const std::string& what : report.restart) log::warn("reload", what);
  for (const std::string& what : report.changed) log::info("reload", what);
  if (report.done)
    log::info("reload", report.changed.empty() ? "nothing has changed" : "done", {{"changes", report.changed.size()}});
  else
    log::error("reload", "refused; the hub goes on as it was", {{"problems", report.problems.size()}});
  {
    const std::lock_guard lock(mutex_);
    reload_trouble_.clear();
    if (!report.done) {
      reload_trouble_ = "the last reload was refused: " + (report.problems.empty() ? "" : report.problems.front());
      if (report.problems.size() > 1)
        reload_trouble_ += " (and " + std::to_string(report.problems.size() - 1) + " more)";
    }
  }
  for (const Reloaded& done : waiting) done(report);
  return report;
}

ReloadReport Hub::apply(SetupResult loaded, const std::function<bool()>& leaving) {
  ReloadReport report;
  for (const tree::Problem& p : loaded.problems) report.problems.push_back(p.text());
  for (const tree::Problem& w : loaded.warnings) report.warnings.push_back(w.text());
  if (!loaded.setup || draining_) return report;
  Setup& next = *loaded.setup;
  const auto before = setup();
  next.kv = before->kv;
  keep_endpoints(next);
  if (auto ok = plugins_.prepare(next); !ok) {
    report.problems.push_back(ok.error().message);
    return report;
  }
  compare(*before, next, limits_, report);
  for (const LimitInfo& limit : all_limits()) limits_.*limit.member = next.manifest.limits.*limit.member;
  if (next.manifest.log.level != before->manifest.log.level) log::set_level(next.manifest.log.level);
  next.kv->set_bytes_max(limits_.kv_bytes);
  revocations_.keep_for(limits_.handshake_ms + limits_.auth_ms);
  plugins_.hold();
  // Every channel and rule is what it will be before the first event comes for it, and before the first client asks.
  on_all_shards([&next](ShardHost& host) { host.take_rules(next); });
  if (!plugins_.take(leaving, next.manifest.drain_timeout_ms)) {
    left_behind_ = true;
    report.problems.emplace_back("a plugin did not stop within 5 s and was left behind");
  }
  plugins_.begin();
  {
    const std::lock_guard lock(mutex_);
    setup_ = std::move(loaded.setup);
  }
  on_all_shards([](ShardHost& host) { host.take_routes(); });
  for (std::string& problem : plugins_.begun()) report.problems.push_back(std::move(problem));
  if (!plugins_.stop_replaced()) left_behind_ = true;
  report.done = true;
  return report;
}

bool Hub::drain(const std::function<bool()>& hurry) {
  const auto setup = this->setup();
  const SteadyMs begin = system_clock().steady_ms(), end = begin + setup->manifest.drain_timeout_ms;
  const auto late = [&] { return hurry() || system_clock().steady_ms() >= end; };
  const auto nap = [] { std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs)); };
  draining_ = true;
  ready_ = false;
  log::info("hub", "draining",
            {{"connections", registry_.clients()}, {"timeout_ms", setup->manifest.drain_timeout_ms}});
  const auto left = [end](std::int64_t least) {
    return std::clamp<std::int64_t>(end - system_clock().steady_ms(), least, kStopMs);
  };
  const auto sources = plugins_.stop_sources(left(100));
  while (!sources->done() &&
         system_clock().steady_ms() < begin + std::min<std::int64_t>(kSourcesFirstMs, (end - begin) / 4))
    nap();
  // What rules still hold goes out while there is somebody to get it.
  for (auto& shard : shards_) shard->loop().post([&rules = shard->rules()] { rules.stop(); });

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
      static_cast<double>(setup->manifest.drain_rate),
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
  while ((registry_.clients() != 0 || !sources->done()) && !late()) nap();
  // What clients and rules have published goes out before the sinks stop. Two looks that show the same: in between no
  // shard had anything to do, so none had anything under way to another either.
  std::vector<std::optional<std::uint64_t>> seen;
  const auto all_out = [this, &seen] {
    std::vector<std::optional<std::uint64_t>> now(shards_.size());
    on_all_shards([&now](ShardHost& host) { now[host.id()] = host.quiet(); });
    const bool same = now == seen && std::find(now.begin(), now.end(), std::nullopt) == now.end();
    seen = std::move(now);
    return same && flows_.sinks_empty();
  };
  bool all_sent = all_out() || all_out();
  for (; !all_sent && !late(); all_sent = all_out()) nap();
  for (const auto& [sink, events] : flows_.waiting())
    log::warn("hub", "events that waited for sink \"" + sink + "\" are lost: it had no room for them in time",
              {{"count", events}});
  // Until here plain HTTP was answered, so that whoever asks /ready sees it fail before the port is gone.
  shards_[0]->loop().post([this] { listener_->stop(); });
  const std::size_t remain = registry_.clients();
  const auto providers = plugins_.stop_providers(left(kAuthStopMs));
  const bool replaced_stopped = plugins_.end_replaced(left(kAuthStopMs));
  const bool stopped = sources->wait(), providers_stopped = providers->wait();
  if (!stopped || !providers_stopped || !replaced_stopped) left_behind_ = true;  // a reload may have said so before
  const bool clean = remain == 0 && all_sent && !left_behind_;
  log::info("hub", clean ? "drained" : "drain cut short",
            {{"ms", system_clock().steady_ms() - begin}, {"left", remain}});
  return clean;
}

}  // namespace weir
