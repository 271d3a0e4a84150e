// What texts of HTTP are made of: percent-encoding, hexadecimal, base64, media types, lists of form fields.
// Threads: pure functions, [any].
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::http_ingest {

std::string lower(std::string_view text);               // of ASCII letters
std::string_view without_space(std::string_view text);  // spaces and tabs around it

// For a message: in quotes, its first 80 bytes at most, and whatever it is, UTF-8.
std::string shown(std::string_view text);

// Nothing where a '%' is not followed by two hexadecimal digits. plus: '+' is a space, as in forms.
std::optional<std::string> percent_decoded(std::string_view text, bool plus);
std::optional<std::string> from_hex(std::string_view hex);  // of whole bytes, either case
std::string to_hex(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view base64);  // RFC 4648 §4, with its padding

// "Application/JSON; charset=UTF-8"
struct MediaType {
  std::string essence;  // "application/json", lower case, without parameters
  std::string charset;  // lower case; empty if it is not said
  bool is_json() const { return essence.ends_with("/json") || essence.ends_with("+json"); }
};
MediaType parse_media_type(std::string_view header);

// The fields of application/x-www-form-urlencoded, in order; at most `most`.
// Nothing when an escape is broken, a text is no UTF-8, or there are more.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view body, std::size_t most);

}  // namespace weir::http_ingest
