#include "reach.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "glob.hpp"

namespace weir::log_tail {
namespace {

constexpr int kAttempts = 20;  // the kernel says EAGAIN when something is renamed while it looks for ".." on the way

std::string path_of_descriptor(int fd) {
  std::array<char, PATH_MAX> path;
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t n = ::readlink(link.c_str(), path.data(), path.size());
  return n <= 0 ? std::string() : std::string(path.data(), static_cast<std::size_t>(n));
}

}  // namespace

Descriptor::~Descriptor() {
  const int error = errno;  // closing says nothing about what failed before
  if (fd_ >= 0) ::close(fd_);
  errno = error;
}

int open_beneath_by_steps(int folder, const std::string& name, int flags) {
  Descriptor at(::fcntl(folder, F_DUPFD_CLOEXEC, 0));
  for (std::size_t begin = 0; at.get() >= 0;) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (part == "..") {
      errno = EXDEV;
      return -1;
    }
    const bool last = end == name.size();
    // O_PATH opens a link itself, which is no folder; without it O_NOFOLLOW refuses a link.
    const int step = last ? flags : O_PATH | O_DIRECTORY;
    Descriptor next(::openat(at.get(), part.c_str(), step | O_NOFOLLOW | O_CLOEXEC));
    if (last) return next.release();
    at = std::move(next);
    begin = end + 1;
  }
  return -1;
}

int open_beneath(int folder, const std::string& name, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto fd = static_cast<int>(::syscall(SYS_openat2, folder, name.c_str(), &how, sizeof how));
    if (fd >= 0) return fd;
    // EPERM: a container's filter of system calls that does not know this one.
    if (errno == ENOSYS || errno == EPERM) return open_beneath_by_steps(folder, name, flags);
    if (errno != EAGAIN) return -1;
  }
  return -1;
}

Root::Root(std::string path, std::vector<std::string> hidden) : path_(std::move(path)), hidden_(std::move(hidden)) {
  while (!path_.empty() && path_.back() == '/') path_.pop_back();
}

std::optional<std::string> Root::path_of(std::string_view name) const {
  if (name.empty() || path_.size() + 1 + name.size() >= PATH_MAX) return std::nullopt;
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return std::nullopt;
  }
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > NAME_MAX) return std::nullopt;
    begin = end + 1;
  }
  return (path_ + "/").append(name);
}

// Patterns tell files by the root's own name; a path without links may have another one.
bool Root::hides(const std::string& path) const {
  if (matches_any(hidden_, path)) return true;
  if (hidden_.empty() || path.starts_with(path_ + "/")) return false;
  const Descriptor folder(open_folder());
  const auto name = folder.get() < 0 ? std::nullopt : name_of(path, folder.get());
  return !name || matches_any(hidden_, path_ + "/" + *name);  // what can't be told is not shown
}

int Root::open_folder() const { return ::open(path_.empty() ? "/" : path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC); }

// The path may be one by the root's own name, or one without links.
std::optional<std::string> Root::name_of(const std::string& path, int folder) const {
  const auto below = [&](const std::string& root) -> std::optional<std::string> {
    if (path == root) return ".";
    if (path.size() <= root.size() + 1 || !path.starts_with(root) || path[root.size()] != '/') return std::nullopt;
    return path.substr(root.size() + 1);
  };
  if (auto name = below(path_)) return name;
  const std::string real = path_of_descriptor(folder);
  return below(real == "/" ? "" : real);
}

int Root::open(const std::string& path, int flags) const {
  const Descriptor folder(open_folder());
  if (folder.get() < 0) return -1;
  const auto name = name_of(path, folder.get());
  if (name) return open_beneath(folder.get(), *name, flags);
  errno = EXDEV;
  return -1;
}

bool is_forbidden(int error) { return error == EACCES || error == EPERM; }

int Reach::open(const std::string& path, int flags) const {
  return root_ == nullptr ? ::open(path.c_str(), flags | O_CLOEXEC) : root_->open(path, flags);
}

bool Reach::look_at(const std::string& path, struct stat& st) const {
  if (root_ == nullptr) return ::stat(path.c_str(), &st) == 0;
  const Descriptor file(root_->open(path, O_PATH));
  return file.get() >= 0 && ::fstat(file.get(), &st) == 0;
}

std::string Reach::real_path(const std::string& path, int fd) const {
  if (root_ != nullptr) {
    std::string real = path_of_descriptor(fd);
    return real.empty() ? path : real;
  }
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
  return real ? std::string(real.get()) : path;
}

bool Reach::is_absent(int error) const {
  if (error == ENOENT || error == ENOTDIR) return true;
  return root_ != nullptr && (error == EXDEV || error == ELOOP || error == ENAMETOOLONG);
}

}  // namespace weir::log_tail
