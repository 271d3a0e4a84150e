// Whether a text is JSON, without building anything of it: for what is handed on as it came, of any size. The same
// texts are right here as in the hub: RFC 8259, UTF-8, 64 levels, no half of a surrogate pair.
// Threads: pure functions, [any].
#pragma once
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "weir/sdk/text.hpp"

namespace weir::sdk::json {

class Checker {
 public:
  static constexpr int kDepthMax = 64;
  explicit Checker(std::string_view text) : text_(text) {}
  // One value and nothing else; `levels` will stand around it.
  bool run(int levels = 0) {
    return value(levels) && (space(), at_ == text_.size() || expected("the end of the text"));
  }
  // After run() has said false: "not JSON at byte 7: expected a value".
  std::string wrong() const {
    return deep_ ? "JSON that is nested deeper than 64 levels at byte " + std::to_string(at_)
                 : "not JSON at byte " + std::to_string(at_) + ": expected " + expected_;
  }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool expected(const char* what) {
    expected_ = what;
    return false;
  }
  void space() {
    while (at_ < text_.size() && std::string_view(" \n\t\r").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool literal(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return expected("a value");
    at_ += word.size();
    return true;
  }
  bool value(int depth) {
    space();
    const char c = peek();
    if (c == '{' || c == '[') {
      deep_ = depth == kDepthMax;
      return !deep_ && items(depth + 1, c == '{');
    }
    if (c == '"') return string();
    if (c == '-' || is_digit(c)) return number();
    return literal(c == 't' ? "true" : c == 'f' ? "false" : "null");
  }
  bool items(int depth, bool named) {
    const char end = named ? '}' : ']';
    ++at_;
    space();
    if (peek() == end) return ++at_, true;
    while (true) {
      if (named && !name()) return false;
      if (!value(depth)) return false;
      space();
      if (peek() == end) return ++at_, true;
      if (peek() != ',') return expected(named ? "',' or '}'" : "',' or ']'");
      ++at_;
    }
  }
  bool name() {
    space();
    if (peek() != '"') return expected("a name in quotes");
    if (!string()) return false;
    space();
    if (peek() != ':') return expected("':'");
    return ++at_, true;
  }
  bool digits() {
    if (!is_digit(peek())) return expected("a digit");
    while (is_digit(peek())) ++at_;
    return true;
  }
  bool number() {
    if (peek() == '-') ++at_;
    if (peek() == '0')
      ++at_;
    else if (!digits())
      return false;
    if (peek() == '.' && (++at_, !digits())) return false;
    if (peek() != 'e' && peek() != 'E') return true;
    ++at_;
    if (peek() == '+' || peek() == '-') ++at_;
    return digits();
  }
  bool hex4(std::uint32_t& out) {
    const std::string_view hex = text_.substr(at_, 4);
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), out, 16);
    if (hex.size() != 4 || error != std::errc() || end != hex.data() + 4) return expected("four hexadecimal digits");
    at_ += 4;
    return true;
  }
  bool escape() {
    ++at_;
    const char c = peek();
    if (at_ == text_.size() || std::string_view("\"\\/bfnrtu").find(c) == std::string_view::npos)
      return expected("an escape");
    ++at_;
    if (c != 'u') return true;
    std::uint32_t unit = 0, low = 0;
    if (!hex4(unit)) return false;
    if (unit < 0xD800 || unit > 0xDFFF) return true;
    if (unit > 0xDBFF || text_.substr(at_, 2) != "\\u") return expected("a whole pair of surrogates");
    at_ += 2;
    if (!hex4(low)) return false;
    return (low >= 0xDC00 && low <= 0xDFFF) || expected("a whole pair of surrogates");
  }
  bool string() {
    ++at_;
    while (at_ < text_.size()) {
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') return ++at_, true;
      if (c < 0x20) return expected("an escape, no control character");
      if (c == '\\') {
        if (!escape()) return false;
        continue;
      }
      const std::size_t size = c < 0x80 ? 1 : utf8_size(text_.substr(at_));
      if (size == 0) return expected("UTF-8");
      at_ += size;
    }
    return expected("the end of the string");
  }

  std::string_view text_;
  std::size_t at_ = 0;
  const char* expected_ = "a value";
  bool deep_ = false;
};

// What is wrong with it; empty: nothing.
inline std::string wrong_with(std::string_view text) {
  Checker checker(text);
  return checker.run() ? std::string() : checker.wrong();
}
// `levels`: of what will stand around it.
inline bool is_json(std::string_view text, int levels = 0) { return Checker(text).run(levels); }

}  // namespace weir::sdk::json
