// One HTTP request to a hub, for the commands that ask a running one. Threads: [main]; waits for the answer.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "net/http.hpp"

namespace weir::net {

struct HttpCall {
  std::string host;  // an address, or localhost
  std::uint16_t port = 0;
  std::string method = "GET", target = "/", body;
  Headers headers;
  std::int64_t timeout_ms = 60'000;
};

struct HttpReply {
  int status = 0;
  std::string body;
};

// Errors: unavailable - nobody listens there, or what answers is no HTTP; timeout - it did not answer in time.
Result<HttpReply> http_call(const HttpCall& call);

}  // namespace weir::net
