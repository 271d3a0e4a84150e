#include "checkpoint_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "glob.hpp"

namespace weir::log_tail {
namespace {

std::string problem(const std::string& path) {
  return "can't write the checkpoint " + path + ": " + std::strerror(errno);
}

bool write_all(int fd, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

std::string write_whole(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  // Never through a link that somebody put there, and readable to nobody else: it names files.
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return problem(temporary);
  if (!write_all(fd, text) || ::fsync(fd) != 0) {
    std::string what = problem(temporary);
    ::close(fd);
    ::unlink(temporary.c_str());
    return what;
  }
  ::close(fd);
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    std::string what = problem(path);
    ::unlink(temporary.c_str());
    return what;
  }
  const int folder = ::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >=
      0) {  // where that can't be done, the old checkpoint may come back after a power cut, which is whole too
    ::fsync(folder);
    ::close(folder);
  }
  return {};
}

CheckpointWriter::CheckpointWriter(std::string path, Done done)
    : path_(std::move(path)), done_(std::move(done)), thread_([this] { run(); }) {}

CheckpointWriter::~CheckpointWriter() { finish(); }

bool CheckpointWriter::busy() const {
  const std::lock_guard lock(mutex_);
  return writing_ || next_.has_value();
}

void CheckpointWriter::offer(std::string text) {
  {
    const std::lock_guard lock(mutex_);
    next_ = std::move(text);
  }
  wake_.notify_one();
}

void CheckpointWriter::finish() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void CheckpointWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return next_ || ending_; });
    if (!next_) return;
    const std::string text = *std::exchange(next_, std::nullopt);
    writing_ = true;
    lock.unlock();
    done_(write_whole(path_, text));
    lock.lock();
    writing_ = false;
  }
}

}  // namespace weir::log_tail
