#include "routing/pattern.hpp"

#include <algorithm>

#include "base/json.hpp"

namespace weir {
namespace {

// %XX as the byte that it stands for; a '%' that begins no such thing as it is.
std::string decoded(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string in_quotes(std::string_view text) { return json::quoted(text.substr(0, 300)); }

bool allowed_in_name(unsigned char c) { return c > 0x20 && c != 0x7F && c != '*' && c != '{' && c != '}'; }

// The bytes of a control character or a space beyond ASCII at the beginning of `text`; 0 when it begins otherwise.
// What Unicode calls White_Space or Cc, but a zero-width joiner, say, belongs to words of some languages.
std::size_t wide_blank(std::string_view text) {
  const auto byte = [text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  if (byte(0) < 0xC2 || byte(0) > 0xE3) return 0;
  if (byte(0) == 0xC2) return byte(1) >= 0x80 && byte(1) <= 0xA0 ? 2 : 0;  // U+0080..U+00A0
  if (byte(0) == 0xE2 && byte(1) == 0x80)                                  // U+2000..U+200A, U+2028, U+2029, U+202F
    return (byte(2) >= 0x80 && byte(2) <= 0x8A) || byte(2) == 0xA8 || byte(2) == 0xA9 || byte(2) == 0xAF ? 3 : 0;
  for (const char* blank : {"\xE1\x9A\x80", "\xE2\x81\x9F", "\xE3\x80\x80"})  // U+1680, U+205F, U+3000
    if (text.starts_with(blank)) return 3;
  return 0;
}

bool has_wide_blank(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i)
    if (static_cast<unsigned char>(text[i]) >= 0xC2 && wide_blank(text.substr(i)) != 0) return true;
  return false;
}

bool is_variable_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

Result<void> check_channel_name(std::string_view name) {
  const auto wrong = [&](const std::string& why) {
    return fail(Errc::bad_request, "channel name " + in_quotes(name) + " " + why);
  };
  if (name.empty()) return wrong("is empty");
  if (name.size() > kChannelNameBytesMax)
    return wrong("has " + std::to_string(name.size()) + " bytes; at most 255 are allowed");
  for (const char c : name)
    if (!allowed_in_name(static_cast<unsigned char>(c)))
      return wrong("holds a space, a control character, '*', '{' or '}'; those can't be in a name");
  if (name.front() == '/' || name.back() == '/' || name.find("//") != std::string_view::npos)
    return wrong("has an empty segment; write it without a leading, trailing or double '/'");
  if (!json::valid_utf8(name)) return wrong("is not UTF-8");
  if (has_wide_blank(name)) return wrong("holds a space or a control character of Unicode; those can't be in a name");
  return {};
}

bool has_wildcard(std::string_view text) { return text.find('*') != std::string_view::npos; }

Result<Pattern::Segment> Pattern::parse_segment(std::string_view text, std::vector<std::string>& names) {
  Segment segment;
  segment.literals.emplace_back();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '}') return fail(Errc::bad_request, "a '}' without its '{'");
    if (c == '*') return fail(Errc::bad_request, "a '*' that is not a whole segment");
    if (c != '{') {
      segment.literals.back() += c;
      continue;
    }
    const auto end = text.find('}', i);
    const auto name = text.substr(i + 1, end == std::string_view::npos ? std::string_view::npos : end - i - 1);
    if (end == std::string_view::npos) return fail(Errc::bad_request, "a '{' without its '}'");
    if (!is_variable_name(name))
      return fail(Errc::bad_request, "the variable name " + in_quotes(name) + "; use letters, digits and '_'");
    if (std::find(names.begin(), names.end(), name) != names.end())
      return fail(Errc::bad_request, "the variable {" + std::string(name) + "} twice");
    if (!segment.variables.empty() && segment.literals.back().empty())
      return fail(Errc::bad_request, "two variables with nothing between them; they could not be told apart");
    segment.variables.push_back(names.size());
    names.emplace_back(name);
    segment.literals.emplace_back();
    i = end;
  }
  return segment;
}

Result<Pattern> Pattern::parse(std::string_view text, char separator, bool subject) {
  Pattern p;
  p.text_ = text;
  p.separator_ = separator;
  const auto wrong = [&](const std::string& why) {
    return fail(Errc::bad_request, "pattern " + in_quotes(text) + " has " + why);
  };
  if (text.empty()) return wrong("no text");
  if (text.size() > kChannelNameBytesMax) return wrong(std::to_string(text.size()) + " bytes; at most 255 are allowed");
  if (!json::valid_utf8(text)) return wrong("bytes that are not UTF-8");
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(separator, begin), text.size());
    const auto part = text.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty()) return wrong("an empty segment");
    if (part == "*" || part == "**" || (subject && part == ">")) {
      p.literal_ = false;
      p.stars_ = true;
      const Kind kind = part == "*" ? Kind::star : Kind::rest;
      if (kind == Kind::rest && end != text.size()) return wrong("a " + std::string(part) + " that is not at the end");
      p.segments_.push_back({kind, {}, {}});
      continue;
    }
    if (!subject)
      for (const char c : part)
        if (!allowed_in_name(static_cast<unsigned char>(c)) && c != '{' && c != '}' && c != '*')
          return wrong("a space or a control character");
    if (!subject && has_wide_blank(part)) return wrong("a space or a control character of Unicode");
    auto segment = parse_segment(part, p.names_);
    if (!segment) return wrong(segment.error().message);
    p.segments_.push_back(std::move(*segment));
  }
  if (!p.names_.empty()) p.literal_ = false;
  return p;
}

