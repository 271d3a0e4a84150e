// What the hub says in weir.v1, as JSON text without the WebSocket header (docs/protocol.md, "Hub to client").
// Events are not here: they are encoded once, where they get their place (routing/event.cpp).
// `id` is always the JSON text of the client's id, empty when it gave none.
// Threads: [any]; pure functions.
#pragma once
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "protocol/position.hpp"

namespace weir::server_frame {

struct Connected {
  std::string_view client_id, session_id, identity_json;  // identity_json: an object or null
  std::int64_t heartbeat_interval_ms = 0, heartbeat_timeout_ms = 0;
};
std::string connected(const Connected& c);

// {"type":"ack","id":..,"data":{..}}; data_json is an object.
std::string ack(std::string_view id, std::string_view data_json);
std::string response(std::string_view id, std::string_view data_json);  // any JSON
std::string error(std::string_view id, const Error& e);
std::string error_data(const Error& e);  // {"code":..,"message":..,...}, shared with HTTP
std::string gap(std::string_view channel, std::string_view epoch, const Gap& g);  // the epoch that from and to are of
// A channel's state; at: every event up to there is in it.
std::string snapshot(std::string_view channel, const Position& at, std::string_view data_json);
std::string closing(CloseCode code, std::string_view reason, std::int64_t reconnect_min_ms,
                    std::int64_t reconnect_max_ms);
std::string_view ping();
std::string pong(std::string_view id);

// {"channel":..,"epoch":..,"sequenceId":..}
std::string publish_result(std::string_view channel, const Position& at, bool duplicate);
std::string publish_dropped(std::string_view channel, std::string_view reason);

}  // namespace weir::server_frame
