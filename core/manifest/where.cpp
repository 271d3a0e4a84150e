// The templates in a mandatory filter: "{identity.NAME}". One with a slip of the pen would be plain text, equal to
// nothing, and under $ne or $not the filter would let everything pass.
#include <algorithm>

#include "manifest/build.hpp"
#include "manifest/text.hpp"

namespace weir::manifest {
namespace {

using tree::Node;

constexpr std::string_view kIdentity = "identity";

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

// What is wrong with the text between the braces; empty when it is a template or no attempt at one.
std::string wrong_with(std::string_view inside) {
  const bool meant = inside.starts_with(kIdentity);
  if (!meant && !is_word(inside)) return {};
  const std::string whole = in_quotes("{" + std::string(inside) + "}");
  const auto dot = inside.find('.');
  const auto head = inside.substr(0, dot);
  const auto name = dot == std::string_view::npos ? std::string_view() : inside.substr(dot + 1);
  if (head == kIdentity && !name.empty()) return {};
  if (head == kIdentity) return whole + R"( names no attribute; write which, such as "{identity.subject}")";
  const std::vector<std::string> known{std::string(kIdentity)};
  std::string meant_name(name);
  if (nearest_name(head, known).empty()) meant_name = dot == std::string_view::npos ? inside : std::string_view();
  const std::string hint = meant_name.empty() ? R"(; only "{identity.NAME}" does, for an attribute of the identity)"
                                              : "; did you mean " + in_quotes("{identity." + meant_name + "}") + "?";
  return whole + " stands for nothing in a filter" + hint;
}

}  // namespace

void check_templates(const Node& where, const std::string& what, Findings& findings) {
  for (const Node& element : where.elements) check_templates(element, what, findings);
  for (const auto& member : where.members) check_templates(member.value, what, findings);
  if (!where.is(Node::Kind::string)) return;
  const std::string_view text = where.string;
  for (std::size_t at = 0; (at = text.find('{', at)) != std::string_view::npos; ++at) {
    const auto end = text.find('}', at);
    const auto inside = text.substr(at + 1, end == std::string_view::npos ? end : end - at - 1);
    std::string wrong = end != std::string_view::npos   ? wrong_with(inside)
                        : inside.starts_with(kIdentity) ? in_quotes(text.substr(at)) + " lacks its }"
                                                        : std::string();
    if (!wrong.empty()) findings.problems.push_back({where.place, what + ": " + wrong});
  }
}

}  // namespace weir::manifest
