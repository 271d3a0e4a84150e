#include "text.hpp"

#include <openssl/evp.h>

#include "weir/sdk/json.hpp"
#include "weir/sdk/text.hpp"

namespace weir::http_ingest {
namespace {

int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return out;
}

std::string_view without_space(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string shown(std::string_view text) {
  if (text.size() > 80) {
    std::size_t most = 80;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
    text = text.substr(0, most);
  }
  return sdk::is_utf8(text) ? sdk::json::quoted(text) : "no UTF-8";
}

std::optional<std::string> percent_decoded(std::string_view text, bool plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += plus && text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::optional<std::string> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
  }
  return out;
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) (out += digits[static_cast<unsigned char>(c) >> 4]) += digits[c & 15];
  return out;
}

std::optional<std::string> from_base64(std::string_view base64) {
  if (base64.size() % 4 != 0) return std::nullopt;
  const auto padding = base64.ends_with("==") ? 2U : base64.ends_with('=') ? 1U : 0U;
  // OpenSSL's decoder lets white space and '=' pass where none may be.
  const std::string_view letters = base64.substr(0, base64.size() - padding);
  if (letters.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") !=
      std::string_view::npos)
    return std::nullopt;
  std::string out(base64.size() / 4 * 3, '\0');
  if (base64.empty()) return out;
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(base64.data()), static_cast<int>(base64.size()));
  if (size < 0) return std::nullopt;
  out.resize(static_cast<std::size_t>(size) - padding);
  return out;
}

MediaType parse_media_type(std::string_view header) {
  MediaType out;
  const auto semicolon = header.find(';');
  out.essence = lower(without_space(header.substr(0, semicolon)));
  while (header.find(';') != std::string_view::npos) {
    header.remove_prefix(header.find(';') + 1);
    std::string_view parameter = without_space(header.substr(0, header.find(';')));
    const auto equals = parameter.find('=');
    if (equals == std::string_view::npos || lower(parameter.substr(0, equals)) != "charset") continue;
    parameter.remove_prefix(equals + 1);
    if (parameter.size() >= 2 && parameter.front() == '"' && parameter.back() == '"')
      parameter = parameter.substr(1, parameter.size() - 2);
    out.charset = lower(parameter);
  }
  return out;
}

std::optional<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view body, std::size_t most) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!body.empty()) {
    const std::string_view field = body.substr(0, body.find('&'));
    body.remove_prefix(field.size() == body.size() ? field.size() : field.size() + 1);
    if (field.empty()) continue;
    const auto equals = field.find('=');
    auto name = percent_decoded(field.substr(0, equals), true);
    auto value =
        percent_decoded(equals == std::string_view::npos ? std::string_view() : field.substr(equals + 1), true);
    if (!name || !value || !sdk::is_utf8(*name) || !sdk::is_utf8(*value) || out.size() == most) return std::nullopt;
    out.emplace_back(std::move(*name), std::move(*value));
  }
  return out;
}

}  // namespace weir::http_ingest
