// How the HTTP API answers: JSON that nobody keeps, and errors with the status that belongs to them.
// Threads: [shard] of the exchange.
#pragma once
#include <string>

#include "base/result.hpp"
#include "net/http.hpp"

namespace weir {

// {"error":{"code","message"}}; a 429 and a 503 say with Retry-After when to come back.
void answer(const net::ExchangePtr& exchange, const Error& e, net::Headers headers = {});
void answer(const net::ExchangePtr& exchange, std::string json, int status = 200);

}  // namespace weir
