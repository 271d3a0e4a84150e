#include "link.hpp"

#include <nats/nats.h>

#include <cstdlib>
#include <vector>

#include "connect.hpp"

namespace weir::nats {
namespace {

constexpr std::int64_t kFlushMs = 2'000;

std::string error_of(natsConnection* connection, natsStatus fallback) {
  const char* text = nullptr;
  const natsStatus status = natsConnection_GetLastError(connection, &text);
  if (text != nullptr && *text != '\0') return text;
  return natsStatus_GetText(status != NATS_OK ? status : fallback);
}

// Why there is no connection. With TLS 1.3 a client learns only behind the handshake that its certificate is not taken,
// by a connection that ends.
std::string reason(const LinkConfig& config, natsStatus status) {
  std::string why = last_error(status);
  const bool hung_up = status == NATS_SSL_ERROR || status == NATS_PROTOCOL_ERROR || status == NATS_IO_ERROR ||
                       status == NATS_CONNECTION_CLOSED;
  if (config.tls && hung_up && why.find("handshake") == std::string::npos)
    why =
        "the server hangs up behind the TLS handshake, as it does where it does not take our certificate (" + why + ")";
  return why;
}

}  // namespace

std::string new_inbox() {
  natsInbox* name = nullptr;
  const natsStatus status = natsInbox_Create(&name);
  const std::string out = status == NATS_OK ? name : "";
  natsInbox_Destroy(name);
  if (out.empty())
    throw sdk::Failure(WEIR_E_INTERNAL, std::string("no name for answers: ") + natsStatus_GetText(status));
  return out;
}

bool send(natsConnection* connection, natsMsg* message, std::string& why) {
  const natsStatus status = natsConnection_PublishMsg(connection, message);
  if (status == NATS_OK) return true;
  why.clear();
  if (status == NATS_MAX_PAYLOAD || status == NATS_INVALID_SUBJECT || status == NATS_INVALID_ARG ||
      status == NATS_NO_SERVER_SUPPORT || status == NATS_NO_MEMORY)
    why = last_error(status);
  else
    natsConnection_Close(connection);
  return false;
}

// What a subscription's messages are taken by.
struct Link::Ear {
  std::shared_ptr<Shared> shared;
  Inbox* inbox;
  std::uint32_t id;
};

// What cnats' threads hold on to. It lives until cnats says that all is closed.
struct Link::Shared {
  Shared(const sdk::Host& h, Link* l) : host(h), link(l) {}
  sdk::Host host;
  Link* link;  // [strand]; null once the link is gone
  std::mutex mutex;
  std::condition_variable changed;
  int open = 0;                              // connections and subscriptions that may still call; guarded by mutex
  bool gone = false;                         // nobody listens any more; guarded by mutex
  std::shared_ptr<Live> made;                // by the thread that waits, and not taken yet; guarded by mutex
  std::vector<std::string> discovered;       // servers of the cluster; guarded by mutex
  std::vector<std::unique_ptr<Ear>> strays;  // guarded by mutex

