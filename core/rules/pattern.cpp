#include "rules/pattern.hpp"

#include <cstring>

namespace weir::rules {
namespace {

// ASCII only, whatever the process's locale says: a rule means the same everywhere.
bool is_upper(unsigned char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(unsigned char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
bool is_alpha(unsigned char c) { return is_upper(c) || is_lower(c); }
bool is_graph(unsigned char c) { return c > 0x20 && c < 0x7F; }

}  // namespace

bool Matcher::in_class(unsigned char c, unsigned char name) {
  bool yes = false;
  switch (name | 0x20) {
    case 'a':
      yes = is_alpha(c);
      break;
    case 'c':
      yes = c < 0x20 || c == 0x7F;
      break;
    case 'd':
      yes = is_digit(c);
      break;
    case 'g':
      yes = is_graph(c);
      break;
    case 'l':
      yes = is_lower(c);
      break;
    case 'p':
      yes = is_graph(c) && !is_alpha(c) && !is_digit(c);
      break;
    case 's':
      yes = c == ' ' || (c >= '\t' && c <= '\r');
      break;
    case 'u':
      yes = is_upper(c);
      break;
    case 'w':
      yes = is_alpha(c) || is_digit(c);
      break;
    case 'x':
      yes = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      break;
    case 'z':
      yes = c == 0;
      break;
    default:
      return name == c;  // an escaped character that is no class stands for itself
  }
  return is_upper(name) ? !yes : yes;
}

// `p` at the '[', `close` at the ']' that ends the set.
bool Matcher::in_set(unsigned char c, const char* p, const char* close) {
  bool found = true;
  if (p[1] == '^') {
    found = false;
    ++p;
  }
  while (++p < close) {
    if (*p == '%') {
      ++p;
      if (in_class(c, static_cast<unsigned char>(*p))) return found;
    } else if (p[1] == '-' && p + 2 < close) {
      if (static_cast<unsigned char>(p[0]) <= c && c <= static_cast<unsigned char>(p[2])) return found;
      p += 2;
    } else if (static_cast<unsigned char>(*p) == c) {
      return found;
    }
  }
  return !found;
}

const char* Matcher::item_end(const char* p) {
  const char first = *p++;
  if (first == '%') {
    if (p >= pattern_end_) return wrong("malformed pattern (ends with '%')");
    return p + 1;
  }
  if (first != '[') return p;
  if (p < pattern_end_ && *p == '^') ++p;
  do {  // a ']' right at the beginning is part of the set
    if (p >= pattern_end_) return wrong("malformed pattern (missing ']')");
    const char c = *p++;
    if (c == '%') {
      if (p >= pattern_end_) return wrong("malformed pattern (missing ']')");
      ++p;
    }
  } while (p >= pattern_end_ || *p != ']');
  return p + 1;
}

bool Matcher::item_matches(unsigned char c, const char* p, const char* after) const {
  switch (*p) {
    case '.':
      return true;
    case '%':
      return in_class(c, static_cast<unsigned char>(p[1]));
    case '[':
      return in_set(c, p, after - 1);
    default:
      return static_cast<unsigned char>(*p) == c;
  }
}

const char* Matcher::balance(const char* s, const char* p) {
  if (pattern_end_ - p < 2) return wrong("unbalanced pattern");
  if (s >= end_ || *s != p[0]) return nullptr;
  int open = 1;
  while (++s < end_) {
    if (!step()) return nullptr;
    if (*s == p[1]) {
      if (--open == 0) return s + 1;
    } else if (*s == p[0]) {
      ++open;
    }
  }
  return nullptr;
}

const char* Matcher::expand_max(const char* s, const char* p, const char* after) {
  std::ptrdiff_t n = 0;
  while (s + n < end_ && item_matches(static_cast<unsigned char>(s[n]), p, after)) {
    if (!step()) return nullptr;
    ++n;
  }
  for (; n >= 0; --n) {
    if (!step()) return nullptr;
    if (const char* found = run(s + n, after + 1)) return found;
    if (error_ != nullptr) return nullptr;
  }
  return nullptr;
}

const char* Matcher::expand_min(const char* s, const char* p, const char* after) {
  for (;;) {
    if (!step()) return nullptr;
    if (const char* found = run(s, after + 1)) return found;
    if (error_ != nullptr || s >= end_ || !item_matches(static_cast<unsigned char>(*s), p, after)) return nullptr;
    ++s;
  }
}

const char* Matcher::start_capture(const char* s, const char* p, std::ptrdiff_t kind) {
  if (level_ >= kCapturesMax) return wrong("too many captures");
  capture_[level_++] = {s, kind};
  const char* found = run(s, p);
  if (found == nullptr) --level_;
  return found;
}

const char* Matcher::end_capture(const char* s, const char* p) {
  int i = level_ - 1;
  while (i >= 0 && capture_[i].length != kOpen) --i;
  if (i < 0) return wrong("invalid pattern capture");
  capture_[i].length = s - capture_[i].begin;
  const char* found = run(s, p);
  if (found == nullptr) capture_[i].length = kOpen;
  return found;
}

const char* Matcher::back_reference(const char* s, char digit) {
  const int i = digit - '1';
  if (i < 0 || i >= level_ || capture_[i].length == kOpen) return wrong("invalid capture index");
  // A place has no text; stock Lua finds its huge length nowhere, hence no match.
  if (capture_[i].length == kPosition) return nullptr;
  const auto length = static_cast<std::size_t>(capture_[i].length);
  if (!meter_.charge(static_cast<std::int64_t>(length / 64))) return wrong("");
  if (static_cast<std::size_t>(end_ - s) < length || std::memcmp(capture_[i].begin, s, length) != 0) return nullptr;
  return s + length;
}

// Recursion: one level per capture or quantifier of the pattern, bounded by kDepthMax; single characters loop.
const char* Matcher::run(const char* s, const char* p) {
  if (++depth_ > kDepthMax) {
    --depth_;
    return wrong("pattern too complex");
  }
  const char* result = nullptr;
  for (;;) {
    if (!step()) break;
    if (p >= pattern_end_) {
      result = s;
      break;
    }
    if (*p == '(') {
      result =
          p + 1 < pattern_end_ && p[1] == ')' ? start_capture(s, p + 2, kPosition) : start_capture(s, p + 1, kOpen);
      break;
    }
    if (*p == ')') {
      result = end_capture(s, p + 1);
      break;
    }
    if (*p == '$' && p + 1 == pattern_end_) {
      result = s == end_ ? s : nullptr;
      break;
    }
    if (*p == '%' && p + 1 < pattern_end_) {
      if (p[1] == 'b') {
        s = balance(s, p + 2);
        if (s == nullptr) break;
        p += 4;
        continue;
      }
      if (p[1] == 'f') {
        p += 2;
        if (p >= pattern_end_ || *p != '[') {
          wrong("missing '[' after '%f' in pattern");
          break;
        }
        const char* after = item_end(p);
        if (after == nullptr) break;
        const auto before = static_cast<unsigned char>(s == begin_ ? '\0' : s[-1]);
        const auto here = static_cast<unsigned char>(s < end_ ? *s : '\0');
        if (in_set(before, p, after - 1) || !in_set(here, p, after - 1)) break;
        p = after;
        continue;
      }
      if (p[1] >= '0' && p[1] <= '9') {
        s = back_reference(s, p[1]);
        if (s == nullptr) break;
        p += 2;
        continue;
      }
    }
    const char* after = item_end(p);
    if (after == nullptr) break;
    const bool here = s < end_ && item_matches(static_cast<unsigned char>(*s), p, after);
    const char quantifier = after < pattern_end_ ? *after : '\0';
    if (quantifier == '?') {
      if (here) {
        result = run(s + 1, after + 1);
        if (result != nullptr || error_ != nullptr) break;
      }
      p = after + 1;
    } else if (quantifier == '*') {
      result = expand_max(s, p, after);
      break;
    } else if (quantifier == '+') {
      result = here ? expand_max(s + 1, p, after) : nullptr;
      break;
    } else if (quantifier == '-') {
      result = expand_min(s, p, after);
      break;
    } else {
      if (!here) break;
      ++s;
      p = after;
    }
  }
  --depth_;
  return result;
}

// Walks over the pattern as run() would if everything matched, with a look at what run() complains about.
const char* Matcher::look_over(const char* p) {
  bool open[kCapturesMax] = {};
  int levels = 0, nested = 1;
  while (p < pattern_end_) {
    if (*p == '(') {
      if (levels == kCapturesMax) return "too many captures";
      const bool place = p + 1 < pattern_end_ && p[1] == ')';
      open[levels++] = !place;
      ++nested;
      p += place ? 2 : 1;
      continue;
    }
    if (*p == ')') {
      int i = levels - 1;
      while (i >= 0 && !open[i]) --i;
      if (i < 0) return "invalid pattern capture";
      open[i] = false;
      ++nested;
      ++p;
      continue;
    }
    if (*p == '%' && p + 1 < pattern_end_) {
      if (p[1] == 'b') {
        if (pattern_end_ - p < 4) return "unbalanced pattern";
        p += 4;
        continue;
      }
      if (p[1] == 'f') {
        p += 2;
        if (p >= pattern_end_ || *p != '[') return "missing '[' after '%f' in pattern";
        p = item_end(p);
        if (p == nullptr) return error_;
        continue;
      }
      if (p[1] >= '0' && p[1] <= '9') {
        const int i = p[1] - '1';
        if (i < 0 || i >= levels || open[i]) return "invalid capture index";
        p += 2;
        continue;
      }
    }
    p = item_end(p);
    if (p == nullptr) return error_;
    if (p < pattern_end_ && std::strchr("*+?-", *p) != nullptr && *p != '\0') {
      ++nested;
      ++p;
    }
  }
  for (int i = 0; i < levels; ++i)
    if (open[i]) return "unfinished capture";
  return nested > kDepthMax ? "pattern too complex" : nullptr;
}

const char* Matcher::problem(std::string_view pattern) {
  if (pattern.starts_with('^')) pattern.remove_prefix(1);
  Meter unused;
  Matcher matcher({}, pattern, unused);
  return matcher.look_over(pattern.data());
}

const char* Matcher::match(const char* from) {
  level_ = 0;
  depth_ = 0;
  const char* found = run(from, pattern_);
  return error_ == nullptr ? found : nullptr;
}

}  // namespace weir::rules
