#include "rules/meter.hpp"

#include <ctime>

#include <algorithm>

namespace weir::rules {
namespace {

// The first operations of a call run without looking at the clock: a realistic rule is over by then.
constexpr std::int64_t kFirst = 256;
constexpr std::int64_t kQuantumMin = 8, kQuantumMax = 1000;
// One look at the clock per about 50 us: often enough to be exact, too rarely to cost anything.
constexpr std::int64_t kShortNs = 30'000, kLongNs = 80'000;

}  // namespace

std::int64_t thread_cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

std::int64_t Meter::start(std::int64_t ops_max, std::int64_t time_max_ms) {
  ops_max_ = ops_max;
  time_max_ns_ = time_max_ms * 1'000'000;
  charged_ = since_clock_ = started_ns_ = last_ns_ = 0;
  tripped_ = Trip::none;
  running_ = true;
  quantum_ = 64;
  granted_ = current_ = std::min(kFirst, ops_max);
  return granted_;
}

bool Meter::in_time() {
  if (!running_) return true;
  if (tripped_ != Trip::none) return false;
  const auto now = thread_cpu_ns();
  if (started_ns_ == 0) started_ns_ = last_ns_ = now;
  const auto spent = now - last_ns_;
  last_ns_ = now;
  since_clock_ = 0;
  if (spent < kShortNs)
    quantum_ = std::min(quantum_ * 2, kQuantumMax);
  else if (spent > kLongNs)
    quantum_ = std::max(quantum_ / 2, kQuantumMin);
  if (now - started_ns_ > time_max_ns_) tripped_ = Trip::time;
  return tripped_ == Trip::none;
}

// `current_` may not be spent yet, so it does not count here: what trips must not depend on how operations were dealt
// out.
bool Meter::check() {
  if (!running_) return true;
  if (tripped_ == Trip::none && granted_ - current_ + charged_ > ops_max_) tripped_ = Trip::ops;
  return tripped_ == Trip::none && in_time();
}

std::int64_t Meter::grant() {
  if (tripped_ != Trip::none) return 0;
  if (granted_ + charged_ >= ops_max_) {
    tripped_ = Trip::ops;
    return 0;
  }
  if (!in_time()) return 0;
  current_ = std::min(quantum_, ops_max_ - granted_ - charged_);
  granted_ += current_;
  return current_;
}

std::int64_t Meter::finish(std::int64_t unused) {
  running_ = false;
  const auto used = granted_ - std::clamp<std::int64_t>(unused, 0, granted_) + charged_;
  if (used > ops_max_) trip(Trip::ops);
  return used;
}

}  // namespace weir::rules
