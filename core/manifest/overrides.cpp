#include "manifest/overrides.hpp"

#include <charconv>
#include <optional>

#include "base/json.hpp"
#include "manifest/read.hpp"
#include "manifest/text.hpp"

namespace weir::manifest {
namespace {

using tree::Node;
using Kind = Node::Kind;

const std::string kFile = "--set";

// "a.\"b.c\".d" as a, b.c, d; nothing if a segment is empty or a quote is open.
std::optional<std::vector<std::string>> segments(std::string_view key) {
  std::vector<std::string> out;
  for (;;) {
    std::size_t end;
    if (!key.empty() && (key.front() == '"' || key.front() == '\'')) {
      end = key.find(key.front(), 1);
      if (end == std::string_view::npos) return std::nullopt;
      out.emplace_back(key.substr(1, end++ - 1));
    } else {
      end = std::min(key.find('.'), key.size());
      out.emplace_back(key.substr(0, end));
    }
    if (out.back().empty()) return std::nullopt;
    if (end == key.size()) return out;
    if (key[end] != '.') return std::nullopt;
    key.remove_prefix(end + 1);
  }
}

const Node* name_of(const Node& element) {
  for (const char* key : {"name", "pattern", "path"})
    if (const Node* name = element.find(key); name != nullptr && name->is(Kind::string)) return name;
  return nullptr;
}

// The element of that place or name; a null and a message if there is none.
Node* element_of(Node& array, const std::string& segment, std::string& message) {
  std::vector<std::string> names;
  for (Node& element : array.elements) {
    const Node* name = name_of(element);
    if (name == nullptr) continue;
    if (name->string == segment) return &element;
    names.push_back(name->string);
  }
  std::size_t place = 0;
  const auto [end, ec] = std::from_chars(segment.data(), segment.data() + segment.size(), place);
  const bool number = ec == std::errc{} && end == segment.data() + segment.size();
  if (number && place < array.elements.size()) return &array.elements[place];
  message = "has no element " + in_quotes(segment);
  if (array.elements.empty())
    message += "; it is empty";
  else if (number)
    message += "; it has 0.." + std::to_string(array.elements.size() - 1);
  else if (names.empty())
    message += "; say its place, from 0";
  else if (const auto meant = hint(segment, names); !meant.empty())
    message += meant;
  else
    message += "; there " + std::string(names.size() == 1 ? "is " : "are ") + listed(names);
  return nullptr;
}

Node object_node() {
  Node node;
  node.kind = Kind::object;
  node.place.file = kFile;
  return node;
}

void apply(Node& root, const std::string& key, const std::string& text, std::vector<tree::Problem>& problems) {
  const auto wrong = [&](const std::string& message) { problems.push_back({{kFile, 0, 0}, message}); };
  const auto path = segments(key);
  if (!path) return wrong("key " + in_quotes(key) + " is no path; write it like plugin.logs.config.backlog");
  if (path->size() >= static_cast<std::size_t>(tree::kDepthMax) / 2)
    return wrong("key " + in_quotes(key) + " has too many parts");

  Node value;
  if (auto read = tree::read_toml_value(kFile, text)) {
    value = std::move(*read);
  } else {
    value.kind = Kind::string;
    value.string = json::to_utf8(text);
  }
  const auto place_here = [](Node& node, const auto& self) -> void {
    node.place = {kFile, 0, 0};
    for (Node& element : node.elements) self(element, self);
    for (auto& member : node.members) {
      member.key_place = node.place;
      self(member.value, self);
    }
  };
  place_here(value, place_here);

  Node* here = &root;
  std::string walked;
  for (std::size_t i = 0; i < path->size(); ++i) {
    const std::string& segment = (*path)[i];
    const bool last = i + 1 == path->size();
    if (here->is(Kind::array)) {
      std::string message;
      here = element_of(*here, segment, message);
      if (here == nullptr) return wrong(in_quotes(key) + ": " + walked + " " + message);
      if (last) *here = std::move(value);
    } else if (here->is(Kind::object)) {
      if (last)
        here->set(segment, std::move(value));
      else if (Node* next = here->find(segment))
        here = next;
      else
        here = &here->set(segment, object_node());
    } else {
      return wrong(in_quotes(key) + ": " + walked + " is " + shown(*here) + ", which has nothing inside to set");
    }
    if (last) return;
    walked += (walked.empty() ? "" : ".") + segment;
  }
}

}  // namespace

void apply_overrides(Node& root, const std::vector<std::pair<std::string, std::string>>& set,
                     std::vector<tree::Problem>& problems) {
  for (const auto& [key, value] : set) apply(root, key, value, problems);
}

}  // namespace weir::manifest
