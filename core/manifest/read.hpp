// From text to a tree: TOML and JSON, and the environment's values inside strings.
// Limits: a text of 4 MiB, kDepthMax levels. Nothing here throws; what is wrong becomes problems with a place.
// Threads: [any]; expand_environment looks values up through the function it is given.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/tree.hpp"

namespace weir::tree {

inline constexpr std::size_t kTextBytesMax = 4 * 1024 * 1024;

// The whole text as an object; nothing if it is not TOML. `name` is the file of every place.
// Dates and times become strings, as JSON has none; inf and nan are problems for the same reason.
std::optional<Node> read_toml(const std::string& name, std::string_view text, std::vector<Problem>& problems);
// One TOML value ("5", "[1, 2]", "{ a = 1 }"); nothing if it is not exactly one.
std::optional<Node> read_toml_value(const std::string& name, std::string_view text);

// Any JSON value. A key that stands twice in one object is a problem, although JSON lets it pass.
std::optional<Node> read_json(const std::string& name, std::string_view text, std::vector<Problem>& problems);

// The value of an environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
Environment process_environment();
// Is told each value that was put in, its variable, and where.
using Seen = std::function<void(const Node& node, std::string_view value, std::string_view name)>;

// Replaces ${NAME} and ${NAME:-default} in every string below `node` (an empty value counts as set); $${ stands for ${.
// Keys stay as they are. A variable that is not set and has no default is a problem that names it.
void expand_environment(Node& node, const Environment& environment, std::vector<Problem>& problems,
                        const Seen& seen = {});

}  // namespace weir::tree
