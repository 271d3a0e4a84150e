#include "link.hpp"

#include <nats/nats.h>

#include <array>
#include <cstdlib>
#include <future>
#include <system_error>
#include <thread>
#include <vector>

#include "connect.hpp"

namespace weir::nats {
namespace {

constexpr std::int64_t kFlushMs = 2'000;

// Of a buffer of cnats, in which another thread of it may write the next error meanwhile: there is no other way to it,
// and at worst some of both is read. It has 256 bytes, and a zero at its end.
__attribute__((no_sanitize("thread"))) std::string copy_of(const char* text) {
  std::array<char, 256> copy{};
  for (std::size_t i = 0; i + 1 < copy.size() && text[i] != '\0'; ++i) copy[i] = text[i];
  return copy.data();
}

std::string error_of(natsConnection* connection, natsStatus fallback) {
  const char* text = nullptr;
  const natsStatus status = natsConnection_GetLastError(connection, &text);
  std::string last = text == nullptr ? std::string() : copy_of(text);
  if (!last.empty()) return last;
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

// Where the PING can't be written, cnats (3.4) has nothing to wait for and says that all is well. What failed is known
// to this thread all the same.
bool answers(natsConnection* connection, std::int64_t ms) {
  nats_ReleaseThreadMemory();  // with it what failed before
  if (natsConnection_FlushTimeout(connection, ms) != NATS_OK) return false;
  natsStatus failed = NATS_OK;
  (void)nats_GetLastError(&failed);
  if (failed == NATS_OK) return true;
  natsConnection_Close(connection);
  return false;
}

// What a subscription's messages are taken by.
struct Link::Ear {
  std::shared_ptr<Shared> shared;
  std::shared_ptr<Inbox> inbox;
  std::uint32_t id;
};

// What cnats' threads find a link by. Nobody can tell which call about a connection is the last one: what the server
// sent behind its closing error is told behind "closed". So cnats is given a number, and whoever comes too late finds
// nothing.
struct Link::Book {
  std::mutex mutex;
  std::map<std::uintptr_t, std::weak_ptr<Shared>> links;  // by number; guarded by mutex, as all below
  std::uintptr_t numbers = 0;
  std::vector<std::unique_ptr<Ear>> strays;  // of these nobody knows when their last message is through: kept for good

  static Book& of_all() {
    static auto* const book = new Book;  // as long as the process: cnats' threads may outlive what is static
    return *book;
  }
  std::uintptr_t enter(const std::shared_ptr<Shared>& link) {
    const std::lock_guard lock(mutex);
    links[++numbers] = link;
    return numbers;
  }
  void leave(std::uintptr_t number) {
    const std::lock_guard lock(mutex);
    links.erase(number);
  }
  std::shared_ptr<Shared> find(void* closure) {
    const std::lock_guard lock(mutex);
    const auto found = links.find(reinterpret_cast<std::uintptr_t>(closure));
    return found == links.end() ? nullptr : found->second.lock();
  }
  void keep(std::unique_ptr<Ear> ear) {
    const std::lock_guard lock(mutex);
    strays.push_back(std::move(ear));
  }
};

// What is shared with cnats' threads and our own.
struct Link::Shared {
  Shared(const sdk::Host& h, Link* l) : host(h), link(l) {}
  sdk::Host host;
  Link* link;                 // [strand]; null once the link is gone
  std::uintptr_t number = 0;  // in the book
  std::mutex mutex;
  std::condition_variable changed;
  int open = 0;                         // connections and subscriptions that may still call; guarded by mutex
  bool gone = false;                    // nobody listens any more; guarded by mutex
  std::shared_ptr<Live> made;           // by the thread that connects, and not taken yet; guarded by mutex
  std::vector<std::string> discovered;  // servers of the cluster; guarded by mutex

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
    : host_(host), config_(config), told_(std::move(told)), shared_(std::make_shared<Shared>(host, this)) {
  shared_->number = Book::of_all().enter(shared_);
}

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
  shared_->changed.wait_for(lock, std::chrono::seconds(2), [this] { return shared_->open == 0; });
  lock.unlock();
  Book::of_all().leave(shared_->number);
}

std::string Link::where() const {
  std::string out;
  for (const auto& server : config_.servers) (out += out.empty() ? "" : ", ") += server;
  return out;
}

void Link::open() {
  try {
    std::thread([shared = shared_, config = config_] {
      connect(shared, config);
      nats_ReleaseThreadMemory();
    }).detach();
  } catch (const std::system_error& e) {
    said_closed(std::string("no thread to connect with: ") + e.what());
  }
}

void Link::connect(const std::shared_ptr<Shared>& shared, const LinkConfig& config) {
  // Once the link is gone its host may be, too, and this thread is the only one that nobody waits for.
  const auto over = [&](const std::string& why) {
    const std::lock_guard lock(shared->mutex);
    if (!shared->gone) Shared::tell(shared, [why](Link& link) { link.opened(why); });
  };
  std::vector<std::string> more;
  {
    const std::lock_guard lock(shared->mutex);
    more = shared->discovered;
  }
  std::string why;
  const Options options = make_options(config, more, why);
  if (options == nullptr) return over(why);
  auto* const closure = reinterpret_cast<void*>(shared->number);
  // The reason why cnats gives up is told here only.
  (void)natsOptions_SetErrorHandler(
      options.get(),
      [](natsConnection* connection, natsSubscription* subscription, natsStatus error, void* number) {
        const auto self = Book::of_all().find(number);
        if (subscription != nullptr || self == nullptr) return;
        Shared::tell(self, [why = error_of(connection, error)](Link& link) { link.complained(why); });
      },
      closure);
  (void)natsOptions_SetDiscoveredServersCB(
      options.get(),
      [](natsConnection* connection, void* number) {
        if (const auto self = Book::of_all().find(number)) self->discover(connection);
      },
      closure);
  (void)natsOptions_SetClosedCB(
      options.get(),
      [](natsConnection* connection, void* number) {
        const auto self = Book::of_all().find(number);
        if (self == nullptr) return;
        Shared::tell(self, [why = error_of(connection, NATS_CONNECTION_CLOSED)](Link& link) { link.said_closed(why); });
        self->ended();
      },
      closure);

  natsConnection* connection = nullptr;
  const natsStatus status = natsConnection_Connect(&connection, options.get());
  if (status != NATS_OK) return over(reason(config, status));
  shared->discover(connection);
  {
    const std::lock_guard lock(shared->mutex);
    ++shared->open;  // until the closed callback
    if (!shared->gone) shared->made = std::make_shared<Live>(std::exchange(connection, nullptr));
  }
  if (connection != nullptr) return natsConnection_Destroy(connection);  // nobody wants it any more
  over({});
}

void Link::opened(const std::string& why) {
  {
    const std::lock_guard lock(shared_->mutex);
    live_ = std::exchange(shared_->made, nullptr);
  }
  if (live_ == nullptr) return said_closed(why);
  complaint_.clear();  // what came late of the one before
  told_.opened(was_connected_);
  for (const auto& [id, wanted] : wanted_) subscribe_now(id, wanted);
  // Connected is who has its subscriptions: what is sent from then on comes here.
  (void)after_writing([shared = shared_, live = std::weak_ptr(live_)](natsConnection* there) {
    if (!answers(there, kFlushMs)) return natsConnection_Close(there);
    Shared::tell(shared, [live, most = natsConnection_GetMaxPayload(there)](Link& link) {
      if (link.live_ != nullptr && link.live_ == live.lock()) link.said_connected(most);
    });
  });
}

void Link::said_connected(std::int64_t max_payload) {
  connected_ = true;
  max_payload_ = max_payload;
  backoff_.reset();
  if (was_connected_) ++reconnects_;
  const std::string said = std::exchange(complaint_, {});
  was_connected_ = true;
  told_.connected();
  if (!said.empty()) complained(said);  // of a subscription, and it overtook the answer to the PING behind them
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

void Link::wait_heard(std::chrono::milliseconds at_most) {
  const auto done = std::make_shared<std::promise<void>>();
  auto heard = done->get_future();
  if (connected_ && write([done, at_most](natsConnection* connection) {
        (void)natsConnection_FlushTimeout(connection, at_most.count());
        done->set_value();
      }))
    (void)heard.wait_for(at_most);
}

bool Link::after_writing(Job job) {
  if (live_ == nullptr) return false;
  // waiter_ ends before writer_, and then it takes nothing more.
  writer_.add([this, live = live_, job = std::move(job)] { waiter_.add([live, job] { job(live->connection); }); });
  return true;
}

bool Link::publish(std::vector<Short> messages) {
  if (!connected_) return false;
  return write([messages = std::move(messages)](natsConnection* connection) {
    for (const auto& [subject, data, reply] : messages) {
      natsMsg* message = nullptr;
      std::string why;
      if (natsMsg_Create(&message, subject.c_str(), reply.empty() ? nullptr : reply.c_str(), data.data(),
                         static_cast<int>(data.size())) == NATS_OK)
        (void)send(connection, message, why);
      natsMsg_Destroy(message);
    }
  });
}

std::uint32_t Link::subscribe(const std::string& subject, const std::string& queue, std::shared_ptr<Inbox> inbox) {
  const auto& [id, wanted] = *wanted_.try_emplace(++subscriptions_, Wanted{subject, queue, std::move(inbox)}).first;
  subscribe_now(id, wanted);
  return id;
}

void Link::subscribe_now(std::uint32_t id, const Wanted& wanted) {
  if (live_ == nullptr) return;
  writer_.add([live = live_, shared = shared_, id, wanted] {
    if (!shared->opened()) return;
    auto ear = std::make_unique<Ear>(Ear{shared, wanted.inbox, id});
    const auto put = [](natsConnection*, natsSubscription* by, natsMsg* message, void* closure) {
      const auto* to = static_cast<const Ear*>(closure);
      std::uint64_t behind = 0;  // a burst wakes the strand once
      (void)natsSubscription_QueuedMsgs(by, &behind);
      to->inbox->put(message, to->id, behind != 0);
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
      Book::of_all().keep(std::move(ear));
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
