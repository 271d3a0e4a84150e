// The plugin: a Tailer on the hub's strand. Files change -> inotify's descriptor is ready -> one slice of work -> a
// batch of events -> a rest of batch_ms, in which further changes gather in the kernel. A line after a quiet time thus
// leaves at once, and a busy file costs at most 1000 / batch_ms turns a second.
// Threads: [strand]; no threads of its own.
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "config.hpp"
#include "json_line.hpp"
#include "tailer.hpp"
#include "weir/sdk/plugin.hpp"

namespace weir::log_tail {
namespace {

std::int64_t monotonic_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

std::string_view to_word(Rotation why) {
  switch (why) {
    case Rotation::renamed:
      return "renamed";
    case Rotation::truncated:
      return "truncated";
    case Rotation::deleted:
      return "deleted";
    case Rotation::replaced:
      return "replaced";
  }
  return "replaced";
}

class LogTail final : public sdk::Source, private TailSink {
 public:
  LogTail(const sdk::Host& host, const sdk::json::Value& config)
      : host_(host), config_(parse_config(config)), emitter_(host) {}

  void start() override {
    tailer_ = std::make_unique<Tailer>(config_.tailer, static_cast<TailSink&>(*this), monotonic_ms());
    const auto period = static_cast<std::uint64_t>(config_.tailer.poll_ms);
    ticks_.start(host_, period, period, [this] { on_tick(); });
    watch();
    run_soon();
  }
  void pause() override { emitter_.pause(); }
  void resume() override {
    if (emitter_.resume()) run();
  }
  void stop() override {
    ticks_.cancel();
    rest_.cancel();
    watch_.end();
    if (tailer_) emitter_.flush();
    tailer_.reset();
  }

 private:
  void watch() {
    if (tailer_->fd() < 0) return;
    if (!watch_.start(host_, tailer_->fd(), WEIR_WATCH_READ, [this](std::uint32_t) { on_change(); })) {
      say(true,
          "the hub can't watch inotify's descriptor; looking every " + std::to_string(config_.tailer.poll_ms) + " ms");
    }
  }
  void on_change() {
    tailer_->drain(monotonic_ms());
    if (config_.batch_ms != 0) {
      watch_.end();
      rest_.start(host_, config_.batch_ms, 0, [this] { watch(); });
    }
    run();
  }
  void on_tick() {
    const std::int64_t now = monotonic_ms();
    if (!watch_.watching()) tailer_->drain(now);
    tailer_->tick(now);
    run();
    host_.metric("files", static_cast<double>(tailer_->files()));
    host_.metric("lines", static_cast<double>(lines_));
    host_.metric("rotations", static_cast<double>(rotations_));
  }
  void run_soon() {
    if (posted_) return;
    posted_ = host_.post([this] {
      posted_ = false;
      if (tailer_) run();
    });
  }
  // One slice. More of it is posted, so that the strand is free in between.
  void run() {
    read_at_ms_ = host_.now_ms();
    if (tailer_->work(monotonic_ms())) run_soon();
    emitter_.flush();
  }

  bool line(const Origin& origin, const Line& line) override {
    data_ = "{\"line\":";
    const bool valid = append_json_string(data_, line.text);
    append_origin(origin);
    if (line.truncated()) data_ += ",\"truncated\":true,\"bytes\":" + std::to_string(line.bytes);
    if (line.partial) data_ += ",\"partial\":true";
    if (!valid) data_ += ",\"invalid_utf8\":true";
    data_ += '}';
    ++lines_;
    return emit(origin, "line");
  }
  void rotated(const Origin& origin, Rotation why) override {
    data_ = "{\"reason\":\"";
    (data_ += to_word(why)) += '"';
    append_origin(origin);
    data_ += '}';
    ++rotations_;
    emit(origin, "rotated");
  }
  void lost(const Origin& origin, std::string_view why) override {
    emitter_.flush();
    host_.gap(subject_of(origin), 0, why);
  }
  bool full() const override { return emitter_.full(); }
  void say(bool warning, const std::string& message) override {
    if (warning)
      host_.warn(message);
    else
      host_.info(message);
  }
  void state(bool degraded, const std::string& reason) override {
    host_.state(degraded ? sdk::State::degraded : sdk::State::running, reason);
  }

  void append_origin(const Origin& origin) {
    data_ += ",\"file\":";
    append_json_string(data_, origin.file);
    if (origin.path.empty()) return;
    data_ += ",\"path\":";
    append_json_string(data_, origin.path);
  }
  // A subject is UTF-8; a file's name need not be.
  std::string_view subject_of(const Origin& origin) {
    if (origin.file != subject_from_) {
      subject_from_ = origin.file;
      std::string quoted;
      subject_ = append_json_string(quoted, origin.file) ? subject_from_ : sdk::json::parse(quoted).as_string();
    }
    return subject_;
  }
  // The emitter takes it in any case while it is not far beyond full; false asks for a stop at this line.
  bool emit(const Origin& origin, std::string_view name) {
    const bool taken =
        emitter_.add({.subject = subject_of(origin), .event = name, .data = data_, .time_ms = read_at_ms_});
    if (!taken && !emitter_.closed()) host_.gap(subject_of(origin), 1, "more was read than the hub had room for");
    return taken && !emitter_.full();
  }

  sdk::Host host_;
  const Config config_;
  sdk::Emitter emitter_;
  std::unique_ptr<Tailer> tailer_;  // from start() to stop()
  sdk::FdWatch watch_;
  sdk::Timer rest_, ticks_;
  bool posted_ = false;
  std::int64_t read_at_ms_ = 0;
  std::uint64_t lines_ = 0, rotations_ = 0;
  std::string data_;                    // of the event that is being made; kept for its memory
  std::string subject_from_, subject_;  // the last one, and what it was made from
};

}  // namespace
}  // namespace weir::log_tail

WEIR_PLUGIN("log-tail", "0.1.0", weir::log_tail::kManifest, weir::log_tail::LogTail);
