#include "base/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/json.hpp"

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

}  // namespace

Result<Level> parse_level(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Level>(i);
  return fail(Errc::bad_request,
              "log level \"" + std::string(name) + "\" is none of trace, debug, info, warn, error, off");
}

Result<void> set_up(const Settings& settings) {
  std::vector<spdlog::sink_ptr> sinks{std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  if (!settings.file.empty()) {
    try {
      sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(settings.file));
    } catch (const spdlog::spdlog_ex& e) {
      return fail(Errc::bad_request, "log file \"" + settings.file + "\" can't be opened: " + e.what());
    }
  }
  auto made = std::make_shared<spdlog::logger>("weir", sinks.begin(), sinks.end());
  made->set_pattern("%v");
  made->set_level(spdlog::level::trace);
  made->flush_on(spdlog::level::trace);  // the log is for people who look now; it is never on the hot path
  logger() = std::move(made);
  level_now = settings.level;
  as_json = settings.json;
  return {};
}

void set_level(Level level) { level_now = level; }
bool enabled(Level level) { return level >= level_now.load(std::memory_order_relaxed) && level != Level::off; }
void flush() { logger()->flush(); }

void write(Level level, std::string_view component, std::string_view message, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  const auto held_back = repeated(level, component, message);
  if (!held_back) return;
  std::string line;
  const auto name = kNames[static_cast<std::size_t>(level)];
  const std::string repeats_text = std::to_string(*held_back);
  if (as_json) {
    line = "{\"time\":\"" + iso8601(system_clock().unix_ms()) + "\",\"level\":\"" + std::string(name) +
           "\",\"component\":";
    json::append_string(line, component);
    line += ",\"message\":";
    json::append_string(line, message);
    for (const Field& f : fields) {
      line += ',';
      json::append_string(line, f.key);
      line += ':';
      json::append_string(line, f.value);
    }
    if (*held_back != 0) line += ",\"repeated\":" + repeats_text;
    line += '}';
  } else {
    line = iso8601(system_clock().unix_ms()) + " " + std::string(name) + " " + std::string(component) + " " +
           one_line(message);
    for (const Field& f : fields) {
      ((line += ' ') += f.key) += '=';
      if (plain(f.value))
        line += f.value;
      else
        json::append_string(line, f.value);
    }
    if (*held_back != 0) line += " repeated=" + repeats_text;
  }
  logger()->log(spd_level(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace weir::log
