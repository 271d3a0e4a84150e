// The plugin: a Tailer on the hub's strand. Files change -> inotify's descriptor is ready -> one slice of work -> a
// batch of events -> a rest of batch_ms, in which further changes gather in the kernel. A line after a quiet time thus
// leaves at once, and a busy file costs at most 1000 / batch_ms turns a second.
// With a checkpoint every event has a number; what the hub has accepted moves the places of files on, and these are
// written once in a while and at the end.
// Threads: [strand]; writing the checkpoint has a thread of its own.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "checkpoint.hpp"
#include "checkpoint_lock.hpp"
#include "checkpoint_writer.hpp"
#include "config.hpp"
#include "glob.hpp"
#include "json_line.hpp"
#include "progress.hpp"
#include "tailer.hpp"
#include "weir/sdk/plugin.hpp"

namespace weir::log_tail {
namespace {

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

constexpr std::uint64_t kBeginningMs = 2000;   // so long at most whoever begins to watch waits for the last lines
constexpr std::int64_t kCheckpointMs = 1000;   // between two of them at least
constexpr std::int64_t kCheckpointShare = 20;  // and so many times as long as writing one took

std::int64_t unix_ns() {
  using namespace std::chrono;
  return duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
}

class LogTail final : public sdk::Source, private TailSink {
 public:
  LogTail(const sdk::Host& host, const sdk::json::Value& config)
      : host_(host), config_(parse_config(config)), emitter_(host) {
    emitter_.on_invalid_event([this](const weir_event& event) {
      moved_ = progress_.refused(number_of(sdk::to_view(event.cursor))) || moved_;
      say_lost(sdk::to_view(event.subject), 1, "a line makes an event that the hub does not take");
    });
  }

  void start() override {
    const auto period = static_cast<std::uint64_t>(config_.tailer.poll_ms);
    ticks_.start(host_, period, period, [this] { on_tick(); });
    begin();
  }
  void pause() override { emitter_.pause(); }
  void resume() override {
    if (emitter_.resume() && tailer_) run();
  }
  void activate(std::string_view subject, sdk::Activation activation) override {
    const std::string name(subject);
    if (!tailer_) return activation.refuse(WEIR_E_UNAVAILABLE, reading_problem_);
    const Tailer::Following following = tailer_->follow(name, host_.steady_ms());
    switch (following.how) {
      case Tailer::Following::How::by_files:
        return activation.ready();
      case Tailer::Following::How::absent:
        return activation.not_found(following.why);
      case Tailer::Following::How::forbidden:
        return activation.refuse(WEIR_E_FORBIDDEN, following.why);
      case Tailer::Following::How::not_now:
        return activation.refuse(WEIR_E_UNAVAILABLE, following.why);
      case Tailer::Following::How::begun:
        break;
    }
    Beginning& beginning = beginnings_.insert_or_assign(name, Beginning{std::move(activation), {}}).first->second;
    beginning.longest.start(host_, kBeginningMs, 0, [this, name] { begun(beginnings_.find(name)); });
    run_soon();
  }
  void deactivate(std::string_view subject) override {
    const std::string name(subject);
    beginnings_.erase(name);
    if (tailer_ && tailer_->unfollow(name)) emitter_.drop(subject);
  }
  void accepted(std::string_view cursor) override { moved_ = progress_.accepted(number_of(cursor)) || moved_; }
  void refused(std::string_view cursor) override {
    for (const TrackPtr& track : progress_.tracks_up_to(number_of(cursor)))
      say_lost(subject_of({base_name(track->path), {}, nullptr}), 0, "the hub had no place for some of the lines");
  }
  void stop() override {
    ticks_.cancel();
    rest_.cancel();
    due_.cancel();
    watch_.end();
    beginnings_.clear();
    if (tailer_ && writer_) {
      // What the hub has not accepted comes again after a restart, so nothing more is handed over.
      writer_->finish();
      const std::string problem = write_whole(config_.checkpoint, to_text(unix_ns(), tailer_->tracks()));
      if (!problem.empty()) say(true, problem);
    } else if (tailer_) {
      tailer_->flush();
      emitter_.flush();
    }
    tailer_.reset();
    writer_.reset();
    lock_.release();
  }

 private:
  struct Beginning {
    sdk::Activation activation;
    sdk::Timer longest;
  };
  using Beginnings = std::map<std::string, Beginning>;

