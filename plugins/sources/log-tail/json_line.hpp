// Writes bytes from a log file as JSON text. Logs hold anything: control characters become escapes, and whatever is not
// UTF-8 (RFC 3629) becomes U+FFFD, one for each piece that can't be continued, as the Unicode standard recommends.
// Threads: pure functions, [any].
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace weir::log_tail {

// Appends `bytes` as a JSON string with its quotes. Returns false if something had to be replaced.
bool append_json_string(std::string& out, std::string_view bytes);

// How many bytes of `text` to keep so that at most `bytes_max` remain and no character is cut in two.
// Bytes that are no UTF-8 anyway are cut anywhere.
std::size_t cut_at_character(std::string_view text, std::size_t bytes_max);

}  // namespace weir::log_tail
