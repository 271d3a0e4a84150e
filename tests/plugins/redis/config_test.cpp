#include "config.hpp"

#include <gtest/gtest.h>

namespace weir::redis {
namespace {

Config parsed(const std::string& json) { return parse_config(sdk::json::parse(json)); }
Address address(const std::string& url) { return parsed("{\"channels\":[\"a\"],\"url\":\"" + url + "\"}").address; }

std::string refused(const std::string& json) {
  try {
    (void)parsed(json);
  } catch (const sdk::Failure& f) {
    return f.json_pointer() + ": " + f.what();
  }
  return "taken";
}

TEST(RedisConfigTest, Urls) {
  EXPECT_EQ(address("redis://cache").text(), "cache:6379");
  EXPECT_EQ(address("redis://cache:7000/3").text(), "cache:7000");
  EXPECT_EQ(address("redis://cache:7000/3").database, 3);
  EXPECT_EQ(address("redis://[::1]:7000").host, "::1");
  EXPECT_EQ(address("redis://[::1]").port, "6379");
  EXPECT_EQ(address("unix:/run/redis.sock").socket, "/run/redis.sock");
  for (const char* wrong : {"redis:/x", "http://x", "redis://", "redis://a:b", "redis://a:0", "redis://a:70000",
                            "redis://a/x", "redis://[::1", "unix:"})
    EXPECT_NE(refused("{\"channels\":[\"a\"],\"url\":\"" + std::string(wrong) + "\"}").find("/url"), std::string::npos)
        << wrong;
}

TEST(RedisConfigTest, WhatIsWrongIsNamed) {
  EXPECT_NE(refused(R"({"channels":["a"],"url":"redis://:secret@a"})").find("`password`"), std::string::npos);
  EXPECT_EQ(refused(R"({"channels":["a"],"url":"redis://:secret@a"})").find("secret"), std::string::npos);
  EXPECT_EQ(refused("{}"), "taken");  // a sink
  EXPECT_NE(refused(R"({"publish":{"max_length":5}})").find("/publish/max_length"), std::string::npos);
  EXPECT_EQ(refused(R"({"publish":{"to":"stream","max_length":5}})"), "taken");
  EXPECT_NE(refused(R"({"channels":["a"],"stream":{"keys":["b"]}})").find("second [[plugin]]"), std::string::npos);
  EXPECT_NE(refused(R"({"stream":{"keys":["b"],"from":"yesterday"}})").find("\"yesterday\""), std::string::npos);
  EXPECT_NE(refused(R"({"channels":["a"],"user":"u"})").find("password is not"), std::string::npos);
  EXPECT_NE(refused(R"({"stream":{"keys":["b"],"claim":"10ms"}})").find("/stream/claim"), std::string::npos);
  EXPECT_NE(refused(R"({"channels":["b","session:1"],"patterns":["session:*"]})").find("would come twice"),
            std::string::npos);
  EXPECT_EQ(refused(R"({"channels":["session"],"patterns":["session:*"]})"), "taken");
  EXPECT_EQ(parsed(R"({"stream":{"keys":["b"]}})").stream->from, "0");
  EXPECT_EQ(parsed(R"({"stream":{"keys":["b"],"from":"new"}})").stream->from, "$");
}

TEST(RedisConfigTest, Patterns) {
  for (const auto& [pattern, channel] : {std::pair{"*", ""},
                                         {"*", "a"},
                                         {"a*c", "abbc"},
                                         {"a*b*c", "aXbbYc"},
                                         {"h?llo", "hello"},
                                         {"h[ae]llo", "hallo"},
                                         {"h[^e]llo", "hallo"},
                                         {"h[a-c]llo", "hbllo"},
                                         {"a\\*", "a*"},
                                         {"", ""},
                                         {"a**", "a"},
                                         {"[\\]]", "]"}})
    EXPECT_TRUE(matches(pattern, channel)) << pattern << " " << channel;
  for (const auto& [pattern, channel] : {std::pair{"", "a"},
                                         {"a", ""},
                                         {"a*c", "abcd"},
                                         {"h?llo", "hllo"},
                                         {"h[ae]llo", "hillo"},
                                         {"h[^e]llo", "hello"},
                                         {"h[a-c]llo", "hdllo"},
                                         {"a\\*", "ab"},
                                         {"a?", "a"}})
    EXPECT_FALSE(matches(pattern, channel)) << pattern << " " << channel;
}

}  // namespace
}  // namespace weir::redis
