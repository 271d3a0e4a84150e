// "host:port" of the key `listen`. Private to the manifest layer. Threads: pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace weir::manifest {

struct ListenAddress {
  std::string host;  // an IPv4 or IPv6 address without brackets; localhost has become 127.0.0.1
  std::uint16_t port = 0;
  bool loopback = false;
};

// Errors: bad_request - what is expected instead. Names other than localhost are refused: what they stand for may
// change.
Result<ListenAddress> parse_listen(std::string_view text);

}  // namespace weir::manifest
