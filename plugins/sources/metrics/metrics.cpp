// A source of figures: what the hub counts and what the machine does, one event each per interval.
// While the hub is full none is made; the next one has the newest figures, and rates over all of the time between.
// Threads: [strand]; no threads of its own.
#include <memory>
#include <string>

#include "hub_figures.hpp"
#include "machine_figures.hpp"
#include "weir/abi/hub.h"
#include "weir/sdk/plugin.hpp"

namespace weir::metrics {
namespace {

constexpr const char* kManifest = R"json({
  "kinds": ["source"],
  "lossy": false,
  "summary": "Figures of the hub and of the machine, as an event every few seconds",
  "config_schema": {
    "type": "object",
    "additionalProperties": false,
    "properties": {
      "interval": {"type": ["integer", "string"], "x-unit": "duration", "minimum": 100, "maximum": 86400000, "default": "5s", "description": "Time between two events"},
      "of": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "enum": ["hub", "machine"]}, "default": ["hub", "machine"], "description": "Which figures; each is a subject"},
      "disks": {"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1, "x-path": true}, "default": [], "description": "Paths on local file systems whose free space belongs to the machine's figures"}
    }
  }
})json";

class Metrics final : public sdk::Source {
 public:
  Metrics(const sdk::Host& host, const sdk::json::Value& config)
      : host_(host), emitter_(host), interval_ms_(config.duration_ms_or("interval", 5000)) {
    if (interval_ms_ < 100) throw config.required("interval").wrong("100 ms at least", std::to_string(interval_ms_));
    for (const std::string& of : config.strings_or("of", {"hub", "machine"})) {
      if (of == "hub")
        of_hub_ = true;
      else if (of == "machine")
        machine_ = std::make_unique<MachineFigures>(config.strings_or("disks", {}));
      else
        throw config.required("of").wrong("\"hub\" or \"machine\"", sdk::json::quoted(of));
    }
  }

  void start() override {
    if (of_hub_) {
      hub_ = host_.extension<weir_hub_v1>(WEIR_HUB_V1);
      if (hub_ == nullptr || hub_->stats == nullptr)
        throw sdk::Failure(WEIR_E_UNAVAILABLE, "this hub does not show its figures to plugins; it needs ABI 1.2",
                           "/of");
    }
    host_.state(sdk::State::running);
    look(false);  // what rates begin at
    const auto ms = static_cast<std::uint64_t>(interval_ms_);
    timer_.start(host_, ms, ms, [this] { look(true); });
  }
  void pause() override { emitter_.pause(); }
  void resume() override { emitter_.resume(); }
  void stop() override {
    timer_.cancel();
    emitter_.flush();
  }

 private:
  void look(bool tell) {
    if (emitter_.full()) return;
    if (machine_) {
      const std::string figures = machine_->read(host_.steady_ms());
      if (tell) emit("machine", figures);
    }
    if (!of_hub_) return;
    tell_ = tell;
    const weir_status asked = hub_->stats(
        host_.raw()->ctx,
        [](void* self, weir_str json) noexcept {
          auto& metrics = *static_cast<Metrics*>(self);
          sdk::Host::guarded(metrics.host_.raw(), "the hub's figures", [&] { metrics.told(sdk::to_view(json)); });
        },
        this);
    if (asked == WEIR_OK)
      host_.state(sdk::State::running);
    else
      host_.state(sdk::State::degraded, "the hub does not tell its figures");
  }
  void told(std::string_view json) {
    const std::string figures = hub_figures_.read(json, host_.steady_ms());
    if (tell_) emit("hub", figures);
  }
  void emit(std::string_view subject, std::string_view figures) {
    if (!emitter_.add(
            {.subject = subject, .event = "metric.update", .data = figures, .key = subject, .time_ms = host_.now_ms()}))
      return;
    host_.metric("updates", static_cast<double>(++updates_));
  }

  sdk::Host host_;
  sdk::Emitter emitter_;
  const std::int64_t interval_ms_;
  bool of_hub_ = false;
  const weir_hub_v1* hub_ = nullptr;
  HubFigures hub_figures_;
  std::unique_ptr<MachineFigures> machine_;  // null: not asked for
  sdk::Timer timer_;
  bool tell_ = false;  // whether the figures that were asked for become an event
  std::uint64_t updates_ = 0;
};

}  // namespace
}  // namespace weir::metrics

WEIR_PLUGIN("metrics", "0.1.0", weir::metrics::kManifest, weir::metrics::Metrics);
