// The hub as an instance of a plugin sees it: weir_host with C++ types, posted lambdas, and timers and watches that end
// with the object that holds them.
// A Host is a cheap copy; it may be kept as long as the process runs. What is called after stop() does nothing.
// Threads: as each function says; [strand] is where the hub calls the instance (see weir/abi/host.h).
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "weir/abi/auth.h"
#include "weir/abi/host.h"
#include "weir/abi/hub.h"
#include "weir/abi/sink.h"
#include "weir/sdk/error.hpp"

namespace weir::sdk {

enum class State : std::int32_t {
  starting = WEIR_STATE_STARTING,
  running = WEIR_STATE_RUNNING,
  degraded = WEIR_STATE_DEGRADED,
  retrying = WEIR_STATE_RETRYING,
  failed = WEIR_STATE_FAILED
};

class Host {
 public:
  explicit Host(const weir_host* raw)
      : raw_(raw), hub_(extension<weir_hub_v1>(WEIR_HUB_V1)), tasks_(std::make_shared<Tasks>()) {
    tasks_->host = raw;
  }

  // The batch as it is; most sources want an Emitter instead. [any]
  weir_status emit(const weir_event* events, std::uint32_t count, std::uint32_t& accepted) const {
    return raw_->emit(raw_->ctx, events, sizeof(weir_event), count, &accepted);
  }
  // Events were lost upstream on `subject` ("": everywhere); count 0: not known how many. [any]
  void gap(std::string_view subject, std::uint64_t count, std::string_view reason) const {
    raw_->gap(raw_->ctx, to_str(subject), count, to_str(reason));
  }

  void debug(std::string_view message, std::string_view fields_json = {}) const {
    log(WEIR_LOG_DEBUG, message, fields_json);
  }
  void info(std::string_view message, std::string_view fields_json = {}) const {
    log(WEIR_LOG_INFO, message, fields_json);
  }
  void warn(std::string_view message, std::string_view fields_json = {}) const {
    log(WEIR_LOG_WARN, message, fields_json);
  }
  void error(std::string_view message, std::string_view fields_json = {}) const {
    log(WEIR_LOG_ERROR, message, fields_json);
  }
  void log(std::int32_t level, std::string_view message, std::string_view fields_json = {}) const {
    raw_->log(raw_->ctx, level, to_str(message), to_str(fields_json));
  }
  // What /health shows of this instance. [any]
  void state(State state, std::string_view reason = {}) const {
    raw_->state(raw_->ctx, static_cast<std::int32_t>(state), to_str(reason));
  }
  // name: [a-z0-9_]{1,64}, at most 64 of them. [any]
  void metric(std::string_view name, double value) const { raw_->metric(raw_->ctx, to_str(name), value); }

  // Runs `task` on the strand, soon; false when the instance is stopped. A task that the hub had not run when stop()
  // returned is dropped with the instance. [any]
  bool post(std::function<void()> task) const {
    {
      const std::lock_guard lock(tasks_->mutex);
      tasks_->waiting.push_back(std::move(task));
    }
    if (raw_->post(raw_->ctx, &Tasks::run_one, tasks_.get()) == WEIR_OK) return true;
    const std::lock_guard lock(tasks_->mutex);
    if (!tasks_->waiting.empty()) tasks_->waiting.pop_back();  // nothing runs any more, so which one leaves is the same
    return false;
  }

  // A sink has room again, after it took fewer events than it was offered. [any]
  void sink_ready() const {
    const auto* table = extension<weir_sink_host_v1>(WEIR_SINK_HOST_V1);
    if (table != nullptr && WEIR_HAS(table, weir_sink_host_v1, ready) && table->ready != nullptr)
      table->ready(raw_->ctx);
  }

  // Closes every connection whose identity this auth provider gave and that has this key. [any]
  void revoke(std::string_view key, std::string_view reason) const {
    const auto* table = extension<weir_auth_host_v1>(WEIR_AUTH_HOST_V1);
    if (table != nullptr && WEIR_HAS(table, weir_auth_host_v1, revoke) && table->revoke != nullptr)
      table->revoke(raw_->ctx, to_str(key), to_str(reason));
  }

  // The hub's clock, Unix milliseconds; it may be set back and forth. [any]
  std::int64_t now_ms() const { return raw_->now_ms(raw_->ctx); }
  // For durations: never goes back. [any]
  std::int64_t steady_ms() const {
    if (hub_ != nullptr && WEIR_HAS(hub_, weir_hub_v1, steady_ms)) return hub_->steady_ms(raw_->ctx);
    const auto now = std::chrono::steady_clock::now().time_since_epoch();  // a hub of ABI 1.1
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  }
  // Another table of the hub by its id, null when this hub does not have it. [any]
  template <class Table>
  const Table* extension(const char* id) const {
    return static_cast<const Table*>(raw_->get_extension(raw_->ctx, id));
  }
  const weir_host* raw() const { return raw_; }

