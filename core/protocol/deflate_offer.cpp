#include "protocol/deflate_offer.hpp"

#include <algorithm>
#include <utility>

namespace weir {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t";
  const auto from = text.find_first_not_of(kSpace);
  return from == std::string_view::npos ? std::string_view()
                                        : text.substr(from, text.find_last_not_of(kSpace) - from + 1);
}

// Takes what stands before the next `separator`, quoted text aside, off the front of `rest`, and the separator too.
std::string_view cut(std::string_view& rest, char separator) {
  bool quoted = false;
  std::size_t i = 0;
  for (; i < rest.size() && (quoted || rest[i] != separator); ++i) {
    if (rest[i] == '"') quoted = !quoted;
    if (quoted && rest[i] == '\\') ++i;
  }
  i = std::min(i, rest.size());
  const std::string_view part = trimmed(rest.substr(0, i));
  rest.remove_prefix(std::min(i + 1, rest.size()));
  return part;
}

bool same_word(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

// 8 to 15 as the RFC writes it, with or without quotes; 0 if it is something else.
unsigned window_bits(std::string_view text) {
  if (text.size() > 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  if (text == "8" || text == "9") return static_cast<unsigned>(text[0] - '0');
  if (text.size() == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5')
    return 10 + static_cast<unsigned>(text[1] - '0');
  return 0;
}

std::optional<DeflateTerms> accept_offer(std::string_view parameters) {
  DeflateTerms terms{"permessage-deflate; server_no_context_takeover; client_no_context_takeover"};
  bool server_context = false, client_context = false, server_bits = false, client_bits = false;
  while (!parameters.empty()) {
    std::string_view value = cut(parameters, ';');
    const bool valued = value.find('=') != std::string_view::npos;
    const std::string_view name = cut(value, '=');
    value = trimmed(value);
    const auto is = [&](std::string_view word, bool& seen) {
      return same_word(name, word) && !std::exchange(seen, true);
    };
    if (is("server_no_context_takeover", server_context) && !valued) continue;
    if (is("client_no_context_takeover", client_context) && !valued) continue;
    // Whatever window the client compresses with, ours is the largest.
    if (is("client_max_window_bits", client_bits) && (!valued || window_bits(value) != 0)) continue;
    if (!is("server_max_window_bits", server_bits) || window_bits(value) == 0) return std::nullopt;
    terms.window_bits = window_bits(value);
    terms.answer += "; server_max_window_bits=" + std::to_string(terms.window_bits);
  }
  return terms;
}

}  // namespace

std::optional<DeflateTerms> accept_deflate(std::string_view offers) {
  while (!offers.empty()) {
    std::string_view offer = cut(offers, ',');
    if (!same_word(cut(offer, ';'), "permessage-deflate")) continue;
    if (auto terms = accept_offer(offer)) return terms;
  }
  return std::nullopt;
}

}  // namespace weir
