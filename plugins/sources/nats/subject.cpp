#include "subject.hpp"

namespace weir::nats {
namespace {

// Takes the first token off the front. `more`: there was one.
std::string_view next_token(std::string_view& rest, bool& more) {
  const auto dot = rest.find('.');
  const auto token = rest.substr(0, dot);
  more = dot != std::string_view::npos;
  rest.remove_prefix(more ? dot + 1 : rest.size());
  return token;
}

// Goes through both in step; `same` says whether two tokens go together, neither of them being >.
template <class Same, class Rest>
bool in_step(std::string_view a, std::string_view b, Rest&& at_rest, Same&& same) {
  bool more_a = true, more_b = true;
  while (more_a && more_b) {
    const auto token_a = next_token(a, more_a), token_b = next_token(b, more_b);
    if (token_a == ">" || token_b == ">") return at_rest(token_a == ">", token_b == ">");
    if (!same(token_a, token_b)) return false;
  }
  return more_a == more_b;
}

}  // namespace

bool subject_ok(std::string_view subject) {
  for (const char c : subject)
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') return false;
  for (bool more = true; more;) {
    const auto token = next_token(subject, more);
    if (token.empty() || (token == ">" && more)) return false;
  }
  return true;
}

std::string unpublishable(std::string_view subject) {
  if (subject.empty()) return "it is empty";
  if (has_wildcards(subject)) return "it holds a wildcard, * or >";
  for (const char c : subject)
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') return "it holds a space or a control character";
  return subject_ok(subject) ? "" : "it holds an empty token";
}

std::string from_hub(std::string_view subject) {
  if (!subject_ok(subject)) return {};
  std::string out;
  for (bool more = true; more;) {
    const auto token = next_token(subject, more);
    if (token == ">" || (token == "**" && more)) return {};
    out += token == "**" ? std::string_view(">") : token;
    if (more) out += '.';
  }
  return out;
}

std::string to_hub(std::string_view subject) {
  std::string out(subject);
  if (out == ">" || out.ends_with(".>")) out.replace(out.size() - 1, 1, "**");
  return out;
}

bool has_wildcards(std::string_view pattern) {
  for (bool more = true; more;) {
    const auto token = next_token(pattern, more);
    if (token == "*" || token == ">") return true;
  }
  return false;
}

bool matches(std::string_view pattern, std::string_view subject) {
  return in_step(
      pattern, subject, [](bool, bool) { return true; },
      [](std::string_view p, std::string_view s) { return p == "*" || p == s; });
}

bool covers(std::string_view wide, std::string_view narrow) {
  return in_step(
      wide, narrow, [](bool wide_ends, bool) { return wide_ends; },
      [](std::string_view w, std::string_view n) { return w == "*" || w == n; });
}

bool overlap(std::string_view a, std::string_view b) {
  return in_step(
      a, b, [](bool, bool) { return true; },
      [](std::string_view x, std::string_view y) { return x == y || x == "*" || y == "*"; });
}

}  // namespace weir::nats
