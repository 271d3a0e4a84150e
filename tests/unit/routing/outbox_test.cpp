#include "routing/outbox.hpp"

#include <gtest/gtest.h>

#include "base/json.hpp"
#include "support/ws_decode.hpp"

namespace weir {
namespace {

std::string waiting(const Outbox& outbox) {
  iovec parts[8];
  std::string all;
  for (std::size_t i = 0, n = outbox.gather(parts); i < n; ++i)
    all.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  return all;
}

TEST(OutboxTest, WhatIsSentInPiecesLeavesInOrder) {
  Outbox outbox;
  outbox.push(FramePtr(new Frame(std::string("abc"))));
  outbox.push(FramePtr(new Frame(std::string("defg"))));
  EXPECT_EQ(outbox.bytes(), 7U);
  outbox.sent(2);
  EXPECT_EQ(waiting(outbox), "cdefg");
  outbox.sent(2);
  EXPECT_EQ(waiting(outbox), "efg");
  EXPECT_EQ(outbox.frames(), 1U);
  outbox.sent(3);
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.bytes(), 0U);
}

TEST(OutboxTest, DroppingKeepsTheFrameThatIsHalfSent) {
  Outbox outbox;
  outbox.push(FramePtr(new Frame(std::string("abc"))));
  outbox.push(FramePtr(new Frame(std::string("def"))));
  outbox.sent(1);
  outbox.drop_unsent();
  EXPECT_EQ(waiting(outbox), "bc");
  EXPECT_EQ(outbox.bytes(), 2U);
  outbox.sent(2);
  outbox.push(FramePtr(new Frame(std::string("x"))));
  outbox.drop_unsent();
  EXPECT_TRUE(outbox.empty());
}

// More frames than one block holds, in every combination of pushing and sending.
TEST(OutboxTest, AnyNumberOfFramesLeavesInOrderInPiecesOfAnySize) {
  for (const std::size_t piece : {1U, 3U, 7U, 100U, 1000U}) {
    Outbox outbox;
    std::string pushed, left;
    std::size_t next = 0;
    for (int round = 0; round < 50; ++round) {
      for (int i = 0; i < round; ++i, ++next) {
        const std::string text = "<" + std::to_string(next) + ">";
        pushed += text;
        outbox.push(FramePtr(new Frame(text)));
      }
      for (int i = 0; i < 5 && !outbox.empty(); ++i) {
        std::string first = waiting(outbox);
        if (first.size() > piece) first.resize(piece);
        left += first;
        outbox.sent(first.size());
      }
      ASSERT_EQ(outbox.bytes(), pushed.size() - left.size());
    }
    while (!outbox.empty()) {
      const std::string first = waiting(outbox);
      left += first;
      outbox.sent(first.size());
    }
    EXPECT_EQ(left, pushed);
  }
}

TEST(OutboxTest, WhatFramesHoldIsCountedOnceHoweverManyShareThem) {
  const std::size_t before = Frame::alive();
  {
    Outbox a, b;
    const FramePtr frame(new Frame(std::string(100, 'x')));
    for (int i = 0; i < 40; ++i) a.push(frame), b.push(frame);
    EXPECT_EQ(Frame::alive(), before + 100);
    b.push(FramePtr(new Frame(std::string(5, 'y'))));
    EXPECT_EQ(Frame::alive(), before + 105);
  }
  EXPECT_EQ(Frame::alive(), before);
}

TEST(EventFrameTest, LiveAndReplayAreWholeFramesAtEverySizeOfHeader) {
  for (const std::size_t edge : {std::size_t{126}, std::size_t{65536}})
    for (std::size_t pad = edge > 400 ? edge - 300 : 0; pad < edge + 20; ++pad) {
      Draft d;
      d.event = "e";
      d.id = "1";
      d.key = "k";
      d.data = "\"" + std::string(pad, 'x') + "\"";
      const EventPtr event = Event::make("c", "k", 7, d);
      for (const bool replay : {false, true}) {
        const std::string bytes = replay ? event->replay_frame() : std::string(event->frame());
        const auto frame = testing::decode_ws(bytes);
        ASSERT_TRUE(frame && frame->size == bytes.size() && frame->opcode == 1) << pad;
        if (pad % 50 != 0) continue;
        json::Doc doc;
        ASSERT_TRUE(doc.parse(frame->payload)) << pad;
        ASSERT_EQ(doc.root().find("isReplay").boolean(), replay);
        ASSERT_EQ(doc.root().find("data").raw(), d.data);
      }
      ASSERT_EQ(event->data(), d.data);
      ASSERT_EQ(event->key(), "k");
    }
}

TEST(EventFrameTest, NamesAreEscapedInTheFrameAndSeenAsTheyAre) {
  const std::string long_name = "caf\xC3\xA9 \"" + std::string(300, 'n') + "\"\n";
  const std::string names[] = {"plain", "with \"quotes\"", "back\\slash", "line\nbreak", "caf\xC3\xA9", long_name, ""};
  for (const std::string& a : names)
    for (const std::string& b : names) {
      Draft d;
      d.event = a.empty() ? "e" : a;
      d.id = b.empty() ? "i" : b;
      d.key = b;
      d.data = "[1]";
      d.time_ms = 1'770'724'800'007;
      const EventPtr event = Event::make(a + "c", "k3f9", 18'446'744'073'709'551'615U, d);
      EXPECT_EQ(event->channel(), a + "c");
      EXPECT_EQ(event->name(), d.event);
      EXPECT_EQ(event->id(), d.id);
      EXPECT_EQ(event->key(), d.key);
      EXPECT_EQ(event->data(), "[1]");
      const auto frame = testing::decode_ws(event->frame());
      ASSERT_TRUE(frame && frame->size == event->frame().size());
      std::string wanted = "{\"type\":\"event\",\"channel\":" + json::quoted(a + "c") +
                           ",\"event\":" + json::quoted(d.event) + ",\"id\":" + json::quoted(d.id);
      if (!b.empty()) wanted += ",\"key\":" + json::quoted(b);
      wanted +=
          ",\"epoch\":\"k3f9\",\"sequenceId\":18446744073709551615,\"emittedAt\":\"2026-02-10T12:00:00.007Z\","
          "\"isReplay\":"
          "false,\"data\":[1]}";
      EXPECT_EQ(frame->payload, wanted);
    }
}

TEST(WsHeaderTest, ThePayloadLengthTakesItsShortestForm) {
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 125, 126, 65535, 65536}) {
    const std::string bytes = ws_frame(1, std::string(size, 'x'));
    const auto frame = testing::decode_ws(bytes);
    ASSERT_TRUE(frame) << size;
    EXPECT_EQ(frame->payload.size(), size);
  }
}

}  // namespace
}  // namespace weir
