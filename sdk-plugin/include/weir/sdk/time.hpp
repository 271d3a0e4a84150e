// Moments as people write them: "2026-02-10T12:00:00.000Z" (RFC 3339, UTC or with an offset) to and from Unix
// milliseconds. Years 0000 to 9999. Threads: pure functions.
#pragma once
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace weir::sdk {

// Days since 1970-01-01 of a date of the Gregorian calendar. March begins the year here, so that the leap day is its
// last.
inline std::int64_t days_from_date(std::int64_t year, std::int64_t month, std::int64_t day) {
  year -= month <= 2;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

inline std::string iso8601(std::int64_t unix_ms) {
  const std::int64_t ms_of_day = ((unix_ms % 86'400'000) + 86'400'000) % 86'400'000;
  const std::int64_t days = (unix_ms - ms_of_day) / 86'400'000 + 719468;
  const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const std::int64_t day_of_era = days - era * 146097;
  const std::int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;
  const std::int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  const std::int64_t day = day_of_year - (153 * shifted + 2) / 5 + 1;
  const std::int64_t year = year_of_era + era * 400 + (month <= 2);
  char out[64];
  std::snprintf(out, sizeof out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", static_cast<int>(year), static_cast<int>(month),
                static_cast<int>(day), static_cast<int>(ms_of_day / 3'600'000),
                static_cast<int>(ms_of_day / 60'000 % 60), static_cast<int>(ms_of_day / 1000 % 60),
                static_cast<int>(ms_of_day % 1000));
  return out;
}

// Nothing when it is not such a moment. A fraction finer than a millisecond is cut off.
inline std::optional<std::int64_t> parse_iso8601(std::string_view text) {
  bool good = true;
  const auto digits = [&](std::size_t at, std::size_t count) {
    std::int64_t out = 0;
    for (std::size_t i = at; i < at + count; ++i) {
      good = good && i < text.size() && text[i] >= '0' && text[i] <= '9';
      if (good) out = out * 10 + (text[i] - '0');
    }
    return out;
  };
  const auto mark = [&](std::size_t at, std::string_view any) {
    good = good && at < text.size() && any.find(text[at]) != std::string_view::npos;
  };
  const std::int64_t year = digits(0, 4), month = digits(5, 2), day = digits(8, 2);
  const std::int64_t hour = digits(11, 2), minute = digits(14, 2), second = digits(17, 2);
  mark(4, "-"), mark(7, "-"), mark(10, "Tt "), mark(13, ":"), mark(16, ":");
  constexpr int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (!good || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  if (day > lengths[month - 1] + (leap && month == 2 ? 1 : 0)) return std::nullopt;
  std::size_t at = 19;
  std::int64_t ms = 0;
  if (at < text.size() && text[at] == '.') {
    std::int64_t scale = 100;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
      ms += (text[at] - '0') * scale;
    if (text[at - 1] == '.') return std::nullopt;
  }
  std::int64_t offset = 0;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
    const std::int64_t sign = text[at] == '-' ? -1 : 1;
    mark(at + 3, ":");
    const std::int64_t hours = digits(at + 1, 2), minutes = digits(at + 4, 2);
    offset = sign * (hours * 60 + minutes);
    good = good && hours < 24 && minutes < 60;
    at += 6;
  } else {
    mark(at, "Zz");
    ++at;
  }
  if (!good || at != text.size()) return std::nullopt;
  return ((days_from_date(year, month, day) * 24 + hour) * 60 + minute - offset) * 60'000 + second * 1000 + ms;
}

}  // namespace weir::sdk
