// A value that one thread sets and another waits for: what a test takes instead of looking again and again.
// Threads: [any].
#pragma once
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace weir::test {

inline constexpr std::chrono::seconds kFactPatience{20};  // before a test fails; never waited out otherwise

template <class T>
class Fact {
 public:
  explicit Fact(T value = T{}) : value_(std::move(value)) {}
  Fact(const Fact&) = delete;
  Fact& operator=(const Fact&) = delete;

  void set(T value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
    changed_.notify_all();  // under the lock: whoever waited may destroy this as soon as it is released
  }
  void add(T more) {
    const std::lock_guard lock(mutex_);
    value_ += more;
    changed_.notify_all();
  }
  T get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }

  // Waits until holds(value). False: it did not come to that in time.
  template <class Holds>
  bool wait(Holds holds) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kFactPatience, [&] { return holds(value_); });
  }
  bool wait_for(const T& value) const {
    return wait([&](const T& now) { return now == value; });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  T value_;  // guarded by mutex_
};

}  // namespace weir::test
