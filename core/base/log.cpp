#include "base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/log_file.hpp"
#include "base/secrets.hpp"

namespace weir::log {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"trace", "debug", "info", "warn", "error", "off"};
constexpr SteadyMs kRepeatMs = 10'000;
constexpr std::size_t kRemembered = 256;  // distinct messages watched for repetition

std::atomic<Level> level_now{Level::info};
std::atomic<bool> as_json{false};

std::shared_ptr<spdlog::logger>& logger() {
  static auto instance = [] {
    auto made = std::make_shared<spdlog::logger>("weir", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);  // the log is for people who look now; it is never on the hot path
    return made;
  }();
  return instance;
}

spdlog::level::level_enum spd_level(Level level) { return static_cast<spdlog::level::level_enum>(level); }

struct Repeat {
  SteadyMs since = 0;
  std::uint64_t held_back = 0;
};
std::mutex repeats_mutex;
std::unordered_map<std::string, Repeat> repeats;

// How many equal messages were held back before this one; nothing if this one is to be held back too.
std::optional<std::uint64_t> repeated(Level level, std::string_view component, std::string_view message) {
  if (level < Level::warn) return 0;
  std::string key(component);
  (key += '\0') += message;
  const SteadyMs now = system_clock().steady_ms();
  const std::lock_guard lock(repeats_mutex);
  if (repeats.size() >= kRemembered && !repeats.contains(key)) repeats.clear();
  auto [it, fresh] = repeats.try_emplace(key, Repeat{now, 0});
  if (fresh) return 0;
  if (now - it->second.since < kRepeatMs) {
    ++it->second.held_back;
    return std::nullopt;
  }
  const auto held = it->second.held_back;
  it->second = {now, 0};
  return held;
}

// Values that would blur the line (spaces, quotes, control characters) are written as JSON strings.
bool plain(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text)
    if (c <= ' ' || c == '"' || c == '=' || c == 0x7F) return false;
  return true;
}

std::string one_line(std::string_view text) {
  std::string out = json::to_utf8(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return out;
}

// "key":value. What a secret was cut out of need not be JSON any more, so it becomes a string.
void append_member(std::string& out, const Field& f) {
  json::append_string(out, secrets::masked(std::string(f.key)));
  out += ':';
  const std::string value = secrets::masked(f.value);
  if (f.bare && value == f.value)
    out += value;
  else
    json::append_string(out, value);
}

std::string line_of(Level level, std::string_view component, std::string_view message, std::span<const Field> fields,
                    std::uint64_t held_back) {
  std::string line;
  const auto name = kNames[static_cast<std::size_t>(level)];
  const std::string repeats_text = std::to_string(held_back);
  if (as_json) {
    line = "{\"time\":\"" + iso8601(system_clock().unix_ms()) + "\",\"level\":\"" + std::string(name) +
           "\",\"component\":";
    json::append_string(line, component);
    line += ",\"message\":";
    json::append_string(line, secrets::masked(std::string(message)));
    for (const Field& f : fields) {
      line += ',';
      append_member(line, f);
    }
    if (held_back != 0) line += ",\"repeated\":" + repeats_text;
    return line += '}';
  }
  line = iso8601(system_clock().unix_ms()) + " " + std::string(name) + " " + std::string(component) + " " +
         one_line(secrets::masked(std::string(message)));
  for (const Field& f : fields) {
    const std::string key = secrets::masked(std::string(f.key)), value = secrets::masked(f.value);
    line += ' ';
    if (plain(key))
      line += key;
    else
      json::append_string(line, key);
    line += '=';
    if (plain(value) || (f.bare && value == f.value))
      line += value;
    else
      json::append_string(line, value);
  }
  if (held_back != 0) line += " repeated=" + repeats_text;
  return line;
}

// The newest lines, for who reads the log from within.
std::mutex kept_mutex;
std::deque<Line> kept;  // guarded by kept_mutex down to here
std::size_t kept_bytes = 0;
std::uint64_t numbered = 0;

std::size_t size_of(const Line& l) { return l.component.size() + l.message.size() + l.fields_json.size() + 64; }

void keep(Level level, std::string_view component, std::string_view message, std::span<const Field> fields,
          std::uint64_t held_back) {
  Line line;
  line.level = level;
  line.time_ms = system_clock().unix_ms();
  line.component = component;
  line.message = json::to_utf8(secrets::masked(std::string(message)));
  line.fields_json = "{";
  for (const Field& f : fields) {
    if (line.fields_json.size() > 1) line.fields_json += ',';
    append_member(line.fields_json, f);
  }
  if (held_back != 0)
    line.fields_json += (line.fields_json.size() > 1 ? ",\"repeated\":" : "\"repeated\":") + std::to_string(held_back);
  line.fields_json += '}';
  const std::lock_guard lock(kept_mutex);
  line.number = ++numbered;
  kept_bytes += size_of(line);
  kept.push_back(std::move(line));
  while (kept.size() > kLinesKept || kept_bytes > kLineBytesKept) {
    kept_bytes -= size_of(kept.front());
    kept.pop_front();
  }
}

void to_stderr(Level level, std::string_view line) {
  logger()->log(spd_level(level), spdlog::string_view_t(line.data(), line.size()));
}

std::mutex file_mutex;
LogFile* file = nullptr;  // guarded by file_mutex; lives on at exit, since threads that were left behind may still log
std::uint64_t missing = 0;  // guarded by file_mutex; lines that the file lacks since it can't be written

// Says once that the file can't be written, and once that it can be again; the latter in the file too, where the lines
// are missing. An empty line: only looks whether it can be written again.
void to_file(std::string_view line) {
  std::string news;
  Level level = Level::warn;
  {
    const std::lock_guard lock(file_mutex);
    if (file == nullptr) return;
    if (missing == 0) {
      if (line.empty() || file->append(line)) return;
      missing = 1;
      level = Level::error;
      const Field fields[] = {{"file", file->path()}, {"reason", file->why()}};
      news = line_of(level, "log", "the log file can't be written; the hub goes on without it", fields, 0);
    } else {
      const Field fields[] = {{"file", file->path()}, {"missing", missing}};
      news = line_of(level, "log", "the log file can be written again; lines are missing in it", fields, 0);
      if (!file->append(line.empty() ? news : news + '\n' + std::string(line))) {
        missing += line.empty() ? 0 : 1;
        return;
      }
      missing = 0;
    }
  }
  to_stderr(level, news);
}

}  // namespace

