// HTTP as the server layer sees it: requests that wait for their answer, and sockets that become WebSockets. Beast is
// behind. Bounds: limits.http_header_bytes, the body by limits.data_bytes plus some room, limits.handshake_ms for a
// request to arrive. Threads: everything of one connection on the loop that it was accepted for [shard].
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "net/loop.hpp"
#include "net/send_batch.hpp"
#include "routing/connection.hpp"

namespace weir::net {

using Headers = std::vector<std::pair<std::string, std::string>>;  // names in lower case

struct Request {
  std::string method;  // "GET"
  std::string path;    // as sent, without the query, not decoded
  std::string query;   // behind '?', not decoded
  Headers headers;
  std::string body;
  std::string peer;                                      // address of the other end, without the port
  bool upgrade = false;                                  // asks to become a WebSocket
  std::string_view header(std::string_view name) const;  // the first of that name, empty if there is none
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  Headers headers;
};

// What a WebSocket tells its owner. [shard]
class WsHandler {
 public:
  virtual ~WsHandler() = default;
  // The handshake is done. The outbox returned is sent from until closed().
  virtual Outbox& opened(class WsSocket& socket) = 0;
  virtual void text(std::string_view message) = 0;
  virtual void binary(std::string_view message) = 0;
  virtual void heard() = 0;    // a ping or a pong
  virtual void drained() = 0;  // the outbox got emptier after wants_drained()
  virtual bool wants_drained() const = 0;
  virtual void ending() = 0;  // a close frame is on its way: nothing may be sent any more. Maybe more than once
  // The socket is gone, whoever ended it; the last call. Not called if opened() was not.
  virtual void closed() = 0;
};

class WsSocket : public ConnectionPort {
 public:
  // Once per loop turn, where something was put into the outbox: adds what it holds to the batch, if the socket takes
  // it.
  virtual void offer(SendBatch& batch) = 0;
  // Ends at once; closed() is called before it returns. The close frame is sent if the socket takes it without waiting.
  virtual void abort(CloseCode code, std::string_view reason) = 0;
};

// What a connection was let in with; kept as long as it lasts, whatever it becomes.
class Admission {
 public:
  virtual ~Admission() = default;
};

// One request waiting for its answer. Exactly one of respond() and upgrade(), now or later, on the connection's loop;
// letting go of the last pointer without either answers 500.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const Request& request() const = 0;
  virtual Loop& loop() = 0;
  // What the connection was let in with. To be taken before upgrade(), by what it becomes.
  virtual std::unique_ptr<Admission>& admission() = 0;
  // For the answer, whatever it will be.
  virtual void add_header(std::string name, std::string value) = 0;
  virtual void respond(Response response) = 0;
  // subprotocol: echoed in the handshake when not empty. deflate: compressed messages are agreed on if the client
  // offers them.
  virtual void upgrade(std::shared_ptr<WsHandler> handler, std::string_view subprotocol, bool deflate) = 0;
};
using ExchangePtr = std::shared_ptr<Exchange>;

struct ListenerSettings {
  std::string host;
  std::uint16_t port = 0;
  const Limits* limits;  // outlives the loops; what changes there holds for connections that come later
};

// Takes connections and spreads them over the loops.
class Listener {
 public:
  using Handler = std::function<void(std::size_t loop, ExchangePtr)>;  // called on that loop
  // Asked before anything is read, with the peer's address; an error is answered and the connection closed. [its loop]
  using Admit = std::function<Result<std::unique_ptr<Admission>>(std::string_view peer)>;
  // Errors: bad_request - it is no address, or none of this machine; unavailable - it can't be listened on, and why.
  static Result<std::unique_ptr<Listener>> open(const ListenerSettings& settings, std::vector<Loop*> loops,
                                                Handler handler, Admit admit);
  virtual ~Listener() = default;
  virtual std::string address() const = 0;           // "127.0.0.1:8080", "[::1]:8080", with the real port
  virtual void stop() = 0;                           // takes no more; on the first loop
  virtual std::size_t http_connections() const = 0;  // open and not upgraded [any]
};

}  // namespace weir::net