  Beginnings::iterator begun(Beginnings::iterator which) {
    which->second.activation.ready();
    return beginnings_.erase(which);
  }
  // Those wait no longer whose last lines the hub has.
  void answer_begun() {
    if (emitter_.kept() != 0) return;
    for (auto it = beginnings_.begin(); it != beginnings_.end();)
      it = tailer_->has_begun(it->first) ? begun(it) : std::next(it);
  }
  void watch() {
    if (tailer_->fd() < 0) return;
    if (!watch_.start(host_, tailer_->fd(), WEIR_WATCH_READ, [this](std::uint32_t) { on_change(); })) {
      say(true,
          "the hub can't watch inotify's descriptor; looking every " + std::to_string(config_.tailer.poll_ms) + " ms");
    }
  }
  void on_change() {
    tailer_->drain();
    if (config_.batch_ms != 0) {
      watch_.end();
      rest_.start(host_, config_.batch_ms, 0, [this] { watch(); });
    }
    run();
  }
  void on_tick() {
    if (!tailer_) return begin();
    const std::int64_t now = host_.steady_ms();
    if (!watch_.watching()) tailer_->drain();
    tailer_->tick(now);
    run();
    host_.metric("files", static_cast<double>(tailer_->files()));
    host_.metric("lines", static_cast<double>(lines_));
    host_.metric("rotations", static_cast<double>(rotations_));
    host_.metric("open_files", static_cast<double>(tailer_->open_files()));
    host_.metric("lost", static_cast<double>(lost_));
    if (!writer_) return;
    host_.metric("checkpoints", static_cast<double>(checkpoints_));
    write_checkpoint(now);
  }

  static std::uint64_t number_of(std::string_view cursor) {
    std::uint64_t number = 0;
    std::from_chars(cursor.data(), cursor.data() + cursor.size(), number);
    return number;
  }
  // Nothing is read before it is known where to go on.
  void begin() {
    Checkpoint checkpoint;
    if (!config_.checkpoint.empty() && !begin_checkpoints(checkpoint)) return;
    tailer_ = std::make_unique<Tailer>(config_.tailer, static_cast<TailSink&>(*this), host_.steady_ms(), checkpoint);
    tailer_->set_problem(reading_problem_);
    watch();
    run_soon();
  }
  // False: to be tried again.
  bool begin_checkpoints(Checkpoint& checkpoint) {
    const std::string before = std::exchange(reading_problem_, {}), name = "the checkpoint " + config_.checkpoint;
    std::string why;
    const auto lock = lock_.take(config_.checkpoint, why);
    if (lock == CheckpointLock::Taking::held) {
      reading_problem_ =
          name + " is used by " + why + "; each instance needs one of its own, and no file is read before it is free";
      if (reading_problem_ != before) host_.state(sdk::State::retrying, reading_problem_);  // it is logged as well
      return false;
    }
    if (lock == CheckpointLock::Taking::unknown && why != std::exchange(lock_problem_, why))
      say(true, name + " can't be locked: " + why + "; nothing keeps another hub from using it as well");
    const Reading reading = read_checkpoint(config_.checkpoint, checkpoint, why);
    if (reading == Reading::unreadable) {
      reading_problem_ = "can't read " + name + ": " + why + "; no file is read before";
    } else if (reading == Reading::newer) {
      reading_problem_ = name + " is not used and not written: " + why + "; remove it to begin anew";
    } else if (reading == Reading::damaged) {
      const std::string kept = config_.checkpoint + ".damaged";
      reading_problem_ =
          name + " can't be used: " + why + "; files are read as if there was none, and it is written anew";
      if (::rename(config_.checkpoint.c_str(), kept.c_str()) == 0)
        reading_problem_ += "; the old one is " + kept + " now";
    }
    const bool is_news = !reading_problem_.empty() && reading_problem_ != before;
    if (is_news) say(true, reading_problem_);
    if (reading == Reading::unreadable) {
      if (is_news) state(true, reading_problem_);
      return false;
    }
    if (reading == Reading::newer) return true;
    writer_ = std::make_unique<CheckpointWriter>(config_.checkpoint, [this](const std::string& problem) {
      host_.post([this, problem] { on_written(problem); });
    });
    return true;
  }
  void write_checkpoint(std::int64_t now) {
    if (writer_->busy() || now < write_at_ms_ || (!moved_ && rotations_ == written_rotations_)) return;
    moved_ = false;
    written_rotations_ = rotations_;
    write_began_ms_ = now;
    write_at_ms_ = now + kCheckpointMs;
    writer_->offer(to_text(unix_ns(), tailer_->tracks()));
  }
  void on_written(const std::string& problem) {
    if (!tailer_) return;
    const std::int64_t now = host_.steady_ms();
    write_at_ms_ = std::max(write_at_ms_, now + kCheckpointShare * (now - write_began_ms_));
    if (problem.empty())
      ++checkpoints_;
    else
      moved_ = true;  // tried again
    if (problem != writing_problem_ && !problem.empty()) say(true, problem);
    if (std::exchange(writing_problem_, problem) == problem) return;
    std::string all = reading_problem_;
    if (!problem.empty()) all += (all.empty() ? "" : ", ") + problem;
    tailer_->set_problem(all);
    run_soon();
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
    const std::int64_t now = host_.steady_ms();
    if (tailer_->work(now)) run_soon();
    emitter_.flush();
    answer_begun();
    // A full hub takes nothing now; resume() looks at what is due.
    if (const auto due = tailer_->due(); due && !due_.running() && !emitter_.full()) {
      const auto wait = static_cast<std::uint64_t>(std::max<std::int64_t>(*due - now, 1));
      due_.start(host_, wait, 0, [this] { run(); });
    }
  }

