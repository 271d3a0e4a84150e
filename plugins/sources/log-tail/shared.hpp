// What the followers of one instance have in common: the options, where lines go, and the book of who reads which file.
// Threads: [strand].
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "book.hpp"
#include "folder_names.hpp"
#include "inotify.hpp"
#include "multiline.hpp"
#include "open_file.hpp"
#include "reach.hpp"
#include "siblings.hpp"

namespace weir::log_tail {

struct TailerOptions {
  std::vector<std::string> files;    // patterns
  std::string root;                  // the folder of what is followed on demand; empty: nothing is
  std::vector<std::string> exclude;  // patterns
  std::size_t backlog = 100;         // lines of a file that is there at the start
  std::size_t line_bytes_max = 65536;
  std::int64_t poll_ms = 500;
  std::int64_t slice_ms = 10;   // of work at once, so that the strand is free in between
  std::size_t open_max = 1024;  // descriptors; beyond it, files that are read to their end are closed
  MultilineOptions multiline;
  bool inotify = true;
  bool places = false;  // lines know where they end, and the book can be saved
};

enum class Rotation : std::uint8_t { renamed, truncated, deleted, replaced };

struct Origin {
  std::string_view file;            // the name without its folder
  std::string_view path;            // only when another followed file has the same name, else empty
  const TrackPtr* track = nullptr;  // of the file
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

struct Shared {
  Shared(TailerOptions o, TailSink& s, std::int64_t started)
      : options(std::move(o)),
        sink(s),
        buffers(options.line_bytes_max, options.places),
        multiline(options.multiline),
        inotify(options.inotify),
        root(options.root, options.exclude),
        book(options.places),
        started_ns(started) {}
  const TailerOptions options;
  TailSink& sink;
  ReadBuffers buffers;
  Multiline multiline;
  Inotify inotify;
  const Root root;  // only when options.root says so
  FolderNames folders;
  FileBook book;
  std::multimap<int, Follower*> watches;             // of files, by inotify's number, which is the file's
  std::map<std::string, int> files_named;            // how many followers have this base name
  std::multimap<std::string, Follower*> real_paths;  // of followers that a link leads to
  std::list<Follower*> open;                         // have a file open; the one that was read longest ago first
  const Follower* looking_back = nullptr;            // one at a time has older files open for its last lines
  // -1: there is none to be had.
  int watch(int file_fd, Follower* follower);
  void unwatch(int watch, Follower* follower);
  // Does another followed path name this file now?
  std::function<bool(const Track& track, const std::string& path)> is_followed_elsewhere;
  const std::int64_t started_ns;  // real time; files born later are read from their beginning
  std::int64_t saved_ns = 0;      // when the checkpoint was written that the book was loaded from
};

inline int Shared::watch(int file_fd, Follower* follower) {
  const int number = inotify.watch_file(file_fd);
  if (number >= 0) watches.emplace(number, follower);
  return number;
}

inline void Shared::unwatch(int number, Follower* follower) {
  const auto [from, to] = watches.equal_range(number);
  const auto entry = std::find_if(from, to, [&](const auto& each) { return each.second == follower; });
  if (entry == to) return;
  watches.erase(entry);
  if (watches.count(number) == 0) inotify.unwatch_file(number);
}

}  // namespace weir::log_tail
