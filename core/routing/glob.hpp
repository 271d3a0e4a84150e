// The globs of filters: `*` is any run of characters, `?` is one, `\` takes the next one literally. A character is a
// code point. Patterns come from clients, so the time is bounded by the text alone, whatever the pattern.
// Threads: [any]; nothing is kept.
#pragma once
#include <string_view>

#include "base/result.hpp"

namespace weir {

// Between two `*`, a part with `?` or `\` in it has at most so many characters: what is looked for at every place of a
// text must fit into one machine word.
constexpr std::size_t kGlobPartMax = 64;

// Errors: bad_filter - a part is too long; the message says which.
Result<void> check_glob(std::string_view pattern);
// Whether all of `text` matches; both are UTF-8, `pattern` one that check_glob() takes.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace weir
