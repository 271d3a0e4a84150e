// Any bytes as a Sec-WebSocket-Extensions header: accepted or not, and what is accepted is answered by the letter.
#include <cstdint>
#include <cstdlib>

#include "protocol/deflate_offer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto terms = weir::accept_deflate({reinterpret_cast<const char*>(data), size});
  if (!terms) return 0;
  if (terms->window_bits < 8 || terms->window_bits > 15) std::abort();
  const std::string agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
                    with = agreed + "; server_max_window_bits=" + std::to_string(terms->window_bits);
  if (terms->answer != with && (terms->answer != agreed || terms->window_bits != 15)) std::abort();
  return 0;
}
