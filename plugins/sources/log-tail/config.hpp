// What the manifest says about one instance, and the JSON Schema that the hub checks it with.
// Threads: pure functions, [any].
#pragma once
#include <cstdint>
#include <string>

#include "shared.hpp"
#include "weir/sdk/json.hpp"

namespace weir::log_tail {

extern const char kManifest[];  // see weir/abi/plugin.h

struct Config {
  TailerOptions tailer;
  std::uint64_t batch_ms = 10;
  std::string checkpoint;  // a file; empty: places are not remembered
};

// Errors: Failure(WEIR_E_CONFIG) that names the key, the value and what is expected.
Config parse_config(const sdk::json::Value& json);

}  // namespace weir::log_tail
