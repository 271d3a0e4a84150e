#include "link.hpp"

#include <nats/nats.h>

#include <algorithm>

namespace weir::nats {

// --- Inbox ----------------------------------------------------------------------------------------------------------

void Inbox::put(natsMsg* message) {
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return closed_ || !full(); });
    if (closed_) {
      lock.unlock();
      natsMsg_Destroy(message);
      return;
    }
    messages_.push_back(message);
    bytes_ += static_cast<std::size_t>(natsMsg_GetDataLength(message));
    if (woken_) return;
    woken_ = true;
  }
  wake_();
}

bool Inbox::take(std::vector<natsMsg*>& out, std::size_t count) {
  const std::lock_guard lock(mutex_);
  const bool was_full = full();
  for (; count != 0 && !messages_.empty(); --count) {
    out.push_back(messages_.front());
    bytes_ -= static_cast<std::size_t>(natsMsg_GetDataLength(messages_.front()));
    messages_.pop_front();
  }
  if (was_full) room_.notify_all();
  woken_ = !messages_.empty();
  return woken_;
}

void Inbox::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (natsMsg* message : messages_) natsMsg_Destroy(message);
  messages_.clear();
  bytes_ = 0;
  room_.notify_all();
}

// --- Worker ---------------------------------------------------------------------------------------------------------

void Worker::end() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    jobs_.clear();
  }
  more_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Worker::add(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    jobs_.push_back(std::move(job));
  }
  more_.notify_all();
}

void Worker::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    more_.wait(lock, [this] { return over_ || !jobs_.empty(); });
    if (over_) break;
    const auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
  }
  nats_ReleaseThreadMemory();
}

// --- Link -----------------------------------------------------------------------------------------------------------

namespace {

constexpr std::int64_t kConnectMs = 2'000, kWriteMs = 2'000;

std::string last_error(natsConnection* connection, natsStatus fallback) {
  const char* text = nullptr;
  const natsStatus status = natsConnection_GetLastError(connection, &text);
  if (text != nullptr && *text != '\0') return text;
  return natsStatus_GetText(status != NATS_OK ? status : fallback);
}

struct OptionsCloser {
  void operator()(natsOptions* options) const { natsOptions_Destroy(options); }
};
using Options = std::unique_ptr<natsOptions, OptionsCloser>;

}  // namespace

// What cnats' threads hold on to. It lives until cnats says that the connection is closed.
struct Link::Shared {
  Shared(const sdk::Host& h, Link* l) : host(h), link(l) {}
  sdk::Host host;
  Link* link;  // [strand]; null once the link is gone
  std::mutex mutex;
  std::condition_variable changed;
  int open = 0;                          // connections and subscriptions that may still call; guarded by mutex
  bool gone = false;                     // nobody listens any more; guarded by mutex
  std::shared_ptr<natsConnection> made;  // by the worker, and not taken yet; guarded by mutex

  void opened() {
    const std::lock_guard lock(mutex);
    ++open;
  }
  void ended() {
    const std::lock_guard lock(mutex);
    --open;
    changed.notify_all();
  }
  void tell(const std::shared_ptr<Shared>& self, std::function<void(Link&)> call) {
    // Weak: a task that never runs stays with the host, and `self` holds that.
    (void)host.post([weak = std::weak_ptr(self), call = std::move(call)] {
      if (const auto there = weak.lock(); there != nullptr && there->link != nullptr) call(*there->link);
    });
  }
};

Link::Link(const sdk::Host& host, const LinkConfig& config, Told told)
    : host_(host), config_(config), told_(std::move(told)), shared_(std::make_shared<Shared>(host, this)) {}

Link::~Link() {
  shared_->link = nullptr;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->gone = true;
  }
  if (connection_ != nullptr) natsConnection_Close(connection_.get());  // whoever waits for an answer gets none
  worker_.end();
  if (shared_->made != nullptr) natsConnection_Close(std::exchange(shared_->made, nullptr).get());
  close();
  std::unique_lock lock(shared_->mutex);
  // cnats closes at once; the bound is for a library that does not.
  shared_->changed.wait_for(lock, std::chrono::seconds(5), [this] { return shared_->open == 0; });
}

std::string Link::where() const {
  std::string out;
  for (const auto& server : config_.servers) (out += out.empty() ? "" : ", ") += server;
  return out;
}

