#include "worker.hpp"

#include <nats/nats.h>

namespace weir::nats {

void Worker::end() {
  std::deque<std::function<void()>> left;  // what they hold on to may take its time to go
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    left.swap(jobs_);
  }
  more_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Worker::add(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    jobs_.push_back(std::move(job));
  }
  more_.notify_all();
}

void Worker::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    more_.wait(lock, [this] { return over_ || !jobs_.empty(); });
    if (over_) break;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;
    lock.lock();
  }
  nats_ReleaseThreadMemory();
}

}  // namespace weir::nats
