#include "manifest/text.hpp"

#include <algorithm>

#include "base/json.hpp"

namespace weir::manifest {
namespace {

constexpr std::size_t kComparedBytesMax = 64;  // longer names are no slip of a finger, and the table below is quadratic

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

std::string_view nearest_name(std::string_view wrong, std::span<const std::string> names) {
  if (wrong.empty() || wrong.size() > kComparedBytesMax) return {};
  const std::string meant = lower(wrong);
  std::string_view best;
  std::size_t best_edits = std::max<std::size_t>(1, meant.size() / 3) + 1;
  for (const std::string& name : names) {
    if (name.size() > kComparedBytesMax) continue;
    const std::size_t n = edits(meant, lower(name));
    if (n < best_edits && n < name.size()) best = name, best_edits = n;
  }
  return best;
}

std::string hint(std::string_view wrong, std::span<const std::string> names) {
  const auto name = nearest_name(wrong, names);
  return name.empty() ? "" : "; did you mean " + in_quotes(name) + "?";
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kShownBytesMax = 60;
  if (text.size() <= kShownBytesMax) return json::quoted(text);
  std::size_t end = kShownBytesMax;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;  // not in the middle of a character
  return json::quoted(std::string(text.substr(0, end)) + "…");
}

std::string shown(const tree::Node& node) {
  using Kind = tree::Node::Kind;
  switch (node.kind) {
    case Kind::string:
      return node.as_written.empty() ? in_quotes(node.string) : in_quotes(node.as_written) + " (by the environment)";
    case Kind::array:
      return "an array";
    case Kind::object:
      return "an object";
    default:
      return node.to_json();
  }
}

std::string shown_with_kind(const tree::Node& node) {
  using Kind = tree::Node::Kind;
  switch (node.kind) {
    case Kind::boolean:
      return "a boolean " + shown(node);
    case Kind::integer:
      return "an integer " + shown(node);
    case Kind::number:
      return "a number " + shown(node);
    case Kind::string:
      return "a string " + shown(node);
    default:
      return shown(node);
  }
}

std::string listed(std::span<const std::string> names) {
  std::string out;
  for (const std::string& name : names) {
    if (!out.empty()) out += ", ";
    out += in_quotes(name);
  }
  return out;
}

}  // namespace weir::manifest
