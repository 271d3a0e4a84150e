#include "protocol/deflate_marks.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace weir {
namespace {

using Message = DeflateMarks::Message;

// A frame as a client sends it; `first` is its first byte.
std::string frame(unsigned first, std::size_t payload, char fill = '\xc1') {
  std::string out(1, static_cast<char>(first));
  if (payload < 126) {
    out += static_cast<char>(0x80U | payload);
  } else {
    const int bytes = payload <= 0xffff ? 2 : 8;
    out += static_cast<char>(bytes == 2 ? 0xfe : 0xff);
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(payload >> (8 * i) & 0xff);
  }
  return out + std::string(4, '\xc1') + std::string(payload, fill);  // a mask that looks like the start of a frame
}

TEST(DeflateMarksTest, TheMarkIsTakenOffAndRemembered) {
  const std::vector<std::pair<unsigned, unsigned>> frames = {
      {0x81, 0x81}, {0xc1, 0x82}, {0x82, 0x82}, {0xc2, 0x82},  // text, compressed text, binary, compressed binary
      {0x89, 0x89}, {0xc1, 0x82}, {0x8a, 0x8a}, {0x81, 0x81}, {0x88, 0x88}};
  for (const std::size_t payload : {0U, 1U, 125U, 126U, 65'535U, 65'536U}) {
    std::string sent, expected;
    for (const auto& [before, after] : frames) {
      sent += frame(before, payload);
      expected += frame(after, payload);
    }
    for (const std::size_t step : {sent.size(), std::size_t{1}, std::size_t{7}, std::size_t{1536}}) {
      if (step < 7 && payload > 1000) continue;
      DeflateMarks marks;
      std::string bytes = sent;
      for (std::size_t i = 0; i < bytes.size(); i += step) marks.pass(&bytes[i], std::min(step, bytes.size() - i));
      ASSERT_EQ(bytes, expected) << payload << " in steps of " << step;
      for (const Message m :
           {Message::plain, Message::text, Message::plain, Message::binary, Message::text, Message::plain})
        EXPECT_EQ(marks.next(), m);
    }
  }
}

// The first frame of a message has the mark, those that go on with it may not; control frames may stand between them.
TEST(DeflateMarksTest, AMessageInPiecesIsOneMessage) {
  DeflateMarks marks;
  std::string bytes =
      frame(0x41, 10) + frame(0x00, 0) + frame(0x89, 4) + frame(0x00, 200) + frame(0x80, 3) + frame(0x81, 1);
  const std::string expected =
      frame(0x02, 10) + frame(0x00, 0) + frame(0x89, 4) + frame(0x00, 200) + frame(0x80, 3) + frame(0x81, 1);
  marks.pass(bytes.data(), bytes.size());
  EXPECT_EQ(bytes, expected);
  EXPECT_EQ(marks.next(), Message::text);
  EXPECT_EQ(marks.next(), Message::plain);
}

TEST(DeflateMarksTest, AMarkThatMeansNothingIsLeftForTheReaderToRefuse) {
  for (const unsigned first : {0xc0U, 0x40U, 0xc8U, 0xc9U, 0xcaU, 0xe1U, 0xd1U, 0xf2U, 0xa1U, 0xc3U, 0xcfU}) {
    DeflateMarks marks;
    std::string bytes = frame(first, 20);
    const std::string before = bytes;
    marks.pass(bytes.data(), bytes.size());
    EXPECT_EQ(bytes, before) << first;
  }
}

TEST(DeflateMarksTest, AFrameOfAnyClaimedLengthIsJustLong) {
  for (const std::string& length : {std::string(8, '\xff'), std::string("\x7f\xff\xff\xff\xff\xff\xff\xff", 8)}) {
    DeflateMarks marks;
    std::string bytes = "\xc1\xff" + length + std::string(100'000, '\xc1');
    const std::string before = bytes;
    marks.pass(bytes.data(), bytes.size());
    EXPECT_EQ(bytes[0], '\x82');
    EXPECT_EQ(bytes.substr(1), before.substr(1));
  }
}

TEST(DeflateMarksTest, ManyMessagesReadAheadKeepTheirOrder) {
  DeflateMarks marks;
  std::vector<Message> waiting;
  std::size_t asked = 0;
  for (int i = 0; i < 5000; ++i) {
    const bool compressed = i % 3 == 0 || i % 7 == 0;
    std::string bytes = frame(compressed ? 0xc1 : 0x81, static_cast<std::size_t>(i % 5));
    marks.pass(bytes.data(), bytes.size());
    waiting.push_back(compressed ? Message::text : Message::plain);
    while (asked + static_cast<std::size_t>(i % 256) < waiting.size()) ASSERT_EQ(marks.next(), waiting[asked++]);
  }
  while (asked < waiting.size()) ASSERT_EQ(marks.next(), waiting[asked++]);
}

TEST(DeflateMarksTest, OnceForgottenNothingIsKeptAndMarksStillGo) {
  DeflateMarks marks;
  std::string bytes = frame(0xc1, 3);
  marks.pass(bytes.data(), bytes.size());
  marks.forget();
  bytes = frame(0xc1, 3);
  marks.pass(bytes.data(), bytes.size());
  EXPECT_EQ(bytes, frame(0x82, 3));
  EXPECT_EQ(marks.next(), Message::plain);
}

}  // namespace
}  // namespace weir
