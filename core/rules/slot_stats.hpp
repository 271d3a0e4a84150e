// What one rule has done on one shard, for /stats and /health. Outlives a reload: the rule that takes another's place
// goes on counting where that one stopped.
// Private to this layer. Threads: written by the shard's thread, read by all.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/engine.hpp"

namespace weir::rules {

// The hot path takes no lock.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Why events were dropped. A text is written once, before `used_` says that it is there.
class Reasons {
 public:
  void add(std::string_view reason) {
    const auto used = used_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < used; ++i)
      if (text_[i] == reason) return count_[i].add();
    if (used == kMax) return other_.add();
    text_[used] = reason;
    count_[used].add();
    used_.store(used + 1, std::memory_order_release);
  }
  std::vector<std::pair<std::string, std::uint64_t>> get() const {
    std::vector<std::pair<std::string, std::uint64_t>> out;
    const auto used = used_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < used; ++i) out.emplace_back(text_[i], count_[i].get());
    if (other_.get() != 0) out.emplace_back("other", other_.get());
    return out;
  }

 private:
  static constexpr std::size_t kMax = 16;
  std::array<std::string, kMax> text_;
  std::array<Counter, kMax> count_;
  Counter other_;
  std::atomic<std::size_t> used_{0};
};

class SlotStats {
 public:
  static constexpr std::size_t kMetricsMax = 64;
  explicit SlotStats(std::string script) : script_(std::move(script)) {}
  Counter events, kept, dropped, errors, budget_stops, skipped, published, reduced, snapshots, refused, subscriptions,
      requests, timers, log_lines_lost, operations, allocated_bytes, reloads;
  Reasons reasons;

  const std::string& script() const { return script_; }
  // Taken on errors and by status(), never by an event that goes well.
  void failed(const std::string& reason);
  void quarantined(UnixMs since);
  void released();
  void stopped(const std::string& channel);
  // Another rule has taken its place: errors of the one before are not its own.
  void begin_anew();
  // hub.metric. False: there are kMetricsMax names already.
  bool metric(std::string_view name, double by);
  RuleStatus status() const;

 private:
  const std::string script_;
  mutable std::mutex mutex_;  // for what follows
  bool quarantined_ = false;
  std::string reason_;
  UnixMs since_ = 0;
  std::uint64_t channels_stopped_ = 0;
  std::vector<StoppedChannel> stopped_;
  std::map<std::string, double, std::less<>> metrics_;
};

}  // namespace weir::rules
