// Keeps others off a checkpoint: an flock() on a file beside it, called CHECKPOINT.lock, as the checkpoint itself is
// another file after each write. The kernel ends the lock with the process, however that ends; the file stays, and says
// which process it is, on which host, for whoever comes second. Threads: one at a time.
#pragma once
#include <string>

namespace weir::log_tail {

class CheckpointLock {
 public:
  CheckpointLock() = default;
  CheckpointLock(const CheckpointLock&) = delete;
  CheckpointLock& operator=(const CheckpointLock&) = delete;
  ~CheckpointLock() { release(); }

  // held: by somebody else; `why` says by whom. unknown: there is no telling here, and `why`.
  enum class Taking : unsigned char { taken, held, unknown };
  // Never waits. Once taken it stays so until release().
  Taking take(const std::string& checkpoint, std::string& why);
  void release();

 private:
  int fd_ = -1;
};

}  // namespace weir::log_tail
