// Which messages a shard compresses, for whom, and how often.
#include <gtest/gtest.h>

#include <random>

#include "hub.hpp"
#include "routing/frame.hpp"

namespace weir {
namespace {

using testing::at;
using testing::Client;
using testing::decode_ws;
using testing::Hub;
using testing::route;

EventPtr event(const std::string& data) {
  Draft d;
  d.event = "e";
  d.id = "1";
  d.data = data;
  d.time_ms = 1;
  return Event::make("c", "k", 7, d);
}

std::string words(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i) text += "word " + std::to_string(i % 100) + ", ";
  text.resize(size);
  return '"' + text + '"';
}

// Characters that need all of their bits, nearly.
std::string noise(std::size_t size) {
  std::mt19937 random(5);
  std::string text = "\"";
  while (text.size() <= size) {
    const char c = static_cast<char>(0x20 + random() % 0x5f);
    if (c != '"' && c != '\\') text += c;
  }
  return text + '"';
}

// ---------------------------------------------------------------- the frame and its twin

TEST(FrameDeflatedTest, TheTwinInflatesToTheSamePayloadAtEverySize) {
  Deflater deflater(1);
  Inflater inflater;
  std::size_t made = 0;
  for (std::size_t size = 0; size <= 70'000; size += size < 700 || (size > 64'500 && size < 66'000) ? 1 : 511) {
    const FramePtr frame(new Frame(event(words(size))));
    const FramePtr twin = frame->deflated(deflater);
    if (twin == nullptr) continue;
    ++made;
    ASSERT_LT(twin->bytes().size(), frame->bytes().size());
    const auto sent = decode_ws(twin->bytes());
    ASSERT_TRUE(sent && sent->compressed && sent->opcode == 1 && sent->size == twin->bytes().size()) << size;
    const auto text = inflater.inflate(sent->payload, 100'000);
    ASSERT_TRUE(text) << size;
    ASSERT_EQ(*text, decode_ws(frame->bytes())->payload) << size;
  }
  EXPECT_GT(made, 2000U);
}

TEST(FrameDeflatedTest, TheTwinIsMadeOnce) {
  Deflater deflater(1);
  const FramePtr frame(new Frame(event(words(1000))));
  EXPECT_FALSE(frame->deflate_tried());
  const FramePtr twin = frame->deflated(deflater);
  ASSERT_NE(twin, nullptr);
  EXPECT_TRUE(frame->deflate_tried());
  EXPECT_EQ(frame->deflated(deflater), twin);
  EXPECT_EQ(twin->use_count(), 2);
}

TEST(FrameDeflatedTest, WhatDoesNotGetSmallerHasNone) {
  Deflater deflater(1);
  const FramePtr tiny = text_frame("{}");
  EXPECT_EQ(tiny->deflated(deflater), nullptr);
  EXPECT_TRUE(tiny->deflate_tried());
  std::string bytes(5000, '\0');
  std::mt19937 random(3);
  for (char& c : bytes) c = static_cast<char>(random());
  EXPECT_EQ(text_frame(bytes)->deflated(deflater), nullptr);
}

// ---------------------------------------------------------------- the shard

EndpointRule compressing(std::size_t threshold = 256) {
  EndpointRule e;
  e.deflate = true;
  e.deflate_threshold = threshold;
  return e;
}

struct Room {
  explicit Room(const Limits& limits = {}) : hub({route("**")}, 1, limits) {}
  Client& subscriber(unsigned bits, std::size_t threshold = 256) {
    Client& c = hub.connect(Identity(), 0, compressing(threshold), bits);
    EXPECT_EQ(at(c.ask(R"({"type":"subscribe","id":1,"channel":"c"})"), "type"), "ack");
    return c;
  }
  const ConnectionCounters& counters() { return hub.shard().counters(); }
  Hub hub;
};

iovec first_part(const Client& c) {
  iovec part{};
  EXPECT_EQ(c.connection->outbox.gather({&part, 1}), 1U);
  return part;
}

TEST(ShardCompressionTest, AnEventIsCompressedOnceForAllWhoTakeItAndNotForOthers) {
  Room room;
  std::vector<Client*> with, without;
  for (int i = 0; i < 5; ++i) with.push_back(&room.subscriber(15)), without.push_back(&room.subscriber(0));
  room.hub.publish("c", words(2000));
  EXPECT_EQ(room.counters().deflated, 1U);
  const iovec twin = first_part(*with[0]), plain = first_part(*without[0]);
  EXPECT_LT(twin.iov_len, plain.iov_len / 2);
  for (const Client* c : with) {
    EXPECT_EQ(first_part(*c).iov_base, twin.iov_base);
    EXPECT_EQ(c->connection->outbox.bytes(), twin.iov_len);  // what is really owed
  }
  for (const Client* c : without) EXPECT_EQ(first_part(*c).iov_base, plain.iov_base);
  EXPECT_EQ(room.counters().deflate_saved, 5 * (plain.iov_len - twin.iov_len));
  const std::string text = without[0]->answer();
  for (Client* c : with) EXPECT_EQ(c->answer(), text);
  EXPECT_EQ(at(text, "data"), words(2000).substr(1, 2000));
}

TEST(ShardCompressionTest, TheThresholdCountsTheMessageWithoutItsFrame) {
  std::size_t size = 0;
  {
    Room room;
    Client& c = room.subscriber(0);
    room.hub.publish("c", words(500));
    size = c.answer().size();
  }
  Room room;
  Client &at_it = room.subscriber(15, size), &above = room.subscriber(15, size + 1);
  room.hub.publish("c", words(500));
  at_it.answer();
  above.answer();
  EXPECT_EQ(at_it.compressed, 1);
  EXPECT_EQ(above.compressed, 0);
}

TEST(ShardCompressionTest, AThresholdOfZeroStillLeavesWhatWouldGrow) {
  Room room;
  Client& c = room.subscriber(15, 0);
  const int before = c.compressed;
  EXPECT_EQ(c.ask(R"({"type":"ping"})"), R"({"type":"pong"})");
  EXPECT_EQ(c.compressed, before);
  room.hub.publish("c", noise(60));
  EXPECT_EQ(at(c.answer(), "type"), "event");
}

TEST(ShardCompressionTest, AClientWithASmallWindowGetsOnlyWhatFitsIntoIt) {
  for (unsigned bits = 9; bits <= 14; ++bits) {
    std::size_t envelope = 0;
    {
      Room room;
      Client& c = room.subscriber(0);
      room.hub.publish("c", words(1000));
      envelope = c.answer().size() - 1000;
    }
    Room room;
    Client& small = room.subscriber(bits);
    Client& large = room.subscriber(15);
    const std::size_t fits = (std::size_t{1} << bits) - envelope;
    room.hub.publish("c", words(fits));
    EXPECT_EQ(small.answer().size(), std::size_t{1} << bits);
    EXPECT_EQ(small.compressed, 1) << bits;
    room.hub.publish("c", words(fits + 1));
    small.answer();
    EXPECT_EQ(small.compressed, 1) << bits;
    EXPECT_EQ(large.take().size(), 2U);
    EXPECT_EQ(large.compressed, 2) << bits;
  }
}

TEST(ShardCompressionTest, ReplaysAndAnswersAreCompressedToo) {
  Room room;
  for (int i = 0; i < 10; ++i) room.hub.publish("c", words(1000));
  Client& c = room.hub.connect(Identity(), 0, compressing(), 15);
  c.say(R"({"type":"subscribe","id":1,"channel":"c","replay":10})");
  const auto frames = room.hub.read_all(c);
  ASSERT_EQ(frames.size(), 11U);
  EXPECT_EQ(c.compressed, 10);
  EXPECT_EQ(at(frames[10], "isReplay"), "true");
  for (int i = 0; i < 20; ++i)
    c.ask(R"({"type":"subscribe","id":1,"channel":"another/channel/)" + std::to_string(i) + R"("})");
  EXPECT_EQ(at(c.ask(R"({"type":"subscriptions","id":2})"), "type"), "ack");
  EXPECT_EQ(c.compressed, 11);
}

// Symptom that this keeps away: a hub that can't keep up compresses each event for each reader that has fallen behind,
// and so can't keep up.
TEST(ShardCompressionTest, WhatIsCompressedForOneAloneIsBoundedAndWhatIsSharedIsNot) {
  Room room;
  constexpr int kEvents = 3000;
  for (int i = 0; i < kEvents; ++i) room.hub.publish("c", words(1000));
  const auto replay = [&] {
    Client& c = room.hub.connect(Identity(), 0, compressing(), 15);
    c.say(R"({"type":"subscribe","id":1,"channel":"c","replay":3000})");
    EXPECT_EQ(room.hub.read_all(c).size(), 3001U);
    return c.compressed;
  };
  const int first = replay();
  EXPECT_GT(first, 800);
  EXPECT_LT(first, 1000);  // 1 MiB
  EXPECT_EQ(replay(), 0);
  Client& live = room.subscriber(15);
  for (int i = 0; i < 100; ++i) room.hub.publish("c", words(1000));
  EXPECT_EQ(live.take().size(), 100U);
  EXPECT_EQ(live.compressed, 100);
  room.hub.clock.advance(100);
  const int later = replay();
  EXPECT_GT(later, first / 4);  // 400 KiB
  EXPECT_LT(later, first / 2);
  room.hub.clock.advance(1'000'000);
  EXPECT_EQ(replay(), first);
}

TEST(ShardCompressionTest, AnOutboxThatIsFullIsFullOfCompressedBytes) {
  Limits limits;
  limits.outbox_bytes = 64 * 1024;
  Room room(limits);
  Client &with = room.subscriber(15), &without = room.subscriber(0);
  for (int i = 0; i < 100; ++i) room.hub.publish("c", words(1000));
  EXPECT_EQ(with.connection->outbox.frames(), 100U);
  EXPECT_LT(without.connection->outbox.frames(), 70U);
  EXPECT_EQ(room.hub.read_all(with).size(), 100U);
  EXPECT_EQ(room.hub.read_all(without).size(), 100U);
}

}  // namespace
}  // namespace weir
