#include "protocol/deflate.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "support/zlib_client.hpp"

namespace weir {
namespace {

using testing::deflate_as_client;
using testing::inflate_as_client;

std::string json_like(std::size_t size) {
  std::string text;
  text.reserve(size + 40);
  for (std::size_t i = 0; text.size() < size; ++i)
    text += "{\"id\":" + std::to_string(i) + ",\"name\":\"agent-" + std::to_string(i % 17) + "\"},";
  text.resize(size);
  return text;
}

std::string noise(std::size_t size) {
  std::mt19937_64 random(7);
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(random());
  return bytes;
}

TEST(DeflaterTest, AMessageOfAnySizeComesBackAsItWas) {
  Deflater deflater(1);
  const std::string text = json_like(70'000);
  for (std::size_t size = 0; size <= text.size(); size += size < 3000 ? 1 : 997) {
    const std::string_view message = std::string_view(text).substr(0, size);
    const std::string_view payload = deflater.deflate(message);
    if (payload.empty()) {
      ASSERT_LT(size, 200U) << "text of that size gets smaller";
      continue;
    }
    ASSERT_LT(payload.size(), size);
    ASSERT_EQ(inflate_as_client(payload), message) << size;
  }
}

TEST(DeflaterTest, EveryLevelMakesTheSameMessage) {
  const std::string text = json_like(20'000);
  for (int level = 1; level <= 9; ++level) {
    Deflater deflater(level);
    EXPECT_EQ(inflate_as_client(deflater.deflate(text)), text) << level;
  }
}

TEST(DeflaterTest, WhatDoesNotGetSmallerIsLeft) {
  Deflater deflater(1);
  for (const std::size_t size : {0U, 1U, 2U, 5U, 100U, 1000U, 70'000U})
    EXPECT_TRUE(deflater.deflate(noise(size)).empty()) << size;
  EXPECT_TRUE(deflater.deflate("abcdefg").empty());
}

// One message must not have an effect on the next: there is no context, also after one that was given up half way.
TEST(DeflaterTest, MessagesKnowNothingOfEachOther) {
  Deflater deflater(1);
  const std::string text = json_like(3000), first(deflater.deflate(text));
  EXPECT_TRUE(deflater.deflate(noise(5000)).empty());
  EXPECT_EQ(deflater.deflate(text), first);
  EXPECT_EQ(inflate_as_client(first), text);
}

// A client that was promised a window of 2^n gets only messages up to that size compressed (Shard::send).
TEST(DeflaterTest, AWindowAsLargeAsTheMessageIsEnough) {
  Deflater deflater(9);
  for (int bits = 9; bits <= 15; ++bits) {
    const std::size_t size = std::size_t{1} << bits;
    // The same at both ends, so that it is worth reaching back as far as it goes.
    const std::string end = json_like(60), text = end + noise(size / 2) + std::string(size / 2 - 120, 'x') + end;
    ASSERT_EQ(text.size(), size);
    const auto payload = deflater.deflate(text);
    ASSERT_FALSE(payload.empty());
    EXPECT_EQ(inflate_as_client(payload, bits), text) << bits;
  }
}

TEST(InflaterTest, WhatClientsCompressComesBackAsItWas) {
  Inflater inflater;
  for (const std::size_t size : {0U, 1U, 2U, 100U, 4095U, 4096U, 4097U, 8192U, 65'535U, 65'536U, 300'000U})
    for (const int level : {0, 1, 6, 9})
      for (const std::string& message : {json_like(size), noise(size), std::string(size, 'a')}) {
        const auto got = inflater.inflate(deflate_as_client(message, level), size);
        ASSERT_TRUE(got) << size << ' ' << level << ' ' << got.error().message;
        ASSERT_EQ(*got, message) << size << ' ' << level;
      }
}

// Every size around the places where the buffer grows: nothing that is still inside zlib may be forgotten.
TEST(InflaterTest, RunsOfEveryLengthComeBackAsTheyWere) {
  Inflater inflater;
  for (std::size_t size = 0; size < 17'000; size += size < 3000 || size > 16'000 ? 1 : 7) {
    const std::string message(size, 'a');
    const auto got = inflater.inflate(deflate_as_client(message), 1 << 20);
    ASSERT_TRUE(got) << size;
    ASSERT_EQ(*got, message) << size;
  }
}

// RFC 7692 section 7.2.3: the examples, as they stand there.
TEST(InflaterTest, TheExamplesOfTheRfc) {
  Inflater inflater;
  const auto inflate = [&](std::initializer_list<int> bytes) {
    std::string payload;
    for (const int b : bytes) payload += static_cast<char>(b);
    const auto got = inflater.inflate(payload, 100);
    return got ? std::string(*got) : got.error().message;
  };
  EXPECT_EQ(inflate({0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}), "Hello");
  EXPECT_EQ(inflate({0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00}), "Hello");  // no compression
  EXPECT_EQ(inflate({0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00}), "Hello");                    // BFINAL
  EXPECT_EQ(inflate({0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00}),
            "Hello");  // two blocks
  EXPECT_EQ(inflate({0x00}), "");
  EXPECT_EQ(inflate({}), "");
}

TEST(InflaterTest, AFinalBlockEndsAMessageAndNotTheStream) {
  Inflater inflater;
  for (const std::size_t size : {0U, 1U, 3000U, 100'000U}) {
    const std::string message = json_like(size), payload = deflate_as_client(message, 6, true);
    const auto with = inflater.inflate(payload, 1 << 20);
    ASSERT_TRUE(with);
    EXPECT_EQ(*with, message);
    const auto without = inflater.inflate(std::string_view(payload).substr(0, payload.size() - 1), 1 << 20);
    ASSERT_TRUE(without);
    EXPECT_EQ(*without, message);
    const auto after = inflater.inflate(deflate_as_client("next"), 100);
    ASSERT_TRUE(after);
    EXPECT_EQ(*after, "next");
  }
}

TEST(InflaterTest, TheLimitHoldsToTheByte) {
  Inflater inflater;
  for (const std::size_t size : {1U, 100U, 4096U, 4097U, 100'000U}) {
    const std::string payload = deflate_as_client(std::string(size, 'a'));
    EXPECT_TRUE(inflater.inflate(payload, size)) << size;
    const auto larger = inflater.inflate(payload, size - 1);
    ASSERT_FALSE(larger) << size;
    EXPECT_EQ(larger.error().code, Errc::too_large);
  }
  EXPECT_TRUE(inflater.inflate(std::string(1, '\0'), 0));
}

TEST(InflaterTest, ABombIsStoppedAtTheLimit) {
  Inflater inflater;
  const std::string bomb = deflate_as_client(std::string(20 << 20, 'a'), 9);
  EXPECT_LT(bomb.size(), std::size_t{25} << 10);
  const auto got = inflater.inflate(bomb, 1 << 20);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Errc::too_large);
  const auto after = inflater.inflate(deflate_as_client("next"), 100);
  ASSERT_TRUE(after);
  EXPECT_EQ(*after, "next");
}

TEST(InflaterTest, WhatIsNoDeflateStreamIsRefused) {
  Inflater inflater;
  const std::string good = deflate_as_client(json_like(5000));
  std::vector<std::string> bad = {"\x07", "\xff\xff\xff\xff", std::string(1000, '\xff'), "no deflate stream"};
  for (const std::size_t size : {1UL, 2UL, 10UL, good.size() / 2, good.size() - 2})
    bad.push_back(good.substr(0, size));  // breaks off
  for (const std::string& payload : bad) {
    const auto got = inflater.inflate(payload, 1 << 20);
    ASSERT_FALSE(got) << payload.size();
    EXPECT_EQ(got.error().code, Errc::bad_frame);
    const auto after = inflater.inflate(good, 5000);
    ASSERT_TRUE(after);
    EXPECT_EQ(*after, json_like(5000));
  }
}

}  // namespace
}  // namespace weir
