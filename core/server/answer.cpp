#include "server/answer.hpp"

#include <utility>

#include "protocol/server_frame.hpp"

namespace weir {

void answer(const net::ExchangePtr& exchange, const Error& e, net::Headers headers) {
  // A limit that somebody ran into is worth another try later only where we know when.
  if (e.retry_after_ms)
    headers.emplace_back("retry-after", std::to_string((*e.retry_after_ms + 999) / 1000));
  else if (http_status(e.code) == 503 || http_status(e.code) == 429)
    headers.emplace_back("retry-after", "2");
  exchange->respond(
      {http_status(e.code), "application/json", "{\"error\":" + server_frame::error_data(e) + "}", std::move(headers)});
}

void answer(const net::ExchangePtr& exchange, std::string json, int status) {
  exchange->respond({status, "application/json", std::move(json), {{"cache-control", "no-store"}}});
}

}  // namespace weir
