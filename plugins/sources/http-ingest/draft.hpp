// One event as it stood in a request. Borrows the request's body and must not outlive it.
// Threads: plain values.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/sdk/emitter.hpp"

namespace weir::http_ingest {

struct Draft {
  std::string_view borrowed{};  // its data, where that stands in the body as it is
  std::string made{};           // its data where not; used when it is not empty
  sdk::Data kind = sdk::Data::json;
  std::vector<std::pair<std::string, std::string>> attributes{};  // of a CloudEvent, else none
  std::int64_t time_ms = 0;                                       // 0: not said

  std::string_view data() const { return made.empty() ? borrowed : std::string_view(made); }
  // Empty when there is none.
  std::string_view attribute(std::string_view name) const {
    for (const auto& [key, value] : attributes)
      if (key == name) return value;
    return {};
  }
};

}  // namespace weir::http_ingest
