// The only file that includes toml++: it takes seconds to compile.
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "manifest/read.hpp"

namespace weir::tree {
namespace {

Place place_of(const std::string& name, const toml::source_region& region) {
  return {name, region.begin.line, region.begin.column};
}

// toml++ walks dotted keys and nested tables by recursion, in its destructors too, so a text of a few hundred kilobytes
// made of "a.a.a..." could exhaust the stack. This looks at the text first: strings and comments aside, brackets and
// the dots of keys are levels. It may count a float's dot as one, which the generous bound allows for. Returns the
// offset at which the bound is passed.
std::optional<std::size_t> too_deep(std::string_view text) {
  constexpr std::size_t kLevelsMax = 2 * kDepthMax;
  std::vector<std::size_t> dots{0};  // of the key that is being read, for each open bracket
  std::size_t levels = 1;
  const auto forget = [&] {
    levels -= dots.back();
    dots.back() = 0;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '#') {
      i = std::min(text.find('\n', i), text.size()) - 1;
    } else if (c == '"' || c == '\'') {
      const std::string_view triple = c == '"' ? "\"\"\"" : "'''";
      const bool block = text.substr(i, 3) == triple;
      for (i += block ? 3 : 1; i < text.size(); ++i) {
        if (c == '"' && text[i] == '\\')
          ++i;
        else if (block ? text.substr(i, 3) == triple : text[i] == c || text[i] == '\n')
          break;
      }
      if (block) i += 2;
    } else if (c == '[' || c == '{') {
      dots.push_back(0);
      ++levels;
    } else if (c == ']' || c == '}') {
      forget();
      if (dots.size() > 1) dots.pop_back(), --levels;
    } else if (c == '\n' || c == ',') {
      forget();
    } else if (c == '.') {
      ++dots.back();
      ++levels;
    }
    if (levels > kLevelsMax) return i;
  }
  return std::nullopt;
}

class Converter {
 public:
  Converter(const std::string& name, std::vector<Problem>& problems) : name_(name), problems_(problems) {}

  Node node(const toml::node& from, int depth) {
    Node to;
    to.place = place_of(name_, from.source());
    if (depth > kDepthMax) {
      if (!deep_) problems_.push_back({to.place, "nested deeper than " + std::to_string(kDepthMax) + " levels"});
      deep_ = true;
      return to;
    }
    switch (from.type()) {
      case toml::node_type::table:
        table(*from.as_table(), to, depth);
        break;
      case toml::node_type::array:
        to.kind = Node::Kind::array;
        for (const auto& element : *from.as_array()) to.elements.push_back(node(element, depth + 1));
        break;
      case toml::node_type::string:
        to.kind = Node::Kind::string, to.string = from.as_string()->get();
        break;
      case toml::node_type::integer:
        to.kind = Node::Kind::integer;
        to.integer = from.as_integer()->get();
        to.number = static_cast<double>(to.integer);
        break;
      case toml::node_type::floating_point:
        to.kind = Node::Kind::number;
        to.number = from.as_floating_point()->get();
        if (!std::isfinite(to.number))
          problems_.push_back({to.place, "inf and nan are no values here; write a number"});
        break;
      case toml::node_type::boolean:
        to.kind = Node::Kind::boolean, to.boolean = from.as_boolean()->get();
        break;
      case toml::node_type::date:
        text(*from.as_date(), to);
        break;
      case toml::node_type::time:
        text(*from.as_time(), to);
        break;
      case toml::node_type::date_time:
        text(*from.as_date_time(), to);
        break;
      case toml::node_type::none:
        break;
    }
    return to;
  }

 private:
  void table(const toml::table& from, Node& to, int depth) {
    to.kind = Node::Kind::object;
    for (const auto& [key, value] : from)
      to.members.push_back({std::string(key.str()), place_of(name_, key.source()), node(value, depth + 1)});
    std::stable_sort(to.members.begin(), to.members.end(), [](const auto& a, const auto& b) {
      return std::pair(a.key_place.line, a.key_place.column) < std::pair(b.key_place.line, b.key_place.column);
    });
  }
  template <class T>
  void text(const T& from, Node& to) {
    std::ostringstream out;
    out << from.get();
    to.kind = Node::Kind::string;
    to.string = out.str();
  }

  const std::string& name_;
  std::vector<Problem>& problems_;
  bool deep_ = false;
};

Place place_at(const std::string& name, std::string_view text, std::size_t offset) {
  const auto before = text.substr(0, offset);
  const auto line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return {name, static_cast<std::uint32_t>(std::count(before.begin(), before.end(), '\n') + 1),
          static_cast<std::uint32_t>(offset - line_start + 1)};
}

}  // namespace

std::optional<Node> read_toml(const std::string& name, std::string_view text, std::vector<Problem>& problems) {
  if (text.size() > kTextBytesMax) {
    problems.push_back({{name, 0, 0}, "larger than 4 MiB; that can't be a manifest"});
    return std::nullopt;
  }
  if (const auto offset = too_deep(text)) {
    problems.push_back(
        {place_at(name, text, *offset), "keys and tables nested deeper than " + std::to_string(kDepthMax) + " levels"});
    return std::nullopt;
  }
  try {
    const toml::table table = toml::parse(text, std::string_view(name));
    Converter converter(name, problems);
    Node root = converter.node(table, 0);
    root.place = {name, 1, 1};
    return root;
  } catch (const toml::parse_error& e) {
    problems.push_back({place_of(name, e.source()), "not TOML: " + std::string(e.description())});
  } catch (const std::exception& e) {
    problems.push_back({{name, 0, 0}, "can't be read: " + std::string(e.what())});
  }
  return std::nullopt;
}

std::optional<Node> read_toml_value(const std::string& name, std::string_view text) {
  std::vector<Problem> problems;
  auto root = read_toml(name, "v = " + std::string(text), problems);
  if (!root || !problems.empty() || root->members.size() != 1) return std::nullopt;  // "1\nw = 2" would be two values
  return std::move(root->members.front().value);
}

}  // namespace weir::tree
