#include "key_text.hpp"

#include <gtest/gtest.h>

#include <set>

namespace weir::api_key {
namespace {

TEST(KeyTextTest, AMadeKeyMatchesItsHashAndNoOther) {
  const NewKey made = make_key("ci");
  EXPECT_EQ(made.key.substr(0, 6), "wk_ci_");
  EXPECT_EQ(made.key.size(), 6u + 64u);
  EXPECT_EQ(id_of(made.key), "ci");
  const std::size_t at = made.entry_json.find("sha256:");
  ASSERT_NE(at, std::string::npos);
  const auto hash = parse_hash(made.entry_json.substr(at, made.entry_json.size() - at - 2));
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->matches(made.key));
  EXPECT_FALSE(hash->matches(made.key + "0"));
  EXPECT_FALSE(hash->matches(""));
}

TEST(KeyTextTest, NoTwoKeysAndNoTwoSaltsAreEqual) {
  std::set<std::string> keys, entries;
  for (int i = 0; i < 100; ++i) {
    const NewKey made = make_key("a");
    keys.insert(made.key);
    entries.insert(made.entry_json);
  }
  EXPECT_EQ(keys.size(), 100u);
  EXPECT_EQ(entries.size(), 100u);
}

TEST(KeyTextTest, TheDigestIsSha256OfSaltAndKey) {
  // printf 'abc' | sha256sum, with "a" as the salt and "bc" as the key.
  const Digest digest = digest_of("a", "bc");
  EXPECT_EQ(to_hex(digest.data(), digest.size()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(KeyTextTest, AHashIsReadAsItIsWritten) {
  const Hash hash = hash_of("omni_sk_whatever");
  const auto again = parse_hash(hash.text());
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->equals(hash.digest));
  EXPECT_EQ(again->salt, hash.salt);
}

TEST(KeyTextTest, WhatIsNoHashIsRefused) {
  const std::string digest(64, '0');
  EXPECT_TRUE(parse_hash("sha256::" + digest));  // no salt: allowed, if not wise
  EXPECT_FALSE(parse_hash(""));
  EXPECT_FALSE(parse_hash("sha256:" + digest));
  EXPECT_FALSE(parse_hash("sha512:00:" + digest));
  EXPECT_FALSE(parse_hash("sha256:0:" + digest));
  EXPECT_FALSE(parse_hash("sha256:zz:" + digest));
  EXPECT_FALSE(parse_hash("sha256:00:" + digest.substr(2)));
  EXPECT_FALSE(parse_hash("sha256:00:" + digest + "00"));
}

TEST(KeyTextTest, AnIdMayHaveUnderscoresASecretMayNot) {
  EXPECT_EQ(id_of("wk_a_b_secret"), "a_b");
  EXPECT_FALSE(id_of("wk_secret"));
  EXPECT_FALSE(id_of("wk__secret"));
  EXPECT_FALSE(id_of("omni_sk_x"));
  EXPECT_THROW(make_key(""), std::invalid_argument);
  EXPECT_THROW(make_key("a b"), std::invalid_argument);
}

}  // namespace
}  // namespace weir::api_key
