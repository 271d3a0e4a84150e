#include "config.hpp"

#include <algorithm>
#include <charconv>

namespace weir::redis {

// constinit and without constructors: the hub may read it before any code of the plugin ran.
constinit const char kManifest[] = R"json({
  "kinds": ["source", "sink"],
  "subject_separator": ":",
  "summary": "Events from and to Redis: channels of pub/sub, or streams, read as a consumer of a group",
  "config_schema": {
    "type": "object",
    "additionalProperties": false,
    "properties": {
      "url": {"type": "string", "minLength": 1, "default": "redis://127.0.0.1:6379", "description": "redis://host:6379, redis://host:6379/2 for database 2, or unix:/path/of/the/socket"},
      "user": {"type": "string", "default": "", "description": "An ACL user; left out, password is that of the default user"},
      "password": {"type": "string", "x-secret": true, "default": "", "description": "Of user"},
      "ping": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 100, "default": "10s", "description": "How often the server is asked whether it is there; no answer for as long again ends the connection"},
      "channels": {"type": "array", "default": [], "items": {"type": "string", "minLength": 1, "maxLength": 1024}, "description": "Pub/sub: channels to subscribe to; what is sent while the connection is down is lost, and a gap says so"},
      "patterns": {"type": "array", "default": [], "items": {"type": "string", "minLength": 1, "maxLength": 1024}, "description": "Pub/sub: patterns of channels, with * ? [ab]"},
      "stream": {
        "type": "object", "additionalProperties": false, "required": ["keys"],
        "description": "Streams, in place of channels and patterns; acknowledged when the hub has the event",
        "properties": {
          "keys": {"type": "array", "minItems": 1, "maxItems": 64, "items": {"type": "string", "minLength": 1, "maxLength": 1024}, "description": "The streams"},
          "group": {"type": "string", "minLength": 1, "maxLength": 255, "default": "weir", "description": "The group; made if it is not there, and the stream with it"},
          "consumer": {"type": "string", "minLength": 1, "maxLength": 255, "default": "weir", "description": "Who we are in it. Each hub needs a name of its own"},
          "from": {"type": "string", "minLength": 1, "default": "all", "description": "Where a new group begins: \"all\", \"new\", or the id of the entry before"},
          "field": {"type": "string", "maxLength": 255, "default": "", "description": "The field that holds the event's data; left out, data is an object of all fields"},
          "in_flight": {"type": "integer", "minimum": 1, "maximum": 100000, "default": 1000, "description": "Entries that may be on their way into the hub at once"},
          "claim": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 0, "default": 0, "description": "Take over entries that another consumer of the group has had for so long without acknowledging them; 0: never"}
        }
      },
      "publish": {
        "type": "object", "additionalProperties": false,
        "description": "How events of channels are published (a channel's to)",
        "properties": {
          "to": {"type": "string", "enum": ["pubsub", "stream"], "default": "pubsub", "description": "pubsub: PUBLISH, gone where nobody listens; stream: XADD"},
          "max_length": {"type": "integer", "minimum": 0, "maximum": 1000000000000, "default": 0, "description": "stream: about how many entries are kept (MAXLEN ~); 0: all"}
        }
      },
      "payload": {"type": "string", "enum": ["any", "text"], "default": "any", "description": "any: JSON as it is, all else as text; text: a JSON string is made of it. Bytes that are no UTF-8 become {\"base64\": ...}"},
      "event": {"type": "string", "minLength": 1, "maxLength": 255, "default": "message", "description": "The events' name"}
    }
  }
})json";

