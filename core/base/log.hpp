// The hub's own log: `time level component message key=value`, or one JSON object a line. No payloads, no tokens.
// A message that repeats within ten seconds is counted instead of written again. What the manifest has from the
// environment is masked (base/secrets.hpp).
// A file that can't be written, on a full disk say, holds up nothing: that is told once on standard error and by
// trouble(), and its lines are missing there until it can be written again.
// Threads: [any].
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace weir::log {

enum class Level : std::uint8_t { trace, debug, info, warn, error, off };

struct Field {
  std::string_view key;
  std::string value;
  bool bare = false;  // JSON as it is: a number, true or false; of a plugin also an array or an object
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), bare(true) {}
  template <class T>
  requires std::is_arithmetic_v<T> Field(std::string_view k, T v)
      : key(k), value(std::to_string(v)), bare(std::is_integral_v<T> || v - v == 0) {}  // JSON has no inf and no nan
  // `value` is JSON without an end of line.
  static Field json(std::string_view key, std::string_view value) {
    Field field(key, value);
    field.bare = true;
    return field;
  }
};

struct Settings {
  Level level = Level::info;
  bool json = false;
  std::string file;  // written besides standard error; its folder is made when missing. Empty: none
};

// Errors: bad_request - the file can't be opened. Call before other threads start.
Result<void> set_up(const Settings& settings);
Result<Level> parse_level(std::string_view name);
void set_level(Level level);
bool enabled(Level level);

void write(Level level, std::string_view component, std::string_view message, std::span<const Field> fields);
inline void write(Level level, std::string_view component, std::string_view message,
                  std::initializer_list<Field> f = {}) {
  write(level, component, message, std::span(f.begin(), f.size()));
}
inline void debug(std::string_view component, std::string_view message, std::initializer_list<Field> f = {}) {
  write(Level::debug, component, message, f);
}
inline void info(std::string_view component, std::string_view message, std::initializer_list<Field> f = {}) {
  write(Level::info, component, message, f);
}
inline void warn(std::string_view component, std::string_view message, std::initializer_list<Field> f = {}) {
  write(Level::warn, component, message, f);
}
inline void error(std::string_view component, std::string_view message, std::initializer_list<Field> f = {}) {
  write(Level::error, component, message, f);
}
void flush();

// A line that was written, as it is kept for those who read the log from within.
struct Line {
  Level level = Level::info;
  std::int64_t time_ms = 0;  // Unix
  std::uint64_t number = 0;  // counts lines from 1
  std::string component, message, fields_json;
};
inline constexpr std::size_t kLinesKept = 4096, kLineBytesKept = 1024 * 1024;
// Those kept with a number above `after`, oldest first, at most `most`.
std::vector<Line> lines(std::uint64_t after, std::size_t most);
// Why lines are missing in the file right now, for /health; tries it anew first. Empty: all is well.
std::string trouble();

}  // namespace weir::log
