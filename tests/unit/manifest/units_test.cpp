#include "manifest/units.hpp"

#include <gtest/gtest.h>

namespace weir::manifest {
namespace {

TEST(UnitsTest, DurationsAreMilliseconds) {
  EXPECT_EQ(parse_duration_ms("500ms"), 500);
  EXPECT_EQ(parse_duration_ms("30s"), 30'000);
  EXPECT_EQ(parse_duration_ms("10m"), 600'000);
  EXPECT_EQ(parse_duration_ms("1.5h"), 5'400'000);
  EXPECT_EQ(parse_duration_ms("1.1s"), 1100);
  EXPECT_EQ(parse_duration_ms("7d"), 604'800'000);
  EXPECT_EQ(parse_duration_ms("0s"), 0);
}

TEST(UnitsTest, WhatIsNoDuration) {
  for (const char* text : {"", "30", "s", "30 s", " 30s", "30s ", "-1s", "+1s", "1e3s", "1.s", ".5s", "1..5s", "1m30s",
                           "30S", "30sec", "0.5ms", "1h\n", "999999999999999999999s", "99999999999999d"})
    EXPECT_EQ(parse_duration_ms(text), std::nullopt) << text;
}

TEST(UnitsTest, SizesAreBytes) {
  EXPECT_EQ(parse_bytes("512B"), 512);
  EXPECT_EQ(parse_bytes("16MiB"), 16 << 20);
  EXPECT_EQ(parse_bytes("1.5KiB"), 1536);
  EXPECT_EQ(parse_bytes("64KB"), 64'000);
  EXPECT_EQ(parse_bytes("1TiB"), 1LL << 40);
  for (const char* text : {"", "16", "16M", "16mib", "0.3B", "1 MiB", "99999999999TiB"})
    EXPECT_EQ(parse_bytes(text), std::nullopt) << text;
}

TEST(UnitsTest, TextTakesTheLargestUnitThatIsWhole) {
  EXPECT_EQ(duration_text(90'000), "90s");
  EXPECT_EQ(duration_text(3'600'000), "1h");
  EXPECT_EQ(duration_text(1'500), "1500ms");
  EXPECT_EQ(duration_text(0), "0s");
  EXPECT_EQ(bytes_text(16 << 20), "16MiB");
  EXPECT_EQ(bytes_text(1000), "1000B");
  EXPECT_EQ(bytes_text(0), "0B");
}

}  // namespace
}  // namespace weir::manifest