  // False: the link is gone.
  bool opened() {
    const std::lock_guard lock(mutex);
    if (gone) return false;
    ++open;
    return true;
  }
  void ended() {
    const std::lock_guard lock(mutex);
    --open;
    changed.notify_all();
  }
  void keep(std::unique_ptr<Ear> ear) {
    const std::lock_guard lock(mutex);
    strays.push_back(std::move(ear));
  }
  static void tell(const std::shared_ptr<Shared>& self, std::function<void(Link&)> call) {
    // Weak: a task that never runs stays with the host, and `self` holds that.
    (void)self->host.post([weak = std::weak_ptr(self), call = std::move(call)] {
      if (const auto there = weak.lock(); there != nullptr && there->link != nullptr) call(*there->link);
    });
  }
  void discover(natsConnection* connection) {
    char** list = nullptr;
    int count = 0;
    if (natsConnection_GetDiscoveredServers(connection, &list, &count) != NATS_OK) return;
    const std::lock_guard lock(mutex);
    discovered.clear();
    for (int i = 0; i < count; ++i) {
      discovered.emplace_back(list[i]);
      std::free(list[i]);
    }
    std::free(list);
  }
};

// One TCP connection and what is subscribed over it.
struct Link::Live {
  explicit Live(natsConnection* c) : connection(c) {}
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;
  ~Live() {
    for (const auto& [id, subscription] : subscriptions) natsSubscription_Destroy(subscription);
    natsConnection_Destroy(connection);
  }
  natsConnection* const connection;
  std::map<std::uint32_t, natsSubscription*> subscriptions;  // of the thread that writes
};

Link::Link(const sdk::Host& host, const LinkConfig& config, Told told)
    : host_(host), config_(config), told_(std::move(told)), shared_(std::make_shared<Shared>(host, this)) {}

Link::~Link() {
  shared_->link = nullptr;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->gone = true;
  }
  if (live_ != nullptr) natsConnection_Close(live_->connection);  // whoever waits for an answer gets none
  waiter_.end();
  writer_.end();
  live_.reset();
  shared_->made.reset();
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
  waiter_.add([shared = shared_, config = config_] {
    using Held = std::shared_ptr<Shared>;
    const auto failed = [&](const std::string& why) { Shared::tell(shared, [why](Link& link) { link.opened(why); }); };
    std::vector<std::string> more;
    {
      const std::lock_guard lock(shared->mutex);
      more = shared->discovered;
    }
    std::string why;
    const Options options = make_options(config, more, why);
    if (options == nullptr) return failed(why);
    auto ear = std::make_unique<Held>(shared);  // what the callbacks are called with
    // The reason why cnats gives up is told here only.
    (void)natsOptions_SetErrorHandler(
        options.get(),
        [](natsConnection* connection, natsSubscription* subscription, natsStatus error, void* closure) {
          if (subscription != nullptr) return;
          const Held self = *static_cast<Held*>(closure);
          Shared::tell(self, [why = error_of(connection, error)](Link& link) { link.complained(why); });
        },
        ear.get());
    (void)natsOptions_SetDiscoveredServersCB(
        options.get(),
        [](natsConnection* connection, void* closure) { (*static_cast<Held*>(closure))->discover(connection); },
        ear.get());
    (void)natsOptions_SetClosedCB(
        options.get(),
        [](natsConnection* connection, void* closure) {
          const std::unique_ptr<Held> last(static_cast<Held*>(closure));
          const Held self = *last;
          Shared::tell(self,
                       [why = error_of(connection, NATS_CONNECTION_CLOSED)](Link& link) { link.said_closed(why); });
          self->ended();
        },
        ear.get());

    if (!shared->opened()) return;
    natsConnection* connection = nullptr;
    const natsStatus status = natsConnection_Connect(&connection, options.get());
    if (status != NATS_OK) {
      shared->ended();
      return failed(reason(config, status));
    }
    (void)ear.release();  // the closed callback ends it
    shared->discover(connection);
    {
      const std::lock_guard lock(shared->mutex);
      shared->made = std::make_shared<Live>(connection);
    }
    failed({});
  });
}

void Link::opened(const std::string& why) {
  {
    const std::lock_guard lock(shared_->mutex);
    live_ = std::exchange(shared_->made, nullptr);
  }
  if (live_ == nullptr) return said_closed(why);
  for (const auto& [id, wanted] : wanted_) subscribe_now(id, wanted);
  // Connected is who has its subscriptions: what is sent from then on comes here.
  (void)after_writing([shared = shared_, live = std::weak_ptr(live_)](natsConnection* there) {
    if (natsConnection_FlushTimeout(there, kFlushMs) != NATS_OK) return natsConnection_Close(there);
    Shared::tell(shared, [live, most = natsConnection_GetMaxPayload(there)](Link& link) {
      if (link.live_ != nullptr && link.live_ == live.lock()) link.said_connected(most);
    });
  });
}

void Link::said_connected(std::int64_t max_payload) {
  connected_ = true;
  max_payload_ = max_payload;
  backoff_.reset();
  complaint_.clear();
  if (was_connected_) ++reconnects_;
  told_.connected(std::exchange(was_connected_, true));
}

// As about a subscription that our user may not have. While there is a connection it is all that is wrong with it.
void Link::complained(const std::string& why) {
  if (!connected_) {
    complaint_ = why;
    return;
  }
  host_.error("the server complains", "{\"error\":" + sdk::json::quoted(why) + "}");
  told_.complained(why);
}

