// Literal vectors: GitHub's documentation, RFC 4231; the others were made with `openssl dgst`.
#include "signature.hpp"

#include <gtest/gtest.h>

#include "ingest_rig.hpp"
#include "text.hpp"
#include "weir/sdk/error.hpp"
#include "weir/sdk/text.hpp"

namespace weir::http_ingest {
namespace {

using test::Asked;
using test::Headers;
using Style = SignatureConfig::Style;

SignatureConfig config(const std::string& json, Style fallback = Style::generic) {
  return parse_signature_config(sdk::json::parse(json), fallback);
}
std::string complaint(const std::string& json) {
  try {
    config(json);
    return {};
  } catch (const sdk::Failure& f) {
    EXPECT_EQ(f.status(), WEIR_E_CONFIG);
    return f.what();
  }
}
Verdict ask(const SignatureConfig& c, const Headers& headers, const std::string& body, std::int64_t now_ms = 0) {
  return verify(c, Asked(headers, body).request(), now_ms);
}

TEST(SignatureTest, HmacOfRfc4231) {
  EXPECT_EQ(to_hex(hmac("SHA256", "Jefe", {"what do ya want", " for nothing?"})),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(hmac("SHA512", "Jefe", {"what do ya want for nothing?"})).substr(0, 32),
            "164b7a7bfcf819e2e395fbe73b56e0a3");
}

TEST(SignatureTest, TheExampleOfGithub) {
  const auto github = config(R"({"secret":"It's a Secret to Everybody"})", Style::github);
  const std::string good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
  const Verdict verdict = ask(github, {{"x-hub-signature-256", good}}, "Hello, World!");
  EXPECT_TRUE(verdict.good);
  EXPECT_EQ(verdict.replay, "");  // there is no time in it
  EXPECT_FALSE(ask(github, {{"x-hub-signature-256", good}}, "Hello, World?").good);
  EXPECT_FALSE(ask(github, {{"x-hub-signature-256", good.substr(7)}}, "Hello, World!").good);
  EXPECT_FALSE(ask(github, {{"x-hub-signature-256", good.substr(0, 69)}}, "Hello, World!").good);
  EXPECT_FALSE(ask(github, {{"x-hub-signature-256", "sha256="}}, "Hello, World!").good);
  EXPECT_FALSE(ask(github, {{"x-hub-signature-256", good + ", " + good}}, "Hello, World!").good);
  EXPECT_FALSE(ask(github, {{"x-hub-signature", good}}, "Hello, World!").good);
  EXPECT_FALSE(
      ask(config(R"({"secret":"another"})", Style::github), {{"x-hub-signature-256", good}}, "Hello, World!").good);
}

TEST(SignatureTest, AnyOfSeveralSecretsWillDo) {
  const auto github = config(R"({"secret":["new","It's a Secret to Everybody","x"]})", Style::github);
  EXPECT_TRUE(ask(github,
                  {{"x-hub-signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}},
                  "Hello, World!")
                  .good);
}

TEST(SignatureTest, TheHeaderOfStripe) {
  const auto read = parse_stripe_header(
      "t=1492774577,"
      "v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd,"
      "v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->seconds, 1492774577);
  ASSERT_EQ(read->signatures.size(), 1u);
  EXPECT_EQ(to_hex(read->signatures[0]), "5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd");
  for (const char* bad : {"", "t=1", "v1=00", "t=1,t=2,v1=00", "t=x,v1=00", "t=-1,v1=00", "t=1,v1=zz", "t=,v1=00",
                          "t=99999999999999999999,v1=00", "t=1 v1=00"})
    EXPECT_FALSE(parse_stripe_header(bad)) << bad;
}

TEST(SignatureTest, StripeSignsTheTimeAndTheBody) {
  // printf '1492774577.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test
  const std::string v1 = "7656fc2882a7ca0a651666b36bf2f2f22ee204f54f608f227498a2419f2890b2";
  const auto stripe = config(R"({"secret":"whsec_test"})", Style::stripe);
  const std::string body = R"({"id":"evt_1"})";
  const std::int64_t at = 1'492'774'577'000;
  const Headers good = {{"stripe-signature", "t=1492774577,v1=" + std::string(64, '0') + ",v1=" + v1}};
  const Verdict verdict = ask(stripe, good, body, at);
  EXPECT_TRUE(verdict.good);
  EXPECT_EQ(to_hex(verdict.replay), v1);
  EXPECT_TRUE(ask(stripe, good, body, at + 300'000).good);
  EXPECT_TRUE(ask(stripe, good, body, at - 300'000).good);
  EXPECT_FALSE(ask(stripe, good, body, at + 300'001).good);
  EXPECT_FALSE(ask(stripe, good, body, at - 300'001).good);
  EXPECT_FALSE(ask(stripe, {{"stripe-signature", "t=1492774578,v1=" + v1}}, body, at).good);
  EXPECT_FALSE(ask(stripe, {{"stripe-signature", "t=1492774577,v0=" + v1}}, body, at).good);
  EXPECT_FALSE(ask(stripe, {}, body, at).good);
  EXPECT_EQ(ask(stripe, good, body, at + 400'000).why, "its time is 400 s ago");
}

TEST(SignatureTest, AReplayIsKnownWhicheverSecretSigned) {
  const auto stripe = config(R"({"secret":["a","b"]})", Style::stripe);
  const auto by = [&](const char* secret) {
    return ask(stripe, {{"stripe-signature", "t=5,v1=" + to_hex(hmac("SHA256", secret, {"5.x"}))}}, "x", 5000);
  };
  EXPECT_TRUE(by("a").good && by("b").good);
  EXPECT_EQ(by("a").replay, by("b").replay);
}

TEST(SignatureTest, OthersAreSaidInTheManifest) {
  // As Shopify: base64 of the body's HMAC.
  const auto shop = config(R"({"secret":"hush","header":"X-Shopify-Hmac-Sha256","encoding":"base64"})");
  EXPECT_TRUE(ask(shop, {{"x-shopify-hmac-sha256", sdk::base64(hmac("SHA256", "hush", {"{}"}))}}, "{}").good);
  EXPECT_FALSE(ask(shop, {{"x-shopify-hmac-sha256", to_hex(hmac("SHA256", "hush", {"{}"}))}}, "{}").good);
  // The example of Slack's documentation.
  const auto slack = config(
      R"({"secret":"8f742231b10e8888abcd99yyyzzz85a5","header":"X-Slack-Signature","prefix":"v0=","timestamp_header":"X-Slack-Request-Timestamp","signed":"v0:{timestamp}:{body}"})");
  const std::string body =
      "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name="
      "foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks."
      "slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121."
      "803a0bc887a14d10d2c447fce8b6703c";
  const Headers signed_by_slack = {
      {"x-slack-request-timestamp", "1531420618"},
      {"x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"}};
  EXPECT_TRUE(ask(slack, signed_by_slack, body, 1'531'420'618'000).good);
  EXPECT_FALSE(ask(slack, signed_by_slack, body, 1'531'430'618'000).good);
  EXPECT_FALSE(ask(slack, {signed_by_slack[1]}, body, 1'531'420'618'000).good);
  const auto sha1 = config(R"({"secret":"k","header":"x-sig","algorithm":"sha1","signed":"{header:x-id}.{body}"})");
  EXPECT_TRUE(ask(sha1, {{"x-id", "7"}, {"x-sig", to_hex(hmac("SHA1", "k", {"7.b"}))}}, "b").good);
  EXPECT_FALSE(ask(sha1, {{"x-sig", to_hex(hmac("SHA1", "k", {".b"}))}}, "b").good);
}

TEST(SignatureTest, WhatTheManifestMustNotSay) {
  EXPECT_NE(complaint(R"({"header":"x"})").find("secret"), std::string::npos);
  EXPECT_NE(complaint(R"({"secret":["a",""],"header":"x"})").find("an empty one"), std::string::npos);
  EXPECT_NE(complaint(R"({"secret":"a"})").find("\"header\" is missing"), std::string::npos);
  EXPECT_NE(complaint(R"({"secret":"a","style":"github","header":"x"})").find("generic"), std::string::npos);
  EXPECT_NE(complaint(R"({"secret":"a","header":"x","signed":"{timestamp}"})").find("{body}"), std::string::npos);
  EXPECT_NE(complaint(R"({"secret":"a","header":"x","timestamp_header":"t","signed":"{body}"})").find("can be changed"),
            std::string::npos);
  EXPECT_NE(complaint(R"({"secret":"a","header":"x","signed":"{timestamp}.{body}"})").find("timestamp_header"),
            std::string::npos);
  EXPECT_NE(complaint(R"({"secret":"a","header":"x","signed":"{body"})").find("in braces"), std::string::npos);
}

}  // namespace
}  // namespace weir::http_ingest
