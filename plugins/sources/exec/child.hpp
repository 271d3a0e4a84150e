// A child process whose output is read line by line on the strand. It never blocks, and its end is noticed by its
// pidfd. Threads: [strand].
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "weir/sdk/host.hpp"

namespace weir::exec {

// Bytes in, lines out. A line that is longer than the bound is cut, and what is cut off is counted.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  // `line` has no end of line, neither \n nor \r\n.
  void feed(std::string_view bytes, const std::function<void(std::string_view line)>& line);
  void end(const std::function<void(std::string_view line)>& line);  // what stands behind the last end of line
  std::uint64_t cut() const { return cut_; }

 private:
  std::size_t bytes_max_;
  std::string rest_;
  bool cutting_ = false;
  std::uint64_t cut_ = 0;
};

struct ChildConfig {
  std::vector<std::string> command;
  std::string directory;                           // empty: the hub's
  std::map<std::string, std::string> environment;  // beside the hub's
  std::size_t line_bytes_max = 65536;
};

class Child {
 public:
  struct Told {
    std::function<void(std::string_view line)> out, error;
    // Both outputs are read to their end. `how`: "exited with status 1", "was killed by signal 9 (Killed)".
    std::function<void(bool well, const std::string& how)> ended;
  };
  Child(const sdk::Host& host, const ChildConfig& config, Told told);
  ~Child() { kill_now(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Errors: Failure(WEIR_E_UNAVAILABLE) - it can't be started, and why.
  void start();
  void pause(bool paused);  // reads nothing more: the pipe fills up and the child waits
  // Asks it and all that it has started to go, and waits for a moment; who does not go is killed.
  void stop();
  pid_t pid() const { return pid_; }
  std::uint64_t lines_cut() const { return out_.lines.cut() + error_.lines.cut(); }

 private:
  struct Pipe {
    explicit Pipe(std::size_t bytes_max) : lines(bytes_max) {}
    int fd = -1;
    LineSplitter lines;
    sdk::FdWatch watch;
  };
  void watch();
  void read(Pipe& pipe, const std::function<void(std::string_view)>& line);
  void finish(Pipe& pipe, const std::function<void(std::string_view)>& line);
  void linger();
  void check_end();
  void kill_now();
  void close_all();

  sdk::Host host_;
  const ChildConfig config_;
  Told told_;
  pid_t pid_ = -1;
  int pidfd_ = -1;
  bool paused_ = false, gone_ = false;
  int status_ = 0;
  Pipe out_, error_;
  sdk::FdWatch exit_;
  sdk::Timer linger_;  // for outputs that somebody else keeps open
};

}  // namespace weir::exec
