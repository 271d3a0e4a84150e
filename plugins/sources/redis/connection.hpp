// A connection to Redis on the strand: a socket that never blocks, hiredis for the protocol; only names are looked up
// on another thread. It comes back by itself. Replies come in the order of the commands, and what the server says by
// itself between them. Threads: [strand].
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config.hpp"
#include "weir/sdk/backoff.hpp"
#include "weir/sdk/host.hpp"
#include "weir/sdk/resolver.hpp"

struct redisReader;
struct redisReply;

namespace weir::redis {

struct ReaderCloser {
  void operator()(redisReader* reader) const;
};

class Connection {
 public:
  struct Told {
    std::function<void()> ready;                       // logged in
    std::function<void(redisReply&)> reply;            // lives until it returns
    std::function<void(const std::string& why)> away;  // it is tried again
  };
  Connection(const sdk::Host& host, const Address& address, Told told,
             sdk::Resolver::Lookup lookup = sdk::Resolver::system_lookup);
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void open();
  void send(const std::vector<std::string>& command) { append(command), flush(); }
  // Many at once: append() each, then flush().
  void append(const std::vector<std::string>& command);
  void flush();
  void pause(bool paused);           // reads nothing more: the server's buffer for us fills up
  void end(const std::string& why);  // as if the server had; it is opened again
  // Waits for the socket, for so long at most, and does what there is to do. For stop(), when nothing else is served.
  void serve(int ms);
  bool ready() const { return ready_; }
  void well() { backoff_.reset(); }                    // it does what it is there for
  std::int64_t heard_ms() const { return heard_ms_; }  // when something came last, by the steady clock
  std::uint64_t reconnects() const { return openings_ == 0 ? 0 : openings_ - 1; }

 private:
  void close();
  void connected();
  void on_event(std::uint32_t events);
  void begin(int fd, const std::string& why);
  void read();
  void watch();
  bool greeted(redisReply& reply);

  sdk::Host host_;
  const Address address_;
  Told told_;
  int fd_ = -1;
  bool connecting_ = false, ready_ = false, paused_ = false;
  std::uint32_t watched_ = 0;
  int greetings_ = 0;  // replies to what connected() sent that are still to come
  bool auth_ = false;  // and the first of them is that to AUTH
  std::unique_ptr<redisReader, ReaderCloser> reader_;
  std::string out_;
  std::int64_t heard_ms_ = 0;
  std::uint64_t openings_ = 0, attempts_ = 0;
  std::uint64_t life_ = 0;  // of the socket: a reply may end it under the loop that reads
  sdk::Resolver resolver_;
  sdk::FdWatch watch_;
  sdk::Timer timer_;
  sdk::Backoff backoff_;
};

// The server can't now, whatever the command: it is to be asked again later.
bool passes(std::string_view error);

// A reply's text; empty if it is none.
std::string_view text_of(const redisReply* reply);

}  // namespace weir::redis
