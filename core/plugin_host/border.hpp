// The hub's side of weir_host for one instance. It lives as long as the process, so that a plugin that calls too late
// meets an answer (WEIR_E_CLOSED) and not freed memory.
// Threads: as weir/abi/host.h says of each function; the rest [any].
#pragma once
#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include "plugin_host/instance.hpp"
#include "plugin_host/strand.hpp"
#include "weir/abi/hub.h"

namespace weir {

class Border {
 public:
  static constexpr std::size_t kMetricsMax = 64;
  static constexpr std::uint64_t kLogLinesPerSecond = 200;

  // Made once per instance and kept.
  static Border* make(std::string instance);

  const weir_host* host() const { return &host_; }
  Strand& strand() { return *strand_; }
  void attach(FlowInstance* flow) { flow_ = flow; }
  void attach(AuthInstance* auth) { auth_ = auth; }

  // No call gets through any more, and none is still under way. False when one did not end in time.
  bool close(std::int64_t deadline_ms);
  // Ends the strand after close(). `behind`: its thread is stuck and is left.
  void end_strand(bool behind);

  void set_state(InstanceState state, std::string reason);
  InstanceStatus status() const;
  InstanceCounters counters() const;
  std::vector<std::pair<std::string, double>> metrics() const;
  // Counts it and logs it.
  void misbehaving(std::string_view what) const;

  struct Counts {
    std::atomic<std::uint64_t> emitted{0}, accepted{0}, refused_full{0}, refused_invalid{0}, refused_closed{0}, gaps{0},
        misbehaved{0}, calls_after_stop{0};
  };
  mutable Counts counts;

 private:
  class Inside;  // held by a call while it is under way
  explicit Border(std::string instance);

  static weir_status emit(void* ctx, const weir_event* events, std::uint32_t stride, std::uint32_t count,
                          std::uint32_t* accepted);
  static void gap(void* ctx, weir_str subject, std::uint64_t count, weir_str reason);
  static void log(void* ctx, std::int32_t level, weir_str message, weir_str fields_json);
  static void state(void* ctx, std::int32_t state, weir_str reason);
  static void metric(void* ctx, weir_str name, double value);
  static weir_status post(void* ctx, weir_task_fn fn, void* arg);
  static std::uint64_t timer_start(void* ctx, std::uint64_t delay_ms, std::uint64_t period_ms, weir_task_fn fn,
                                   void* arg);
  static void timer_cancel(void* ctx, std::uint64_t id);
  static std::uint64_t watch_fd(void* ctx, std::int32_t fd, std::uint32_t events, weir_watch_fn fn, void* arg);
  static void unwatch_fd(void* ctx, std::uint64_t id);
  static void done(void* ctx, std::uint64_t token, weir_status status, weir_str result_json);
  static std::int64_t now_ms(void* ctx);
  static const void* get_extension(void* ctx, const char* id);
  static void revoke(void* ctx, weir_str key, weir_str reason);
  static void sink_ready(void* ctx);
  static weir_status stats(void* ctx, void (*fn)(void*, weir_str), void* arg);
  static std::uint64_t log_lines(void* ctx, std::uint64_t after, std::uint32_t most,
                                 void (*fn)(void*, const weir_log_line*), void* arg);
  static weir_str instance_name(void* ctx);

  bool on_strand(const char* call);
  bool may_log(std::uint64_t& dropped);

  const std::string instance_;
  weir_host host_{};
  std::unique_ptr<Strand> strand_;
  FlowInstance* flow_ = nullptr;  // set before the plugin sees the host; not used once closed_
  AuthInstance* auth_ = nullptr;
  std::atomic<bool> closed_{false};
  std::atomic<std::uint32_t> inside_{0};

  mutable std::mutex mutex_;
  InstanceStatus status_;  // guarded by mutex_ down to here
  std::map<std::string, double, std::less<>> metrics_;
  std::uint64_t log_second_ = 0, log_lines_ = 0, log_dropped_ = 0;
};

// At most `most` bytes of a text from a plugin, with everything that is not UTF-8 replaced.
std::string safe_text(weir_str text, std::size_t most);

}  // namespace weir
