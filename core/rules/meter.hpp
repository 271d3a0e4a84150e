// Counts what one call of a rule costs, in operations and time, and says when it is enough.
// Operations are exact: the same input always gives the same verdict. Time is the backstop, measured as processor time
// of this thread, so that a busy machine does not make rules fail. Once tripped a meter stays so until the next
// start(). Threads: [channel]; one meter per Lua state.
#pragma once
#include <cstdint>

namespace weir::rules {

// Processor time of the calling thread. Costs a system call.
std::int64_t thread_cpu_ns();

enum class Trip : std::uint8_t { none, ops, time, memory };

class Meter {
 public:
  // Begins a call and returns how many operations the woven-in counter may count before it asks grant().
  std::int64_t start(std::int64_t ops_max, std::int64_t time_max_ms);
  // The counter has run out: the next number of operations, or 0 when the budget is used up.
  std::int64_t grant();
  // Work done in C, in operations (about 50 ns each). False: the budget is used up.
  bool charge(std::int64_t operations) {
    charged_ += operations;
    since_clock_ += operations;
    if (since_clock_ < kChargeUnchecked && charged_ <= ops_max_) return tripped_ == Trip::none;
    return check();
  }
  bool in_time();  // reads the clock
  void trip(Trip why) {
    if (tripped_ == Trip::none) tripped_ = why;
  }
  // Ends the call; `unused` is what the counter still holds. Returns the operations of the whole call.
  std::int64_t finish(std::int64_t unused);

  // Between calls: what comes until the next start() is not counted, and what tripped before is forgotten.
  void idle() {
    running_ = false;
    tripped_ = Trip::none;
  }

  // Processor time of the last call, as far as the clock was looked at.
  std::int64_t spent_ns() const { return last_ns_ - started_ns_; }

  Trip tripped() const { return tripped_; }
  bool running() const { return running_; }
  std::int64_t ops_max() const { return ops_max_; }
  std::int64_t time_max_ms() const { return time_max_ns_ / 1'000'000; }

 private:
  static constexpr std::int64_t kChargeUnchecked = 500;
  bool check();
  std::int64_t granted_ = 0, current_ = 0, charged_ = 0, since_clock_ = 0;
  std::int64_t ops_max_ = 0, time_max_ns_ = 0;
  std::int64_t started_ns_ = 0, last_ns_ = 0;  // 0: the clock was not read yet in this call
  std::int64_t quantum_ = 0;
  bool running_ = false;
  Trip tripped_ = Trip::none;
};

}  // namespace weir::rules