void Link::open() {
  worker_.add([shared = shared_, config = config_] {
    using Held = std::shared_ptr<Shared>;
    const auto done = [&shared](natsConnection* connection, std::string why) {
      if (connection != nullptr) {
        const std::lock_guard lock(shared->mutex);
        shared->made = {connection, &natsConnection_Destroy};
      }
      shared->tell(shared, [why = std::move(why)](Link& link) { link.opened(why); });
    };

    natsOptions* raw = nullptr;
    if (natsOptions_Create(&raw) != NATS_OK) return done(nullptr, "not enough memory");
    const Options options(raw);
    std::vector<const char*> servers;
    for (const auto& server : config.servers) servers.push_back(server.c_str());
    auto ear = std::make_unique<Held>(shared);  // what the callbacks are called with
    natsStatus status = natsOptions_SetServers(raw, servers.data(), static_cast<int>(servers.size()));
    std::string what = "url";
    const auto set = [&](const char* of, natsStatus result) {
      if (status != NATS_OK) return;
      status = result;
      if (status != NATS_OK) what = of;
    };
    set("name", natsOptions_SetName(raw, config.name.c_str()));
    if (!config.user.empty()) set("user", natsOptions_SetUserInfo(raw, config.user.c_str(), config.password.c_str()));
    if (!config.token.empty()) set("token", natsOptions_SetToken(raw, config.token.c_str()));
    if (!config.credentials_file.empty())
      set("credentials", natsOptions_SetUserCredentialsFromFiles(raw, config.credentials_file.c_str(), nullptr));
    if (!config.nkey.empty())
      set("nkey", natsOptions_SetNKeyFromSeed(raw, config.nkey.c_str(), config.nkey_seed_file.c_str()));
    if (config.tls) {
      set("tls", natsOptions_SetSecure(raw, true));
      if (!config.ca_file.empty()) set("tls.ca", natsOptions_LoadCATrustedCertificates(raw, config.ca_file.c_str()));
      if (!config.certificate_file.empty())
        set("tls.certificate",
            natsOptions_LoadCertificatesChain(raw, config.certificate_file.c_str(), config.key_file.c_str()));
      if (!config.server_name.empty())
        set("tls.server_name", natsOptions_SetExpectedHostname(raw, config.server_name.c_str()));
    }
    set("ping", natsOptions_SetPingInterval(raw, config.ping_ms));
    (void)natsOptions_SetMaxPingsOut(raw, 2);
    (void)natsOptions_SetTimeout(raw, kConnectMs);
    (void)natsOptions_SetWriteDeadline(raw, kWriteMs);
    (void)natsOptions_SetAllowReconnect(raw, true);
    (void)natsOptions_SetMaxReconnect(raw, -1);
    (void)natsOptions_SetFailRequestsOnDisconnect(raw, true);
    (void)natsOptions_SetCustomReconnectDelay(
        raw,
        [](natsConnection*, int attempts, void*) {
          thread_local sdk::Backoff backoff;
          return static_cast<std::int64_t>(backoff.wait_ms(static_cast<std::uint32_t>(attempts)));
        },
        nullptr);
    (void)natsOptions_SetDisconnectedCB(
        raw,
        [](natsConnection* connection, void* closure) {
          const Held self = *static_cast<Held*>(closure);
          self->tell(self,
                     [why = last_error(connection, NATS_CONNECTION_DISCONNECTED)](Link& link) { link.said_away(why); });
        },
        ear.get());
    (void)natsOptions_SetReconnectedCB(
        raw,
        [](natsConnection*, void* closure) {
          const Held self = *static_cast<Held*>(closure);
          self->tell(self, [](Link& link) { link.said_connected(true); });
        },
        ear.get());
    // The reason why cnats gives up is told here only.
    (void)natsOptions_SetErrorHandler(
        raw,
        [](natsConnection* connection, natsSubscription* subscription, natsStatus error, void* closure) {
          if (subscription != nullptr) return;  // that one is slow: dropped() says how much
          const Held self = *static_cast<Held*>(closure);
          self->tell(self, [why = last_error(connection, error)](Link& link) { link.complained(why); });
        },
        ear.get());
    (void)natsOptions_SetClosedCB(
        raw,
        [](natsConnection* connection, void* closure) {
          const std::unique_ptr<Held> last(static_cast<Held*>(closure));
          const Held self = *last;
          self->tell(self,
                     [why = last_error(connection, NATS_CONNECTION_CLOSED)](Link& link) { link.said_closed(why); });
          self->ended();
        },
        ear.get());
    if (status != NATS_OK) return done(nullptr, what + ": " + natsStatus_GetText(status));

    {
      const std::lock_guard lock(shared->mutex);
      if (shared->gone) return;
      ++shared->open;
    }
    natsConnection* connection = nullptr;
    status = natsConnection_Connect(&connection, raw);
    if (status == NATS_OK) {
      (void)ear.release();  // the closed callback ends it
      return done(connection, {});
    }
    shared->ended();
    natsStatus last = NATS_OK;
    const char* detail = nats_GetLastError(&last);
    std::string why = detail != nullptr && last == status ? detail : natsStatus_GetText(status);
    if (why.starts_with('(')) why.erase(0, why.find(": ") + 2);  // where in cnats it was noticed
    done(nullptr, why);
  });
}

void Link::opened(const std::string& why) {
  {
    const std::lock_guard lock(shared_->mutex);
    connection_ = std::exchange(shared_->made, nullptr);
  }
  if (connection_ == nullptr) return said_closed(why);
  std::string refused;
  const auto wanted = std::exchange(wanted_, {});
  for (const Wanted& w : wanted)
    (void)subscribe(w.subject, w.queue, w.pending_messages, w.pending_bytes, *w.inbox, refused);
  if (!refused.empty()) host_.error(refused);
  // Connected is who has its subscriptions: what is sent from then on comes here.
  blocking([shared = shared_](natsConnection* there) {
    (void)natsConnection_FlushTimeout(there, kConnectMs);
    shared->tell(shared, [](Link& link) {
      if (link.connection_ != nullptr) link.said_connected(false);
    });
  });
}

