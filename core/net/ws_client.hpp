// A WebSocket client that waits: for the commands that talk to a hub, and for tests. Not for the hub's own hot paths.
// Threads: one at a time; every call runs the client's own small loop on the caller's thread.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace weir::net {

class WsClient {
 public:
  struct Settings {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;
    std::string path = "/ws";  // with its query
    std::string subprotocol;   // empty: none is offered
    std::vector<std::pair<std::string, std::string>> headers;
    std::size_t message_bytes_max = 64 * 1024 * 1024;
    int receive_buffer_bytes = 0;  // SO_RCVBUF; 0: the system's
  };
  struct Closed {
    std::uint16_t code = 1006;  // 1006: the connection ended without a close frame
    std::string reason;
  };
  // Errors: unavailable - nobody answers there; unauthorized, forbidden, rate_limited, ... - refused before the
  // upgrade, with the hub's sentence; timeout.
  static Result<std::unique_ptr<WsClient>> connect(const Settings& settings, std::int64_t timeout_ms);
  virtual ~WsClient() = default;

  // Errors: unavailable - the connection has ended; timeout - the other side does not read.
  virtual Result<void> send(std::string_view text, std::int64_t timeout_ms = 5000) = 0;
  virtual Result<void> send_binary(std::string_view bytes, std::int64_t timeout_ms = 5000) = 0;
  // The next text message. Errors: timeout; unavailable - the connection has ended and all was read, see closed().
  virtual Result<std::string> receive(std::int64_t timeout_ms = 5000) = 0;
  // How it ended, once it has.
  virtual std::optional<Closed> closed() const = 0;
  virtual void close(std::uint16_t code = 1000) = 0;
  // Ends without a word, as a cut cable would.
  virtual void cut() = 0;
};

}  // namespace weir::net
