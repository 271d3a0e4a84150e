// What a client offers and a hub accepts of permessage-deflate (RFC 7692 section 7.1): no context is taken over, in
// either direction. Beast's own reader of such headers gives a further offer the parameters of the one before it.
// Threads: [any]; pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace weir {

struct DeflateTerms {
  std::string answer;         // the Sec-WebSocket-Extensions of the response
  unsigned window_bits = 15;  // the client keeps a window of 2^n bytes: 8 to 15
};

// `offers`: the Sec-WebSocket-Extensions of the request, several of them joined by commas. The first offer that can be
// accepted is; nothing if there is none: it says what the RFC does not know, or something twice.
std::optional<DeflateTerms> accept_deflate(std::string_view offers);

}  // namespace weir
