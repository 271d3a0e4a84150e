// A small reader of JSON, for a plugin's configuration and for the requests that an auth provider gets; and the few
// lines that it takes to write some. Every value knows its JSON pointer, so that a complaint names the place.
// Made for kilobytes, not for the events themselves: values are copied. Nests 64 levels at most.
// Threads: plain values.
#pragma once
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/sdk/error.hpp"

namespace weir::sdk::json {

enum class Kind : std::uint8_t { null, boolean, number, string, array, object };

inline std::string_view to_word(Kind kind) {
  constexpr std::string_view words[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
  return words[static_cast<std::size_t>(kind)];
}

// Appends `text` as a JSON string with its quotes. The text should be UTF-8; it is not checked here.
inline void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escape;
    } else {
      out += c;
    }
  }
  out += '"';
}
inline std::string quoted(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

struct Value {
  struct Member;
  Kind kind = Kind::null;
  bool boolean = false;
  std::string text;             // a string's text without escapes; a number as it was written
  std::vector<Value> elements;  // of an array
  std::vector<Member> members;  // of an object, in the order of the text
  std::string pointer;          // "/files/0"; "" for the whole

  bool is(Kind k) const { return kind == k; }
  // The member of that name (the last one, if there are several); null pointer when there is none.
  const Value* find(std::string_view key) const;
  double number() const {
    double out = 0;
    std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
  }

  // The value as a certain type. Errors: Failure(WEIR_E_CONFIG) that names the place and what stands there instead.
  const std::string& as_string() const { return expect(Kind::string), text; }
  bool as_boolean() const { return expect(Kind::boolean), boolean; }
  std::int64_t as_integer() const {
    expect(Kind::number);
    std::int64_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error == std::errc() && end == text.data() + text.size()) return out;
    const double exact = number();  // 1e3 and 5.0 are integers as well
    if (std::abs(exact) < 9e15 && exact == std::floor(exact)) return static_cast<std::int64_t>(exact);
    throw wrong("an integer", text);
  }
  const std::vector<Value>& as_array() const { return expect(Kind::array), elements; }
  // Milliseconds: a number, or text such as "250ms", "10s", "5m", "2h", "1d".
  std::int64_t as_duration_ms() const {
    return scaled("a duration such as 500 (ms), \"250ms\", \"10s\", \"5m\" or \"2h\"",
                  {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}});
  }
  // Bytes: a number, or text such as "64KiB", "1MiB", "1GiB", "10kB", "1MB".
  std::int64_t as_bytes() const {
    return scaled("a size such as 4096 (bytes), \"64KiB\" or \"16MiB\"", {{"B", 1},
                                                                          {"kB", 1000},
                                                                          {"KB", 1000},
                                                                          {"MB", 1'000'000},
                                                                          {"GB", 1'000'000'000},
                                                                          {"KiB", 1 << 10},
                                                                          {"MiB", 1 << 20},
                                                                          {"GiB", 1 << 30}});
  }

  // A member, or `fallback` when it is missing or null.
  std::string string_or(std::string_view key, std::string fallback) const {
    const Value* v = present(key);
    return v == nullptr ? std::move(fallback) : v->as_string();
  }
  bool boolean_or(std::string_view key, bool fallback) const {
    const Value* v = present(key);
    return v == nullptr ? fallback : v->as_boolean();
  }
  std::int64_t integer_or(std::string_view key, std::int64_t fallback) const {
    const Value* v = present(key);
    return v == nullptr ? fallback : v->as_integer();
  }
  std::int64_t duration_ms_or(std::string_view key, std::int64_t fallback) const {
    const Value* v = present(key);
    return v == nullptr ? fallback : v->as_duration_ms();
  }
  std::int64_t bytes_or(std::string_view key, std::int64_t fallback) const {
    const Value* v = present(key);
    return v == nullptr ? fallback : v->as_bytes();
  }
  // A list of strings; a single string counts as a list of one.
  std::vector<std::string> strings_or(std::string_view key, std::vector<std::string> fallback) const {
    const Value* v = present(key);
    if (v == nullptr) return fallback;
    if (v->is(Kind::string)) return {v->text};
    std::vector<std::string> out;
    for (const Value& e : v->as_array()) out.push_back(e.as_string());
    return out;
  }
  // A member that must be there.
  const Value& required(std::string_view key) const {
    if (const Value* v = present(key)) return *v;
    throw Failure(WEIR_E_CONFIG, "\"" + std::string(key) + "\" is missing", pointer);
  }

  // For a check of one's own: throw config.required("port").wrong("1 to 65535", "0").
  Failure wrong(std::string_view expected, std::string_view found) const {
    const std::string shown(found.substr(0, 80));
    return Failure(WEIR_E_CONFIG,
                   (pointer.empty() ? "config" : pointer) + " is " + shown + "; expected " + std::string(expected),
                   pointer);
  }

  std::string to_json() const;
  void write(std::string& out) const;

 private:
  const Value* present(std::string_view key) const {
    const Value* v = find(key);
    return v == nullptr || v->is(Kind::null) ? nullptr : v;
  }
  void expect(Kind wanted) const {
    if (kind != wanted) throw wrong(to_word(wanted), to_word(kind));
  }
  std::int64_t scaled(std::string_view expected,
                      std::initializer_list<std::pair<std::string_view, std::int64_t>> units) const {
    if (is(Kind::number)) {
      const std::int64_t plain = as_integer();
      if (plain < 0) throw wrong(expected, text);
      return plain;
    }
    if (!is(Kind::string)) throw wrong(expected, to_word(kind));
    double count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
    if (error == std::errc() && count >= 0)
      for (const auto& [name, factor] : units)
        if (unit == name && count * static_cast<double>(factor) < 9e15)
          return static_cast<std::int64_t>(std::llround(count * static_cast<double>(factor)));
    throw wrong(expected, "\"" + text + "\"");
  }
};

