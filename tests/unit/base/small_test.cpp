#include <gtest/gtest.h>

#include <set>

#include "base/base64.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"
#include "base/limits.hpp"

namespace weir {
namespace {

TEST(Iso8601Test, TheEdgesOfTheCalendarAreKept) {
  EXPECT_EQ(iso8601(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(iso8601(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(iso8601(951782400000), "2000-02-29T00:00:00.000Z");
  EXPECT_EQ(iso8601(253402300799999), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(iso8601(INT64_MAX), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(iso8601(INT64_MIN), "0000-01-01T00:00:00.000Z");
}

TEST(Iso8601Test, TheSecondBeforeIsNotTakenForThisOne) {
  constexpr UnixMs kNoon = 1'770'724'800'000;
  const std::pair<UnixMs, const char*> steps[] = {
      {kNoon, "2026-02-10T12:00:00.000Z"},       {kNoon + 7, "2026-02-10T12:00:00.007Z"},
      {kNoon + 999, "2026-02-10T12:00:00.999Z"}, {kNoon + 1000, "2026-02-10T12:00:01.000Z"},
      {kNoon - 1, "2026-02-10T11:59:59.999Z"},   {kNoon + 7, "2026-02-10T12:00:00.007Z"},
      {0, "1970-01-01T00:00:00.000Z"},           {-1, "1969-12-31T23:59:59.999Z"},
      {-1000, "1969-12-31T23:59:59.000Z"},       {-1001, "1969-12-31T23:59:58.999Z"},
      {kNoon + 7, "2026-02-10T12:00:00.007Z"}};
  for (const auto& [time, text] : steps) EXPECT_EQ(iso8601(time), text);
}

// The vectors of RFC 4648, section 10.
TEST(Base64Test, IsWhatTheRfcSays) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) EXPECT_EQ(base64(bytes), text);
  EXPECT_EQ(base64("\xfb\xff\xbf"), "+/+/");
}

TEST(IdsTest, WithinAMillisecondAnIdIsTheOneBeforeAndOne) {
  constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  IdMaker ids(1);
  EXPECT_EQ(ids.event_id(1'790'000'000'000), "01M3250V00BK0VXTWDM5JRXV37");
  std::string last(ids.event_id(1'790'000'000'000));
  EXPECT_EQ(last, "01M3250V00BK0VXTWDM5JRXV38");
  for (int i = 0; i < 100'000; ++i) {
    const std::string id(ids.event_id(1'790'000'000'000 - i % 2));
    for (std::size_t at = last.size(); at-- > 0;) {  // plus one, as on paper
      const std::size_t digit = (kDigits.find(last[at]) + 1) % 32;
      last[at] = kDigits[digit];
      if (digit != 0) break;
    }
    ASSERT_EQ(id, last);
  }
  EXPECT_EQ(std::string(ids.event_id(1'790'000'000'001)).substr(0, 10), "01M3250V01");
}

TEST(IdsTest, EventIdsSortAsMadeAndNeverRepeatEvenWhenTheClockGoesBack) {
  IdMaker ids(7);
  std::string last;
  for (int i = 0; i < 20'000; ++i) {
    const std::string id(ids.event_id(1'000'000 + (i % 100 == 99 ? -50 : i / 1000)));
    ASSERT_EQ(id.size(), 26U);
    ASSERT_LT(last, id);
    last = id;
  }
}

TEST(IdsTest, ASeedRepeatsItselfAndEpochsDiffer) {
  IdMaker a(1), b(1);
  EXPECT_EQ(a.epoch(), b.epoch());
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(a.epoch()).second);
}

TEST(ErrorTest, EachCodeHasItsWordStatusAndSentence) {
  EXPECT_EQ(to_word(Errc::no_such_channel), "no_such_channel");
  EXPECT_EQ(http_status(Errc::no_such_channel), 404);
  EXPECT_EQ(http_status(Errc::rate_limited), 429);
  EXPECT_TRUE(worth_retrying(Errc::draining));
  EXPECT_FALSE(worth_retrying(Errc::bad_filter));
  EXPECT_FALSE(sentence(Errc::internal).empty());
  EXPECT_EQ(static_cast<int>(CloseCode::too_slow), 4408);
}

TEST(LimitsTest, EveryDefaultLiesWithinItsBounds) {
  const Limits limits;
  for (const LimitInfo& l : all_limits()) {
    EXPECT_LE(l.lowest, l.fallback) << l.name;
    EXPECT_LE(l.fallback, l.highest) << l.name;
    EXPECT_EQ(limits.*l.member, l.fallback) << l.name;
  }
}

}  // namespace
}  // namespace weir
