#include "config.hpp"

#include <gtest/gtest.h>

namespace weir::nats {
namespace {

Config parsed(const std::string& json) { return parse_config(sdk::json::parse(json)); }

std::string refused(const std::string& json) {
  try {
    (void)parsed(json);
  } catch (const sdk::Failure& f) {
    return f.json_pointer() + ": " + f.what();
  }
  return "taken";
}

TEST(NatsConfigTest, Defaults) {
  const Config config = parsed(R"({"subjects":["a"]})");
  EXPECT_EQ(config.link.servers, std::vector<std::string>{"nats://127.0.0.1:4222"});
  EXPECT_FALSE(config.link.tls);
  EXPECT_FALSE(config.stream);
  EXPECT_EQ(config.message.payload, sdk::Data::any);
  EXPECT_FALSE(config.jetstream);
  EXPECT_TRUE(parsed(R"({"publish":"jetstream"})").jetstream);
}

TEST(NatsConfigTest, AStream) {
  const Config config = parsed(
      R"({"url":["nats://a:1","tls://b:2"],"stream":{"name":"ORDERS","subject":"orders.*","from":"2026-02-10T12:00:00Z","domain":"leaf","ack_wait":"2s"}})");
  EXPECT_EQ(config.link.servers.size(), 2u);
  EXPECT_TRUE(config.link.tls);
  ASSERT_TRUE(config.stream);
  EXPECT_EQ(config.stream->durable, "weir");
  EXPECT_EQ(config.stream->api_prefix, "$JS.leaf.API");
  EXPECT_EQ(config.stream->time_ms, 1'770'724'800'000);
  EXPECT_EQ(config.stream->ack_wait_ms, 2000);
  EXPECT_EQ(parsed(R"({"stream":{"name":"A","from":17}})").stream->sequence, 17u);
  EXPECT_EQ(parsed(R"({"stream":{"name":"A","from":"new"}})").stream->from, StreamConfig::From::fresh);
}

TEST(NatsConfigTest, WhatIsWrongIsNamed) {
  EXPECT_NE(refused(R"({"subjects":["a..b"]})").find("/subjects/0"), std::string::npos);
  for (const char* subject : {"", ".a", "a.", "a b", "a.>.b", "a\\n"})
    EXPECT_NE(refused("{\"subjects\":[\"" + std::string(subject) + "\"]}"), "taken") << subject;
  for (const char* subject : {"a", "a.*.b", ">", "a.>", "$SYS.x"})
    EXPECT_EQ(refused("{\"subjects\":[\"" + std::string(subject) + "\"]}"), "taken") << subject;
  EXPECT_NE(refused(R"({"subjects":["a"],"stream":{"name":"A"}})").find("second [[plugin]]"), std::string::npos);
  EXPECT_NE(refused(R"({"stream":{"name":"A.B"}})").find("/stream/name"), std::string::npos);
  EXPECT_NE(refused(R"({"stream":{"name":"A","from":"tomorrow"}})").find("\"tomorrow\""), std::string::npos);
  EXPECT_EQ(refused("{}"), "taken");  // a sink, a responder, or a source on demand
  EXPECT_NE(refused(R"({"url":"nats://u:secret@h"})").find("`token`"), std::string::npos);
  EXPECT_EQ(refused(R"({"url":"nats://u:secret@h"})").find("secret"), std::string::npos);
  EXPECT_NE(refused(R"({"token":"t","user":"u"})").find("four ways"), std::string::npos);
  EXPECT_NE(refused(R"({"password":"p"})").find("user is not"), std::string::npos);
  EXPECT_EQ(refused(R"({"user":"u"})"),
            "/user: user is there, but password is not; password = \"\" says that there is none");
  EXPECT_EQ(refused(R"({"user":"u","password":""})"), "taken");
  // The hub fills in defaults, and then nobody knew which of the two it was.
  const auto schema = sdk::json::parse(kManifest).required("config_schema").required("properties");
  EXPECT_EQ(schema.required("password").find("default"), nullptr);
  EXPECT_NE(refused(R"({"nkey":"U"})").find("nkey_seed"), std::string::npos);
  EXPECT_NE(refused(R"({"tls":{"certificate":"/dev/null"}})").find("/tls: certificate and key"), std::string::npos);
}

// All of them were only found when the instance could not connect, if at all.
TEST(NatsConfigTest, AUrlIsOfNats) {
  for (const char* url : {"nats://h:1", "tls://h:1", "h:1", "h"})
    EXPECT_EQ(refused("{\"url\":\"" + std::string(url) + "\"}"), "taken") << url;
  for (const std::string scheme : {"http", "https", "ws", "wss", "NATS", ""}) {
    const std::string why = refused("{\"url\":[\"nats://a\",\"" + scheme + "://h:1\"]}");
    EXPECT_TRUE(why.starts_with("/url: the url begins with \"" + scheme + "://\"; nats:// and tls:// are possible"))
        << why;
  }
}

TEST(NatsConfigTest, AFileThatIsNotThereIsNamed) {
  EXPECT_EQ(refused(R"({"credentials":"/none/x.creds"})"),
            "/credentials: the file /none/x.creds can't be read: No such file or directory");
  EXPECT_TRUE(refused(R"({"nkey":"U","nkey_seed":"/none/x.nk"})").starts_with("/nkey_seed: the file /none/x.nk"));
  EXPECT_TRUE(refused(R"({"tls":{"ca":"/none/a.pem"}})").starts_with("/tls/ca: the file /none/a.pem"));
  EXPECT_TRUE(refused(R"({"tls":{"certificate":"/none/c.pem","key":"/dev/null"}})").starts_with("/tls/certificate: "));
  EXPECT_TRUE(refused(R"({"tls":{"certificate":"/dev/null","key":"/none/k.pem"}})").starts_with("/tls/key: "));
}

TEST(NatsConfigTest, HeadersAreNames) {
  EXPECT_EQ(parsed(R"({"headers":["Trace-Id","X-*","*"]})").message.headers.size(), 3u);
  EXPECT_TRUE(parsed("{}").message.headers.empty());
  for (const char* wrong : {"", "a b", "a:", "X-*-b", "**", "*a", "gr\xc3\xbc\xc3\x9f", "a\\u0001"})
    EXPECT_TRUE(refused("{\"headers\":[\"a\",\"" + std::string(wrong) + "\"]}").starts_with("/headers/1: ")) << wrong;
}

}  // namespace
}  // namespace weir::nats
