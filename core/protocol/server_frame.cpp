#include "protocol/server_frame.hpp"

#include "base/json.hpp"

namespace weir::server_frame {
namespace {
// Opens a frame: {"type":"ack","id":7, with room for so many bytes more. Answers to publications come as often as
// events, and a text that grows step by step is allocated at each.
std::string open(std::string_view type, std::string_view id, std::size_t room = 0) {
  std::string out;
  out.reserve(32 + type.size() + id.size() + room);
  out += "{\"type\":\"";
  (out += type) += '"';
  if (!id.empty()) (out += ",\"id\":") += id;
  return out;
}
std::string number(auto n) { return std::to_string(n); }
}  // namespace

std::string connected(const Connected& c) {
  std::string out = open("connected", {});
  out += ",\"data\":{\"clientId\":";
  json::append_string(out, c.client_id);
  out += ",\"sessionId\":";
  json::append_string(out, c.session_id);
  out += ",\"resumed\":false,\"identity\":";
  out += c.identity_json.empty() ? "null" : c.identity_json;
  out += ",\"heartbeat\":{\"intervalMs\":" + number(c.heartbeat_interval_ms) +
         ",\"timeoutMs\":" + number(c.heartbeat_timeout_ms) + "}}}";
  return out;
}

std::string ack(std::string_view id, std::string_view data_json) {
  std::string out = open("ack", id, data_json.size());
  ((out += ",\"data\":") += data_json) += '}';
  return out;
}

std::string error_data(const Error& e) {
  std::string out = "{\"code\":\"";
  (out += to_word(e.code)) += "\",\"message\":";
  json::append_string(out, e.message.empty() ? sentence(e.code) : std::string_view(e.message));
  if (!e.pointer.empty()) {
    out += ",\"pointer\":";
    json::append_string(out, e.pointer);
  }
  if (worth_retrying(e.code)) out += ",\"retry\":true";
  if (e.retry_after_ms) out += ",\"retryAfterMs\":" + number(*e.retry_after_ms);
  return out += '}';
}

std::string error(std::string_view id, const Error& e) {
  std::string out = open("error", id);
  ((out += ",\"data\":") += error_data(e)) += '}';
  return out;
}

std::string gap(std::string_view channel, std::string_view epoch, const Gap& g) {
  std::string out = open("gap", {});
  out += ",\"data\":{\"channel\":";
  json::append_string(out, channel);
  out += ",\"epoch\":";
  if (g.from == 0)
    out += "null";
  else
    json::append_string(out, epoch);
  out += ",\"from\":" + (g.from == 0 ? std::string("null") : number(g.from));
  out += ",\"to\":" + (g.to == 0 ? std::string("null") : number(g.to));
  out += ",\"count\":" + (g.count == 0 ? std::string("null") : number(g.count));
  out += ",\"reason\":";
  json::append_string(out, g.reason);
  return out += "}}";
}

std::string response(std::string_view id, std::string_view data_json) {
  std::string out = open("response", id);
  out += ",\"data\":";
  out += data_json;
  return out += '}';
}

std::string snapshot(std::string_view channel, const Position& at, std::string_view data_json) {
  std::string out = open("snapshot", {});
  out.reserve(out.size() + channel.size() + data_json.size() + 96);
  out += ",\"channel\":";
  json::append_string(out, channel);
  out += ",\"epoch\":";
  json::append_string(out, at.epoch);
  out += ",\"sequenceId\":" + number(at.sequence_id) + ",\"data\":";
  out += data_json;
  return out += '}';
}

std::string closing(CloseCode code, std::string_view reason, std::int64_t reconnect_min_ms,
                    std::int64_t reconnect_max_ms) {
  std::string out = open("closing", {});
  out += ",\"data\":{\"code\":" + number(static_cast<unsigned>(code)) + ",\"reason\":";
  json::append_string(out, reason);
  return out += ",\"reconnectIn\":[" + number(reconnect_min_ms) + "," + number(reconnect_max_ms) + "]}}";
}

std::string_view ping() { return "{\"type\":\"ping\"}"; }
std::string pong(std::string_view id) { return open("pong", id) += '}'; }

std::string publish_result(std::string_view channel, const Position& at, bool duplicate) {
  std::string out;
  out.reserve(96 + channel.size() + at.epoch.size());
  out += "{\"channel\":";
  json::append_string(out, channel);
  out += ",\"epoch\":";
  json::append_string(out, at.epoch);
  out += ",\"sequenceId\":" + number(at.sequence_id);
  if (duplicate) out += ",\"duplicate\":true";
  return out += '}';
}

std::string publish_dropped(std::string_view channel, std::string_view reason) {
  std::string out = "{\"channel\":";
  json::append_string(out, channel);
  out += ",\"dropped\":true,\"reason\":";
  json::append_string(out, reason);
  return out += '}';
}

}  // namespace weir::server_frame
