// A source that counts: one event per interval, for demos, for tests, and to read as the smallest complete source.
// While the hub is full it does not count on, so that no number is ever lost.
#include <string>
#include <utility>

#include "weir/sdk/plugin.hpp"
#include "weir/sdk/time.hpp"

namespace {

using weir::sdk::Emitter;
using weir::sdk::Failure;
using weir::sdk::Host;
using weir::sdk::State;
using weir::sdk::Timer;
namespace json = weir::sdk::json;

constexpr const char* kManifest = R"({
  "kinds": ["source"],
  "lossy": false,
  "summary": "Counts: one event per interval. For demos and tests.",
  "config_schema": {
    "type": "object",
    "properties": {
      "interval": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 1, "default": 1000, "description": "time between two events"},
      "subject": {"type": "string", "minLength": 1, "maxLength": 1024, "default": "tick", "description": "where the events come from; `from` maps it to channels"},
      "event": {"type": "string", "minLength": 1, "maxLength": 255, "default": "tick", "description": "the name of the events"},
      "data": {"default": {"n": "{n}", "time": "{time}"}, "description": "the events' data; {n} in strings becomes the number, the string \"{n}\" a number, {time} the time"},
      "count": {"type": "integer", "minimum": 0, "default": 0, "description": "stop after so many events; 0: never"}
    }
  }
})";

class Ticker final : public weir::sdk::Source {
 public:
  Ticker(Host host, const json::Value& config)
      : host_(std::move(host)),
        emitter_(host_),
        interval_ms_(config.duration_ms_or("interval", 1000)),
        subject_(config.string_or("subject", "tick")),
        event_(config.string_or("event", "tick")),
        count_(config.integer_or("count", 0)) {
    const json::Value* data = config.find("data");
    data_ = data != nullptr ? *data : json::parse(R"({"n":"{n}","time":"{time}"})");
    if (interval_ms_ < 1) throw config.required("interval").wrong("at least 1 ms", std::to_string(interval_ms_));
    if (count_ < 0) throw config.required("count").wrong("0 or more", std::to_string(count_));
    if (event_.empty() || event_.size() > 255)
      throw config.required("event").wrong("1 to 255 bytes", json::quoted(event_));
  }

  void start() override {
    const auto ms = static_cast<std::uint64_t>(interval_ms_);
    timer_.start(host_, ms, ms, [this] { tick(); });
    host_.state(State::running);
  }
  void pause() override { emitter_.pause(); }
  void resume() override { emitter_.resume(); }
  void stop() override {
    timer_.cancel();
    emitter_.flush();
  }

 private:
  void tick() {
    if (emitter_.full()) return;  // the number waits, too
    const std::int64_t now = host_.now_ms();
    std::string data;
    fill(data, data_, now);
    if (!emitter_.add({.subject = subject_, .event = event_, .data = data, .time_ms = now})) return;
    if (++n_ <= count_ || count_ == 0) return;
    timer_.cancel();
    emitter_.flush();
    host_.state(State::running, "all " + std::to_string(count_) + " events are out");
  }

  // Writes the template with the number and the time in their places.
  void fill(std::string& out, const json::Value& value, std::int64_t now) const {
    const auto list = [&](const auto& items, char open, char close, const auto& each) {
      out += open;
      bool first = true;
      for (const auto& item : items) {
        if (!std::exchange(first, false)) out += ',';
        each(item);
      }
      out += close;
    };
    switch (value.kind) {
      case json::Kind::object:
        return list(value.members, '{', '}', [&](const json::Value::Member& member) {
          json::append_string(out, member.key);
          out += ':';
          fill(out, member.value, now);
        });
      case json::Kind::array:
        return list(value.elements, '[', ']', [&](const json::Value& element) { fill(out, element, now); });
      case json::Kind::string: {
        if (value.text == "{n}") return void(out += std::to_string(n_));
        std::string text = value.text;
        replace(text, "{n}", std::to_string(n_));
        replace(text, "{time}", weir::sdk::iso8601(now));
        return json::append_string(out, text);
      }
      default:
        return value.write(out);
    }
  }
  static void replace(std::string& text, std::string_view what, const std::string& by) {
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
      text.replace(at, what.size(), by);
  }

  Host host_;
  Emitter emitter_;
  Timer timer_;
  const std::int64_t interval_ms_;
  const std::string subject_, event_;
  const std::int64_t count_;
  json::Value data_;
  std::int64_t n_ = 1;  // the number of the next event
};

}  // namespace

WEIR_PLUGIN("ticker", "1.0.0", kManifest, Ticker);