  // Runs `call`; an exception is logged, never passed on to the hub.
  template <class Call>
  static void guarded(const weir_host* host, const char* where, Call&& call) noexcept {
    try {
      try {
        call();
      } catch (const std::exception& e) {
        const std::string message = std::string("exception in ") + where + ": " + e.what();
        host->log(host->ctx, WEIR_LOG_ERROR, to_str(message), {});
      } catch (...) {
        const std::string message = std::string("exception of unknown type in ") + where;
        host->log(host->ctx, WEIR_LOG_ERROR, to_str(message), {});
      }
    } catch (...) {  // out of memory while complaining: there is nothing left to say
    }
  }

 private:
  struct Tasks {
    const weir_host* host = nullptr;
    std::mutex mutex;
    std::deque<std::function<void()>> waiting;  // guarded by mutex
    static void run_one(void* arg) noexcept {
      auto* self = static_cast<Tasks*>(arg);
      std::function<void()> task;
      {
        const std::lock_guard lock(self->mutex);
        if (self->waiting.empty()) return;
        task = std::move(self->waiting.front());
        self->waiting.pop_front();
      }
      guarded(self->host, "a posted task", task);
    }
  };

  const weir_host* raw_;
  const weir_hub_v1* hub_;  // asked for once; null in a hub of ABI 1.1
  std::shared_ptr<Tasks> tasks_;
};

// Calls a function on the strand after a while, once or again and again, until the Timer dies or is cancelled.
// The function may cancel, restart or destroy its own Timer. [strand]
class Timer {
 public:
  Timer() = default;
  Timer(const Host& host, std::uint64_t delay_ms, std::uint64_t period_ms, std::function<void()> call) {
    start(host, delay_ms, period_ms, std::move(call));
  }
  Timer(Timer&&) noexcept = default;
  Timer& operator=(Timer&& other) noexcept {
    cancel();
    body_ = std::move(other.body_);
    return *this;
  }
  ~Timer() { cancel(); }

  // period_ms 0: once. False when the hub takes no timers any more.
  bool start(const Host& host, std::uint64_t delay_ms, std::uint64_t period_ms, std::function<void()> call) {
    cancel();
    body_ = std::make_shared<Body>(Body{host, std::move(call), period_ms, 0, {}});
    body_->self = body_;
    body_->id = host.raw()->timer_start(host.raw()->ctx, delay_ms, period_ms, &Body::fire, body_.get());
    if (body_->id != 0) return true;
    body_.reset();
    return false;
  }
  void cancel() {
    if (body_ && body_->id != 0) body_->host.raw()->timer_cancel(body_->host.raw()->ctx, std::exchange(body_->id, 0));
    body_.reset();
  }
  bool running() const { return body_ && body_->id != 0; }

 private:
  struct Body {
    Host host;
    std::function<void()> call;
    std::uint64_t period_ms, id;
    std::weak_ptr<Body> self;
    static void fire(void* arg) noexcept {
      const std::shared_ptr<Body> held = static_cast<Body*>(arg)->self.lock();  // the call may destroy the Timer
      if (!held) return;
      if (held->period_ms == 0) held->id = 0;
      Host::guarded(held->host.raw(), "a timer", held->call);
    }
  };
  std::shared_ptr<Body> body_;
};

// Calls a function on the strand while a descriptor is ready, until the FdWatch dies. It does not own the descriptor
// and must end before the descriptor is closed. [strand]
class FdWatch {
 public:
  FdWatch() = default;
  FdWatch(FdWatch&&) noexcept = default;
  FdWatch& operator=(FdWatch&& other) noexcept {
    end();
    body_ = std::move(other.body_);
    return *this;
  }
  ~FdWatch() { end(); }

  // events: WEIR_WATCH_READ | WEIR_WATCH_WRITE. False when the hub can't watch it.
  bool start(const Host& host, int fd, std::uint32_t events, std::function<void(std::uint32_t)> call) {
    end();
    body_ = std::make_shared<Body>(Body{host, std::move(call), 0, {}});
    body_->self = body_;
    body_->id = host.raw()->watch_fd(host.raw()->ctx, fd, events, &Body::fire, body_.get());
    if (body_->id != 0) return true;
    body_.reset();
    return false;
  }
  void end() {
    if (body_ && body_->id != 0) body_->host.raw()->unwatch_fd(body_->host.raw()->ctx, std::exchange(body_->id, 0));
    body_.reset();
  }
  bool watching() const { return body_ != nullptr; }

 private:
  struct Body {
    Host host;
    std::function<void(std::uint32_t)> call;
    std::uint64_t id;
    std::weak_ptr<Body> self;
    static void fire(void* arg, std::uint32_t events) noexcept {
      const std::shared_ptr<Body> held = static_cast<Body*>(arg)->self.lock();
      if (held) Host::guarded(held->host.raw(), "a watch", [&] { held->call(events); });
    }
  };
  std::shared_ptr<Body> body_;
};

}  // namespace weir::sdk
