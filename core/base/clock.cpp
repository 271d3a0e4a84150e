#include "base/clock.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

namespace weir {
namespace {
class SystemClock : public Clock {
 public:
  SteadyMs steady_ms() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  UnixMs unix_ms() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};
}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

void write_iso8601(char* out, UnixMs t) {
  constexpr UnixMs kDay = 86'400;  // in seconds
  // 0000-01-01 and 9999-12-31T23:59:59.999, so that the text always has 24 characters.
  t = std::clamp<UnixMs>(t, -62'167'219'200'000, 253'402'300'799'999);
  const auto floor_div = [](UnixMs a, UnixMs b) { return a / b - (a % b < 0 ? 1 : 0); };
  const auto put = [out](int at, int digits, UnixMs value) {
    for (int i = digits - 1; i >= 0; --i, value /= 10) out[at + i] = static_cast<char>('0' + value % 10);
  };
  const UnixMs second = floor_div(t, 1000);
  // Times come by the thousand within one second, and only the last three digits differ.
  constexpr std::size_t kUpToSecond = 20;
  thread_local UnixMs last_second = std::numeric_limits<UnixMs>::min();
  thread_local char last_text[kUpToSecond];
  if (second != last_second) {
    const UnixMs day = floor_div(second, kDay), rest = second - day * kDay;
    const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
    std::memcpy(out, "0000-00-00T00:00:00.", kUpToSecond);
    put(0, 4, int{date.year()});
    put(5, 2, unsigned{date.month()});
    put(8, 2, unsigned{date.day()});
    put(11, 2, rest / 3600);
    put(14, 2, rest / 60 % 60);
    put(17, 2, rest % 60);
    std::memcpy(last_text, out, kUpToSecond);
    last_second = second;
  }
  std::memcpy(out, last_text, kUpToSecond);
  put(kUpToSecond, 3, t - second * 1000);
  out[kIso8601Bytes - 1] = 'Z';
}

std::string iso8601(UnixMs t) {
  char text[kIso8601Bytes];
  write_iso8601(text, t);
  return std::string(text, sizeof text);
}

}  // namespace weir
