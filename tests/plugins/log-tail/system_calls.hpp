// The kernel's part in what no test can make a real file system do: a disk or a network that fails for a while, and one
// that knows no times of birth. The calls of the whole program come by here; unless a test wants something they go on
// to the kernel as they are. Threads: set by the test while nothing reads.
#pragma once
#include <functional>
#include <string>

namespace weir::log_tail::test {

struct SystemCalls {
  static inline std::function<int(int fd)> read_error;  // errno for reading from it; 0: none
  static inline std::function<int(const std::string& path, int flags)> open_error;  // likewise for opening it
  static inline bool births = true;                                                 // statx(2) tells them

  SystemCalls() = default;
  SystemCalls(const SystemCalls&) = delete;
  SystemCalls& operator=(const SystemCalls&) = delete;
  ~SystemCalls() { births = true, mend(); }

  // The file can't be read, through no descriptor.
  static void break_file(const std::string& path, int error);
  // The file can't be read through the descriptors that lead to it now.
  static void break_descriptors(const std::string& path, int error);
  // What is at the path can't be opened for reading; a folder can't be listed then, but what is in it is found by its
  // name.
  static void break_opening(const std::string& path, int error);
  static void mend() { read_error = {}, open_error = {}; }
};

}  // namespace weir::log_tail::test
