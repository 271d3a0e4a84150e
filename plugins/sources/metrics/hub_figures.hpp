// The figures of GET /stats, summed over shards, plugins and rules: one flat object with the same names in every
// version of the hub. What a hub does not have is left out. Threads: [strand].
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "figures.hpp"

namespace weir::metrics {

class HubFigures {
 public:
  // Errors: sdk::Failure when it is no JSON.
  std::string read(std::string_view stats_json, std::int64_t steady_ms);

 private:
  Growth growth_;
};

}  // namespace weir::metrics
