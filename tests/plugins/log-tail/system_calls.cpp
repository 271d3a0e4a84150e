#include "system_calls.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <set>

namespace weir::log_tail::test {
namespace {

ino_t inode_of(const std::string& path) {
  struct stat st {};
  EXPECT_EQ(::stat(path.c_str(), &st), 0) << path;
  return st.st_ino;
}

bool leads_to(int fd, ino_t inode) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 && st.st_ino == inode;
}

}  // namespace

void SystemCalls::break_file(const std::string& path, int error) {
  read_error = [inode = inode_of(path), error](int fd) { return leads_to(fd, inode) ? error : 0; };
}

void SystemCalls::break_descriptors(const std::string& path, int error) {
  std::set<int> broken;
  for (int fd = 0; fd < 1024; ++fd) {
    if (leads_to(fd, inode_of(path))) broken.insert(fd);
  }
  read_error = [broken, error](int fd) { return broken.count(fd) != 0 ? error : 0; };
}

void SystemCalls::break_opening(const std::string& path, int error) {
  open_error = [path, error](const std::string& opened, int flags) {
    return opened == path && (flags & (O_PATH | O_WRONLY)) == 0 ? error : 0;
  };
}

}  // namespace weir::log_tail::test

using weir::log_tail::test::SystemCalls;

// Found by the linker before those of the C library, which do nothing else but the call.
extern "C" ssize_t pread(int fd, void* to, size_t size, off_t offset) {
  if (const int error = SystemCalls::read_error ? SystemCalls::read_error(fd) : 0; error != 0) {
    errno = error;
    return -1;
  }
  return ::syscall(SYS_pread64, fd, to, size, offset);
}

extern "C" int open(const char* path, int flags, ...) {
  if (const int error = SystemCalls::open_error ? SystemCalls::open_error(path, flags) : 0; error != 0) {
    errno = error;
    return -1;
  }
  va_list more;
  va_start(more, flags);
  const unsigned mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, unsigned) : 0;
  va_end(more);
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

extern "C" int statx(int folder, const char* path, int flags, unsigned mask, struct statx* out) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_statx, folder, path, flags, mask, out));
  if (result == 0 && !SystemCalls::births) out->stx_mask &= ~unsigned{STATX_BTIME};
  return result;
}
