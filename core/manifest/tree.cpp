#include "manifest/tree.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/json.hpp"
#include "base/secrets.hpp"

namespace weir::tree {
namespace {

void append_number(std::string& out, double value) {
  if (!std::isfinite(value)) {  // the readers refuse these; JSON has no word for them
    out += "null";
    return;
  }
  char text[32];
  const auto [end, ec] = std::to_chars(text, text + sizeof text, value);
  out.append(text, end);
}

void append_json(std::string& out, const Node& node, bool canonical_form) {
  switch (node.kind) {
    case Node::Kind::null:
      out += "null";
      break;
    case Node::Kind::boolean:
      out += node.boolean ? "true" : "false";
      break;
    case Node::Kind::integer:
      out += std::to_string(node.integer);
      break;
    case Node::Kind::number:
      if (canonical_form && node.is_whole() && std::abs(node.number) < 9e18)
        out += std::to_string(node.whole());
      else
        append_number(out, node.number);
      break;
    case Node::Kind::string:
      json::append_string(out, node.string);
      break;
    case Node::Kind::array: {
      out += '[';
      bool first = true;
      for (const Node& element : node.elements) {
        if (!first) out += ',';
        first = false;
        append_json(out, element, canonical_form);
      }
      out += ']';
      break;
    }
    case Node::Kind::object: {
      std::vector<const Node::Member*> members;
      members.reserve(node.members.size());
      for (const auto& member : node.members) members.push_back(&member);
      if (canonical_form) std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key < b->key; });
      out += '{';
      bool first = true;
      for (const auto* member : members) {
        if (!first) out += ',';
        first = false;
        json::append_string(out, member->key);
        out += ':';
        append_json(out, member->value, canonical_form);
      }
      out += '}';
      break;
    }
  }
}

std::string unescaped_step(std::string_view step) {
  std::string out;
  for (std::size_t i = 0; i < step.size(); ++i) {
    if (step[i] == '~' && i + 1 < step.size() && (step[i + 1] == '0' || step[i + 1] == '1'))
      out += step[++i] == '0' ? '~' : '/';
    else
      out += step[i];
  }
  return out;
}

}  // namespace

std::string Problem::text() const {
  std::string out = place.file;
  if (place.line != 0) (((out += ':') += std::to_string(place.line)) += ':') += std::to_string(place.column);
  if (!out.empty()) out += ": ";
  return out += secrets::masked(message);
}

const Node* Node::find(std::string_view key) const {
  if (kind != Kind::object) return nullptr;
  for (const Member& member : members)
    if (member.key == key) return &member.value;
  return nullptr;
}

Node* Node::find(std::string_view key) { return const_cast<Node*>(std::as_const(*this).find(key)); }

bool Node::is_whole() const {
  return kind == Kind::integer || (kind == Kind::number && std::isfinite(number) && std::trunc(number) == number);
}

std::int64_t Node::whole() const {
  if (kind == Kind::integer) return integer;
  if (!is_whole()) return 0;
  if (number >= 9223372036854775807.0) return INT64_MAX;
  if (number <= -9223372036854775808.0) return INT64_MIN;
  return static_cast<std::int64_t>(number);
}

Node& Node::set(std::string_view key, Node value) {
  if (Node* old = find(key)) return *old = std::move(value);
  const Place at = value.place;
  return members.emplace_back(Member{std::string(key), at, std::move(value)}).value;
}

namespace {
// Walks down a JSON pointer as far as it leads; `place` is then where the last step stands.
const Node* walk(const Node* here, std::string_view json_pointer, const Place*& place) {
  while (!json_pointer.empty() && json_pointer.front() == '/') {
    json_pointer.remove_prefix(1);
    const auto end = std::min(json_pointer.find('/'), json_pointer.size());
    const std::string step = unescaped_step(json_pointer.substr(0, end));
    json_pointer.remove_prefix(end);
    const Node* next = nullptr;
    const Place* at = nullptr;
    if (here->kind == Node::Kind::object)
      for (const Node::Member& member : here->members)
        if (next == nullptr && member.key == step) next = &member.value, at = &member.key_place;
    if (here->kind == Node::Kind::array) {
      std::size_t index = 0;
      const auto [rest, ec] = std::from_chars(step.data(), step.data() + step.size(), index);
      if (ec == std::errc{} && rest == step.data() + step.size() && index < here->elements.size())
        next = &here->elements[index], at = &next->place;
    }
    if (next == nullptr) break;
    here = next;
    place = at;
  }
  return here;
}
}  // namespace

const Node& Node::nearest(std::string_view json_pointer) const {
  const Place* unused = nullptr;
  return *walk(this, json_pointer, unused);
}

const Place& Node::place_of(std::string_view json_pointer) const {
  const Place* at = &place;
  walk(this, json_pointer, at);
  return *at;
}

std::string Node::to_json() const {
  std::string out;
  append_json(out, *this, false);
  return out;
}

std::string canonical(const Node& node) {
  std::string out;
  append_json(out, node, true);
  return out;
}

}  // namespace weir::tree
