// What clients say in weir.v1, read from JSON text and checked field by field (docs/protocol.md, "Client to hub").
// Pure functions. Unknown members are ignored, so that newer clients can talk to this hub.
// Threads: [any].
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/result.hpp"
#include "protocol/position.hpp"

namespace weir {

struct ClientFrame {
  enum class Type : std::uint8_t { auth, subscribe, unsubscribe, publish, request, ack, subscriptions, ping, pong };
  ClientFrame() {}  // not defaulted: one for each frame, it would be filled with zeros before its members are made
  Type type = Type::ping;
  std::string_view id;                // JSON text of the client's id, a string or an integer; empty when it gave none
  std::string token;                  // auth
  std::string channel;                // publish, ack
  std::vector<std::string> channels;  // subscribe, unsubscribe
  bool many = false;                  // `channels` was used, not `channel`
  json::Value filter;                 // subscribe; may be empty
  ReplayRequest replay;               // subscribe
  std::string_view params = "{}";     // subscribe: JSON text of an object; request: of anything
  std::string event, key, dedupe;     // publish
  std::string_view data = "null";     // publish: JSON text
  json::Value data_value;             // the same where it stands in the frame
  std::string method;                 // request
};

struct FrameRefusal {
  Error error;
  std::string id;                    // JSON text of the frame's id when it could be read
  std::optional<CloseCode> close{};  // set when the frame is not ours at all: the connection ends
};

// `doc` keeps the positions that the frame points into; it and `text` must outlive the frame.
// Refused with close: not JSON, not an object, deeper than depth_max. Refused without: everything else, say it and go
// on.
boost::system::result<ClientFrame, FrameRefusal> read_client_frame(std::string_view text, json::Doc& doc,
                                                                   int depth_max);

[[noreturn]] void throw_exception_from_error(const FrameRefusal& refusal, const boost::source_location&);

// The members of a publication that WebSocket and HTTP share: event, data, id, key, dedupe.
Result<void> read_publication(json::Value object, ClientFrame& into);

// `replay` as clients write it: "none", "last", a count, or {"epoch":..,"sequenceId":..}.
Result<ReplayRequest> read_replay(json::Value value);

}  // namespace weir
