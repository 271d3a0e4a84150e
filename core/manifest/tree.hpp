// A configuration as a tree in which every value knows where it stands in its file, whether that is TOML or JSON.
// Threads: plain values.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace weir::tree {

struct Place {
  std::string file;
  std::uint32_t line = 0, column = 0;  // from 1, columns in characters; 0: not known (a default, --set)
};

struct Problem {
  Place place;
  std::string message;
  std::string text() const;  // "hub.toml:14:3: message", without what came from the environment (base/secrets.hpp)
};

// No tree is deeper; the readers say so. It keeps everything that walks a tree by recursion safe.
inline constexpr int kDepthMax = 64;

struct Node {
  enum class Kind : std::uint8_t { null, boolean, integer, number, string, array, object };
  struct Member;
  Place place;
  Kind kind = Kind::null;
  bool boolean = false;
  std::int64_t integer = 0;
  double number = 0;  // also set for integers
  std::string string;
  std::string as_written;  // a string that held ${NAME}: what the file says, for messages, as the value may be secret
  std::vector<Node> elements;   // array
  std::vector<Member> members;  // object, in the order of the file
  const Node* find(std::string_view key) const;
  Node* find(std::string_view key);
  bool is(Kind k) const { return kind == k; }
  bool is_whole() const;                        // an integer, or a number without a fraction such as 1.0
  std::int64_t whole() const;                   // its value, clamped to 64 bits; 0 for anything else
  Node& set(std::string_view key, Node value);  // adds or replaces a member
  // The node at a JSON pointer ("/files/0"), or the deepest one on the way there.
  const Node& nearest(std::string_view json_pointer) const;
  // Where that stands: its key, if it is a member of an object, else the value itself.
  const Place& place_of(std::string_view json_pointer) const;
  std::string to_json() const;
};
struct Node::Member {
  std::string key;
  Place key_place;
  Node value;
};

// Text that is the same for equal values: members sorted, 1.0 as 1.
std::string canonical(const Node& node);

}  // namespace weir::tree
