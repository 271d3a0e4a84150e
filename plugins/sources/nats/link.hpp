// A connection to NATS that comes back by itself, and a thread for what blocks.
// cnats calls from threads of its own; what it says arrives on the strand, in order.
// Threads: [strand] but for put() of Inbox.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "config.hpp"
#include "weir/sdk/backoff.hpp"
#include "weir/sdk/host.hpp"

typedef struct __natsConnection natsConnection;
typedef struct __natsSubscription natsSubscription;

namespace weir::nats {

// Messages on their way to the strand. put() waits while there are too many: what comes then waits in cnats, within the
// bounds that the manifest sets.
class Inbox {
 public:
  explicit Inbox(std::function<void()> wake) : wake_(std::move(wake)) {}
  ~Inbox() { close(); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  void put(natsMsg* message);  // [any]
  // Moves the oldest ones to `out`, at most `count`. False: there are none left.
  bool take(std::vector<natsMsg*>& out, std::size_t count);
  void close();  // throws away what is there; put() takes nothing any more

 private:
  static constexpr std::size_t kMost = 4096, kBytesMost = 8 * 1024 * 1024;
  bool full() const { return messages_.size() >= kMost || bytes_ >= kBytesMost; }
  std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable room_;
  std::deque<natsMsg*> messages_;  // guarded by mutex_
  std::size_t bytes_ = 0;          // of their data
  bool woken_ = false, closed_ = false;
};

// Runs one job after the other on a thread of its own.
class Worker {
 public:
  Worker() : thread_([this] { run(); }) {}
  ~Worker() { end(); }
  void end();  // waits for the job that runs; those behind it never run
  void add(std::function<void()> job);

 private:
  void run();
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::function<void()>> jobs_;  // guarded by mutex_
  bool over_ = false;
  std::thread thread_;
};

class Link {
 public:
  // Called on the strand.
  struct Told {
    std::function<void(bool again)> connected;
    std::function<void(const std::string& why)> away;  // it is tried again
  };

  Link(const sdk::Host& host, const LinkConfig& config, Told told);
  ~Link();  // closes; waits until nothing of cnats calls any more
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void open();
  // Messages go to `inbox`, also those after later reconnects. pending_*: see Inbox. False, and `why`: it did not work.
  // leave() ends it; what has come until then stays in `inbox`.
  bool subscribe(const std::string& subject, const std::string& queue, std::int64_t pending_messages,
                 std::int64_t pending_bytes, Inbox& inbox, std::string& why);
  void leave(const std::string& subject);
  // Messages that cnats threw away because too many waited, since the last call.
  std::uint64_t dropped();
  bool publish(const std::string& subject, std::string_view data, const std::string& reply = {});
  // Runs `job` with the connection on the worker; not at all when there is none.
  void blocking(std::function<void(natsConnection*)> job);
  bool connected() const { return connected_; }
  std::uint64_t reconnects() const { return reconnects_; }

 private:
  struct Shared;
  void opened(const std::string& why);
  void said_connected(bool again);
  void said_away(const std::string& why);
  void complained(const std::string& why);
  void said_closed(std::string why);
  void close();
  std::string where() const;

  sdk::Host host_;
  const LinkConfig config_;
  Told told_;
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<natsConnection> connection_;  // jobs of the worker hold it, too
  struct Subscription {
    natsSubscription* raw;
    std::string subject;
    std::uint64_t dropped = 0;
  };
  struct Wanted {
    std::string subject, queue;
    std::int64_t pending_messages, pending_bytes;
    Inbox* inbox;
  };
  std::vector<Wanted> wanted_;  // also for a connection that is opened anew
  std::vector<Subscription> subscriptions_;
  bool connected_ = false, was_connected_ = false;
  std::uint64_t reconnects_ = 0;
  sdk::Backoff backoff_;
  std::string complaint_;  // of cnats, while there is no connection
  sdk::Timer reopen_;
  Worker worker_;
};

}  // namespace weir::nats
