// Members of a tree as plain values, with a fallback where there is none of the right type. Private to the manifest
// layer.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "manifest/tree.hpp"
#include "manifest/units.hpp"

namespace weir::manifest {

inline const tree::Node* member(const tree::Node& node, std::string_view key, tree::Node::Kind kind) {
  const tree::Node* found = node.find(key);
  return found != nullptr && found->is(kind) ? found : nullptr;
}
inline std::string text_of(const tree::Node& node, std::string_view key) {
  const auto* found = member(node, key, tree::Node::Kind::string);
  return found == nullptr ? "" : found->string;
}
inline bool flag_of(const tree::Node& node, std::string_view key, bool fallback) {
  const auto* found = member(node, key, tree::Node::Kind::boolean);
  return found == nullptr ? fallback : found->boolean;
}
inline std::optional<std::int64_t> whole_of(const tree::Node& node, std::string_view key) {
  const auto* found = node.find(key);
  return found != nullptr && found->is_whole() ? std::optional(found->whole()) : std::nullopt;
}
// A number stands for itself: only where the schema lets it pass does it come this far.
inline std::optional<std::int64_t> ms_of(const tree::Node& node, std::string_view key) {
  const auto* found = member(node, key, tree::Node::Kind::string);
  return found == nullptr ? whole_of(node, key) : parse_duration_ms(found->string);
}
inline std::optional<std::int64_t> bytes_of(const tree::Node& node, std::string_view key) {
  const auto* found = member(node, key, tree::Node::Kind::string);
  return found == nullptr ? whole_of(node, key) : parse_bytes(found->string);
}
inline std::vector<std::string> texts_of(const tree::Node& node, std::string_view key) {
  std::vector<std::string> out;
  if (const auto* found = member(node, key, tree::Node::Kind::array))
    for (const auto& element : found->elements)
      if (element.is(tree::Node::Kind::string)) out.push_back(element.string);
  return out;
}
inline const std::vector<tree::Node>& elements_of(const tree::Node& node, std::string_view key) {
  static const std::vector<tree::Node> kNone;
  const auto* found = member(node, key, tree::Node::Kind::array);
  return found == nullptr ? kNone : found->elements;
}
// Where the member stands, else where the whole does.
inline const tree::Place& place_of(const tree::Node& node, std::string_view key) {
  const auto* found = node.find(key);
  return found != nullptr && found->place.line != 0
             ? found->place
             : (found != nullptr && found->place.file == "--set" ? found->place : node.place);
}

}  // namespace weir::manifest