void Link::said_connected(bool again) {
  connected_ = true;
  backoff_.reset();
  complaint_.clear();
  again = again || was_connected_;
  if (again) ++reconnects_;
  was_connected_ = true;
  told_.connected(again);
}

// As about a subscription that our user may not have. While there is a connection it is all that is wrong with it.
void Link::complained(const std::string& why) {
  if (!connected_) {
    complaint_ = why;
    return;
  }
  host_.error("the server complains", "{\"error\":" + sdk::json::quoted(why) + "}");
  host_.state(sdk::State::degraded, "the server complains: " + why);
}

void Link::said_away(const std::string& why) {
  connected_ = false;
  told_.away("the connection to " + where() + " broke (" + why + "); it is tried again all the time");
}

// There never was one, or cnats has given up: it does where trying again makes no sense to it, as after two refusals of
// our credentials.
void Link::said_closed(std::string why) {
  close();
  if (!complaint_.empty()) why = std::exchange(complaint_, {});
  told_.away("no connection to " + where() + ": " + why + "; it is tried again all the time");
  reopen_.start(host_, backoff_.next_ms(), 0, [this] { open(); });
}

void Link::close() {
  connected_ = false;
  if (connection_ == nullptr) return;
  natsConnection_Close(connection_.get());
  for (const Subscription& s : subscriptions_) natsSubscription_Destroy(s.raw);
  subscriptions_.clear();
  connection_.reset();
}

bool Link::subscribe(const std::string& subject, const std::string& queue, std::int64_t pending_messages,
                     std::int64_t pending_bytes, Inbox& inbox, std::string& why) {
  wanted_.push_back({subject, queue, pending_messages, pending_bytes, &inbox});
  if (connection_ == nullptr) return true;
  const auto put = [](natsConnection*, natsSubscription*, natsMsg* message, void* closure) {
    static_cast<Inbox*>(closure)->put(message);
  };
  natsSubscription* raw = nullptr;
  natsStatus status = queue.empty() ? natsConnection_Subscribe(&raw, connection_.get(), subject.c_str(), put, &inbox)
                                    : natsConnection_QueueSubscribe(&raw, connection_.get(), subject.c_str(),
                                                                    queue.c_str(), put, &inbox);
  if (status == NATS_OK)
    status =
        natsSubscription_SetPendingLimits(raw, static_cast<int>(pending_messages), static_cast<int>(pending_bytes));
  if (status == NATS_OK) {
    shared_->opened();
    auto held = std::make_unique<std::shared_ptr<Shared>>(shared_);
    status = natsSubscription_SetOnCompleteCB(
        raw,
        [](void* closure) {
          const std::unique_ptr<std::shared_ptr<Shared>> last(static_cast<std::shared_ptr<Shared>*>(closure));
          (*last)->ended();
        },
        held.get());
    if (status == NATS_OK) {
      (void)held.release();
      subscriptions_.push_back({raw, subject});
      return true;
    }
    shared_->ended();
  }
  if (raw != nullptr) natsSubscription_Destroy(raw);
  why = "subscribing to " + subject + ": " + natsStatus_GetText(status);
  return false;
}

void Link::leave(const std::string& subject) {
  std::erase_if(wanted_, [&](const Wanted& w) { return w.subject == subject; });
  std::erase_if(subscriptions_, [&](const Subscription& s) {
    if (s.subject != subject) return false;
    natsSubscription_Unsubscribe(s.raw);
    natsSubscription_Destroy(s.raw);
    return true;
  });
}

std::uint64_t Link::dropped() {
  std::uint64_t more = 0;
  for (Subscription& s : subscriptions_) {
    std::int64_t all = 0;
    if (natsSubscription_GetDropped(s.raw, &all) != NATS_OK) continue;
    const auto now = static_cast<std::uint64_t>(all);
    more += now - std::exchange(s.dropped, now);
  }
  return more;
}

bool Link::publish(const std::string& subject, std::string_view data, const std::string& reply) {
  // While there is none, cnats may hold its lock for as long as it takes to try to connect.
  if (connection_ == nullptr || !connected_) return false;
  const int size = static_cast<int>(data.size());
  return (reply.empty() ? natsConnection_Publish(connection_.get(), subject.c_str(), data.data(), size)
                        : natsConnection_PublishRequest(connection_.get(), subject.c_str(), reply.c_str(), data.data(),
                                                        size)) == NATS_OK;
}

void Link::blocking(std::function<void(natsConnection*)> job) {
  if (connection_ == nullptr) return;
  worker_.add([connection = connection_, job = std::move(job)] { job(connection.get()); });
}

}  // namespace weir::nats
