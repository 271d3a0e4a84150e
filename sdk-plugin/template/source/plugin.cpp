// A source of events for Weir. Replace the timer by what your events come from: a descriptor (FdWatch), a library with
// threads of its own (Host::post brings them onto the strand), or a timer that asks.
#include <string>
#include <utility>

#include "weir/sdk/plugin.hpp"

namespace {

using namespace weir::sdk;

// What the hub, `weir check` and people know about the plugin before it runs.
constexpr const char* kManifest = R"({
  "kinds": ["source"],
  "summary": "Says what it is told to say, again and again.",
  "config_schema": {
    "type": "object",
    "properties": {
      "text":     {"type": "string", "minLength": 1, "default": "hello", "description": "what it says"},
      "interval": {"type": ["integer", "string"], "x-unit": "duration", "default": "1s", "description": "time between two events"}
    }
  }
})";

class @CLASS@ final : public Source {
 public:
  // Only looks at the config; `weir check` makes instances, too. Throw Failure(WEIR_E_CONFIG, ...) for what the schema can't say.
  @CLASS@(Host host, const json::Value& config)
      : host_(std::move(host)),
        emitter_(host_),
        text_(config.string_or("text", "hello")),
        interval_ms_(config.duration_ms_or("interval", 1000)) {
    if (interval_ms_ < 1) throw config.required("interval").wrong("at least 1 ms", std::to_string(interval_ms_));
  }

  // Returns at once. A source that connects somewhere does it in the background and tells with host_.state().
  void start() override {
    timer_.start(host_, 0, static_cast<std::uint64_t>(interval_ms_), [this] { say(); });
    host_.state(State::running);
  }
  void pause() override { emitter_.pause(); }
  void resume() override { emitter_.resume(); }
  void stop() override {
    timer_.cancel();
    emitter_.flush();
  }

 private:
  void say() {
    if (emitter_.full()) return;  // the hub has no room: read nothing from upstream now
    const std::string data = "{\"text\":" + json::quoted(text_) + "}";
    (void)emitter_.add({.subject = "@NAME@", .event = "said", .data = data, .time_ms = host_.now_ms()});
  }

  Host host_;
  Emitter emitter_;
  Timer timer_;
  const std::string text_;
  const std::int64_t interval_ms_;
};

}  // namespace

WEIR_PLUGIN("@NAME@", "0.1.0", kManifest, @CLASS@);
