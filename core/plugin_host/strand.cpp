#include "plugin_host/strand.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "weir/abi/host.h"

namespace weir {

struct Strand::Body {
  struct Task {
    const char* what;
    std::function<void()> call;
  };
  struct Timer {
    SteadyMs due;
    std::int64_t period_ms;
    std::shared_ptr<std::function<void()>> call;  // shared: a timer may cancel itself while it runs
  };
  struct Watch {
    int fd;
    bool own;  // a duplicate that we made because the descriptor was being watched already
    std::uint32_t events;
    std::shared_ptr<std::function<void(std::uint32_t)>> call;
  };

  explicit Body(std::string name) : instance(std::move(name)) {
    epoll = ::epoll_create1(EPOLL_CLOEXEC);
    wake = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = 0;
    if (epoll >= 0 && wake >= 0 && ::epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event) == 0) return;
    const int why = errno;
    close_descriptors();
    throw std::system_error(why, std::generic_category(), "no descriptors for its strand");
  }
  ~Body() {
    forget_all();
    close_descriptors();
  }

  void run();
  void run_posted();
  void run_timers();
  void run_watch(std::uint64_t id, std::uint32_t ready);
  int sleep_ms() const;
  void unwatch(std::uint64_t id);
  void forget_all() {
    timers.clear();
    while (!watches.empty()) unwatch(watches.begin()->first);
  }
  void close_descriptors() {
    if (epoll >= 0) ::close(std::exchange(epoll, -1));
    if (wake >= 0) ::close(std::exchange(wake, -1));
  }
  void ring() const {  // under the mutex, so that nobody rings what is closed meanwhile
    if (wake < 0) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = ::write(wake, &one, sizeof one);  // only fails when it is rung already
  }
  template <class Call>
  void timed(const char* what, Call&& call) {
    const SteadyMs start = system_clock().steady_ms();
    busy_with = what;
    busy_since = start;
    call();
    busy_since = 0;
    const SteadyMs took = system_clock().steady_ms() - start;
    if (took <= kSlowMs || closed) return;  // behind stop(), which has a time of its own, there is nobody to hold up
    ++slow;
    log::warn(instance, std::string("plugin misbehaving: ") + what + " held up its strand",
              {{"ms", took}, {"allowed_ms", kSlowMs}});
  }

  const std::string instance;
  int epoll = -1, wake = -1;
  std::atomic<std::thread::id> id{};
  std::thread thread;
  std::atomic<bool> closed{false};
  std::atomic<SteadyMs> busy_since{0};
  std::atomic<const char*> busy_with{""};
  std::atomic<std::uint64_t> slow{0};

  std::mutex mutex;
  std::deque<Task> posted;  // guarded by mutex
  bool asleep = false;      // guarded by mutex: who posts must ring
  bool ended = false;       // guarded by mutex
  std::condition_variable ended_cv;

  std::uint64_t ids = 0;  // [strand] from here on
  std::map<std::uint64_t, Timer> timers;
  std::unordered_map<std::uint64_t, Watch> watches;
  std::unordered_map<int, std::uint64_t> watch_of_fd;  // who registered a descriptor last
};

int Strand::Body::sleep_ms() const {
  SteadyMs next = -1;
  for (const auto& [key, timer] : timers)
    if (next < 0 || timer.due < next) next = timer.due;
  if (next < 0) return -1;
  const SteadyMs left = next - system_clock().steady_ms();
  return left <= 0 ? 0 : static_cast<int>(left < 1'000'000 ? left : 1'000'000);
}

void Strand::Body::run_posted() {
  std::deque<Task> batch;
  {
    const std::lock_guard lock(mutex);
    asleep = false;
    batch.swap(posted);
  }
  for (Task& task : batch) {
    if (closed) return;  // what was posted and has not run by now never runs
    timed(task.what, task.call);
  }
}

void Strand::Body::run_timers() {
  const SteadyMs now = system_clock().steady_ms();
  std::multimap<SteadyMs, std::uint64_t> due;
  for (const auto& [key, timer] : timers)
    if (timer.due <= now) due.emplace(timer.due, key);
  for (const auto& [when, key] : due) {
    const auto it = timers.find(key);
    if (closed || it == timers.end()) continue;  // an earlier callback cancelled it
    const auto call = it->second.call;
    if (it->second.period_ms == 0)
      timers.erase(it);
    else
      it->second.due = std::max(when + it->second.period_ms, now + 1);
    timed("a timer", *call);
  }
}

void Strand::Body::run_watch(std::uint64_t key, std::uint32_t ready) {
  const auto it = watches.find(key);
  if (closed || it == watches.end()) return;
  std::uint32_t events = 0;
  if (ready & (EPOLLIN | EPOLLHUP | EPOLLRDHUP)) events |= WEIR_WATCH_READ;
  if (ready & EPOLLOUT) events |= WEIR_WATCH_WRITE;
  if (ready & EPOLLERR) events |= WEIR_WATCH_ERROR;
  const auto call = it->second.call;
  timed("a watch", [&] { (*call)(events); });
}

