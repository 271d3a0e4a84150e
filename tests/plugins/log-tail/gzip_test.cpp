// The reader of packed files alone: formats, members, damage, and what unpacks to far too much.
#include "gzip_reader.hpp"

#include <array>
#include <memory>

#include "log_files.hpp"

namespace weir::log_tail::test {
namespace {

std::string pack(const std::string& text, int window_bits = 15 + 16) {
  z_stream z{};
  EXPECT_EQ(::deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(::deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  ::deflateEnd(&z);
  return out;
}

class GzipTest : public ::testing::Test {
 protected:
  void open(const std::string& bytes) {
    folder.append("x.gz", bytes);
    fd = ::open(folder.at("x.gz").c_str(), O_RDONLY);
    ASSERT_GE(fd, 0);
    reader = std::make_unique<GzipReader>(fd);
  }
  std::string all(std::size_t piece = 1000) {
    std::string out, buffer(piece, '\0');
    while (!reader->done()) out.append(buffer, 0, reader->read(buffer.data(), piece));
    return out;
  }
  ~GzipTest() override {
    if (fd >= 0) ::close(fd);
  }
  LogFolder folder;
  int fd = -1;
  std::unique_ptr<GzipReader> reader;
};

std::string text() {
  std::string out;
  for (int i = 0; i < 30'000; ++i) out += std::to_string(i * 7919 % 99991) + "\n";
  return out;
}

TEST_F(GzipTest, ItReadsWhatWasPacked) {
  open(pack(text()));
  EXPECT_TRUE(all() == text());
  EXPECT_EQ(reader->offset(), text().size());
  EXPECT_EQ(reader->problem(), "");
  reader->rewind();
  EXPECT_EQ(reader->offset(), 0U);
  EXPECT_TRUE(all(7) == text());
}

TEST_F(GzipTest, SeveralMembersAndPaddingBehindThemAreOneFile) {
  open(pack("one\n") + pack("") + pack("two\n") + std::string(512, '\0'));
  EXPECT_EQ(all(3), "one\ntwo\n");
  EXPECT_EQ(reader->problem(), "");
}

TEST_F(GzipTest, MegabytesOfMembersWithNothingInThemDoNotHoldUpTheStrand) {
  std::string bytes;
  while (bytes.size() < 4 * GzipReader::kPackedMax) bytes += pack("");
  open(bytes + pack("one\n"));
  std::array<char, 100> buffer;
  EXPECT_EQ(reader->read(buffer.data(), buffer.size()), 0U);
  EXPECT_FALSE(reader->done()) << "there is more, but not in one go";
  EXPECT_EQ(all(), "one\n");
  EXPECT_EQ(reader->problem(), "");
}

TEST_F(GzipTest, TheFormatOfZlibIsReadAsWell) {
  open(pack("one\n", 15));
  EXPECT_EQ(all(), "one\n");
}

TEST_F(GzipTest, AFileThatWasCutGivesItsBeginning) {
  const std::string packed = pack(text());
  open(packed.substr(0, packed.size() / 2));
  const std::string got = all();
  EXPECT_GT(got.size(), 1000U);
  EXPECT_TRUE(text().starts_with(got));
  EXPECT_EQ(reader->problem(), "it ends in the middle");
}

// What zlib had unpacked and had no room to hand over was lost when nothing more stood in the file.
TEST_F(GzipTest, AFileThatEndsInTheMiddleGivesTheSameInPiecesOfAnySize) {
  const std::string packed = pack(std::string(100'000, 'x') + text().substr(0, 1000));
  open("");
  for (std::size_t size = 1; size < packed.size(); ++size) {
    folder.overwrite("x.gz", packed.substr(0, size));
    reader->rewind();
    const std::string whole = all(200'000);
    EXPECT_EQ(reader->problem(), "it ends in the middle");
    reader->rewind();
    ASSERT_TRUE(all(997) == whole) << size;
    EXPECT_EQ(reader->problem(), "it ends in the middle");
  }
}

TEST_F(GzipTest, AnEmptyFileIsNoGzip) {
  open("");
  EXPECT_EQ(all(), "");
  EXPECT_EQ(reader->problem(), "it ends in the middle");
}

TEST_F(GzipTest, AWrongByteIsNamed) {
  std::string packed = pack(text());
  packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 0x55);
  open(packed);
  all();
  EXPECT_NE(reader->problem().find("is wrong"), std::string::npos) << reader->problem();
}

TEST_F(GzipTest, TextIsNoGzip) {
  open("just a line\n");
  EXPECT_EQ(all(), "");
  EXPECT_EQ(reader->problem(), "byte 2 is wrong (incorrect header check)");
}

TEST_F(GzipTest, WhatUnpacksToFarTooMuchIsGivenUp) {
  std::string bomb;
  for (int i = 0; i < 8; ++i) bomb += pack(std::string(32 * 1024 * 1024, 'x'));
  open(bomb);
  std::array<char, 64 * 1024> buffer;
  std::uint64_t got = 0;
  while (!reader->done()) got += reader->read(buffer.data(), buffer.size());
  EXPECT_LE(got, GzipReader::kBombBytes + buffer.size());
  EXPECT_EQ(reader->problem(), "it unpacks to more than 500 times its size");
}

}  // namespace
}  // namespace weir::log_tail::test
