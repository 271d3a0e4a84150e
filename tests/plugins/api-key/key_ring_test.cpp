#include "key_ring.hpp"

#include <gtest/gtest.h>

namespace weir::api_key {
namespace {

std::string file(const std::string& entries) { return "{\"keys\":[" + entries + "]}"; }
std::string entry(const std::string& id, const std::string& key, const std::string& more = "") {
  return "{\"id\":\"" + id + "\",\"hash\":\"" + hash_of(key).text() + "\"" + more + "}";
}

TEST(KeyRingTest, FindsAWeirKeyByItsId) {
  const NewKey ci = make_key("ci"), web = make_key("web_1");
  const KeyRing ring = KeyRing::parse(file(ci.entry_json + "," + web.entry_json), 0);
  ASSERT_NE(ring.find(ci.key), nullptr);
  EXPECT_EQ(ring.find(ci.key)->identity.subject, "ci");
  EXPECT_EQ(ring.find(web.key)->identity.subject, "web_1");
  EXPECT_EQ(ring.find("wk_ci_" + std::string(64, '0')), nullptr);
  EXPECT_EQ(ring.find("wk_nobody_" + std::string(64, '0')), nullptr);
}

TEST(KeyRingTest, FindsAKeyOfAnyOtherForm) {
  const KeyRing ring =
      KeyRing::parse(file(entry("a", "omni_sk_1") + "," + entry("b", "omni_sk_2") + "," + entry("c", "wk_odd")), 0);
  EXPECT_EQ(ring.find("omni_sk_2")->identity.subject, "b");
  EXPECT_EQ(ring.find("wk_odd")->identity.subject, "c");
  EXPECT_EQ(ring.find("omni_sk_3"), nullptr);
  EXPECT_EQ(ring.find(""), nullptr);
}

TEST(KeyRingTest, TheWholeEntryBecomesTheIdentity) {
  const KeyRing ring = KeyRing::parse(
      file(
          entry(
              "ci", "k",
              R"(,"scopes":["events:read"],"attributes":{"instances":["i1"]},"connections_max":10,"expires_at":"2027-01-01T00:00:00Z","comment":"x")") +
          "," + entry("b", "l")),
      7);
  const Entry* ci = ring.find("k");
  ASSERT_NE(ci, nullptr);
  EXPECT_EQ(
      ci->identity.to_json(),
      R"({"subject":"ci","scopes":["events:read"],"attributes":{"instances":["i1"]},"key":"ci","expires_at":1798761600000,"connections_max":10})");
  EXPECT_EQ(ring.find("l")->identity.connections_max, 7);
}

TEST(KeyRingTest, WhatIsWrongIsNamedWithItsPlace) {
  const auto place = [](const std::string& text) {
    try {
      (void)KeyRing::parse(text, 0);
      return std::string("accepted");
    } catch (const sdk::Failure& f) {
      return f.json_pointer().empty() ? std::string(f.what()).substr(0, 8) : f.json_pointer();
    }
  };
  EXPECT_EQ(place("{\"keys\":["), "not JSON");
  EXPECT_EQ(place("[]"), "the file");
  EXPECT_EQ(place(file("1")), "/keys/0");
  EXPECT_EQ(place(file("{}")), "/keys/0");
  EXPECT_EQ(place(file(R"({"id":"a","hash":"sha256:00:11"})")), "/keys/0/hash");
  EXPECT_EQ(place(file(entry("a b", "k"))), "/keys/0/id");
  EXPECT_EQ(place(file(entry("a", "k") + "," + entry("a", "l"))), "/keys/1");
  EXPECT_EQ(place(file(entry("a", "k", R"(,"expires_at":"tomorrow")"))), "/keys/0/expires_at");
  EXPECT_EQ(place(file(entry("a", "k", R"(,"expires_at":"2027-02-30T00:00:00Z")"))), "/keys/0/expires_at");
  EXPECT_EQ(place(file(entry("a", "k", R"(,"connections_max":-1)"))), "/keys/0/connections_max");
  EXPECT_EQ(place(file(entry("a", "k", R"(,"attributes":[])"))), "/keys/0/attributes");
  EXPECT_EQ(place(file(entry("a", "k", R"(,"scope":["typo"])"))), "/keys/0");
  EXPECT_EQ(place(file("")), "accepted");
}

TEST(KeyRingTest, AHashNeverStandsInAMessage) {
  try {
    (void)KeyRing::parse(file(R"({"id":"a","hash":"sha1:secretish"})"), 0);
    FAIL();
  } catch (const sdk::Failure& f) {
    EXPECT_EQ(std::string(f.what()).find("secretish"), std::string::npos);
  }
}

}  // namespace
}  // namespace weir::api_key
