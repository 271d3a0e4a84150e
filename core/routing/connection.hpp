// One client as the routing sees it: who it is, what it wants, and what it is owed. The socket stands behind
// ConnectionPort. Threads: [shard] of the connection.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "routing/channel_log.hpp"
#include "routing/filter.hpp"
#include "routing/identity.hpp"
#include "routing/outbox.hpp"
#include "routing/pattern.hpp"

namespace weir {

// What a connection asks of its socket.
class ConnectionPort {
 public:
  virtual ~ConnectionPort() = default;
  // Ends it with that code once what waits in the outbox has left; the half-sent frame always does. Later calls are
  // ignored.
  virtual void close(CloseCode code, std::string_view reason) = 0;
  virtual void read(bool go_on) = 0;  // stop or go on taking frames from the client
  virtual void ping() = 0;            // a WebSocket ping frame
  // Gives what waits in the outbox to the socket now, if it takes any; calls nothing back. A burst within one turn must
  // not make a reader that keeps up look like a slow one.
  virtual void flush_early() {}
  // What was agreed on at the handshake: 0 - the client takes no compressed messages; else it does, and keeps a window
  // of 2^n bytes, n being 8 to 15. Looked at when the connection is opened.
  virtual unsigned deflate_bits() const { return 0; }
};

enum class PingStyle : std::uint8_t { frame, json, client_json };

// One [[endpoint]] of the manifest. Constant while connections refer to it.
struct EndpointRule {
  std::string path = "/ws";
  std::vector<std::string> auth;  // plugin instances; empty: everybody may come
  std::string plugin{};           // not empty: no clients connect here, that instance answers HTTP
  bool auth_by_frame = false;
  std::int64_t heartbeat_interval_ms = 30'000, heartbeat_timeout_ms = 90'000;
  PingStyle ping_style = PingStyle::frame;
  CloseCode idle_close = CloseCode::going_away;
  std::int64_t tick_ms = 0;  // outboxes are flushed at most once in that time; 0: whenever the loop has nothing else
  std::vector<std::string> origins;
  bool deflate = false;                 // compression is offered to clients
  std::size_t deflate_threshold = 256;  // messages of fewer bytes are sent as they are
  bool operator==(const EndpointRule&) const = default;
};

// What a client asked for: a channel, or a pattern that stands for many.
struct Subscription {
  std::string text;
  std::optional<Pattern> pattern;
  FilterPtr filter;  // the client's own
  ReplayRequest replay;
  std::string params;       // what is told to the rule's `snapshot`, a JSON object
  std::uint64_t watch = 0;  // pattern: its id among the watches
  UnixMs since = 0;
};

struct Attachment;

struct Connection {
  Connection(ConnectionId id_, ConnectionPort& port_, const EndpointRule& endpoint_)
      : port(port_), endpoint(endpoint_), deflate_bits(port_.deflate_bits()), id(id_) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // What a delivery looks at stands first and together: with a thousand connections it is the memory that costs.
  ConnectionPort& port;
  const EndpointRule& endpoint;
  Outbox outbox;
  bool dirty = false;    // stands in the shard's list of outboxes to flush
  bool closing = false;  // takes nothing more
  bool reading = true;
  const unsigned deflate_bits;  // ConnectionPort::deflate_bits()
  std::uint32_t lagging = 0;    // attachments with a Lag
  std::uint32_t in_flight = 0;  // requests without an answer yet
  std::uint64_t delivered = 0, received = 0;

  const ConnectionId id;
  Identity identity;
  bool authenticated = false;  // the endpoint asks for no auth, or it was given
  bool auth_pending = false;
  std::string peer, client_id, session_id;
  UnixMs opened_at = 0;

  SteadyMs heard_at = 0, ping_at = 0, auth_until = 0, expires_at = 0;  // 0 for the last two: never
  std::uint32_t wheel_slot = 0, wheel_index = 0;

  std::vector<std::unique_ptr<Subscription>> subscriptions;
  std::unordered_map<std::uint64_t, Attachment*> attachments;  // by their channel's Feed::id; owned by Subscribers
  std::vector<Attachment*> waiting;  // those that wait for room in the outbox: read from history, or lag
  std::vector<Attachment*>
      queued;                  // those that wait until fewer of this connection's attachments hold chunks of history
  std::uint32_t fetching = 0;  // attachments that hold a chunk or have asked for one
  std::size_t lag_bytes = 0;   // what those that lag keep
  void* user = nullptr;        // of whoever owns the port
};

}  // namespace weir
