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
  std::uint32_t line = 0, column = 0;  // from 1; 0: not known (a default, --set)
};

struct Problem {
  Place place;
  std::string message;
  std::string text() const;  // "hub.toml:14:3: message"
};

struct Node {
  enum class Kind : std::uint8_t { null, boolean, integer, number, string, array, object };
  struct Member;
  Place place;
  Kind kind = Kind::null;
  bool boolean = false;
  std::int64_t integer = 0;
  double number = 0;                // also set for integers
  std::string string;
  std::vector<Node> elements;       // array
  std::vector<Member> members;      // object, in the order of the file
  const Node* find(std::string_view key) const;
  Node* find(std::string_view key);
  // The node at a JSON pointer ("/files/0"), or the deepest one on the way there.
  const Node& nearest(std::string_view json_pointer) const;
  std::string to_json() const;
};
struct Node::Member {
  std::string key;
  Place key_place;
  Node value;
};

}  // namespace weir::tree
