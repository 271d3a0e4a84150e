// Finds the files that a pattern names: `*`, `?` and `[...]` in every part of the path, as in glob(3); a leading dot
// must be written. It also says which folders have to be watched to notice that the answer changes, which glob(3) does
// not.
// Limits: at most kMatchesMax paths for one pattern; what is beyond is left out and said in `problems`.
// Threads: free functions without state, [any].
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace weir::log_tail {

inline constexpr std::size_t kMatchesMax = 16384;

struct Expansion {
  std::vector<std::string> paths;     // whatever exists under a matching name, not only regular files; sorted
  std::vector<std::string> folders;   // that exist and where a new name could change `paths`
  std::vector<std::string> problems;  // sentences: folders that can't be read
};

// A relative pattern is looked for below the process's working directory and gives relative paths.
Expansion expand(std::string_view pattern);

// Does `path` match one of the patterns? A pattern without a slash is compared with the file's name alone.
bool matches_any(const std::vector<std::string>& patterns, const std::string& path);

// Could a file of that name, in the right folder, match one of the patterns?
bool could_match(const std::vector<std::string>& patterns, std::string_view name);

std::string_view base_name(std::string_view path);
std::string folder_of(std::string_view path);  // "." when there is no slash

}  // namespace weir::log_tail