void Link::said_closed(std::string why) {
  live_.reset();
  const bool broke = std::exchange(connected_, false);
  if (!complaint_.empty()) why = std::exchange(complaint_, {});
  told_.away(
      (broke ? "the connection to " + where() + " broke (" + why + ")" : "no connection to " + where() + ": " + why) +
      "; it is tried again all the time");
  reopen_.start(host_, backoff_.next_ms(), 0, [this] { open(); });
}

// --- What runs on the other threads ---------------------------------------------------------------------------------

bool Link::write(Job job) {
  if (live_ == nullptr) return false;
  writer_.add([live = live_, job = std::move(job)] { job(live->connection); });
  return true;
}

bool Link::blocking(Job job) {
  if (live_ == nullptr) return false;
  waiter_.add([live = live_, job = std::move(job)] { job(live->connection); });
  return true;
}

bool Link::after_writing(Job job) {
  if (live_ == nullptr) return false;
  // waiter_ ends before writer_, and then it takes nothing more.
  writer_.add([this, live = live_, job = std::move(job)] { waiter_.add([live, job] { job(live->connection); }); });
  return true;
}

bool Link::publish(const std::string& subject, std::string_view data, const std::string& reply) {
  if (!connected_) return false;
  return write([subject, data = std::string(data), reply](natsConnection* connection) {
    natsMsg* message = nullptr;
    std::string why;
    if (natsMsg_Create(&message, subject.c_str(), reply.empty() ? nullptr : reply.c_str(), data.data(),
                       static_cast<int>(data.size())) == NATS_OK)
      (void)send(connection, message, why);
    natsMsg_Destroy(message);
  });
}

std::uint32_t Link::subscribe(const std::string& subject, const std::string& queue, Inbox& inbox) {
  const auto& [id, wanted] = *wanted_.try_emplace(++subscriptions_, Wanted{subject, queue, &inbox}).first;
  subscribe_now(id, wanted);
  return id;
}

void Link::subscribe_now(std::uint32_t id, const Wanted& wanted) {
  if (live_ == nullptr) return;
  writer_.add([live = live_, shared = shared_, id, wanted] {
    if (!shared->opened()) return;
    auto ear = std::make_unique<Ear>(Ear{shared, wanted.inbox, id});
    const auto put = [](natsConnection*, natsSubscription*, natsMsg* message, void* closure) {
      const auto* to = static_cast<const Ear*>(closure);
      to->inbox->put(message, to->id);
    };
    natsSubscription* raw = nullptr;
    natsStatus status = wanted.queue.empty()
                            ? natsConnection_Subscribe(&raw, live->connection, wanted.subject.c_str(), put, ear.get())
                            : natsConnection_QueueSubscribe(&raw, live->connection, wanted.subject.c_str(),
                                                            wanted.queue.c_str(), put, ear.get());
    if (status == NATS_OK) {
      live->subscriptions[id] = raw;
      (void)natsSubscription_SetPendingLimits(raw, -1, -1);  // the Inbox has the limits
      status = natsSubscription_SetOnCompleteCB(
          raw,
          [](void* closure) {
            const std::unique_ptr<Ear> last(static_cast<Ear*>(closure));
            last->shared->ended();
          },
          ear.get());
      if (status == NATS_OK) return void(ear.release());
      // The connection has just ended: nobody says when the last message is through.
      ear->shared.reset();
      shared->keep(std::move(ear));
      status = NATS_CONNECTION_CLOSED;
    }
    shared->ended();
    if (status == NATS_CONNECTION_CLOSED) return;
    Shared::tell(shared, [why = "subscribing to " + wanted.subject + ": " + last_error(status)](Link& link) {
      link.complained(why);
    });
  });
}

void Link::leave(std::uint32_t subscription) {
  wanted_.erase(subscription);
  if (live_ == nullptr) return;
  writer_.add([live = live_, subscription] {
    const auto found = live->subscriptions.find(subscription);
    if (found == live->subscriptions.end()) return;
    natsSubscription_Unsubscribe(found->second);
    natsSubscription_Destroy(found->second);
    live->subscriptions.erase(found);
  });
}

}  // namespace weir::nats
