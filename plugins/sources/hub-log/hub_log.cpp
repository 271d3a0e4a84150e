// A source of the hub's own log: each line is an event, with its component as the subject and its level as the key. The
// hub keeps the newest lines; they are read every 100 ms while there is room, and what went before it was read is a
// gap.
//
// It must not feed itself. A line about the hub's trouble with an event of this very instance would become the next
// such event, and so on. So lines of its own component are left out, and those in which the hub's ingress names it.
// What a rule or a sink behind its channels logs for each of its events is a circle, too, which nobody can tell from
// here; `components` leaves it out, and what one look reads at most bounds it.
#include <algorithm>
#include <charconv>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "weir/abi/hub.h"
#include "weir/sdk/plugin.hpp"
#include "weir/sdk/time.hpp"

namespace weir::hub_log {
namespace {

constexpr const char* kManifest = R"json({
  "kinds": ["source"],
  "lossy": true,
  "summary": "The hub's own log as events",
  "config_schema": {
    "type": "object",
    "additionalProperties": false,
    "properties": {
      "level": {"type": "string", "enum": ["debug", "info", "warn", "error"], "default": "info", "description": "Lines of this level and above; the hub's own log.level bounds it, too"},
      "components": {"type": "array", "default": [], "maxItems": 256, "items": {"type": "string", "minLength": 1, "maxLength": 255}, "description": "Only lines of these: names of plugin instances, \"hub\", \"net\", \"rules\"; * stands for anything, ! before a name leaves it out, and the last one that fits counts. Default: all"}
    }
  }
})json";

constexpr std::uint64_t kLookMs = 100;
constexpr std::uint32_t kLinesAtOnce = 512;  // so at most 5,120 a second

std::string_view to_word(std::int32_t level) {
  return level <= WEIR_LOG_DEBUG  ? "debug"
         : level == WEIR_LOG_INFO ? "info"
         : level == WEIR_LOG_WARN ? "warn"
                                  : "error";
}

