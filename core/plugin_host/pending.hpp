// Calls into a plugin that are answered later. Each gets a token, index and generation, so that an answer that comes
// late, twice or under a made-up number finds nobody and does no harm. Whoever waits is told exactly once: by the
// answer, at its deadline, or when the table closes. Limits: kWaitingMax calls wait at most. Threads: [any]. Callbacks
// run on the thread that answers, or on the table's own one at the deadline; no lock is held.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.hpp"

namespace weir {

class PendingCalls {
 public:
  static constexpr std::size_t kWaitingMax = 65536;
  enum class How : std::uint8_t { answered, deadline, closed };
  // token: what add() returned. status and json are the plugin's when answered.
  using Callback = std::function<void(How how, std::uint64_t token, std::int32_t status, std::string_view json)>;

  PendingCalls();
  ~PendingCalls();

  // 0, and `callback` is not taken, when too many wait or the table is closed.
  std::uint64_t add(std::uint32_t deadline_ms, Callback callback);
  // False: nobody waits under this token (late, repeated, unknown); counted.
  bool answer(std::uint64_t token, std::int32_t status, std::string_view json);
  // True while somebody waits.
  bool waiting(std::uint64_t token) const;
  bool idle() const;  // nobody waits
  // Everyone who waits is told so; nobody can be added and no callback runs any more. [main]
  void close();
  std::uint64_t late() const;

 private:
  struct Slot {
    std::uint32_t generation = 1;
    bool active = false;
    SteadyMs deadline = 0;
    Callback callback;
  };
  Slot* find(std::uint64_t token);     // under the mutex
  Callback take(std::uint64_t token);  // under the mutex; frees the slot
  void watch_deadlines();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Slot> slots_;  // guarded by mutex_ down to here
  std::vector<std::uint32_t> free_;
  std::multimap<SteadyMs, std::uint64_t> deadlines_;
  std::uint64_t late_ = 0;
  bool closed_ = false;
  std::thread thread_;  // its own: a plugin that holds up its strand must not hold up the deadlines
};

}  // namespace weir
