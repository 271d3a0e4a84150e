#include <time.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "net/loop_impl.hpp"

namespace weir::net {
namespace {
// Sending only when no handler is ready lets all that a burst of work leaves behind for a connection go out in one
// write; sending after 512 handlers already costs twice the CPU where many connections publish at once. The bound in
// time keeps a flood of handlers from delaying what is owed to readers. It counts the thread's own CPU time: on a busy
// machine a burst of 1 ms by the clock on the wall was over after a few handlers. It must hold the hub's own round of
// work where many feed many (docs/benchmarks.md, "When a connection is written to", has the figures and the command).
// Asking for that is a system call, so it is done now and then only: after so many handlers, or so long by the clock on
// the wall, which is cheap. Rules that take their time make handlers of many milliseconds.
constexpr int kBurstHandlersMax = 8192;
constexpr std::int64_t kBurstCpuNsMax = 20'000'000;
constexpr int kLookAtClockEvery = 64;
constexpr std::int64_t kLookAgainNs = 5'000'000;

std::int64_t wall_ns() { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::int64_t thread_cpu_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}
}  // namespace

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;

void Loop::run(const std::function<std::optional<std::int64_t>()>& after_burst) {
  auto& io = impl_->io;
  const auto guard = boost::asio::make_work_guard(io);
  std::optional<std::int64_t> wake = after_burst();
  while (!impl_->stopped.load(std::memory_order_relaxed)) {
    std::size_t ran;
    if (wake)
      ran = io.run_one_for(std::chrono::milliseconds(*wake));
    else
      ran = io.run_one();
    if (ran != 0) {
      std::int64_t end = 0;  // a clock of the kernel's; an idle hub's single handlers don't need it
      std::int64_t look = wall_ns() + kBurstCpuNsMax;
      for (int n = 1; n < kBurstHandlersMax && io.poll_one() != 0; ++n) {
        if (n % kLookAtClockEvery != 0 && wall_ns() < look) continue;
        const std::int64_t now = thread_cpu_ns();
        if (end == 0)
          end = now + kBurstCpuNsMax;
        else if (now >= end)
          break;
        look = wall_ns() + kLookAgainNs;
      }
    }
    wake = after_burst();
  }
}

void Loop::stop() {
  impl_->stopped = true;
  boost::asio::post(impl_->io, [] {});
}

void Loop::clear() { impl_->io.shutdown(); }

void Loop::post(std::function<void()> task) { boost::asio::post(impl_->io, std::move(task)); }

void Loop::call_in(std::int64_t ms, std::function<void()> task) {
  auto timer = std::make_shared<boost::asio::steady_timer>(impl_->io, std::chrono::milliseconds(ms));
  timer->async_wait([timer, task = std::move(task)](const boost::system::error_code& ec) {
    if (!ec) task();
  });
}

}  // namespace weir::net
