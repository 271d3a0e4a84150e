// What the manifest says about one instance, and the JSON Schema that the hub checks it with.
// Threads: pure functions, [any].
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "address.hpp"
#include "payload.hpp"
#include "weir/sdk/json.hpp"

namespace weir::postgres {

extern const char kManifest[];  // see weir/abi/plugin.h

// A table that is read in the order of commits.
struct OutboxConfig {
  std::string schema = "weir", reader = "hub";
  bool from_now = false;  // a reader that is not known yet: what is there already is not for it
  std::int64_t poll_ms = 1'000;
  std::int64_t rest_ms = 10;            // at most, between two batches and where it can't sleep
  std::int64_t keep_ms = 3'600'000;     // 0: nothing is removed
  std::int64_t data_bytes = 1'048'576;  // what is larger is not fetched
};

// Methods that SQL functions answer.
struct FunctionsConfig {
  std::string schema;
  std::int64_t pool = 4;  // connections
};

struct Config {
  Address address;
  std::int64_t ping_ms = 10'000;
  std::vector<std::string> listen;
  PayloadConfig payload;  // of listen
  std::optional<OutboxConfig> outbox;
  std::optional<FunctionsConfig> functions;
};

// Errors: Failure(WEIR_E_CONFIG) that names the key, the value and what is expected.
Config parse_config(const sdk::json::Value& json);

}  // namespace weir::postgres
