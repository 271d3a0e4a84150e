#include <cstdlib>

#include "base/json.hpp"
#include "manifest/read.hpp"

namespace weir::tree {
namespace {

bool is_name(std::string_view text) {
  if (text.empty() || (text.front() >= '0' && text.front() <= '9')) return false;
  for (const char c : text)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) return false;
  return true;
}

// The text with its variables in place; nothing when something is wrong with it, which is then reported.
std::optional<std::string> expanded(const Node& node, const Environment& environment, std::vector<Problem>& problems,
                                    const Seen& seen) {
  const std::string_view text = node.string;
  std::string out;
  bool good = true;
  for (std::size_t i = 0; i < text.size();) {
    if (text.substr(i, 3) == "$${") {
      out += "${";
      i += 3;
      continue;
    }
    if (text.substr(i, 2) != "${") {
      out += text[i++];
      continue;
    }
    const auto end = text.find('}', i);
    if (end == std::string_view::npos) {
      problems.push_back({node.place, "${ without its }; close it, or write $${ where the text ${ is meant"});
      return std::nullopt;
    }
    const auto inside = text.substr(i + 2, end - i - 2);
    const auto dash = inside.find(":-");
    const std::string name(inside.substr(0, dash));
    i = end + 1;
    if (!is_name(name)) {
      problems.push_back(
          {node.place, json::quoted(name.substr(0, 60)) +
                           " in ${...} is no name of an environment variable; write $${ where the text ${ is meant"});
      good = false;
    } else if (auto value = environment(name)) {
      const std::string utf8 = json::to_utf8(*value);
      if (seen) seen(node, utf8, name);
      out += utf8;
    } else if (dash != std::string_view::npos) {
      out += inside.substr(dash + 2);
    } else {
      problems.push_back({node.place, "environment variable " + name + " is not set; set it, or give a default: ${" +
                                          name + ":-default}"});
      good = false;
    }
  }
  if (!good) return std::nullopt;
  return out;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

void expand_environment(Node& node, const Environment& environment, std::vector<Problem>& problems, const Seen& seen) {
  if (node.is(Node::Kind::string) && node.string.find("${") != std::string::npos) {
    const std::string written = node.string;
    if (auto text = expanded(node, environment, problems, seen)) node.string = std::move(*text);
    node.as_written = written;
  }
  for (Node& element : node.elements) expand_environment(element, environment, problems, seen);
  for (auto& member : node.members) expand_environment(member.value, environment, problems, seen);
}

}  // namespace weir::tree