Result<Pattern> Pattern::parse(std::string_view text) { return parse(text, '/', false); }

Result<Pattern> Pattern::parse_wildcard(std::string_view text) {
  if (text.find_first_of("{}") != std::string_view::npos)
    return fail(Errc::bad_request,
                "pattern " + in_quotes(text) + " has a '{' or '}'; subscribe knows '*' and '**' only");
  return parse(text, '/', false);
}

Result<Pattern> Pattern::parse_subject(std::string_view text, char separator) { return parse(text, separator, true); }

// Between its first and its last literal a segment is matched from the left, each literal at its first place that
// leaves the variable before it at least one byte: if any division fits, this one does, so there is nothing to try
// again.
bool Pattern::match_segment(const Segment& segment, std::string_view part, Variables* out) const {
  const auto& literals = segment.literals;
  if (segment.variables.empty()) return part == literals[0];
  if (!part.starts_with(literals.front())) return false;
  std::size_t at = literals.front().size();
  for (std::size_t i = 0; i < segment.variables.size(); ++i) {
    const std::string& behind = literals[i + 1];
    std::size_t end;
    if (i + 1 == segment.variables.size()) {
      if (part.size() < at + 1 + behind.size() || !part.ends_with(behind)) return false;
      end = part.size() - behind.size();
    } else {
      end = part.find(behind, at + 1);
      if (end == std::string_view::npos) return false;
    }
    if (out != nullptr) out->emplace_back(names_[segment.variables[i]], std::string(part.substr(at, end - at)));
    at = end + behind.size();
  }
  return true;
}

bool Pattern::match_into(std::string_view name, Variables* out) const {
  std::size_t begin = 0;
  bool more = true;  // there is a part left to look at
  for (const Segment& segment : segments_) {
    if (!more) return false;
    if (segment.kind == Kind::rest) return begin < name.size();
    const auto end = std::min(name.find(separator_, begin), name.size());
    const auto part = name.substr(begin, end - begin);
    if (part.empty()) return false;
    if (segment.kind == Kind::text && !match_segment(segment, part, out)) return false;
    more = end != name.size();
    begin = end + 1;
  }
  return !more;
}

std::optional<Variables> Pattern::match(std::string_view name) const {
  Variables variables;
  variables.reserve(names_.size());
  if (!match_into(name, &variables)) return std::nullopt;
  return variables;
}

bool Pattern::covers(const Pattern& other) const {
  const auto any = [](const Segment& s) {
    return s.kind == Kind::star ||
           (s.kind == Kind::text && s.variables.size() == 1 && s.literals[0].empty() && s.literals[1].empty());
  };
  std::size_t i = 0;
  for (; i < segments_.size(); ++i) {
    if (i >= other.segments_.size()) return false;
    const Segment &mine = segments_[i], &its = other.segments_[i];
    if (mine.kind == Kind::rest) return true;
    if (its.kind == Kind::rest) return false;
    if (any(mine)) continue;
    if (any(its) || mine.literals != its.literals) return false;
  }
  return i == other.segments_.size();
}

