// A thread that runs one job after the other. Threads: [any].
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace weir::nats {

class Worker {
 public:
  Worker() : thread_([this] { run(); }) {}
  ~Worker() { end(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  void end();  // waits for the job that runs; those behind it never run
  void add(std::function<void()> job);

 private:
  void run();
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::function<void()>> jobs_;  // guarded by mutex_
  bool over_ = false;
  std::thread thread_;
};

}  // namespace weir::nats
