// The file that the log goes to besides standard error. A line that the disk does not take is lost, nothing is kept for
// later. Half a line that a full disk left behind is ended before the next one, so that whoever follows the file sees
// whole lines again.
// Threads: one at a time.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace weir::log {

class LogFile {
 public:
  // Appends to what is there already; makes the folder when it is missing.
  // Errors: bad_request - it can't be opened; the message says why.
  static Result<std::unique_ptr<LogFile>> open(const std::string& path);
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  ~LogFile();

  // Appends a line, or several with "\n" between them. False: lost, and why() says why.
  bool append(std::string_view line);
  const std::string& why() const { return why_; }  // the last one that was lost: "No space left on device"
  const std::string& path() const { return path_; }

 private:
  LogFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  const std::string path_;
  const int fd_;
  bool torn_ = false;  // the file ends inside a line
  std::string why_;
};

}  // namespace weir::log