Result<Level> parse_level(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Level>(i);
  return fail(Errc::bad_request,
              "log level \"" + std::string(name) + "\" is none of trace, debug, info, warn, error, off");
}

Result<void> set_up(const Settings& settings) {
  std::unique_ptr<LogFile> opened;
  if (!settings.file.empty()) {
    auto made = LogFile::open(settings.file);
    if (!made) return made.error();
    opened = std::move(*made);
  }
  level_now = settings.level;
  as_json = settings.json;
  const std::lock_guard lock(file_mutex);
  delete std::exchange(file, opened.release());
  missing = 0;
  return {};
}

void set_level(Level level) { level_now = level; }
bool enabled(Level level) { return level >= level_now.load(std::memory_order_relaxed) && level != Level::off; }
void flush() { logger()->flush(); }

void write(Level level, std::string_view component, std::string_view message, std::span<const Field> fields) {
  if (!enabled(level)) return;
  const auto held_back = repeated(level, component, message);
  if (!held_back) return;
  const std::string line = line_of(level, component, message, fields, *held_back);
  to_stderr(level, line);
  to_file(line);
  keep(level, component, message, fields, *held_back);
}

std::vector<Line> lines(std::uint64_t after, std::size_t most) {
  std::vector<Line> out;
  const std::lock_guard lock(kept_mutex);
  if (kept.empty() || kept.back().number <= after) return out;
  const std::uint64_t skip = after < kept.front().number ? 0 : after - kept.front().number + 1;
  for (auto it = kept.begin() + static_cast<std::ptrdiff_t>(skip); it != kept.end() && out.size() < most; ++it)
    out.push_back(*it);
  return out;
}

std::string trouble() {
  to_file({});  // a quiet hub would not notice for hours that there is room again
  const std::lock_guard lock(file_mutex);
  return missing == 0 ? std::string() : "the log file \"" + file->path() + "\" can't be written: " + file->why();
}

}  // namespace weir::log
