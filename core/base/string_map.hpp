// A hash map with text keys that is searched by string_view, without making a string first. Threads: a plain type.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace weir {

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
};
template <class T>
using StringMap = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

}  // namespace weir
