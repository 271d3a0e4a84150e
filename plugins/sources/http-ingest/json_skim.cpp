#include "json_skim.hpp"

#include <charconv>

#include "weir/sdk/json.hpp"

namespace weir::http_ingest::json {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
// The place behind the string or the value that begins there.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; text[at] != '"'; ++at)
    if (text[at] == '\\') ++at;
  return at + 1;
}
std::size_t value_end(std::string_view text, std::size_t at) {
  if (text[at] == '"') return string_end(text, at);
  if (text[at] != '{' && text[at] != '[') {
    while (at < text.size() && !is_space(text[at]) && text[at] != ',' && text[at] != ']' && text[at] != '}') ++at;
    return at;
  }
  int depth = 0;
  while (true) {
    const char c = text[at];
    if (c == '"') {
      at = string_end(text, at);
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    ++at;
    if ((c == '}' || c == ']') && --depth == 0) return at;
  }
}
std::size_t behind_space(std::string_view text, std::size_t at) {
  while (is_space(text[at])) ++at;
  return at;
}

// Calls each(name, value) until it says false; the name is empty in an array.
template <class Each>
void walk(std::string_view text, Each&& each) {
  text = trimmed(text);
  if (text.empty() || (text[0] != '{' && text[0] != '[')) return;
  std::size_t at = behind_space(text, 1);
  while (text[at] != '}' && text[at] != ']') {
    std::string_view name;
    if (text[0] == '{') {
      const std::size_t end = string_end(text, at);
      name = text.substr(at, end - at);
      at = behind_space(text, behind_space(text, end) + 1);  // over the colon
    }
    const std::size_t end = value_end(text, at);
    if (!each(name, text.substr(at, end - at))) return;
    at = behind_space(text, end);
    if (text[at] == ',') at = behind_space(text, at + 1);
  }
}

bool name_is(std::string_view quoted, std::string_view name) {
  const std::string_view inner = quoted.substr(1, quoted.size() - 2);
  return inner.find('\\') == std::string_view::npos ? inner == name : unquoted(quoted) == name;
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<Member> members(std::string_view object, std::size_t most) {
  std::vector<Member> out;
  if (!trimmed(object).starts_with('{')) return out;
  walk(object, [&](std::string_view name, std::string_view value) {
    if (out.size() == most) return false;
    out.push_back({name, value});
    return true;
  });
  return out;
}

std::vector<std::string_view> elements(std::string_view array, std::size_t most) {
  std::vector<std::string_view> out;
  if (!trimmed(array).starts_with('[')) return out;
  walk(array, [&](std::string_view, std::string_view value) {
    if (out.size() == most) return false;
    out.push_back(value);
    return true;
  });
  return out;
}

std::string unquoted(std::string_view string) { return sdk::json::parse(string).text; }

std::optional<std::string_view> at(std::string_view text, std::string_view pointer) {
  text = trimmed(text);
  while (!pointer.empty()) {
    pointer.remove_prefix(1);  // the slash
    const std::string_view token = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(token.size());
    std::string name;
    for (std::size_t i = 0; i < token.size(); ++i) {
      const std::string_view pair = token.substr(i, 2);
      if (pair == "~0" || pair == "~1") ++i;
      name += pair == "~0" ? '~' : pair == "~1" ? '/' : token[i];
    }
    std::optional<std::string_view> found;
    if (text.starts_with('{')) {
      walk(text, [&](std::string_view member, std::string_view value) {
        if (name_is(member, name)) found = value;
        return true;
      });
    } else if (text.starts_with('[')) {
      std::size_t place = 0, wanted = 0;
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), wanted);
      if (error != std::errc() || end != name.data() + name.size() || (name.size() > 1 && name[0] == '0')) return {};
      walk(text, [&](std::string_view, std::string_view value) {
        if (place++ == wanted) found = value;
        return !found;
      });
    }
    if (!found) return {};
    text = *found;
  }
  return text;
}

}  // namespace weir::http_ingest::json
