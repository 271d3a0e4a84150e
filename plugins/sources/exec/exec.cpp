// The plugin: runs a program and makes an event of each line that it writes. One that ends is started again.
// While the hub is full its output is not read; the pipe fills up and the program waits.
// Threads: [strand]; no threads of its own.
#include <memory>
#include <string>

#include "child.hpp"
#include "weir/sdk/backoff.hpp"
#include "weir/sdk/plugin.hpp"

namespace weir::exec {
namespace {

constexpr const char* kManifest = R"json({
  "kinds": ["source"],
  "lossy": false,
  "summary": "Runs a program and makes an event of each line that it writes",
  "config_schema": {
    "type": "object",
    "additionalProperties": false,
    "required": ["command"],
    "properties": {
      "command": {"type": "array", "minItems": 1, "items": {"type": "string"}, "x-command": true, "description": "The program and its arguments; no shell reads them. [\"sh\", \"-c\", \"...\"] if one should"},
      "directory": {"type": "string", "x-path": true, "default": "", "description": "Where it runs; default: where the hub does"},
      "env": {"type": "object", "default": {}, "additionalProperties": {"type": "string"}, "description": "Environment variables beside the hub's own"},
      "subject": {"type": "string", "minLength": 1, "maxLength": 1024, "default": "exec", "description": "Where the events come from; a channel's `from` names it"},
      "event": {"type": "string", "minLength": 1, "maxLength": 255, "default": "line", "description": "The events' name"},
      "payload": {"type": "string", "enum": ["any", "text"], "default": "any", "description": "any: a line that is JSON as it is, all else as text; text: a JSON string is made of it. Bytes that are no UTF-8 become {\"base64\": ...}"},
      "stderr": {"type": "string", "enum": ["log", "event", "drop"], "default": "log", "description": "Lines of its standard error go to the hub's log, become events called \"stderr\", or nothing"},
      "restart": {"type": "string", "enum": ["always", "on-failure", "never"], "default": "always", "description": "Whether it is started again when it has ended: after 0.1 s, then later and later, up to 30 s"},
      "line_bytes_max": {"type": "integer", "minimum": 64, "maximum": 1048576, "default": 65536, "description": "Longer lines are cut and counted"}
    }
  }
})json";

// A program that ran for so long has not failed at its start.
constexpr std::int64_t kWellMs = 10'000;

ChildConfig child_config(const sdk::json::Value& config) {
  ChildConfig child;
  child.command = config.strings_or("command", {});
  if (child.command.empty() || child.command[0].empty())
    throw sdk::Failure(WEIR_E_CONFIG, "command names no program", "/command");
  child.directory = config.string_or("directory", "");
  if (const auto* env = config.find("env"))
    for (const auto& member : env->members) child.environment[member.key] = member.value.as_string();
  child.line_bytes_max = static_cast<std::size_t>(config.integer_or("line_bytes_max", 65536));
  return child;
}

class Exec final : public sdk::Source {
 public:
  Exec(const sdk::Host& host, const sdk::json::Value& config)
      : host_(host),
        emitter_(host),
        child_config_(child_config(config)),
        subject_(config.string_or("subject", "exec")),
        event_(config.string_or("event", "line")),
        stderr_(config.string_or("stderr", "log")),
        restart_(config.string_or("restart", "always")),
        kind_(config.string_or("payload", "any") == "text" ? sdk::Data::text : sdk::Data::any) {
    emitter_.on_invalid([this](std::string_view) {
      ++not_taken_;
      host_.gap(subject_, 1, "a line makes an event that the hub does not take");
    });
  }

  void start() override {
    ticks_.start(host_, 1000, 1000, [this] { tick(); });
    run();
  }
  void pause() override {
    emitter_.pause();
    if (child_) child_->pause(true);
  }
  void resume() override {
    if (emitter_.resume() && child_) child_->pause(false);
  }
  void stop() override {
    ticks_.cancel();
    again_.cancel();
    // Nobody says resume() meanwhile, so the hub is asked each time whether it has room.
    if (child_) child_->stop([this] { return emitter_.resume() || emitter_.closed(); });
    tick();
    child_.reset();
    emitter_.resume();
    lost_ += emitter_.kept();
    if (lost_ != 0) host_.gap(subject_, lost_, "the program was stopped while the hub was full");
  }

 private:
  void run() {
    if (child_) lines_cut_ += child_->lines_cut();
    child_ = std::make_unique<Child>(host_, child_config_,
                                     Child::Told{[this](std::string_view line) { add(event_, line); },
                                                 [this](std::string_view line) { complain(line); },
                                                 [this](bool well, const std::string& how) { ended(well, how); }});
    started_ms_ = host_.steady_ms();
    try {
      child_->start();
      child_->pause(emitter_.full());
      host_.state(sdk::State::running, "process " + std::to_string(child_->pid()));
    } catch (const sdk::Failure& f) {
      ended(false, std::string("can't be started: ") + f.what());
    }
  }

  void add(std::string_view event, std::string_view line) {
    ++lines_;
    if (!emitter_.add({.subject = subject_, .event = event, .data = line, .time_ms = host_.now_ms(), .kind = kind_}) &&
        !emitter_.closed())
      ++lost_;  // only in stop(): all that one read brings fits
    if (emitter_.full()) child_->pause(true);
  }

  void complain(std::string_view line) {
    if (stderr_ == "event") return add("stderr", line);
    if (stderr_ == "log") host_.warn(line);
  }

  void ended(bool well, const std::string& how) {
    emitter_.flush();
    const std::string what = child_config_.command[0] + " " + how;
    if (restart_ == "never" || (restart_ == "on-failure" && well))
      return host_.state(well ? sdk::State::running : sdk::State::failed, what + "; it is not started again");
    if (host_.steady_ms() - started_ms_ >= kWellMs) backoff_.reset();
    const auto ms = backoff_.next_ms();
    host_.state(sdk::State::retrying, what + "; it is started again");
    ++restarts_;
    again_.start(host_, ms, 0, [this] { run(); });
  }

  void tick() {
    const auto tell = [&](const char* name, std::uint64_t value) { host_.metric(name, static_cast<double>(value)); };
    tell("lines", lines_);
    tell("lines_cut", lines_cut_ + (child_ ? child_->lines_cut() : 0));
    tell("lines_not_taken", not_taken_);
    tell("restarts", restarts_);
  }

  sdk::Host host_;
  sdk::Emitter emitter_;
  const ChildConfig child_config_;
  const std::string subject_, event_, stderr_, restart_;
  const sdk::Data kind_;
  std::unique_ptr<Child> child_;
  sdk::Timer again_, ticks_;
  sdk::Backoff backoff_{100, 30'000};
  std::int64_t started_ms_ = 0;
  std::uint64_t lines_ = 0, not_taken_ = 0, restarts_ = 0, lost_ = 0;
  std::uint64_t lines_cut_ = 0;  // of the programs before this one
};

}  // namespace
}  // namespace weir::exec

WEIR_PLUGIN("exec", "0.1.0", weir::exec::kManifest, weir::exec::Exec);
