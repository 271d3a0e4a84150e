// Values that are never shown: what came from the environment into the manifest. Whatever leaves as a message (a
// problem of the manifest, a line of the log, a reason in /health) passes masked(), so that nobody who writes a message
// has to remember.
// Limits: values below kShownBytes are shown, as nobody could tell them from other text; 10,000 values.
// Threads: [any].
#pragma once
#include <string>
#include <string_view>

namespace weir::secrets {

inline constexpr std::size_t kShownBytes = 4;

// From now on `shown_as` ("${NAME}") stands where `value` would. Line breaks at its end are no part of it.
void know(std::string_view value, std::string_view shown_as);
// The text with every value that is known replaced; also one that a message cut off with "…" or "...".
std::string masked(std::string text);

}  // namespace weir::secrets
