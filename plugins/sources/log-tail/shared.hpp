// What the followers of one instance have in common: the options, where lines go, and the book of who reads which file.
// Threads: [strand].
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "inotify.hpp"
#include "open_file.hpp"
#include "siblings.hpp"

namespace weir::log_tail {

struct TailerOptions {
  std::vector<std::string> files;    // patterns
  std::vector<std::string> exclude;  // patterns
  std::size_t backlog = 100;         // lines of a file that is there at the start
  std::size_t line_bytes_max = 65536;
  std::int64_t poll_ms = 500;
  bool inotify = true;
};

enum class Rotation : std::uint8_t { renamed, truncated, deleted, replaced };

struct Origin {
  std::string_view file;  // the name without its folder
  std::string_view path;  // only when another followed file has the same name, else empty
};

// Where a Tailer delivers to.
class TailSink {
 public:
  virtual ~TailSink() = default;
  // Each takes what it is given, always; full() asks to stop for now, and so does line() returning false.
  virtual bool line(const Origin& origin, const Line& line) = 0;
  virtual void rotated(const Origin& origin, Rotation why) = 0;
  virtual void lost(const Origin& origin, std::string_view why) = 0;
  virtual bool full() const = 0;
  virtual void say(bool warning, const std::string& message) = 0;    // for the log
  virtual void state(bool degraded, const std::string& reason) = 0;  // only when it changed
};

class Follower;

// How far a file was read that nobody has open any more, in case it turns up again under another followed name.
struct LeftAt {
  std::uint64_t offset = 0;
  std::string head, tail;
};

// No file is read by two followers: the second name of a file waits until the first one is done with it.
class FileBook {
 public:
  static constexpr std::size_t kLeftMax = 1024;

  Follower* owner(FileId id) const {
    const auto it = owners_.find(id);
    return it == owners_.end() ? nullptr : it->second;
  }
  void own(FileId id, Follower* owner) { owners_[id] = owner; }
  void release(FileId id) { owners_.erase(id); }

  const LeftAt* left(const Birth& birth) const {
    const auto it = left_.find(birth);
    return it == left_.end() ? nullptr : &it->second;
  }
  void leave(const Birth& birth, LeftAt at) {
    if (left_.insert_or_assign(birth, std::move(at)).second) order_.push_back(birth);
    if (order_.size() <= kLeftMax) return;
    left_.erase(order_.front());
    order_.pop_front();
  }

 private:
  std::map<FileId, Follower*> owners_;
  std::map<Birth, LeftAt> left_;
  std::deque<Birth> order_;  // of left_, oldest first
};

struct Shared {
  Shared(TailerOptions o, TailSink& s, std::int64_t started)
      : options(std::move(o)),
        sink(s),
        buffers(options.line_bytes_max),
        inotify(options.inotify),
        started_ns(started) {}
  const TailerOptions options;
  TailSink& sink;
  ReadBuffers buffers;
  Inotify inotify;
  FileBook book;
  std::map<int, Follower*> watches;        // of files, by inotify's number
  std::map<std::string, int> files_named;  // how many followers have this base name
  const std::int64_t started_ns;           // real time; files born later are read from their beginning
};

}  // namespace weir::log_tail
