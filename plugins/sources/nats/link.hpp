// A connection to NATS that comes back by itself. Nothing here waits on the strand: cnats holds a connection's lock
// while it writes, which may take as long as a server that hangs, so whatever needs that lock runs on one of two
// threads: one writes (publishes, subscribes), in the order of the calls, and one waits for answers.
//
// cnats' own way to reconnect is off. It would keep what could not be sent and send it before anything else, and nobody
// could tell what went over which connection; here an object of cnats is one TCP connection, and what was handed to one
// that is over is gone. Servers that the cluster told of are tried, too.
// Threads: [strand]; what is told arrives there, in order.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config.hpp"
#include "inbox.hpp"
#include "weir/sdk/backoff.hpp"
#include "weir/sdk/host.hpp"
#include "worker.hpp"

typedef struct __natsConnection natsConnection;

namespace weir::nats {

class Link {
 public:
  struct Told {
    std::function<void(bool again)> opened;                  // nothing is subscribed to yet
    std::function<void()> connected;                         // the server has all subscriptions
    std::function<void(const std::string& why)> away;        // it is tried again
    std::function<void(const std::string& why)> complained;  // by the server, over a connection that stays
  };
  using Job = std::function<void(natsConnection*)>;

  Link(const sdk::Host& host, const LinkConfig& config, Told told);
  // Closes; waits until nothing of cnats calls any more. Not for an attempt to connect, which can't be called off and
  // may take as long as a dead resolver: that one has a thread of its own and throws away what it makes.
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void open();
  // Messages go to `inbox`, with the number that this returns, also over later connections, until leave().
  std::uint32_t subscribe(const std::string& subject, const std::string& queue, std::shared_ptr<Inbox> inbox);
  void leave(std::uint32_t subscription);
  struct Short {
    std::string subject, data, reply{};
  };
  bool publish(std::vector<Short> messages);  // in one go

  // Each runs `job` with this connection on another thread, and returns false when there is none now.
  bool write(Job job);          // on the thread that writes
  bool after_writing(Job job);  // on the one that waits, once what was to be written before is

  // Until the server has read what was to be written, or for so long. For the end: a socket that is closed while
  // something waits in it to be read is reset, and what was sent last is lost with it.
  void wait_heard(std::chrono::milliseconds at_most);

  bool connected() const { return connected_; }
  std::int64_t max_payload() const { return max_payload_; }  // of headers and data, in bytes
  std::uint64_t reconnects() const { return reconnects_; }

 private:
  struct Shared;
  struct Live;
  struct Ear;
  struct Book;
  struct Wanted {
    std::string subject, queue;
    std::shared_ptr<Inbox> inbox;
  };
  static void connect(const std::shared_ptr<Shared>& shared, const LinkConfig& config);
  void opened(const std::string& why);
  void said_connected(std::int64_t max_payload);
  void complained(const std::string& why);
  void said_closed(std::string why);
  void subscribe_now(std::uint32_t id, const Wanted& wanted);
  std::string where() const;

  sdk::Host host_;
  const LinkConfig config_;
  Told told_;
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<Live> live_;              // jobs hold it, too
  std::map<std::uint32_t, Wanted> wanted_;  // by number
  std::uint32_t subscriptions_ = 0;
  bool connected_ = false, was_connected_ = false;
  std::int64_t max_payload_ = 0;
  std::uint64_t reconnects_ = 0;
  sdk::Backoff backoff_;
  std::string complaint_;  // of cnats or the server, before said_connected()
  sdk::Timer reopen_;
  Worker waiter_, writer_;
};

// A name of our own for answers to come to. Throws Failure when memory is out.
std::string new_inbox();

// Publishes. True: it is on its way. False with a reason: this message can't be sent, others can. False without one:
// the connection is over (a write that failed may have sent half a message, so it is closed). Threads: [any]
bool send(natsConnection* connection, natsMsg* message, std::string& why);

// Asks for the server's answer to a PING and waits for it, for so long at most. True: it has, too, what was published
// before. Closes a connection that can't be written to any more. Threads: [any]
bool answers(natsConnection* connection, std::int64_t ms);

}  // namespace weir::nats
