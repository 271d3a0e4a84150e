// What an API key looks like, and its hash.
//   key    wk_<id>_<secret>      the secret: 32 random bytes as 64 hexadecimal digits; <id> finds the entry
//   hash   sha256:<salt>:<digest>  both hexadecimal; digest = SHA-256(salt bytes, then the key's text)
// Why a plain hash and not a slow one: a key is not a password that a person thought up. Nobody guesses 256 random
// bits, however fast the hash is; the salt keeps equal keys from having equal hashes. A slow hash would only help those
// who want to keep the hub busy. Threads: [any]. The randomness is the operating system's.
#pragma once
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace weir::api_key {

using Digest = std::array<unsigned char, 32>;

inline std::string to_hex(const unsigned char* bytes, std::size_t size) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < size; ++i) (out += digits[bytes[i] >> 4]) += digits[bytes[i] & 15];
  return out;
}

// Nothing when it is not hexadecimal of whole bytes.
inline std::optional<std::string> from_hex(std::string_view hex) {
  const auto value = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  if (hex.size() % 2 != 0) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = value(hex[i]), low = value(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
  }
  return out;
}

inline Digest digest_of(std::string_view salt, std::string_view key) {
  std::string text(salt);
  text += key;
  Digest out{};
  unsigned size = 0;
  const bool good =
      EVP_Digest(text.data(), text.size(), out.data(), &size, EVP_sha256(), nullptr) == 1 && size == out.size();
  OPENSSL_cleanse(text.data(), text.size());
  if (!good) throw std::runtime_error("SHA-256 failed");
  return out;
}

struct Hash {
  std::string salt;  // bytes
  Digest digest{};
  bool matches(std::string_view key) const { return equals(digest_of(salt, key)); }
  // In constant time.
  bool equals(const Digest& other) const { return CRYPTO_memcmp(digest.data(), other.data(), digest.size()) == 0; }
  std::string text() const {
    return "sha256:" + to_hex(reinterpret_cast<const unsigned char*>(salt.data()), salt.size()) + ":" +
           to_hex(digest.data(), digest.size());
  }
};

inline std::optional<Hash> parse_hash(std::string_view text) {
  constexpr std::string_view prefix = "sha256:";
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto salt = from_hex(text.substr(0, colon)), digest = from_hex(text.substr(colon + 1));
  if (!salt || !digest || salt->size() > 64 || digest->size() != Digest().size()) return std::nullopt;
  Hash out;
  out.salt = *salt;
  for (std::size_t i = 0; i < out.digest.size(); ++i) out.digest[i] = static_cast<unsigned char>((*digest)[i]);
  return out;
}

inline bool valid_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 &&
         id.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
             std::string_view::npos;
}

// The id in "wk_<id>_<secret>"; nothing for a key of another form.
inline std::optional<std::string_view> id_of(std::string_view key) {
  if (!key.starts_with("wk_")) return std::nullopt;
  const std::size_t end = key.rfind('_');
  if (end <= 3) return std::nullopt;
  return key.substr(3, end - 3);
}

inline std::string random_bytes(std::size_t size) {
  std::string out(size, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(size)) != 1)
    throw std::runtime_error("no randomness");
  return out;
}

inline Hash hash_of(std::string_view key) {
  Hash out;
  out.salt = random_bytes(16);
  out.digest = digest_of(out.salt, key);
  return out;
}

struct NewKey {
  std::string key;         // shown once, to whom it belongs
  std::string entry_json;  // one element of the file's "keys": {"id":...,"form":"wk","hash":...}
};
// Errors: throws std::invalid_argument for an id that is not 1 to 64 of letters, digits, '_', '.', '-'.
inline NewKey make_key(std::string_view id) {
  if (!valid_id(id))
    throw std::invalid_argument("\"" + std::string(id) + "\" is not an id: 1 to 64 of letters, digits, '_', '.', '-'");
  const std::string secret = random_bytes(32);
  NewKey out;
  out.key =
      "wk_" + std::string(id) + "_" + to_hex(reinterpret_cast<const unsigned char*>(secret.data()), secret.size());
  out.entry_json = "{\"id\":\"" + std::string(id) + "\",\"form\":\"wk\",\"hash\":\"" + hash_of(out.key).text() + "\"}";
  return out;
}

}  // namespace weir::api_key
