// LISTEN: what is sent to channels, while somebody listens. The server keeps nothing for who is away: before the first
// LISTEN, which may be late or follow another instance's, and after every break there is a gap. While the hub is full
// nothing is read, and what is sent waits in the server's queue. Threads: [strand].
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "config.hpp"
#include "connection.hpp"
#include "weir/sdk/host.hpp"

namespace weir::postgres {

// A name or a text as SQL has it, in quotes.
std::string quoted_name(std::string_view name);

class Listener {
 public:
  struct Told {
    std::function<void(bool running, const std::string& why)> state;
    std::function<void(std::string_view channel, std::string_view payload)> notified;
    // What was sent before it listened, or while the connection was down.
    std::function<void(const std::string& why)> lost;
  };
  Listener(const sdk::Host& host, const Config& config, Told told);
  void open() { connection_.open(); }
  void pause(bool paused) { connection_.pause(paused); }
  void tick() { connection_.expect(); }
  std::uint64_t reconnects() const { return connection_.reconnects(); }

 private:
  void ready();
  void away(const std::string& why);

  sdk::Host host_;
  const Config& config_;
  Told told_;
  bool listened_ = false;  // once at least
  std::int64_t away_since_ms_ = 0;
  Connection connection_;
};

}  // namespace weir::postgres
