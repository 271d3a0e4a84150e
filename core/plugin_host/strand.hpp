// One thread for one instance of a plugin, with everything that the instance may wait for: posted tasks, timers and
// descriptors, in a small epoll loop. Asleep it uses no processor time.
// A callback that takes longer than kSlowMs is logged with the instance's name and its own, but not one that closes it.
// Limits: kPostedMax tasks wait at most; a further post is refused.
// Threads: as each function says; [strand] is the strand's own thread.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace weir {

class Strand {
 public:
  static constexpr std::int64_t kSlowMs = 100;
  static constexpr std::size_t kPostedMax = 65536;
  enum class Posted : std::uint8_t { yes, full, closed };

  explicit Strand(std::string instance);
  Strand(const Strand&) = delete;
  Strand& operator=(const Strand&) = delete;
  // Closes and waits for the thread, unless it was left behind.
  ~Strand();

  // Runs `task` on the strand after all that was posted before. `what` names it in the log: a literal. [any]
  Posted post(const char* what, std::function<void()> task);
  // The same for the hub's own few tasks, which must not get lost because a plugin posted too much. [any]
  Posted post_always(const char* what, std::function<void()> task);
  bool here() const;  // is the caller on the strand? [any]

  // In delay_ms, then every period_ms (0: once). Never 0. A timer that is late does not catch up with what it missed.
  // [strand]
  std::uint64_t timer_start(std::uint64_t delay_ms, std::uint64_t period_ms, std::function<void()> call);
  void timer_cancel(std::uint64_t id);
  // Level-triggered; events are WEIR_WATCH_*. 0 when the descriptor can't be watched (a regular file, say). [strand]
  std::uint64_t watch_fd(int fd, std::uint32_t events, std::function<void(std::uint32_t)> call);
  void unwatch_fd(std::uint64_t id);

  // Forgets all timers, watches and posted tasks and ends the thread after the current task. [any]
  void close();
  // True once the thread has ended; thread and descriptors are then given back. [main]
  bool wait_closed(std::int64_t deadline_ms);
  // The thread is stuck in foreign code: never wait for it again. What it holds is leaked. [main]
  void leave_behind();

  // How long the current callback runs already, 0 when none does, and its name. [any]
  std::int64_t busy_ms() const;
  const char* busy_with() const;
  std::uint64_t slow_callbacks() const;

 private:
  struct Body;
  Posted post_below(std::size_t most, const char* what, std::function<void()> task);
  std::shared_ptr<Body> body_;  // shared with the thread, which may outlive this object when it is left behind
};

}  // namespace weir
