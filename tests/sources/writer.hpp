// Somebody who writes numbered events into a server beside the test, from 1 on: as many as he is told, one after the
// other.
// Threads: one of its own; the functions belong to the test.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "integration/hub_fixture.hpp"

namespace weir::test {

class Writer {
 public:
  // `write` returns when the server has event number n, however often it had to try.
  explicit Writer(std::function<void(int n)> write) : thread_([this, write = std::move(write)] { run(write); }) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void go_on(int count) {
    {
      const std::lock_guard lock(mutex_);
      end_ += count;
    }
    changed_.notify_all();
  }
  // Until all is written that was asked for. False: it took too long.
  bool is_done() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(kPatienceMs), [this] { return next_ == end_; });
  }
  int written() const {
    const std::lock_guard lock(mutex_);
    return next_ - 1;
  }
  int end() const {  // behind the last number that was asked for
    const std::lock_guard lock(mutex_);
    return end_;
  }

 private:
  void run(const std::function<void(int)>& write) {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return over_ || next_ != end_; });
      if (over_) return;
      const int n = next_;
      lock.unlock();
      write(n);
      lock.lock();
      ++next_;
      if (next_ == end_) changed_.notify_all();
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int next_ = 1, end_ = 1;  // guarded by mutex_
  bool over_ = false;
  std::thread thread_;
};

}  // namespace weir::test
