#include "manifest/schema.hpp"

#include <filesystem>

#include "manifest/read.hpp"
#include "manifest/schema_rules.hpp"

namespace weir {
namespace {

using schema::Index;
using schema::Rule;
using schema::Rules;
using tree::Node;

// Calls f(rule, node) for every rule that holds for a node, outer ones first; f may add members.
template <class F>
void walk(const Rules& rules, Index index, Node& node, F& f) {
  const Rule& rule = rules.all[index];
  f(rule, node);
  if (rule.ref) walk(rules, *rule.ref, node, f);
  for (const auto* choices : {&rule.one_of, &rule.any_of}) {
    for (const Index choice : *choices) {  // only the first branch that the value keeps speaks for it
      std::vector<tree::Problem> problems;
      schema::check(rules, choice, node, "", problems);
      if (!problems.empty()) continue;
      walk(rules, choice, node, f);
      break;
    }
  }
  for (const auto& [key, inside] : rule.properties)
    if (Node* member = node.find(key)) walk(rules, inside, *member, f);
  if (rule.items)
    for (Node& element : node.elements) walk(rules, *rule.items, element, f);
  if (rule.extra)
    for (auto& member : node.members)
      if (std::find(rule.names.begin(), rule.names.end(), member.key) == rule.names.end())
        walk(rules, *rule.extra, member.value, f);
}

// The default of a property, also where it stands behind a $ref.
const Node* fallback_of(const Rules& rules, Index index) {
  for (const Rule* rule = &rules.all[index];; rule = &rules.all[*rule->ref]) {
    if (rule->fallback) return &*rule->fallback;
    if (!rule->ref) return nullptr;
  }
}

void clear_places(Node& node) {
  node.place = {node.place.file, 0, 0};
  for (Node& element : node.elements) clear_places(element);
  for (auto& member : node.members) {
    member.key_place = {};
    clear_places(member.value);
  }
}

}  // namespace

Result<Schema> Schema::parse(std::string_view json, Unknown unknown) {
  std::vector<tree::Problem> problems;
  const auto node = tree::read_json("", json, problems);
  if (!problems.empty()) {
    const auto& first = problems.front();
    return fail(Errc::bad_request, "line " + std::to_string(first.place.line) + ", column " +
                                       std::to_string(first.place.column) + ": " + first.message);
  }
  auto rules = schema::compile(*node, unknown == Unknown::refused);
  if (!rules) return rules.error();
  return Schema(std::make_shared<const Rules>(std::move(*rules)));
}

void Schema::check(const Node& value, std::string_view what, std::vector<tree::Problem>& problems) const {
  schema::check(*rules_, 0, value, what, problems);
}

void Schema::fill_defaults(Node& value) const {
  const auto fill = [this](const Rule& rule, Node& node) {
    if (!node.is(Node::Kind::object)) return;
    for (const auto& [key, inside] : rule.properties) {
      const Node* fallback = node.find(key) == nullptr ? fallback_of(*rules_, inside) : nullptr;
      if (fallback == nullptr) continue;
      Node copy = *fallback;
      clear_places(copy);
      copy.place.file = node.place.file;
      node.members.push_back({key, copy.place, std::move(copy)});
    }
  };
  walk(*rules_, 0, value, fill);
}

void Schema::resolve_paths(Node& value, const std::string& folder) const {
  const auto resolve = [&folder](const Rule& rule, Node& node) {
    if (!rule.path || !node.is(Node::Kind::string) || node.string.empty()) return;
    if (rule.path_only_with_slash && node.string.find('/') == std::string::npos) return;
    const std::filesystem::path path(node.string);
    if (path.is_relative()) node.string = (std::filesystem::path(folder) / path).lexically_normal().string();
  };
  walk(*rules_, 0, value, resolve);
}

}  // namespace weir
