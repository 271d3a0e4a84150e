// A hub for the tests of a plugin: no threads, no network, a clock that stands still until the test moves it. It checks
// what the real hub checks at its border (names, JSON), and says PAUSE or FULL when told to.
// Threads: everything on the test's thread, which is the strand; the [any] functions of weir_host may be called by
// others.
#pragma once
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "weir/abi/auth.h"
#include "weir/abi/hub.h"
#include "weir/abi/plugin.h"
#include "weir/abi/sink.h"
#include "weir/abi/source.h"
#include "weir/sdk/error.hpp"
#include "weir/sdk/json.hpp"

namespace weir::sdk::testing {

struct SeenEvent {
  std::string subject, event, data, id, key, cursor;
  std::int64_t time_ms = 0;
  std::uint32_t kind = WEIR_DATA_JSON;  // what `data` is; the real hub makes JSON of it
};
struct SeenState {
  std::int32_t state = 0;
  std::string reason;
};
struct SeenLog {
  std::int32_t level = 0;
  std::string message, fields;
};
struct SeenGap {
  std::string subject;
  std::uint64_t count = 0;
  std::string reason;
};
struct SeenAnswer {
  weir_status status = WEIR_E_INTERNAL;
  std::string json;
};
struct SeenRevocation {
  std::string key, reason;
};
struct HubLine {  // of the hub's own log, for plugins that read it
  std::int32_t level = WEIR_LOG_INFO;
  std::int64_t time_ms = 0;
  std::string component, message, fields = "{}";
};

class FakeHost {
 public:
  FakeHost() : strand_(std::this_thread::get_id()), wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    raw_ = {sizeof(weir_host), 0,         this,        &emit, &gap, &log,          &state, &metric, &post, &timer_start,
            &timer_cancel,     &watch_fd, &unwatch_fd, &done, &now, &get_extension};
  }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;
  ~FakeHost() { ::close(wake_); }

  // What the plugin did. Written under a lock by the [any] functions: while threads of the plugin run, read these
  // inside run_until()'s predicate, which holds the lock.
  std::vector<SeenEvent> events;
  std::vector<SeenState> states;
  std::vector<SeenLog> logs;
  std::vector<SeenGap> gaps;
  std::vector<SeenRevocation> revocations;
  std::map<std::string, double> metrics;
  std::map<std::uint64_t, SeenAnswer> answers;  // by token
  std::vector<std::string> mistakes;            // rules of the ABI that the plugin broke; a good test ends with none

  std::size_t sink_readies = 0;          // calls of weir_sink_host_v1::ready()
  std::string stats_json = "{}";         // what weir_hub_v1::stats() answers
  std::deque<HubLine> hub_log;           // what weir_hub_v1::log_lines() reads; its first line has the number ...
  std::string instance_name = "plugin";  // what weir_hub_v1::instance_name() says
  std::uint64_t hub_log_first = 1;       // ... this; a test that takes lines away at the front counts it up

  // An event with more data is refused, as by a hub's limits.data_bytes; that is no mistake of the plugin.
  std::size_t data_bytes_max = std::size_t{1} << 20;

  // Calls call(token), by which the plugin is asked something; `answers` has, or will have, its answer by that token.
  template <class Call>
  std::uint64_t ask(Call&& call) {
    const std::uint64_t token = ++tokens_;
    const weir_status status = call(token);
    if (status != WEIR_PENDING) answers.try_emplace(token, SeenAnswer{status, ""});
    return token;
  }

  const weir_host* raw() const { return &raw_; }
  std::int64_t now_ms() const { return steady_ms_ + unix_ahead_ms_; }
  // Sets the time of day; timers and steady_ms() do not notice.
  void set_now_ms(std::int64_t unix_ms) { unix_ahead_ms_ = unix_ms - steady_ms_; }
  std::int32_t last_state() const { return states.empty() ? 0 : states.back().state; }
  bool logged(std::string_view part) const {
    return std::any_of(logs.begin(), logs.end(),
                       [&](const SeenLog& l) { return l.message.find(part) != std::string::npos; });
  }