namespace {

using sdk::Failure;
using sdk::json::quoted;
using sdk::json::Value;

bool number(std::string_view text, std::int64_t most, std::int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out >= 0 && out <= most;
}

Address parse_address(const Value& json) {
  Address address;
  address.user = json.string_or("user", "");
  address.password = json.string_or("password", "");
  if (!address.user.empty() && address.password.empty())
    throw Failure(WEIR_E_CONFIG, "user is there, but password is not", "/user");
  const Value* url = json.find("url");
  if (url == nullptr) return address;
  const std::string& text = url->as_string();
  const auto wrong = [&] { return url->wrong("redis://host:6379, redis://host:6379/2 or unix:/path", quoted(text)); };
  if (text.starts_with("unix:") && text.size() > 5) {
    address.socket = text.substr(5);
    return address;
  }
  if (!text.starts_with("redis://")) throw wrong();
  std::string rest = text.substr(8);
  if (rest.find('@') != std::string::npos)
    throw Failure(WEIR_E_CONFIG,
                  "the url holds a password; put it into `user` and `password`, where it is kept out of logs",
                  url->pointer);
  if (const auto slash = rest.find('/'); slash != std::string::npos) {
    if (slash + 1 < rest.size() && !number(rest.substr(slash + 1), 1'000'000, address.database)) throw wrong();
    rest.resize(slash);
  }
  if (rest.starts_with('[')) {  // IPv6
    const auto close = rest.find(']');
    if (close == std::string::npos) throw wrong();
    address.host = rest.substr(1, close - 1);
    rest.erase(0, close + 1);
  } else {
    address.host = rest.substr(0, rest.find(':'));
    rest.erase(0, address.host.size());
  }
  std::int64_t port = 0;
  if (!rest.empty() && (rest[0] != ':' || !number(rest.substr(1), 65'535, port) || port == 0)) throw wrong();
  if (!rest.empty()) address.port = rest.substr(1);
  if (address.host.empty()) throw wrong();
  return address;
}

StreamConfig parse_stream(const Value& json) {
  StreamConfig stream;
  stream.keys = json.strings_or("keys", {});
  stream.group = json.string_or("group", "weir");
  stream.consumer = json.string_or("consumer", "weir");
  stream.field = json.string_or("field", "");
  stream.in_flight = json.integer_or("in_flight", 1000);
  stream.claim_ms = json.duration_ms_or("claim", 0);
  if (stream.claim_ms != 0 && stream.claim_ms < 1'000)
    throw json.required("claim").wrong("0, or at least 1 s", std::to_string(stream.claim_ms) + " ms");
  const std::string from = json.string_or("from", "all");
  if (from == "new") {
    stream.from = "$";
  } else if (from != "all") {
    if (from.find_first_not_of("0123456789-") != std::string::npos)
      throw json.required("from").wrong("\"all\", \"new\" or an id such as \"1770724800000-0\"", quoted(from));
    stream.from = from;
  }
  return stream;
}

// One character of `channel` against the class that begins behind the '[' at `at`, which moves behind its ']'.
bool in_class(std::string_view pattern, std::size_t& at, char c) {
  const bool negated = at < pattern.size() && pattern[at] == '^';
  if (negated) ++at;
  bool found = false;
  for (; at < pattern.size() && pattern[at] != ']'; ++at) {
    if (pattern[at] == '\\' && at + 1 < pattern.size()) {
      found = found || pattern[++at] == c;
    } else if (at + 2 < pattern.size() && pattern[at + 1] == '-') {
      const auto [low, high] = std::minmax(pattern[at], pattern[at + 2]);
      found = found || (low <= c && c <= high);
      at += 2;
    } else {
      found = found || pattern[at] == c;
    }
  }
  if (at < pattern.size()) ++at;
  return found != negated;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view channel) {
  std::size_t p = 0, c = 0, star = std::string_view::npos, from = 0;
  while (c < channel.size()) {
    std::size_t next = p + 1;
    const char what = p < pattern.size() ? pattern[p] : '\0';
    if (p < pattern.size() && what == '*') {
      star = p++;
      from = c;
      continue;
    }
    bool same = p < pattern.size() && (what == '?' || what == channel[c]);
    if (p < pattern.size() && what == '[') same = in_class(pattern, next, channel[c]);
    if (what == '\\' && next < pattern.size()) same = pattern[next++] == channel[c];
    if (same) {
      p = next;
      ++c;
    } else if (star != std::string_view::npos) {  // the last * takes one more
      p = star + 1;
      c = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Config parse_config(const Value& json) {
  Config config;
  config.address = parse_address(json);
  config.channels = json.strings_or("channels", {});
  config.patterns = json.strings_or("patterns", {});
  if (const Value* stream = json.find("stream")) config.stream = parse_stream(*stream);
  const bool pubsub = !config.channels.empty() || !config.patterns.empty();
  if (config.stream && pubsub)
    throw Failure(
        WEIR_E_CONFIG,
        "an instance reads either channels and patterns or a stream; make a second [[plugin]] for the other one",
        "/stream");
  for (const auto& channel : config.channels)
    for (const auto& pattern : config.patterns)
      if (matches(pattern, channel))
        throw Failure(WEIR_E_CONFIG,
                      "the channel " + quoted(channel) + " is one of the pattern " + quoted(pattern) +
                          "; Redis sends a message once for each, so it would come twice; leave it out",
                      "/channels");
  if (const Value* publish = json.find("publish")) {
    config.publish.stream = publish->string_or("to", "pubsub") == "stream";
    config.publish.max_length = publish->integer_or("max_length", 0);
    if (!config.publish.stream && config.publish.max_length != 0)
      throw Failure(WEIR_E_CONFIG, "max_length is for to = \"stream\"", publish->pointer + "/max_length");
  }
  config.event = json.string_or("event", "message");
  config.text = json.string_or("payload", "any") == "text";
  config.ping_ms = json.duration_ms_or("ping", 10'000);
  return config;
}

}  // namespace weir::redis
