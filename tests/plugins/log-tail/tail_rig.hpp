// A Tailer on real files, with a clock that the test moves and a list of what it delivered:
// "line" for a line, "<renamed>" for a rotation, and marks behind: "abc +partial".
#pragma once
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log_files.hpp"
#include "progress.hpp"
#include "tailer.hpp"

namespace weir::log_tail::test {

using Items = std::vector<std::string>;

class Collector final : public TailSink {
 public:
  bool line(const Origin& origin, const Line& line) override {
    std::string item(line.text);
    if (line.truncated()) item += " +" + std::to_string(line.bytes);
    if (line.partial) item += " +partial";
    if (line.continued) item += " +continued";
    add(origin, item);
    number_ = progress.add(*origin.track, line.end);
    if (accepts) accept_all();
    return !full();
  }
  void rotated(const Origin& origin, Rotation why) override {
    static constexpr const char* kWords[] = {"<renamed>", "<truncated>", "<deleted>", "<replaced>"};
    add(origin, kWords[static_cast<int>(why)]);
  }
  void lost(const Origin& origin, std::string_view why) override {
    add(origin, "<lost>");
    losses.emplace_back(why);
  }
  void accept_all() {
    progress.accepted(number_);
    accepted_items = items.size();
  }
  // As a hub that ends: what it had not accepted has never been.
  void forget_unaccepted() {
    items.resize(accepted_items);
    origins.resize(accepted_items);
  }
  bool full() const override { return items.size() >= room; }
  void say(bool, const std::string& message) override { said.push_back(message); }
  void state(bool degraded, const std::string& reason) override { states.push_back(degraded ? reason : "running"); }

  Items take() {
    accepted_items = 0;
    return std::exchange(items, {});
  }

  Items items;    // what was delivered since the last take()
  Items origins;  // for each ever delivered: the file's name, or the path where that was needed
  Items said, states, losses;
  Progress progress;
  std::size_t accepted_items = 0;
  bool accepts = true;  // as a hub that has a place for everything at once
  std::size_t room = SIZE_MAX;

 private:
  void add(const Origin& origin, std::string item) {
    items.push_back(std::move(item));
    origins.emplace_back(origin.path.empty() ? origin.file : origin.path);
  }
  std::uint64_t number_ = 0;
};

class TailRig {
 public:
  void start(const std::vector<std::string>& patterns) {
    for (const std::string& pattern : patterns)
      options.files.push_back(pattern.front() == '/' ? pattern : folder.at(pattern));
    tailer = std::make_unique<Tailer>(options, sink, now);
    settle();
  }
  // With a.log, of which this has been read.
  void start_behind(const std::string& text) {
    folder.append("a.log", text);
    start({"a.log"});
    EXPECT_FALSE(sink.take().empty()) << text;
  }
  // Ends as an instance does, and begins as the next one does, with what the checkpoint file would say.
  void stop() {
    timespec real{};
    ::clock_gettime(CLOCK_REALTIME, &real);
    saved = to_text(real.tv_sec * 1'000'000'000LL + real.tv_nsec, tailer->tracks());
    kill();
  }
  void kill() {
    tailer.reset();
    sink.progress = {};
  }
  void start_again() {
    Checkpoint checkpoint;
    std::string why;
    ASSERT_EQ(parse_checkpoint(saved, checkpoint, why), Reading::fine) << why << "\n" << saved;
    tailer = std::make_unique<Tailer>(options, sink, now, checkpoint);
    settle();
  }
  void restart() {
    stop();
    start_again();
  }
  // Lets the tailer notice and read what happened up to now. With inotify the kernel has queued its news already when
  // the call that made them returns, so there is nothing to wait for; without it, the time of the next poll comes.
  void settle() {
    if (options.inotify)
      tailer->drain();
    else
      pass(options.poll_ms);
    work();
  }
  // Time goes by, with a tick every poll_ms.
  void pass(std::int64_t ms) {
    for (const std::int64_t end = now + ms; now < end;) {
      now += options.poll_ms;
      tailer->tick(now);
      work();
    }
  }
  void work() {
    while (tailer->work(now)) {
    }
  }
  Items read() {
    settle();
    return sink.take();
  }

  // What the kernel does when its queue of news is full (fs.inotify.max_queued_events, up to millions): whatever it has
  // for the tailer by now is gone. overflow() then says so, as the kernel does at the queue's end.
  void lose_news() const {
    std::array<char, 64 * 1024> news;
    while (::read(tailer->fd(), news.data(), news.size()) > 0) {
    }
  }
  // The tailer reads the kernel's word for it (inotify(7), IN_Q_OVERFLOW) where it reads all news; its watches stay.
  void overflow() {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), 0);
    inotify_event word{};
    word.wd = -1;
    word.mask = IN_Q_OVERFLOW;
    ASSERT_EQ(::write(ends[1], &word, sizeof word), static_cast<ssize_t>(sizeof word));
    const int kernel = ::dup(tailer->fd());
    ASSERT_EQ(::dup3(ends[0], tailer->fd(), O_CLOEXEC), tailer->fd());
    tailer->drain();
    ASSERT_EQ(::dup3(kernel, tailer->fd(), O_CLOEXEC), tailer->fd());
    for (const int fd : {kernel, ends[0], ends[1]}) ::close(fd);
    work();
  }

  LogFolder folder;
  TailerOptions options;
  Collector sink;
  std::unique_ptr<Tailer> tailer;
  std::string saved;  // the checkpoint
  std::int64_t now = 1'000'000;
};

}  // namespace weir::log_tail::test