  bool line(const Origin& origin, const Line& line) override {
    data_ = "{\"line\":";
    const bool valid = append_json_string(data_, line.text);
    append_origin(origin);
    if (line.truncated()) data_ += ",\"truncated\":true,\"bytes\":" + std::to_string(line.bytes);
    if (line.partial) data_ += ",\"partial\":true";
    if (line.lines > 1) data_ += ",\"lines\":" + std::to_string(line.lines);
    if (line.continued) data_ += ",\"continued\":true";
    if (!valid) data_ += ",\"invalid_utf8\":true";
    data_ += '}';
    lines_ += line.lines;
    return emit(origin, "line", line.end);
  }
  void rotated(const Origin& origin, Rotation why) override {
    data_ = "{\"reason\":\"";
    (data_ += to_word(why)) += '"';
    append_origin(origin);
    data_ += '}';
    ++rotations_;
    emit(origin, "rotated", origin.track != nullptr && *origin.track ? (*origin.track)->read : Place{});
  }
  void lost(const Origin& origin, std::string_view why) override {
    ++lost_;
    emitter_.gap(subject_of(origin), 0, why);
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
  void say_lost(std::string_view subject, std::uint64_t count, std::string_view why) {
    ++lost_;
    host_.gap(subject, count, why);
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
  bool emit(const Origin& origin, std::string_view name, const Place& place) {
    char cursor[24];
    char* end = cursor;
    if (writer_) {
      const std::uint64_t number = progress_.add(origin.track == nullptr ? nullptr : *origin.track, place);
      end = std::to_chars(cursor, cursor + sizeof cursor, number).ptr;
    }
    const bool taken = emitter_.add({.subject = subject_of(origin),
                                     .event = name,
                                     .data = data_,
                                     .cursor = {cursor, static_cast<std::size_t>(end - cursor)},
                                     .time_ms = read_at_ms_});
    if (!taken && !emitter_.closed()) {
      ++lost_;
      emitter_.gap(subject_of(origin), 1, "more was read than the hub had room for");
    }
    return taken && !emitter_.full();
  }

  sdk::Host host_;
  const Config config_;
  sdk::Emitter emitter_;
  std::unique_ptr<Tailer> tailer_;  // from start() to stop()
  sdk::FdWatch watch_;
  sdk::Timer rest_, ticks_, due_;
  bool posted_ = false;
  std::int64_t read_at_ms_ = 0;
  std::uint64_t lines_ = 0, rotations_ = 0, lost_ = 0, checkpoints_ = 0;
  Progress progress_;
  CheckpointLock lock_;
  std::unique_ptr<CheckpointWriter> writer_;  // from start() to stop(), when a checkpoint is wanted
  std::string lock_problem_, reading_problem_, writing_problem_;
  Beginnings beginnings_;                         // by subject: activations that are not answered yet
  bool moved_ = false;                            // places did since the last checkpoint
  std::uint64_t written_rotations_ = UINT64_MAX;  // of the last checkpoint; files come and go
  std::int64_t write_at_ms_ = 0, write_began_ms_ = 0;
  std::string data_;                    // of the event that is being made; kept for its memory
  std::string subject_from_, subject_;  // the last one, and what it was made from
};

}  // namespace
}  // namespace weir::log_tail

WEIR_PLUGIN("log-tail", "0.1.0", weir::log_tail::kManifest, weir::log_tail::LogTail);
