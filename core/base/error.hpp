// What went wrong, in a form that can be shown: a code that clients know and a sentence for people.
// Threads: [any]; plain values.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

enum class Errc : std::uint8_t {
#define WEIR_ERROR(word, http, retry, text) word,
#include "base/codes.def"
#undef WEIR_ERROR
};

enum class CloseCode : std::uint16_t {
#define WEIR_CLOSE(number, name, reconnect, text) name = number,
#include "base/codes.def"
#undef WEIR_CLOSE
};

std::string_view to_word(Errc code);  // "no_such_channel"
std::optional<Errc> from_word(std::string_view word);
int http_status(Errc code);            // 404
bool worth_retrying(Errc code);        // the wire's `retry`
std::string_view sentence(Errc code);  // what codes.def says of it

struct Error {
  Errc code = Errc::internal;
  std::string message;                            // one sentence: the thing, the value, the way out
  std::optional<std::uint32_t> retry_after_ms{};  // when known
  std::string pointer{};                          // JSON pointer to the spot, where there is one
};

}  // namespace weir
