// What the manifest says about one instance, and the JSON Schema that the hub checks it with.
// Threads: pure functions, [any].
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/sdk/json.hpp"

namespace weir::redis {

extern const char kManifest[];  // see weir/abi/plugin.h

struct Address {
  std::string host = "127.0.0.1", port = "6379";
  std::string socket;  // a Unix socket, in place of both
  std::string user, password;
  std::int64_t database = 0;
  std::string text() const { return socket.empty() ? host + ":" + port : socket; }
};

// Entries of streams, read as one consumer of a group.
struct StreamConfig {
  std::vector<std::string> keys;
  std::string group, consumer, field;
  std::string from = "0";  // an id; "$": what comes after the group was made
  std::int64_t in_flight = 1000;
  std::int64_t claim_ms = 0;  // 0: entries of other consumers are left to them
};

// Where events of channels go.
struct PublishConfig {
  bool stream = false;          // XADD in place of PUBLISH
  std::int64_t max_length = 0;  // of a stream, about; 0: without end
};

struct Config {
  Address address;
  std::vector<std::string> channels, patterns;
  std::optional<StreamConfig> stream;
  PublishConfig publish;
  std::string event;
  bool text = false;  // payloads become JSON strings, also those that are JSON
  std::int64_t ping_ms = 10'000;
};

// Whether a channel is one of those of a pattern, as Redis has it: * ? [ab] [a-z] [^a] and \ before a character.
bool matches(std::string_view pattern, std::string_view channel);

// Errors: Failure(WEIR_E_CONFIG) that names the key, the value and what is expected.
Config parse_config(const sdk::json::Value& json);

}  // namespace weir::redis
