#include <gtest/gtest.h>

#include "protocol/client_frame.hpp"
#include "protocol/server_frame.hpp"

namespace weir {
namespace {

json::Doc doc;
auto read(std::string_view text) { return read_client_frame(text, doc, 8); }

TEST(ClientFrameTest, EveryTypeIsRead) {
  for (const char* text :
       {R"({"type":"auth","id":1,"token":"t"})", R"({"type":"subscribe","channel":"a"})",
        R"({"type":"unsubscribe","channels":["a","b"]})", R"({"type":"publish","channel":"a","event":"e","data":null})",
        R"({"type":"request","method":"m"})", R"({"type":"ack","channel":"a","sequenceId":1})",
        R"({"type":"ack","messageId":"x"})", R"({"type":"subscriptions","id":"s"})", R"({"type":"ping","unknown":{}})",
        R"({"type":"pong"})"})
    EXPECT_TRUE(read(text)) << text;
}

TEST(ClientFrameTest, WhatIsNoFrameAtAllCloses) {
  for (const char* text : {"", "x", "[]", "1", "{\"type\":\"ping\"", R"({"a":[[[[[[[[[1]]]]]]]]]})"}) {
    const auto f = read(text);
    ASSERT_FALSE(f) << text;
    EXPECT_EQ(f.error().close, CloseCode::policy) << text;
    EXPECT_EQ(f.error().error.code, Errc::bad_frame) << text;
  }
}

TEST(ClientFrameTest, AWrongFieldIsRefusedWithItsIdAndWithoutClose) {
  for (const char* text :
       {R"({"id":7})", R"({"id":7,"type":1})", R"({"id":7,"type":"dance"})", R"({"id":7,"type":"subscribe"})",
        R"({"id":7,"type":"subscribe","channel":1})", R"({"id":7,"type":"subscribe","channel":"a","channels":["b"]})",
        R"({"id":7,"type":"subscribe","channels":[]})", R"({"id":7,"type":"subscribe","channels":[1]})",
        R"({"id":7,"type":"publish","channel":"a"})", R"({"id":7,"type":"publish","channel":"a","event":""})",
        R"({"id":7,"type":"publish","channels":["a"],"event":"e","data":1})",
        R"({"id":7,"type":"publish","channel":"a","event":"e"})", R"({"id":7,"type":"auth"})",
        R"({"id":7,"type":"request"})", R"({"id":7,"type":"ack","channel":"a","sequenceId":0})",
        R"({"id":7,"type":"subscribe","channel":"a","params":1})"}) {
    const auto f = read(text);
    ASSERT_FALSE(f) << text;
    EXPECT_FALSE(f.error().close) << text;
    EXPECT_EQ(f.error().id, "7") << text;
  }
}

TEST(ClientFrameTest, AnIdIsAStringOrAnInteger) {
  EXPECT_EQ(read(R"({"type":"ping","id":"a\"b"})")->id, R"("a\"b")");
  EXPECT_EQ(read(R"({"type":"ping","id":-3})")->id, "-3");
  EXPECT_EQ(read(R"({"type":"ping","id":null})")->id, "");
  EXPECT_FALSE(read(R"({"type":"ping","id":1.5})"));
  EXPECT_FALSE(read(R"({"type":"ping","id":{}})"));
  EXPECT_TRUE(read("{\"type\":\"ping\",\"id\":\"" + std::string(128, 'x') + "\"}"));
  EXPECT_FALSE(read("{\"type\":\"ping\",\"id\":\"" + std::string(129, 'x') + "\"}"));
}

TEST(ClientFrameTest, ReplayHasFourForms) {
  const auto replay = [](const std::string& text) {
    return read("{\"type\":\"subscribe\",\"channel\":\"a\",\"replay\":" + text + "}");
  };
  using Kind = ReplayRequest::Kind;
  EXPECT_EQ(replay("\"none\"")->replay.kind, Kind::none);
  EXPECT_EQ(replay("0")->replay.kind, Kind::none);
  EXPECT_EQ(replay("\"last\"")->replay.kind, Kind::last);
  EXPECT_EQ(replay("5")->replay.count, 5U);
  EXPECT_EQ(replay(R"({"epoch":"k3","sequenceId":42})")->replay.since, (Position{"k3", 42}));
  for (const char* wrong : {"-1", "1.5", "\"first\"", "[]", "{}", R"({"epoch":1,"sequenceId":1})",
                            R"({"epoch":"k","sequenceId":-1})", "true"})
    EXPECT_FALSE(replay(wrong)) << wrong;
}

TEST(ClientFrameTest, OfTwoMembersWithOneNameTheLastCountsAlsoWhenItsNameIsEscaped) {
  const auto f = read(R"({"type":"ping","channel":"a","event":"x","data":1,"type":"publish","event":"e","key":"k",)"
                      R"("\u0064ata":{"x":2},"ch\u0061nnel":"b","dedupe":"d","id":1,"id":2})");
  ASSERT_TRUE(f);
  EXPECT_EQ(f->type, ClientFrame::Type::publish);
  EXPECT_EQ(f->channel, "b");
  EXPECT_EQ(f->event, "e");
  EXPECT_EQ(f->data, R"({"x":2})");
  EXPECT_EQ(f->key, "k");
  EXPECT_EQ(f->dedupe, "d");
  EXPECT_EQ(f->id, "2");
  EXPECT_FALSE(read(R"({"type":"publish","channel":"a","event":"e","data":1,"\u0065vent":1})"));
  EXPECT_FALSE(read(R"({"type":"publish","channel":"a","event":"e","data":1,"key":null})"));
  EXPECT_EQ(read(R"({"type":"p\u0069ng"})")->type, ClientFrame::Type::ping);
}

TEST(ClientFrameTest, WhatIsNearlyAKnownNameIsUnknown) {
  const auto f = read(
      R"({"type":"publish","channel":"a","event":"e","data":null,"Data":1,"date":2,"dat":3,"data ":4,"":5,"keys":6,)"
      R"("data\u0000":7,"channels":8,"ids":9,"x":{"data":10,"event":11}})");
  ASSERT_TRUE(f);
  EXPECT_EQ(f->data, "null");
  EXPECT_EQ(f->event, "e");
  EXPECT_EQ(f->key, "");
  EXPECT_EQ(f->id, "");
  EXPECT_TRUE(f->channels.empty());
}

TEST(ClientFrameTest, EveryMemberIsFoundWhateverElseIsThere) {
  EXPECT_EQ(read(R"({"token":"t","type":"auth"})")->token, "t");
  EXPECT_EQ(read(R"({"method":"m","type":"request"})")->method, "m");
  const auto f =
      read(R"({"params":{},"replay":3,"filter":{"event":"e"},"channels":["a","\u0062"],"type":"subscribe"})");
  ASSERT_TRUE(f);
  EXPECT_EQ(f->channels, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(f->many);
  EXPECT_EQ(f->filter.raw(), R"({"event":"e"})");
  EXPECT_EQ(f->replay.count, 3U);
  const auto one = read(R"({"type":"unsubscribe","channel":"a"})");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->channels, std::vector<std::string>{"a"});
  EXPECT_FALSE(one->many);
}

TEST(ClientFrameTest, ARefusalNamesTheMemberAndTheValue) {
  const auto why = [](std::string_view text) { return read(text).error().error.message; };
  EXPECT_EQ(why(R"({"type":"publish","channel":"a"})"), "\"event\" is missing; expected a string");
  EXPECT_EQ(why(R"({"type":"publish","channel":"a","event":{}})"), "\"event\" is an object; expected a string");
  EXPECT_EQ(why(R"({"type":"publish","channel":"","event":"e"})"), "\"channel\" is empty");
  EXPECT_EQ(why("{\"type\":\"publish\",\"channel\":\"a\",\"event\":\"e\",\"key\":\"" + std::string(256, 'k') + "\"}"),
            "\"key\" has 256 bytes; at most 255 are allowed");
  EXPECT_EQ(why(R"({"type":"publish","channel":"a","event":"e"})"),
            "\"data\" is missing; any JSON value will do, null too");
  EXPECT_EQ(why(R"({"type":"subscribe","channels":[]})"),
            "\"channels\" has 0 names; expected a list of 1 to 1000 channel names");
  EXPECT_EQ(why(R"({"type":"subscribe","channels":"a"})"),
            "\"channels\" is a string; expected a list of 1 to 1000 channel names");
  EXPECT_EQ(why("{\"type\":\"ping\",\"id\":\"" + std::string(129, 'x') + "\"}"),
            "\"id\" has 129 bytes; at most 128 are allowed");
  EXPECT_EQ(why(R"({"type":"ping","id":9223372036854775808})"),
            "\"id\" is 9223372036854775808; expected a string or an integer of 64 bits");
  EXPECT_EQ(why(R"({"type":"ping","id":{}})"), "\"id\" is an object; expected a string or an integer of 64 bits");
  EXPECT_EQ(why(R"({"type":"ack","channel":"a","sequenceId":1.5})"),
            "\"sequenceId\" is 1.5; expected an integer from 1 below 2^63");
  EXPECT_EQ(why(R"({"type":"ack","sequenceId":1})"), "an ack names \"channel\" and \"sequenceId\", or \"messageId\"");
}

// JSON.stringify writes one for half an emoji that a text was cut at: no reason to lose the connection.
TEST(ClientFrameTest, HalfASurrogatePairIsAnsweredAndDoesNotClose) {
  const auto f = read(R"({"type":"publish","id":7,"channel":"a","event":"e","data":"\ud83d"})");
  ASSERT_FALSE(f);
  EXPECT_FALSE(f.error().close);
  EXPECT_EQ(f.error().id, "7");
  EXPECT_EQ(f.error().error.code, Errc::bad_request);
  EXPECT_EQ(
      f.error().error.message,
      "at byte 59: \\ud83d is half of a surrogate pair and stands for no character; was a text cut in the middle of "
      "one?");
  EXPECT_TRUE(read(R"({"type":"publish","id":7,"channel":"a","event":"e","data":"\ud83d)").error().close);
}

TEST(ClientFrameTest, DataIsTakenByteForByte) {
  EXPECT_EQ(read(R"({"type":"publish","channel":"a","event":"e","data": { "x" : 1.0 } })")->data, R"({ "x" : 1.0 })");
}

TEST(ServerFrameTest, TheTextIsExact) {
  using namespace server_frame;
  EXPECT_EQ(ack("7", "{}"), R"({"type":"ack","id":7,"data":{}})");
  EXPECT_EQ(error("", fail(Errc::bad_filter, "no")), R"({"type":"error","data":{"code":"bad_filter","message":"no"}})");
  Error busy = fail(Errc::rate_limited, "slow");
  busy.retry_after_ms = 100;
  EXPECT_EQ(
      error("\"a\"", busy),
      R"({"type":"error","id":"a","data":{"code":"rate_limited","message":"slow","retry":true,"retryAfterMs":100}})");
  EXPECT_EQ(gap("a", "k3", {2, 4, 3, "history"}),
            R"({"type":"gap","data":{"channel":"a","epoch":"k3","from":2,"to":4,"count":3,"reason":"history"}})");
  EXPECT_EQ(gap("a", "k3", {0, 0, 0, "x"}),
            R"({"type":"gap","data":{"channel":"a","epoch":null,"from":null,"to":null,"count":null,"reason":"x"}})");
  EXPECT_EQ(closing(CloseCode::draining, "bye", 1, 2),
            R"({"type":"closing","data":{"code":4503,"reason":"bye","reconnectIn":[1,2]}})");
  EXPECT_EQ(publish_result("a", {"k", 3}, true), R"({"channel":"a","epoch":"k","sequenceId":3,"duplicate":true})");
  EXPECT_EQ(publish_dropped("a", "r"), R"({"channel":"a","dropped":true,"reason":"r"})");
  EXPECT_EQ(pong("1"), R"({"type":"pong","id":1})");
  EXPECT_EQ(ping(), R"({"type":"ping"})");
}

}  // namespace
}  // namespace weir