void Strand::Body::unwatch(std::uint64_t key) {
  const auto it = watches.find(key);
  if (it == watches.end()) return;
  const int fd = it->second.fd;
  // A plugin that closed its descriptor too early may by now have another one under the same number: leave that alone.
  if (const auto last = watch_of_fd.find(fd); last != watch_of_fd.end() && last->second == key) {
    ::epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr);
    watch_of_fd.erase(last);
  }
  if (it->second.own) ::close(fd);
  watches.erase(it);
}

void Strand::Body::run() {
  id = std::this_thread::get_id();
  std::array<epoll_event, 32> ready;
  while (!closed) {
    int wait_ms = sleep_ms();
    {
      const std::lock_guard lock(mutex);
      asleep = posted.empty();
      if (!asleep) wait_ms = 0;
    }
    const int n = ::epoll_wait(epoll, ready.data(), static_cast<int>(ready.size()), wait_ms);
    for (int i = 0; i < n; ++i) {
      if (ready[static_cast<std::size_t>(i)].data.u64 != 0) continue;
      std::uint64_t count = 0;
      [[maybe_unused]] const auto got = ::read(wake, &count, sizeof count);
    }
    run_posted();
    run_timers();
    for (int i = 0; i < n; ++i) {
      const auto& event = ready[static_cast<std::size_t>(i)];
      if (event.data.u64 != 0) run_watch(event.data.u64, event.events);
    }
  }
  forget_all();
  std::deque<Task> dropped;
  const std::lock_guard lock(mutex);
  dropped.swap(posted);
  ended = true;
  ended_cv.notify_all();
}

Strand::Strand(std::string instance) : body_(std::make_shared<Body>(std::move(instance))) {
  body_->thread = std::thread([body = body_] { body->run(); });
  body_->id = body_->thread.get_id();
}

Strand::~Strand() {
  close();
  if (!body_->thread.joinable()) return;
  WEIR_ASSERT(!here());
  body_->thread.join();
}

Strand::Posted Strand::post(const char* what, std::function<void()> task) {
  return post_below(kPostedMax, what, std::move(task));
}

Strand::Posted Strand::post_always(const char* what, std::function<void()> task) {
  return post_below(std::numeric_limits<std::size_t>::max(), what, std::move(task));
}

Strand::Posted Strand::post_below(std::size_t most, const char* what, std::function<void()> task) {
  const std::lock_guard lock(body_->mutex);
  if (body_->closed) return Posted::closed;
  if (body_->posted.size() >= most) return Posted::full;
  body_->posted.push_back({what, std::move(task)});
  if (std::exchange(body_->asleep, false)) body_->ring();
  return Posted::yes;
}

bool Strand::here() const { return std::this_thread::get_id() == body_->id.load(); }

std::uint64_t Strand::timer_start(std::uint64_t delay_ms, std::uint64_t period_ms, std::function<void()> call) {
  constexpr std::uint64_t longest = 1'000'000'000'000;  // 31 years: sums below stay far from overflow
  const auto ms = [](std::uint64_t value) { return static_cast<std::int64_t>(value < longest ? value : longest); };
  body_->timers[++body_->ids] = {system_clock().steady_ms() + ms(delay_ms), ms(period_ms),
                                 std::make_shared<std::function<void()>>(std::move(call))};
  return body_->ids;
}

void Strand::timer_cancel(std::uint64_t id) { body_->timers.erase(id); }

std::uint64_t Strand::watch_fd(int fd, std::uint32_t events, std::function<void(std::uint32_t)> call) {
  epoll_event event{};
  event.events = ((events & WEIR_WATCH_READ) ? static_cast<std::uint32_t>(EPOLLIN) : 0u) |
                 ((events & WEIR_WATCH_WRITE) ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
  event.data.u64 = ++body_->ids;
  bool own = false;
  if (::epoll_ctl(body_->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    if (errno != EEXIST) return 0;
    fd = ::dup(fd);  // epoll takes a descriptor once; for a second watch it gets a second name
    own = true;
    if (fd < 0) return 0;
    if (::epoll_ctl(body_->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
      ::close(fd);
      return 0;
    }
  }
  body_->watches[body_->ids] = {fd, own, events, std::make_shared<std::function<void(std::uint32_t)>>(std::move(call))};
  body_->watch_of_fd[fd] = body_->ids;
  return body_->ids;
}

void Strand::unwatch_fd(std::uint64_t id) { body_->unwatch(id); }

void Strand::close() {
  const std::lock_guard lock(body_->mutex);
  body_->closed = true;
  body_->ring();
}

bool Strand::wait_closed(std::int64_t deadline_ms) {
  {
    std::unique_lock lock(body_->mutex);
    if (!body_->ended_cv.wait_for(lock, std::chrono::milliseconds(deadline_ms), [this] { return body_->ended; }))
      return false;
  }
  // The object may live on for ever as a tombstone; its thread and its descriptors need not.
  if (body_->thread.joinable()) body_->thread.join();
  const std::lock_guard lock(body_->mutex);
  body_->close_descriptors();
  return true;
}

void Strand::leave_behind() {
  close();
  if (body_->thread.joinable()) body_->thread.detach();
}

std::int64_t Strand::busy_ms() const {
  const SteadyMs since = body_->busy_since;
  return since == 0 ? 0 : system_clock().steady_ms() - since;
}
const char* Strand::busy_with() const { return body_->busy_with; }
std::uint64_t Strand::slow_callbacks() const { return body_->slow; }

}  // namespace weir