struct Value::Member {
  std::string key;
  Value value;
};

inline const Value* Value::find(std::string_view key) const {
  for (auto it = members.rbegin(); it != members.rend(); ++it)
    if (it->key == key) return &it->value;
  return nullptr;
}

inline void Value::write(std::string& out) const {
  switch (kind) {
    case Kind::null:
      out += "null";
      return;
    case Kind::boolean:
      out += boolean ? "true" : "false";
      return;
    case Kind::number:
      out += text;
      return;
    case Kind::string:
      append_string(out, text);
      return;
    case Kind::array:
      out += '[';
      for (std::size_t i = 0; i < elements.size(); ++i) {
        if (i != 0) out += ',';
        elements[i].write(out);
      }
      out += ']';
      return;
    case Kind::object:
      out += '{';
      for (std::size_t i = 0; i < members.size(); ++i) {
        if (i != 0) out += ',';
        append_string(out, members[i].key);
        out += ':';
        members[i].value.write(out);
      }
      out += '}';
      return;
  }
}

inline std::string Value::to_json() const {
  std::string out;
  write(out);
  return out;
}

// One value and nothing after it. Errors: Failure(WEIR_E_INVALID) with the byte where it stops to be JSON.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}
  Value run() {
    Value out = value("", 0);
    space();
    if (at_ != text_.size()) stop("the end of the text");
    return out;
  }

 private:
  [[noreturn]] void stop(const char* expected) const {
    throw Failure(WEIR_E_INVALID, "not JSON at byte " + std::to_string(at_) + ": expected " + expected);
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  void expect(char c, const char* what) {
    space();
    if (peek() != c) stop(what);
    ++at_;
  }
  Value value(std::string pointer, int depth) {
    if (depth > 64) throw Failure(WEIR_E_INVALID, "JSON nested deeper than 64 levels at byte " + std::to_string(at_));
    space();
    Value out;
    out.pointer = std::move(pointer);
    const char c = peek();
    if (c == '{')
      object(out, depth);
    else if (c == '[')
      array(out, depth);
    else if (c == '"')
      (out.kind = Kind::string), out.text = string();
    else if (c == '-' || (c >= '0' && c <= '9'))
      (out.kind = Kind::number), out.text = number();
    else if (word("true"))
      (out.kind = Kind::boolean), out.boolean = true;
    else if (word("false"))
      out.kind = Kind::boolean;
    else if (!word("null"))
      stop("a value");
    return out;
  }
  bool word(std::string_view w) {
    if (text_.substr(at_, w.size()) != w) return false;
    at_ += w.size();
    return true;
  }
  void array(Value& out, int depth) {
    out.kind = Kind::array;
    ++at_;
    space();
    if (peek() == ']') return void(++at_);
    while (true) {
      out.elements.push_back(value(out.pointer + "/" + std::to_string(out.elements.size()), depth + 1));
      space();
      if (peek() == ']') return void(++at_);
      expect(',', "',' or ']'");
    }
  }
  void object(Value& out, int depth) {
    out.kind = Kind::object;
    ++at_;
    space();
    if (peek() == '}') return void(++at_);
    while (true) {
      space();
      if (peek() != '"') stop("a name in quotes");
      std::string key = string();
      expect(':', "':'");
      std::string below = out.pointer + "/";
      for (const char c : key) below += c == '~' ? std::string("~0") : c == '/' ? std::string("~1") : std::string(1, c);
      Value member = value(std::move(below), depth + 1);
      out.members.push_back({std::move(key), std::move(member)});
      space();
      if (peek() == '}') return void(++at_);
      expect(',', "',' or '}'");
    }
  }
  std::string number() {
    const std::size_t begin = at_;
    const auto digits = [this] {
      const std::size_t from = at_;
      while (peek() >= '0' && peek() <= '9') ++at_;
      if (at_ == from) stop("a digit");
    };
    if (peek() == '-') ++at_;
    if (peek() == '0')
      ++at_;
    else
      digits();
    if (peek() == '.') ++at_, digits();
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    return std::string(text_.substr(begin, at_ - begin));
  }
  std::uint32_t hex4() {
    std::uint32_t out = 0;
    const std::string_view digits = text_.substr(at_, 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
    if (error != std::errc() || digits.size() != 4 || end != digits.data() + 4) stop("four hexadecimal digits");
    at_ += 4;
    return out;
  }
  std::string string() {
    std::string out;
    for (++at_; peek() != '"'; ++at_) {
      if (at_ >= text_.size() || static_cast<unsigned char>(peek()) < 0x20) stop("the end of the string");
      if (peek() != '\\') {
        out += peek();
        continue;
      }
      ++at_;
      const std::size_t which = std::string_view("\"\\/bfnrt").find(peek());
      if (peek() == 'u') {
        ++at_;
        escape(out);
        --at_;
      } else if (at_ < text_.size() && which != std::string_view::npos) {
        out += "\"\\/\b\f\n\r\t"[which];
      } else {
        stop("an escape");
      }
    }
    ++at_;
    return out;
  }
  void escape(std::string& out) {
    std::uint32_t c = hex4();
    if (c >= 0xD800 && c < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      const std::uint32_t low = hex4();
      if (low < 0xDC00 || low > 0xDFFF) stop("the second half of a surrogate pair");
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    } else if (c >= 0xD800 && c <= 0xDFFF) {
      stop("a pair of surrogates");
    }
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

  std::string_view text_;
  std::size_t at_ = 0;
};

inline Value parse(std::string_view text) { return Parser(text).run(); }

}  // namespace weir::sdk::json
