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
  // Asks it and all that it has started to go, and waits for a moment; who does not go is killed. What they write until
  // then is told, as long as `room` says so; what stands in the pipes at the end is told in any case. `ended` is not.
  // room: whether all that was told so far has left, and more may come. Until it has, there is waiting as well.
  void stop(const std::function<bool()>& room);
  pid_t pid() const { return pid_; }
  std::uint64_t lines_cut() const { return out_.lines.cut() + error_.lines.cut(); }

 private:
  struct Pipe {
    Pipe(std::size_t bytes_max, const std::function<void(std::string_view)>& told) : lines(bytes_max), line(told) {}
    int fd = -1;
    LineSplitter lines;
    const std::function<void(std::string_view)>& line;
    sdk::FdWatch watch;
  };
  void watch();
  static bool read(Pipe& pipe);  // false at its end
  bool read_all(Pipe& pipe, bool without_room = false);
  static void finish(Pipe& pipe);
  void linger();
  void check_end();
  void kill_now();
  void close_all();

  sdk::Host host_;
  const ChildConfig config_;
  Told told_;
  pid_t pid_ = -1;  // not waited for before all is over: until then no other process gets the number of its group
  int pidfd_ = -1;
  bool paused_ = false;
  bool gone_ = false, well_ = false;
  std::string how_;  // it went
  Pipe out_, error_;
  sdk::FdWatch exit_;
  sdk::Timer linger_;  // for outputs that somebody else keeps open
};

}  // namespace weir::exec
