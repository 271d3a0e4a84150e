// What the manifest says about one instance, and the JSON Schema that the hub checks it with.
// Threads: pure functions, [any].
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "body.hpp"
#include "signature.hpp"
#include "template.hpp"
#include "weir/sdk/json.hpp"

namespace weir::http_ingest {

extern const char kManifest[];  // see weir/abi/plugin.h

struct Config {
  bool unsigned_webhooks = false;  // a profile of somebody who signs, and no secret to check it with
  Templates subject, event, key, id;
  BodyConfig body;
  std::optional<SignatureConfig> signature;
  std::size_t decompressed_max = 4 * 1024 * 1024;
  std::int64_t window_ms = 86'400'000;
  std::size_t ids_max = 100'000;
};

// Errors: Failure(WEIR_E_CONFIG) that names the key, the value and what is expected.
Config parse_config(const sdk::json::Value& json);

}  // namespace weir::http_ingest
