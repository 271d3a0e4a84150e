// Writes checkpoints so that at every moment, also after a crash or a power cut, there is a whole one: into a temporary
// file beside it, fsync, rename over it, fsync of the folder. On a thread of its own, because a disk may take seconds.
// Threads: offer(), finish() and the destructor on one thread; `done` is called on the writer's thread.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace weir::log_tail {

// One write, on the calling thread. Returns what went wrong, as a sentence; empty: nothing.
std::string write_whole(const std::string& path, const std::string& text);

class CheckpointWriter {
 public:
  using Done = std::function<void(const std::string& problem)>;
  CheckpointWriter(std::string path, Done done);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  ~CheckpointWriter();  // as finish()

  bool busy() const;
  // To be written next. What was offered before and not begun is forgotten: the newest one is all that counts.
  void offer(std::string text);
  // Writes what was offered last and ends.
  void finish();

 private:
  void run();

  const std::string path_;
  const Done done_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<std::string> next_;  // guarded by mutex_
  bool writing_ = false;             // guarded by mutex_
  bool ending_ = false;              // guarded by mutex_
  std::thread thread_;
};

}  // namespace weir::log_tail