Result<std::string> Pattern::expand(const Variables& variables) const {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string name;
  for (const Segment& segment : segments_) {
    if (segment.kind != Kind::text)
      return fail(Errc::bad_request, "pattern " + in_quotes(text_) + " has stars and makes no name");
    if (!name.empty()) name += separator_;
    name += segment.literals[0];
    for (std::size_t i = 0; i < segment.variables.size(); ++i) {
      const std::string& variable = names_[segment.variables[i]];
      const auto found =
          std::find_if(variables.begin(), variables.end(), [&](const auto& v) { return v.first == variable; });
      if (found == variables.end() || found->second.empty())
        return fail(Errc::bad_request, "pattern " + in_quotes(text_) + ": nothing for {" + variable + "}");
      const std::string value = json::to_utf8(found->second);
      std::size_t blank = 0;  // bytes left of a character that can't stand in a name
      for (std::size_t at = 0; at < value.size(); ++at) {
        const auto byte = static_cast<unsigned char>(value[at]);
        if (blank == 0) blank = wide_blank(std::string_view(value).substr(at));
        if (blank == 0 && allowed_in_name(byte) && value[at] != '/')
          name += value[at];
        else
          ((name += '%') += kHex[byte >> 4]) += kHex[byte & 15];
        if (blank != 0) --blank;
      }
      name += segment.literals[i + 1];
    }
  }
  if (name.size() > kChannelNameBytesMax)
    return fail(Errc::bad_request, "pattern " + in_quotes(text_) + " makes a name of " + std::to_string(name.size()) +
                                       " bytes; at most 255 are allowed");
  return name;
}

Result<std::string> Pattern::expand_subject(const Variables& variables) const {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string subject;
  for (const Segment& segment : segments_) {
    if (segment.kind != Kind::text)
      return fail(Errc::bad_request, "pattern " + in_quotes(text_) + " has stars and makes no subject");
    if (!subject.empty()) subject += separator_;
    subject += segment.literals[0];
    for (std::size_t i = 0; i < segment.variables.size(); ++i) {
      const std::string& variable = names_[segment.variables[i]];
      const auto found =
          std::find_if(variables.begin(), variables.end(), [&](const auto& v) { return v.first == variable; });
      if (found == variables.end())
        return fail(Errc::bad_request, "pattern " + in_quotes(text_) + ": nothing for {" + variable + "}");
      for (const char c : found->second) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > 0x20 && byte != 0x7F && c != separator_ && c != '*' && c != '>' && c != '?' && c != '%')
          subject += c;
        else
          ((subject += '%') += kHex[byte >> 4]) += kHex[byte & 15];
      }
      subject += segment.literals[i + 1];
    }
  }
  return subject;
}

std::optional<std::string> Pattern::subject_for(const Pattern& watched, const Pattern& channel,
                                                const Pattern& subject) {
  Variables known;
  std::size_t i = 0;
  for (; i < channel.segments_.size(); ++i) {
    if (i >= watched.segments_.size()) return std::nullopt;
    const Segment& wanted = watched.segments_[i];
    if (wanted.kind == Kind::rest) break;
    if (wanted.kind == Kind::star) continue;
    if (channel.segments_[i].kind != Kind::text) return std::nullopt;  // a `from` feeds no pattern with stars
    if (!channel.match_segment(channel.segments_[i], wanted.literals[0], &known)) return std::nullopt;
  }
  if (i == channel.segments_.size() && i < watched.segments_.size()) return std::nullopt;
  for (auto& [name, value] : known) value = decoded(value);  // what expand() had to encode, as it stood in the subject
  if (!watched.stars_) {                                     // else its events would go to a channel of another name
    const auto name = channel.expand(known);
    if (!name || *name != watched.text_) return std::nullopt;
  }
  std::string out;
  for (const Segment& segment : subject.segments_) {
    if (!out.empty()) out += subject.separator_;
    if (segment.kind != Kind::text) {
      out += segment.kind == Kind::star ? "*" : "**";
      continue;
    }
    std::string part = segment.literals[0];
    for (std::size_t v = 0; v < segment.variables.size(); ++v) {
      const auto found = std::find_if(known.begin(), known.end(),
                                      [&](const auto& k) { return k.first == subject.names_[segment.variables[v]]; });
      if (found == known.end()) {
        part = "*";
        break;
      }
      for (const char c : found->second)  // what would be more than one part was never one
        if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == subject.separator_ || c == '*' || c == '>' ||
            c == '?')
          return std::nullopt;
      part += found->second;
      part += segment.literals[v + 1];
    }
    out += part;
  }
  return out;
}

}  // namespace weir
