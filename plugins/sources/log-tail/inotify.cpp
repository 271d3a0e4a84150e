#include "inotify.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace weir::log_tail {
namespace {

constexpr std::uint32_t kFolderMask = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_MODIFY | IN_ATTRIB |
                                      IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr std::uint32_t kFileMask = IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF;

}  // namespace

Inotify::Inotify(bool wanted) {
  if (!wanted) return;
  fd_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd_ < 0) refuse("inotify_init1");
}

Inotify::~Inotify() {
  if (fd_ >= 0) ::close(fd_);
}

void Inotify::refuse(const std::string& what) {
  refused_ = true;
  why_ = what + ": " + std::strerror(errno);
}

void Inotify::begin_folders() { wanted_.clear(); }

void Inotify::want_folder(const std::string& path) {
  wanted_.insert(path);
  if (fd_ < 0 || folder_watch_.count(path) != 0) return;
  const int watch = ::inotify_add_watch(fd_, path.c_str(), kFolderMask);
  if (watch >= 0) {
    folders_[watch].insert(path);
    folder_watch_[path] = watch;
  } else if (errno == ENOSPC || errno == ENOMEM) {
    refuse("inotify_add_watch(" + path + ")");
  }
}

void Inotify::end_folders() {
  for (auto it = folder_watch_.begin(); it != folder_watch_.end();) {
    if (wanted_.count(it->first) != 0) {
      ++it;
      continue;
    }
    std::set<std::string>& names = folders_[it->second];
    names.erase(it->first);
    if (names.empty()) {
      ::inotify_rm_watch(fd_, it->second);
      folders_.erase(it->second);
    }
    it = folder_watch_.erase(it);
  }
}

int Inotify::watch_file(int file_fd) {
  if (fd_ < 0) return -1;
  // Through the descriptor, because the name may stand for another file by now.
  const std::string path = "/proc/self/fd/" + std::to_string(file_fd);
  const int watch = ::inotify_add_watch(fd_, path.c_str(), kFileMask);
  if (watch < 0) refuse("inotify_add_watch on a file");
  return watch;
}

void Inotify::unwatch_file(int watch) {
  if (fd_ >= 0 && watch >= 0) ::inotify_rm_watch(fd_, watch);
}

void Inotify::drain(const Handler& handler) {
  if (fd_ < 0) return;
  alignas(inotify_event) std::array<char, 16 * 1024> buffer;
  while (true) {
    const ssize_t n = ::read(fd_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    for (std::size_t at = 0; at < static_cast<std::size_t>(n);) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const std::string_view name = event.len == 0 ? std::string_view() : buffer.data() + at + sizeof event;
      at += sizeof event + event.len;
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        handler.overflow();
        continue;
      }
      const auto folder = folders_.find(event.wd);
      if (folder == folders_.end()) {
        if ((event.mask & IN_IGNORED) == 0) handler.file(event.wd, (event.mask & IN_MODIFY) != 0);
        continue;
      }
      // A folder's own news have no name.
      if ((event.mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0) {
        // The path may lead to another folder now: forget the watch, the next look takes a new one.
        ::inotify_rm_watch(fd_, event.wd);
        for (const std::string& path : folder->second) folder_watch_.erase(path);
        folders_.erase(folder);
        handler.overflow();
        continue;
      }
      if (name.empty()) continue;
      const bool is_folder = (event.mask & IN_ISDIR) != 0;
      const bool content = (event.mask & IN_MODIFY) != 0;
      if (is_folder && (event.mask & IN_ATTRIB) != 0) continue;
      for (const std::string& path : folder->second) {
        handler.folder({path, name, (event.mask & (IN_CREATE | IN_MOVED_TO | IN_ATTRIB)) != 0,
                        (event.mask & (IN_MOVED_TO | IN_MOVED_FROM)) != 0, content, is_folder});
      }
    }
  }
}

}  // namespace weir::log_tail