  // After `count` more events the hub has no room: then it says `how` (WEIR_PAUSE with the last one, or WEIR_E_FULL).
  void take_only(std::size_t count, weir_status how = WEIR_E_FULL) { room_ = count, how_ = how; }
  void take_all() { room_.reset(); }
  // As the hub at the end of stop(): everything from now on is answered with CLOSED.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    tasks_.clear();
    timers_.clear();
    watches_.clear();
  }

  // Moves the clock and runs what becomes due, timers in the order of their time, posted tasks between them.
  void advance(std::uint64_t ms) {
    const std::int64_t target = steady_ms_ + static_cast<std::int64_t>(ms);
    run_tasks();
    while (true) {
      auto next = timers_.end();
      for (auto it = timers_.begin(); it != timers_.end(); ++it)
        if (it->second.due <= target && (next == timers_.end() || it->second.due < next->second.due)) next = it;
      if (next == timers_.end()) break;
      if (next->second.due > steady_ms_) steady_ms_ = next->second.due;
      const Timer timer = next->second;
      if (timer.period == 0)
        timers_.erase(next);
      else
        next->second.due += static_cast<std::int64_t>(timer.period);
      timer.fn(timer.arg);
      run_tasks();
    }
    steady_ms_ = target;
  }

  // Serves tasks, timers and descriptors until `fact` holds; the clock flows as the real one does. False when it did
  // not come true within the deadline.
  template <class Fact>
  bool run_until(Fact&& fact, int deadline_ms = 10'000) {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    auto last = start;
    while (true) {
      {
        const std::lock_guard lock(mutex_);
        if (fact()) return true;
      }
      const auto now = Clock::now();
      if (now - start > std::chrono::milliseconds(deadline_ms)) return false;
      const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now - last);
      last += passed;
      advance(static_cast<std::uint64_t>(passed.count()));
      serve_descriptors(1);
    }
  }
  // Runs what was posted and which descriptors are ready now.
  void run_ready() {
    run_tasks();
    serve_descriptors(0);
    run_tasks();
  }

 private:
  struct Task {
    weir_task_fn fn;
    void* arg;
  };
  struct Timer {
    std::int64_t due;
    std::uint64_t period;
    weir_task_fn fn;
    void* arg;
  };
  struct Watch {
    int fd;
    std::uint32_t events;
    weir_watch_fn fn;
    void* arg;
  };

  static FakeHost& of(void* ctx) { return *static_cast<FakeHost*>(ctx); }
  static std::string text(weir_str s) { return std::string(to_view(s)); }
  void mistake(const std::string& what) { mistakes.push_back(what); }
  void on_strand(const char* call) {
    if (std::this_thread::get_id() == strand_) return;
    const std::lock_guard lock(mutex_);
    mistake(std::string(call) + " was called on another thread than the strand");
  }

  void run_tasks() {
    std::deque<Task> batch;
    {
      const std::lock_guard lock(mutex_);
      batch.swap(tasks_);
    }
    for (const Task& task : batch) task.fn(task.arg);
  }
  void serve_descriptors(int timeout_ms) {
    std::vector<pollfd> fds{{wake_, POLLIN, 0}};
    std::vector<std::uint64_t> ids{0};
    for (const auto& [id, watch] : watches_) {
      const int wanted =
          ((watch.events & WEIR_WATCH_READ) ? POLLIN : 0) | ((watch.events & WEIR_WATCH_WRITE) ? POLLOUT : 0);
      fds.push_back({watch.fd, static_cast<short>(wanted), 0});
      ids.push_back(id);
    }
    if (::poll(fds.data(), fds.size(), timeout_ms) <= 0) return;
    std::uint64_t ignored = 0;
    if (::read(wake_, &ignored, sizeof ignored) < 0) ignored = 0;  // nothing was posted: fine
    for (std::size_t i = 1; i < fds.size(); ++i) {
      const auto it = watches_.find(ids[i]);  // an earlier callback may have ended this watch
      if (it == watches_.end() || fds[i].revents == 0) continue;
      const int got = fds[i].revents;
      std::uint32_t ready = 0;
      if (got & (POLLIN | POLLHUP)) ready |= WEIR_WATCH_READ;
      if (got & POLLOUT) ready |= WEIR_WATCH_WRITE;
      if (got & (POLLERR | POLLNVAL)) ready |= WEIR_WATCH_ERROR;
      const Watch watch = it->second;
      watch.fn(watch.arg, ready);
    }
    run_tasks();
  }

  static weir_status emit(void* ctx, const weir_event* batch, std::uint32_t stride, std::uint32_t count,
                          std::uint32_t* accepted) {
    FakeHost& self = of(ctx);
    const std::lock_guard lock(self.mutex_);
    *accepted = 0;
    if (self.closed_) return WEIR_E_CLOSED;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (self.room_ && *self.room_ == 0) return WEIR_E_FULL;
      const auto* e =
          reinterpret_cast<const weir_event*>(reinterpret_cast<const char*>(batch) + std::size_t{i} * stride);
      if (!self.check(*e)) return WEIR_E_INVALID;
      self.events.push_back({text(e->subject), text(e->event), text(e->data), text(e->id), text(e->key),
                             text(e->cursor), e->time_ms, e->flags});
      ++*accepted;
      if (self.room_) --*self.room_;
    }
    return self.room_ && *self.room_ == 0 && self.how_ == WEIR_PAUSE ? WEIR_PAUSE : WEIR_OK;
  }
  bool check(const weir_event& e) {
    if (e.struct_size < sizeof(weir_event))
      return mistake("an event's struct_size is " + std::to_string(e.struct_size)), false;
    if (e.event.size == 0 || e.event.size > 255)
      return mistake("an event's name has " + std::to_string(e.event.size) + " bytes; 1..255 are allowed"), false;
    if (e.flags > WEIR_DATA_ANY)
      return mistake("an event's flags are " + std::to_string(e.flags) + "; WEIR_DATA_* are allowed"), false;
    if (e.data.size > data_bytes_max) return false;
    if (e.flags != WEIR_DATA_JSON) return true;
    try {
      if (e.data.size != 0) json::parse(to_view(e.data));
    } catch (const Failure& f) {
      return mistake(std::string("an event's data is ") + f.what()), false;
    }
    return true;
  }
  static void gap(void* ctx, weir_str subject, std::uint64_t count, weir_str reason) {
    const std::lock_guard lock(of(ctx).mutex_);
    if (!of(ctx).closed_) of(ctx).gaps.push_back({text(subject), count, text(reason)});
  }
  static void log(void* ctx, std::int32_t level, weir_str message, weir_str fields) {
    const std::lock_guard lock(of(ctx).mutex_);
    of(ctx).logs.push_back({level, text(message), text(fields)});
  }
  static void state(void* ctx, std::int32_t value, weir_str reason) {
    const std::lock_guard lock(of(ctx).mutex_);
    if (value < WEIR_STATE_STARTING || value > WEIR_STATE_FAILED)
      of(ctx).mistake("state " + std::to_string(value) + " is not for plugins to set");
    if (!of(ctx).closed_) of(ctx).states.push_back({value, text(reason)});
  }
  static void metric(void* ctx, weir_str name, double value) {
    const std::lock_guard lock(of(ctx).mutex_);
    const std::string key = text(name);
    if (key.empty() || key.size() > 64 ||
        key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos)
      of(ctx).mistake("metric name \"" + key + "\" is not [a-z0-9_]{1,64}");
    if (!of(ctx).closed_) of(ctx).metrics[key] = value;
  }
  static weir_status post(void* ctx, weir_task_fn fn, void* arg) {
    FakeHost& self = of(ctx);
    const std::lock_guard lock(self.mutex_);
    if (self.closed_) return WEIR_E_CLOSED;
    self.tasks_.push_back({fn, arg});
    const std::uint64_t one = 1;
    return ::write(self.wake_, &one, sizeof one) == sizeof one ? WEIR_OK : WEIR_E_INTERNAL;
  }
  static std::uint64_t timer_start(void* ctx, std::uint64_t delay, std::uint64_t period, weir_task_fn fn, void* arg) {
    FakeHost& self = of(ctx);
    self.on_strand("timer_start()");
    if (self.closed_) return 0;
    self.timers_[++self.ids_] = {self.steady_ms_ + static_cast<std::int64_t>(delay), period, fn, arg};
    return self.ids_;
  }
  static void timer_cancel(void* ctx, std::uint64_t id) {
    of(ctx).on_strand("timer_cancel()");
    of(ctx).timers_.erase(id);
  }
  static std::uint64_t watch_fd(void* ctx, std::int32_t fd, std::uint32_t events, weir_watch_fn fn, void* arg) {
    FakeHost& self = of(ctx);
    self.on_strand("watch_fd()");
    if (self.closed_ || fd < 0) return 0;
    self.watches_[++self.ids_] = {fd, events, fn, arg};
    return self.ids_;
  }
  static void unwatch_fd(void* ctx, std::uint64_t id) {
    of(ctx).on_strand("unwatch_fd()");
    of(ctx).watches_.erase(id);
  }
  static void done(void* ctx, std::uint64_t token, weir_status status, weir_str json) {
    FakeHost& self = of(ctx);
    const std::lock_guard lock(self.mutex_);
    if (json.size > WEIR_ANSWER_BYTES_MAX) {
      self.mistake("done() was given " + std::to_string(json.size) + " bytes; WEIR_ANSWER_BYTES_MAX are allowed");
      status = WEIR_E_INTERNAL, json = {nullptr, 0};
    }
    if (!self.answers.try_emplace(token, SeenAnswer{status, text(json)}).second)
      self.mistake("token " + std::to_string(token) + " was answered twice");
  }
  static std::int64_t now(void* ctx) { return of(ctx).now_ms(); }
  static weir_status stats(void* ctx, void (*fn)(void*, weir_str), void* arg) {
    FakeHost& self = of(ctx);
    self.on_strand("stats()");
    if (self.closed_) return WEIR_E_CLOSED;
    auto* call = &self.asked_.emplace_back(Asked{&self, fn, arg});
    return post(
        ctx,
        [](void* p) {
          const auto* asked = static_cast<const Asked*>(p);
          asked->fn(asked->arg, to_str(asked->host->stats_json));
        },
        call);
  }
  static std::uint64_t log_lines(void* ctx, std::uint64_t after, std::uint32_t most,
                                 void (*fn)(void*, const weir_log_line*), void* arg) {
    FakeHost& self = of(ctx);
    const std::lock_guard lock(self.mutex_);
    std::uint64_t number = self.hub_log_first;
    for (const HubLine& line : self.hub_log) {
      if (number > after && most > 0) {
        --most;
        const weir_log_line raw = {sizeof(weir_log_line),  line.level,           line.time_ms,       number,
                                   to_str(line.component), to_str(line.message), to_str(line.fields)};
        fn(arg, &raw);
        after = number;
      }
      ++number;
    }
    return after;
  }
  static const void* get_extension(void*, const char* id) {
    static constexpr weir_auth_host_v1 auth = {sizeof(weir_auth_host_v1), 0,
                                               [](void* ctx, weir_str key, weir_str reason) {
                                                 const std::lock_guard lock(of(ctx).mutex_);
                                                 of(ctx).revocations.push_back({text(key), text(reason)});
                                               }};
    static constexpr weir_sink_host_v1 sink = {sizeof(weir_sink_host_v1), 0, [](void* ctx) {
                                                 const std::lock_guard lock(of(ctx).mutex_);
                                                 ++of(ctx).sink_readies;
                                               }};
    static constexpr weir_hub_v1 hub = {sizeof(weir_hub_v1),
                                        0,
                                        &stats,
                                        &log_lines,
                                        [](void* ctx) { return to_str(of(ctx).instance_name); },
                                        [](void* ctx) -> std::int64_t { return of(ctx).steady_ms_; }};
    const std::string_view wanted(id);
    if (wanted == WEIR_AUTH_HOST_V1) return &auth;
    if (wanted == WEIR_SINK_HOST_V1) return &sink;
    if (wanted == WEIR_HUB_V1) return &hub;
    return nullptr;
  }

  struct Asked {
    FakeHost* host;
    void (*fn)(void*, weir_str);
    void* arg;
  };
  std::deque<Asked> asked_;
  const std::thread::id strand_;
  const int wake_;
  weir_host raw_{};
  std::mutex mutex_;  // guards what the [any] functions write: the public members, tasks_, closed_
  std::deque<Task> tasks_;
  bool closed_ = false;
  std::uint64_t tokens_ = 0;
  std::map<std::uint64_t, Timer> timers_;
  std::map<std::uint64_t, Watch> watches_;
  std::uint64_t ids_ = 0;
  std::atomic<std::int64_t> steady_ms_{1'000'000}, unix_ahead_ms_{1'789'999'000'000};
  std::optional<std::size_t> room_;
  weir_status how_ = WEIR_E_FULL;
};

}  // namespace weir::sdk::testing
