// The kernel's part in what no test can make a real file system do: a disk or a network that fails for a while, and one
// that knows no times of birth. The calls of the whole program come by here; unless a test wants something they go on
// to the kernel as they are. Threads: set by the test while nothing reads.
#pragma once
#include <functional>
#include <string>

namespace weir::log_tail::test {

struct SystemCalls {
  static inline std::function<int(int fd)> read_error;  // errno for reading from it; 0: none
  static inline bool births = true;                     // statx(2) tells them

  SystemCalls() = default;
  SystemCalls(const SystemCalls&) = delete;
  SystemCalls& operator=(const SystemCalls&) = delete;
  ~SystemCalls() { births = true, read_error = {}; }

  // The file can't be read, through no descriptor.
  static void break_file(const std::string& path, int error);
  // The file can't be read through the descriptors that lead to it now.
  static void break_descriptors(const std::string& path, int error);
  static void mend() { read_error = {}; }
};

}  // namespace weir::log_tail::test
