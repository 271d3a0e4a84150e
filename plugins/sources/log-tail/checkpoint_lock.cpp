#include "checkpoint_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

namespace weir::log_tail {
namespace {

// On a folder that several machines or containers share a number alone would not say whose process it is.
std::string host_name() {
  char name[65] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

// As a sentence goes on: "is used by ...".
std::string owner(int fd) {
  char text[96];
  const ssize_t n = ::pread(fd, text, sizeof text, 0);
  pid_t pid = 0;
  if (n > 0) std::from_chars(text, text + n, pid);
  if (pid <= 0) return "another process";
  const std::string_view line(text, static_cast<std::size_t>(n));
  const auto space = line.find(' '), end = line.find('\n');
  const std::string host(space < end ? line.substr(space + 1, end - space - 1) : std::string_view());
  if (host != host_name()) return "process " + std::to_string(pid) + " on " + host;
  return pid == ::getpid() ? "another instance of this hub" : "process " + std::to_string(pid);
}

}  // namespace

CheckpointLock::Taking CheckpointLock::take(const std::string& checkpoint, std::string& why) {
  if (fd_ >= 0) return Taking::taken;
  const int fd = ::open((checkpoint + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (fd < 0) {
    why = std::strerror(errno);
    return Taking::unknown;
  }
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    why = error == EWOULDBLOCK ? owner(fd) : std::strerror(error);
    ::close(fd);
    return error == EWOULDBLOCK ? Taking::held : Taking::unknown;
  }
  fd_ = fd;
  // On a full disk the lock holds all the same, and only its owner has no name.
  const std::string pid = std::to_string(::getpid()) + ' ' + host_name() + '\n';
  if (::ftruncate(fd, 0) == 0) (void)!::pwrite(fd, pid.data(), pid.size(), 0);
  return Taking::taken;
}

void CheckpointLock::release() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace weir::log_tail
