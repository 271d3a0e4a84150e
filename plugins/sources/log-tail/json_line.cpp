#include "json_line.hpp"

#include <array>
#include <cstdint>
#include <cstring>

namespace weir::log_tail {
namespace {

using Byte = unsigned char;

// Bytes that go out as they are: printable ASCII without quote and backslash, and DEL.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

// True if one of the eight bytes is not plain: a byte below 0x20, above 0x7f, a quote or a backslash. The usual
// trick of borrowing through the high bits; a false alarm would only cost time, a miss can't happen.
bool has_special(const char* at) {
  constexpr std::uint64_t kOnes = 0x0101010101010101ULL, kHigh = 0x8080808080808080ULL;
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  const std::uint64_t quote = word ^ (kOnes * '"'), backslash = word ^ (kOnes * '\\');
  return (((word - kOnes * 0x20) | (quote - kOnes) | (backslash - kOnes) | word) & kHigh) != 0;
}

bool continues(Byte c) { return (c & 0xC0) == 0x80; }

struct Sequence {
  std::size_t size;  // bytes that belong together, at least 1
  bool valid;
};

// The UTF-8 sequence at the front of `bytes`, whose first byte is 0x80 or above (RFC 3629, section 4).
Sequence sequence_at(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<Byte>(bytes[i]); };
  const Byte lead = at(0);
  std::size_t size = 0;
  Byte low = 0x80, high = 0xBF;  // what the second byte may be: keeps out overlong forms, surrogates, above U+10FFFF
  if (lead >= 0xC2 && lead <= 0xDF) {
    size = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    size = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    size = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {1, false};
  }
  if (bytes.size() < 2 || at(1) < low || at(1) > high) return {1, false};
  for (std::size_t i = 2; i < size; ++i) {
    if (i >= bytes.size() || !continues(at(i))) return {i, false};
  }
  return {size, true};
}

void append_escape(std::string& out, Byte c) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
  }
}

}  // namespace

bool append_json_string(std::string& out, std::string_view bytes) {
  bool valid = true;
  out += '"';
  std::size_t written = 0, at = 0;
  while (at < bytes.size()) {
    while (at + 8 <= bytes.size() && !has_special(bytes.data() + at)) at += 8;
    while (at < bytes.size() && kPlain[static_cast<Byte>(bytes[at])]) ++at;
    if (at == bytes.size()) break;
    const Byte c = static_cast<Byte>(bytes[at]);
    if (c >= 0x80) {
      const Sequence sequence = sequence_at(bytes.substr(at));
      if (!sequence.valid) {
        out.append(bytes, written, at - written);
        out += "\xEF\xBF\xBD";
        written = at + sequence.size;
        valid = false;
      }
      at += sequence.size;
    } else {
      out.append(bytes, written, at - written);
      append_escape(out, c);
      written = ++at;
    }
  }
  out.append(bytes, written, bytes.size() - written);
  out += '"';
  return valid;
}

std::size_t cut_at_character(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) bytes_max = text.size();
  // Only the last three bytes can be the beginning of a character whose rest was cut off.
  for (std::size_t back = 1; back <= 3 && back <= bytes_max; ++back) {
    const Byte c = static_cast<Byte>(text[bytes_max - back]);
    if (continues(c)) continue;
    const std::size_t needs = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 1;
    return needs > back ? bytes_max - back : bytes_max;
  }
  return bytes_max;
}

}  // namespace weir::log_tail
