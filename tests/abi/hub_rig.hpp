// What a hub does with plugins, small enough for tests: a sink that collects, and waiting for a strand.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugin_host/flow_instance.hpp"
#include "support/fact.hpp"

namespace weir::test {

// Waits until the instance's strand has done all that it had been given, and then until every timer is over that was to
// fire within less than `timers_ms`. False: that took too long, or the instance is stopped.
inline bool settled(const Instance& instance, std::uint64_t timers_ms = 0) {
  struct Visit {
    const weir_host* host;
    std::uint64_t timers_ms;
    std::shared_ptr<Fact<bool>> over = std::make_shared<Fact<bool>>();  // shared: it may come after we gave up
    static void arrive(void* arg) {
      const auto& [host, ms, over] = *static_cast<const Visit*>(arg);
      if (ms == 0) return leave(arg);
      host->timer_start(host->ctx, ms, 0, &leave, arg);
    }
    static void leave(void* arg) { std::unique_ptr<Visit>(static_cast<Visit*>(arg))->over->set(true); }
  };
  auto visit = std::make_unique<Visit>(Visit{instance.host(), timers_ms});
  const auto over = visit->over;
  if (visit->host->post(visit->host->ctx, &Visit::arrive, visit.get()) != WEIR_OK) return false;
  visit.release();  // leave() ends it
  return over->wait_for(true);
}

struct Taken {
  std::string subject, event, data, cursor;
};

// Takes `room` events, then says `when_full`.
class CollectingSink : public FlowPort {
 public:
  explicit CollectingSink(std::size_t room = 1'000'000, weir_status when_full = WEIR_E_FULL)
      : room_(room), when_full_(when_full) {}

  weir_status emit(FlowInstance&, const weir_event* events, std::uint32_t stride, std::uint32_t count,
                   std::span<const json::Doc>, std::uint32_t* accepted) override {
    const std::lock_guard lock(mutex_);
    ++calls_;
    for (*accepted = 0; *accepted < count; ++*accepted) {
      if (room_ == 0) return WEIR_E_FULL;
      --room_;
      const weir_event& e = event_at(events, stride, *accepted);
      taken_.push_back({text(e.subject), text(e.event), text(e.data), text(e.cursor)});
    }
    return room_ == 0 && when_full_ == WEIR_PAUSE ? WEIR_PAUSE : WEIR_OK;
  }
  void gap(FlowInstance&, std::string_view subject, std::uint64_t count, std::string_view reason) override {
    const std::lock_guard lock(mutex_);
    gaps_.push_back(std::string(subject) + "|" + std::to_string(count) + "|" + std::string(reason));
  }

  void make_room(std::size_t room) {
    const std::lock_guard lock(mutex_);
    room_ = room;
  }
  std::vector<Taken> taken() const {
    const std::lock_guard lock(mutex_);
    return taken_;
  }
  std::size_t calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  std::vector<std::string> gaps() const {
    const std::lock_guard lock(mutex_);
    return gaps_;
  }

 private:
  static std::string text(weir_str s) { return s.size == 0 ? std::string() : std::string(s.ptr, s.size); }
  mutable std::mutex mutex_;
  std::size_t room_;
  const weir_status when_full_;
  std::vector<Taken> taken_;
  std::vector<std::string> gaps_;
  std::size_t calls_ = 0;
};

// A test plugin's file.
inline std::string plugin_path(const std::string& name) {
  return std::string(WEIR_BINARY_DIR) + "/lib/weir-tests/libweir-" + name + ".so";
}
inline std::string shipped_path(const std::string& name) {
  return std::string(WEIR_BINARY_DIR) + "/lib/weir/libweir-" + name + ".so";
}

}  // namespace weir::test
