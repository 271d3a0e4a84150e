// Who a connection proved to be, as an auth provider said it.
// Threads: plain values.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"

namespace weir {

struct Identity {
  std::string subject;                 // empty: nobody in particular (an endpoint without auth)
  std::vector<std::string> scopes;     // "*" stands for all
  std::string attributes_json = "{}";  // an object
  std::string provider;                // the plugin instance that vouches for it
  std::string key;                     // what revocation and connection limits count by
  UnixMs expires_at = 0;               // 0: never
  std::int64_t connections_max = 0;    // 0: no limit

  bool has_scope(std::string_view scope) const {
    return scope.empty() ||
           std::any_of(scopes.begin(), scopes.end(), [&](const std::string& s) { return s == "*" || s == scope; });
  }
};

}  // namespace weir
