// Says where the parts of JSON stand, without building anything of it, so that an event's data goes on byte for byte.
// Takes text that weir/sdk/json_check.hpp has found right, or a part of one that these functions gave.
// Threads: pure functions, [any].
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::http_ingest::json {

std::string_view trimmed(std::string_view text);  // without the white space around it
struct Member {
  std::string_view name;  // with its quotes
  std::string_view value;
};
// The first `most` of them, in order; of no object or array: none.
std::vector<Member> members(std::string_view object, std::size_t most);
std::vector<std::string_view> elements(std::string_view array, std::size_t most);
// The text of a string, without quotes and escapes.
std::string unquoted(std::string_view string);
// The value at a JSON pointer (RFC 6901); of equal names the last one counts.
std::optional<std::string_view> at(std::string_view text, std::string_view pointer);

}  // namespace weir::http_ingest::json
