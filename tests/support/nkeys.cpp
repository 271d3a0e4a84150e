#include "support/nkeys.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <cstdint>

namespace weir::test {
namespace {

// RFC 4648, without padding: `bits` a digit.
std::string digits_of(const std::string& bytes, int bits, const char* alphabet) {
  std::string out;
  std::uint32_t held = 0;
  int count = 0;
  for (const char c : bytes) {
    held = held << 8U | static_cast<unsigned char>(c);
    for (count += 8; count >= bits; count -= bits) out += alphabet[held >> (count - bits) & ((1U << bits) - 1)];
  }
  if (count > 0) out += alphabet[held << (bits - count) & ((1U << bits) - 1)];
  return out;
}
std::string base32(const std::string& bytes) { return digits_of(bytes, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"); }
std::string base64url(const std::string& bytes) {
  return digits_of(bytes, 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
}

// Behind the bytes stands their CRC-16 (XMODEM), the lower byte first.
std::string with_sum(std::string bytes) {
  std::uint16_t sum = 0;
  for (const char c : bytes) {
    sum = static_cast<std::uint16_t>(sum ^ static_cast<unsigned char>(c) << 8);
    for (int i = 0; i < 8; ++i) sum = static_cast<std::uint16_t>((sum & 0x8000) != 0 ? sum << 1 ^ 0x1021 : sum << 1);
  }
  bytes += static_cast<char>(sum & 0xFF);
  bytes += static_cast<char>(sum >> 8);
  return bytes;
}

}  // namespace

NKey::NKey(Kind kind) : kind_(kind), key_(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")) { EXPECT_NE(key_, nullptr); }

NKey::~NKey() { EVP_PKEY_free(key_); }

std::string NKey::public_key() const {
  std::array<unsigned char, 32> raw{};
  std::size_t size = raw.size();
  EXPECT_EQ(EVP_PKEY_get_raw_public_key(key_, raw.data(), &size), 1);
  return base32(with_sum(static_cast<char>(kind_) + std::string(raw.begin(), raw.end())));
}

std::string NKey::seed() const {
  std::array<unsigned char, 32> raw{};
  std::size_t size = raw.size();
  EXPECT_EQ(EVP_PKEY_get_raw_private_key(key_, raw.data(), &size), 1);
  constexpr int kSeed = 18 << 3;
  const int kind = static_cast<int>(kind_);
  std::string bytes;
  bytes += static_cast<char>(kSeed | kind >> 5);
  bytes += static_cast<char>((kind & 31) << 3);
  return base32(with_sum(bytes + std::string(raw.begin(), raw.end())));
}

std::string NKey::jwt(const NKey& subject, const std::string& name, const std::string& claims) const {
  const std::string text = base64url(R"({"typ":"JWT","alg":"ed25519-nkey"})") + "." +
                           base64url(R"({"jti":"1","iat":1700000000,"iss":")" + public_key() + R"(","name":")" + name +
                                     R"(","sub":")" + subject.public_key() + R"(","nats":)" + claims + "}");
  std::array<unsigned char, 64> signature{};
  std::size_t size = signature.size();
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EXPECT_EQ(EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key_), 1);
  EXPECT_EQ(EVP_DigestSign(context, signature.data(), &size, reinterpret_cast<const unsigned char*>(text.data()),
                           text.size()),
            1);
  EVP_MD_CTX_free(context);
  return text + "." + base64url(std::string(signature.begin(), signature.end()));
}

std::string credentials(const std::string& jwt, const std::string& seed) {
  return "-----BEGIN NATS USER JWT-----\n" + jwt + "\n------END NATS USER JWT------\n\n" +
         "-----BEGIN USER NKEY SEED-----\n" + seed + "\n------END USER NKEY SEED------\n";
}

}  // namespace weir::test
