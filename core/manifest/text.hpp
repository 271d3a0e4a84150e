// Words for messages: what a value looks like, and which known name somebody may have meant.
// Threads: [any]; pure.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/tree.hpp"

namespace weir::manifest {

// The name nearest to `wrong` by edits (a swap of neighbours counts as one), ignoring case; empty if none is near
// enough to be meant: a third of the length, at least one edit.
std::string_view nearest_name(std::string_view wrong, std::span<const std::string> names);
// `; did you mean "history"?`, or nothing.
std::string hint(std::string_view wrong, std::span<const std::string> names);

// In quotes, control characters escaped, cut after 60 bytes.
std::string in_quotes(std::string_view text);
// A value in a message: "fast" (in quotes), -1, true, null, an array, an object. Text from the environment is
// shown as the file has it, since it may be a secret.
std::string shown(const tree::Node& node);
// The same with its kind: a string "x", an integer 5, an array.
std::string shown_with_kind(const tree::Node& node);
// "a", "b", "c"
std::string listed(std::span<const std::string> names);

}  // namespace weir::manifest
