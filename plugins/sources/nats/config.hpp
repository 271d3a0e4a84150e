// What the manifest says about one instance, and the JSON Schema that the hub checks it with.
// Threads: pure functions, [any].
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "message.hpp"
#include "weir/sdk/json.hpp"

namespace weir::nats {

extern const char kManifest[];  // see weir/abi/plugin.h

// How to get to the servers and who we are there. At most one way to say who.
struct LinkConfig {
  std::vector<std::string> servers;
  std::string name;
  std::string user, password, token;
  std::string credentials_file, nkey, nkey_seed_file;
  bool tls = false;
  std::string ca_file, certificate_file, key_file, server_name;
  std::int64_t ping_ms = 10'000;  // two that stay unanswered end the connection
};

// A durable consumer of a JetStream stream.
struct StreamConfig {
  enum class From : std::uint8_t { all, fresh, last, sequence, time };
  std::string stream, durable, subject, api_prefix;
  From from = From::all;
  std::uint64_t sequence = 0;  // from == sequence
  std::int64_t time_ms = 0;    // from == time
  std::int64_t in_flight = 1000;
  std::int64_t ack_wait_ms = 10'000;
};

struct Config {
  LinkConfig link;
  std::vector<std::string> subjects;  // of core NATS
  std::string queue;
  std::int64_t pending_messages = 65'536, pending_bytes = 8 * 1024 * 1024;
  std::optional<StreamConfig> stream;
  bool jetstream = false;  // where events of channels are published to
  MessageConfig message;
};

// Errors: Failure(WEIR_E_CONFIG) that names the key, the value and what is expected.
Config parse_config(const sdk::json::Value& json);

}  // namespace weir::nats
