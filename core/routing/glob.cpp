#include "routing/glob.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "base/json.hpp"

namespace weir {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

std::size_t code_point_size(char first) {
  const auto c = static_cast<unsigned char>(first);
  return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

// The bytes of the character at `at`, as one number; moves `at` behind it.
std::uint32_t take(std::string_view text, std::size_t& at) {
  const std::size_t end = std::min(text.size(), at + code_point_size(text[at]));
  std::uint32_t bytes = 0;
  for (; at < end; ++at) bytes = bytes << 8 | static_cast<unsigned char>(text[at]);
  return bytes;
}

// What one part of a pattern asks of the next character; moves `at` behind it. `any` is set for `?`.
std::uint32_t element(std::string_view part, std::size_t& at, bool& any) {
  any = part[at] == '?';
  if (part[at] == '\\' && at + 1 < part.size()) ++at;
  return take(part, at);
}

std::size_t length(std::string_view part) {
  std::size_t count = 0;
  bool any = false;
  for (std::size_t at = 0; at < part.size(); ++count) element(part, at, any);
  return count;
}

bool literal(std::string_view part) { return part.find_first_of("?\\") == kNone; }

// Takes the part up to the next `*` off the front of the pattern; `star` says whether there was one behind it.
std::string_view next_part(std::string_view& pattern, bool& star) {
  std::size_t end = 0;
  while (end < pattern.size() && pattern[end] != '*') end += pattern[end] == '\\' && end + 1 < pattern.size() ? 2 : 1;
  const std::string_view part = pattern.substr(0, end);
  star = end < pattern.size();
  pattern.remove_prefix(star ? end + 1 : end);
  return part;
}

// Where the text goes on behind the part, which must stand right at `at`; kNone when it does not.
std::size_t behind(std::string_view part, std::string_view text, std::size_t at) {
  for (std::size_t p = 0; p < part.size();) {
    bool any = false;
    const std::uint32_t wanted = element(part, p, any);
    if (at >= text.size()) return kNone;
    if (const std::uint32_t found = take(text, at); !any && found != wanted) return kNone;
  }
  return at;
}

// Where the text goes on behind the first place from `at` on at which the part stands. All places at once, one bit for
// each character of the part that has been found so far (Baeza-Yates and Gonnet, "shift-and").
std::size_t behind_first(std::string_view part, std::string_view text, std::size_t at) {
  if (literal(part)) {
    const auto found = text.substr(at);
    const void* const place = ::memmem(found.data(), found.size(), part.data(), part.size());
    if (place == nullptr) return kNone;
    return static_cast<std::size_t>(static_cast<const char*>(place) - text.data()) + part.size();
  }
  std::array<std::uint64_t, 128> ascii{};
  std::array<std::uint32_t, kGlobPartMax> elements{};
  std::uint64_t everywhere = 0, beyond_ascii = 0;
  std::size_t count = 0;
  for (std::size_t p = 0; p < part.size() && count < kGlobPartMax; ++count) {
    bool any = false;
    const std::uint64_t bit = std::uint64_t{1} << count;
    elements[count] = element(part, p, any);
    if (any)
      everywhere |= bit;
    else if (elements[count] < 128)
      ascii[elements[count]] |= bit;
    else
      beyond_ascii |= bit;
  }
  const std::uint64_t last = std::uint64_t{1} << (count - 1);
  std::uint64_t state = 0;
  while (at < text.size()) {
    const std::uint32_t c = take(text, at);
    std::uint64_t here = everywhere | (c < 128 ? ascii[c] : 0);
    if (c >= 128)
      for (std::uint64_t rest = beyond_ascii; rest != 0; rest &= rest - 1)
        if (elements[static_cast<std::size_t>(__builtin_ctzll(rest))] == c) here |= rest & -rest;
    state = (state << 1 | 1) & here;
    if ((state & last) != 0) return at;
  }
  return kNone;
}

}  // namespace

Result<void> check_glob(std::string_view pattern) {
  bool star = true;
  for (std::string_view rest = pattern; star;) {
    const std::string_view part = next_part(rest, star);
    if (!literal(part) && length(part) > kGlobPartMax)
      return fail(Errc::bad_filter, "the part " + json::quoted(part.substr(0, 40)) + "... of a glob has " +
                                        std::to_string(length(part)) + " characters; with ? or \\ in it at most " +
                                        std::to_string(kGlobPartMax) + " are allowed between two *");
  }
  return {};
}

bool glob_matches(std::string_view pattern, std::string_view text) {
  bool star = false;
  std::size_t at = behind(next_part(pattern, star), text, 0);
  if (at == kNone) return false;
  if (!star) return at == text.size();
  for (;;) {
    const std::string_view part = next_part(pattern, star);
    if (star) {
      if (part.empty()) continue;
      at = behind_first(part, text, at);
      if (at == kNone) return false;
      continue;
    }
    // The last one stands at the end: as many characters before it as the part has.
    std::size_t begin = text.size();
    for (std::size_t n = length(part); n != 0; --n) {
      if (begin <= at) return false;
      --begin;
      while (begin > at && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    }
    return behind(part, text, begin) == text.size();
  }
}

}  // namespace weir
