// The kernel's news about folders and what is written to the files in them, with names instead of numbers. A watch on a
// folder serves all its files; a file has its own only where no followed name leads to it any more. Every watch is
// wanted anew after each look at the world (begin, want..., end), so what nobody wants any more goes away by itself.
// When the system has no watches or instances left (fs.inotify.max_user_*), complete() is false: then somebody has to
// look. Threads: [strand].
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace weir::log_tail {

struct FolderNews {
  const std::string& folder;
  std::string_view name;
  bool appeared;  // or was moved here; else it left
  bool moved;     // by rename
  bool content;   // it stayed, and there is something to read in it
  bool is_folder;
};

class Inotify {
 public:
  explicit Inotify(bool wanted);
  Inotify(const Inotify&) = delete;
  Inotify& operator=(const Inotify&) = delete;
  ~Inotify();

  int fd() const { return fd_; }  // -1: the system gave none
  bool complete() const { return fd_ >= 0 && !refused_; }
  const std::string& why_incomplete() const { return why_; }

  // Names that come and go in the folder. Folders that were not named since begin_folders() are dropped by
  // end_folders().
  void begin_folders();
  void want_folder(const std::string& path);
  void end_folders();

  // Changes of an open file, also under a new name. Returns the watch, -1 when there is none to be had.
  int watch_file(int file_fd);
  void unwatch_file(int watch);

  struct Handler {
    std::function<void(const FolderNews&)> folder;
    std::function<void(int watch, bool content)> file;  // content: something to read; else its name or mode
    std::function<void()> overflow;                     // news were lost, or a folder went away: look at everything
  };
  // Hands over what is there now; never blocks.
  void drain(const Handler& handler);

 private:
  void refuse(const std::string& what);

  int fd_ = -1;
  bool refused_ = false;
  std::string why_;
  std::map<int, std::set<std::string>> folders_;  // by watch; one folder may have several names
  std::map<std::string, int> folder_watch_;       // and back
  std::set<std::string> wanted_;
};

}  // namespace weir::log_tail
