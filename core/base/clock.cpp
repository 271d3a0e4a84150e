#include "base/clock.hpp"

#include <algorithm>
#include <chrono>

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

void append_iso8601(std::string& out, UnixMs t) {
  constexpr UnixMs kDayMs = 86'400'000;
  // 0000-01-01 and 9999-12-31T23:59:59.999, so that the text always has 24 characters.
  t = std::clamp<UnixMs>(t, -62'167'219'200'000, 253'402'300'799'999);
  UnixMs day = t / kDayMs;
  UnixMs rest = t % kDayMs;
  if (rest < 0) {
    rest += kDayMs;
    --day;
  }
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
  char text[25] = "0000-00-00T00:00:00.000Z";
  const auto put = [&text](int at, int digits, UnixMs value) {
    for (int i = digits - 1; i >= 0; --i, value /= 10) text[at + i] = static_cast<char>('0' + value % 10);
  };
  put(0, 4, int{date.year()});
  put(5, 2, unsigned{date.month()});
  put(8, 2, unsigned{date.day()});
  put(11, 2, rest / 3'600'000);
  put(14, 2, rest / 60'000 % 60);
  put(17, 2, rest / 1000 % 60);
  put(20, 3, rest % 1000);
  out.append(text, 24);
}

std::string iso8601(UnixMs t) {
  std::string out;
  append_iso8601(out, t);
  return out;
}

}  // namespace weir
