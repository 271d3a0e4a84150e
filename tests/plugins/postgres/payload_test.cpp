#include "payload.hpp"

#include <gtest/gtest.h>

namespace weir::postgres {
namespace {

Template made(const std::string& text) {
  sdk::json::Value value;
  value.kind = sdk::json::Kind::string;
  value.text = text;
  return Template(value);
}

struct PostgresPayloadTest : testing::Test {
  PostgresPayloadTest() {
    config.subject = made("{subject}");
    config.event = made("message");
  }
  // What is made of it, in one text.
  std::string event(const std::string& payload) {
    PayloadReader reader(config);
    sdk::Event e;
    if (!reader.event_of("tasks", payload, e)) return "none";
    return std::string(e.subject) + "|" + std::string(e.event) + "|" + std::string(e.key) + "|" + std::string(e.id);
  }
  PayloadConfig config;
};

TEST_F(PostgresPayloadTest, FieldsOfThePayloadFillPlaces) {
  config.subject = made("{subject}.{field:room}");
  config.event = made("{field:type}");
  config.key = made("k{field:n}");
  config.id = made("{field:ok}");
  EXPECT_EQ(event(R"({"type":"done","room":"a","n":7.50,"ok":true})"), "tasks.a|done|k7.50|true");
  EXPECT_EQ(event(R"({"type":{"no":"text"},"n":null})"), "tasks.|message|k|");
  EXPECT_EQ(event("[1]"), "tasks.|message|k|");
  EXPECT_EQ(event("plain text"), "tasks.|message|k|");
}

TEST_F(PostgresPayloadTest, WhatIsTooLongIsCutBetweenCharacters) {
  config.event = made("{field:e}");
  std::string name = "x";
  for (int i = 0; i < 200; ++i) name += "ä";
  EXPECT_EQ(event("{\"e\":\"" + name + "\"}"), "tasks|" + name.substr(0, 255) + "||");
}

TEST_F(PostgresPayloadTest, KindsOfPayloads) {
  PayloadReader any(config);
  sdk::Event e;
  ASSERT_TRUE(any.event_of("a", "no json", e));
  EXPECT_EQ(e.kind, sdk::Data::any);
  config.kind = PayloadConfig::Kind::text;
  PayloadReader text(config);
  ASSERT_TRUE(text.event_of("a", "{}", e));
  EXPECT_EQ(e.kind, sdk::Data::text);
  config.kind = PayloadConfig::Kind::json;
  EXPECT_EQ(event("{}"), "tasks|message||");
  EXPECT_EQ(event("no json"), "none");
  EXPECT_EQ(event(""), "none");
}

TEST_F(PostgresPayloadTest, PlacesThatAreNoneAreRefused) {
  for (const char* text : {"{", "{}", "{field:}", "{header:x}", "a{subject"})
    EXPECT_THROW(made(text), sdk::Failure) << text;
}

}  // namespace
}  // namespace weir::postgres
