#include "base/log_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace weir::log {

Result<std::unique_ptr<LogFile>> LogFile::open(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code ec;  // what is wrong with the folder, open() says as well
  if (!folder.empty()) std::filesystem::create_directories(folder, ec);
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
  if (fd < 0) return fail(Errc::bad_request, "log file \"" + path + "\" can't be opened: " + std::strerror(errno));
  return std::unique_ptr<LogFile>(new LogFile(path, fd));
}

LogFile::~LogFile() { ::close(fd_); }

bool LogFile::append(std::string_view line) {
  std::string text;
  text.reserve(line.size() + 2);
  if (torn_) text += '\n';
  (text += line) += '\n';
  // One write, so that lines of others who append to the file stand between ours and not inside them.
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(fd_, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      why_ = n == 0 ? "nothing is taken" : std::strerror(errno);
      return false;
    }
    done += static_cast<std::size_t>(n);
    torn_ = text[done - 1] != '\n';
  }
  return true;
}

}  // namespace weir::log
