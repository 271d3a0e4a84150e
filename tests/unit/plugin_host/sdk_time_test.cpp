#include "weir/sdk/time.hpp"

#include <gtest/gtest.h>

namespace weir::sdk {
namespace {

TEST(SdkTimeTest, BothWaysAgree) {
  EXPECT_EQ(iso8601(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(iso8601(1'770'724'800'000), "2026-02-10T12:00:00.000Z");
  EXPECT_EQ(iso8601(-1), "1969-12-31T23:59:59.999Z");
  for (const std::int64_t t :
       {0L, -1L, 951'782'399'999L, 951'782'400'000L, 1'709'164'800'123L, 4'102'444'800'000L, 253'402'300'799'999L})
    EXPECT_EQ(parse_iso8601(iso8601(t)), t) << iso8601(t);
}

TEST(SdkTimeTest, OffsetsAndFractionsCount) {
  EXPECT_EQ(parse_iso8601("2027-01-01T00:00:00Z"), 1'798'761'600'000);
  EXPECT_EQ(parse_iso8601("2027-01-01T01:30:00+01:30"), 1'798'761'600'000);
  EXPECT_EQ(parse_iso8601("2026-12-31T19:00:00-05:00"), 1'798'761'600'000);
  EXPECT_EQ(parse_iso8601("2027-01-01T00:00:00.12Z"), 1'798'761'600'120);
  EXPECT_EQ(parse_iso8601("2027-01-01T00:00:00.123999Z"), 1'798'761'600'123);
  EXPECT_TRUE(parse_iso8601("2028-02-29T00:00:00Z"));
}

TEST(SdkTimeTest, WhatIsNoMomentIsNothing) {
  for (const char* text :
       {"", "2027", "2027-01-01", "2027-01-01T00:00:00", "2027-13-01T00:00:00Z", "2027-02-29T00:00:00Z",
        "2027-01-01T24:00:00Z", "2027-01-01T00:60:00Z", "2027-01-01T00:00:00.Z", "2027-01-01T00:00:00Zx",
        "2027-01-01T00:00:00+1:00", "2027-00-01T00:00:00Z"})
    EXPECT_FALSE(parse_iso8601(text)) << text;
}

}  // namespace
}  // namespace weir::sdk
