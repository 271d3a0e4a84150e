#include "json_skim.hpp"

#include <charconv>
#include <cstdint>

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

void append_utf8(std::string& out, std::uint32_t c) {
  const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80)
    put(c);
  else if (c < 0x800)
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  else if (c < 0x10000)
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  else
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
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

std::string unquoted(std::string_view string) {
  std::string out;
  const auto hex4 = [&](std::size_t at) {
    std::uint32_t unit = 0;
    std::from_chars(string.data() + at, string.data() + at + 4, unit, 16);
    return unit;
  };
  for (std::size_t i = 1; i + 1 < string.size(); ++i) {
    if (string[i] != '\\') {
      out += string[i];
      continue;
    }
    const char c = string[++i];
    if (c != 'u') {
      const std::size_t which = std::string_view("bfnrt").find(c);
      out += which == std::string_view::npos ? c : "\b\f\n\r\t"[which];
      continue;
    }
    std::uint32_t unit = hex4(i + 1);
    i += 4;
    if (unit >= 0xD800 && unit <= 0xDBFF) {
      unit = 0x10000 + ((unit - 0xD800) << 10) + (hex4(i + 3) - 0xDC00);
      i += 6;
    }
    append_utf8(out, unit);
  }
  return out;
}

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