// '*' stands for any bytes, also none.
bool fits(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

// Where instances have stopped, by their names. A library stays as long as its process, and so does the log: whoever
// has a name after a reload goes on behind that, and nothing comes twice. As many as manifests have had names.
class Left {
 public:
  void put(const std::string& name, std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    numbers_[name] = number;
  }
  // 0: nobody had that name.
  std::uint64_t at(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto found = numbers_.find(name);
    return found == numbers_.end() ? 0 : found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t> numbers_;  // guarded by mutex_
};
Left& left() {
  static Left all;
  return all;
}

class HubLog final : public sdk::Source {
 public:
  HubLog(const sdk::Host& host, const sdk::json::Value& config)
      : host_(host), emitter_(host), components_(config.strings_or("components", {})) {
    emitter_.on_invalid([this](std::string_view) {
      ++lost_;
      host_.gap("", 1, "a line makes an event that the hub does not take");
    });
    const std::string level = config.string_or("level", "info");
    level_ = level == "debug"   ? WEIR_LOG_DEBUG
             : level == "warn"  ? WEIR_LOG_WARN
             : level == "error" ? WEIR_LOG_ERROR
                                : WEIR_LOG_INFO;
    for (std::size_t i = 0; i < components_.size(); ++i)
      if (components_[i].empty() || components_[i] == "!")
        throw config.required("components")
            .elements[i]
            .wrong("the name of a component", sdk::json::quoted(components_[i]));
  }

  void start() override {
    hub_ = host_.extension<weir_hub_v1>(WEIR_HUB_V1);
    if (hub_ == nullptr || !WEIR_HAS(hub_, weir_hub_v1, instance_name) || hub_->log_lines == nullptr ||
        hub_->instance_name == nullptr)
      throw sdk::Failure(WEIR_E_UNAVAILABLE, "this hub does not show its log to plugins; it needs ABI 1.2");
    name_ = sdk::to_view(hub_->instance_name(host_.raw()->ctx));
    read_ = left().at(name_);
    of_name_ = " of \"" + name_ + "\" ";
    timer_.start(host_, 0, kLookMs, [this] { look(); });
  }
  void pause() override { emitter_.pause(); }
  void resume() override {
    emitter_.resume();
    look();
  }
  void stop() override {
    timer_.cancel();
    emitter_.flush();
    // What the hub has not taken is read again.
    if (const auto next = emitter_.next_cursor(); !next.empty()) {
      std::from_chars(next.data(), next.data() + next.size(), read_);
      --read_;
    }
    left().put(name_, read_);
  }

 private:
  // A line of the hub's log, copied: while the hub shows its lines nothing must be called that could write one.
  struct Line {
    std::int32_t level = 0;
    std::int64_t time_ms = 0;
    std::uint64_t number = 0;
    std::string component, message, fields;
  };

  void look() {
    if (!timer_.running() || emitter_.full()) return;  // the hub keeps them
    std::vector<Line> lines;
    hub_->log_lines(
        host_.raw()->ctx, read_, kLinesAtOnce,
        [](void* to, const weir_log_line* line) noexcept {
          try {
            static_cast<std::vector<Line>*>(to)->push_back(
                {line->level, line->time_ms, line->number, std::string(sdk::to_view(line->component)),
                 std::string(sdk::to_view(line->message)), std::string(sdk::to_view(line->fields_json))});
          } catch (...) {  // no memory: its number will be missing
          }
        },
        &lines);
    for (const Line& line : lines) take(line);
    host_.metric("lines", static_cast<double>(lines_));
    host_.metric("lines_lost", static_cast<double>(lost_));
  }

  void take(const Line& line) {
    // Numbers count all lines from 1, so what stands between two is what is not kept any more. Of what was there
    // before the first look nothing was promised.
    if (read_ != 0 && line.number > read_ + 1)
      lose(line.number - read_ - 1, "the hub's log went on faster than it was read");
    read_ = line.number;
    if (line.level < level_ || about_itself(line) || !wanted(line.component)) return;
    const std::string_view level = to_word(line.level);
    std::string data = "{\"level\":\"" + std::string(level) + "\",\"component\":";
    sdk::json::append_string(data, line.component);
    data += ",\"message\":";
    sdk::json::append_string(data, line.message);
    (data += ",\"fields\":") += line.fields.empty() ? "{}" : line.fields;
    data += ",\"time\":\"" + sdk::iso8601(line.time_ms) + "\"}";
    const std::string number = std::to_string(line.number), id = std::to_string(line.time_ms) + "-" + number;
    if (emitter_.add({.subject = line.component,
                      .event = "log",
                      .data = data,
                      .id = id,
                      .key = level,
                      .cursor = number,
                      .time_ms = line.time_ms}))
      ++lines_;
    else if (!emitter_.closed())
      lose(1, "more lines were read than the hub had room for");
  }

  bool about_itself(const Line& line) const {
    return line.component == name_ || (line.component == "ingress" && line.message.find(of_name_) != std::string::npos);
  }
  bool wanted(std::string_view component) const {
    // A list that begins with what to leave out means all others.
    bool is = components_.empty() || components_.front().front() == '!';
    for (const std::string& pattern : components_) {
      const bool out = pattern.front() == '!';
      if (fits(std::string_view(pattern).substr(out ? 1 : 0), component)) is = !out;
    }
    return is;
  }
  void lose(std::uint64_t count, std::string_view why) {
    lost_ += count;
    emitter_.gap("", count, why);
  }

  sdk::Host host_;
  sdk::Emitter emitter_;
  const std::vector<std::string> components_;
  std::int32_t level_ = WEIR_LOG_INFO;
  const weir_hub_v1* hub_ = nullptr;
  std::string name_, of_name_;  // of this instance, and as the hub's ingress writes it
  sdk::Timer timer_;
  std::uint64_t read_ = 0;  // the number of the newest line that was read, by whoever had the name before as well
  std::uint64_t lines_ = 0, lost_ = 0;
};

}  // namespace
}  // namespace weir::hub_log

WEIR_PLUGIN("hub-log", "0.1.0", weir::hub_log::kManifest, weir::hub_log::HubLog);
