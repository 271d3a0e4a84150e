// What a hub does with plugins, small enough for tests: a sink that collects, and waiting for a fact.
#pragma once
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "plugin_host/instance.hpp"

namespace weir::test {

// Looks again and again until the fact holds; false when it did not within the deadline.
template <class Fact>
bool wait_until(Fact&& fact, std::chrono::milliseconds deadline = std::chrono::seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!fact()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

struct Taken {
  std::string subject, event, data, cursor;
};

// Takes `room` events, then says `when_full`.
class CollectingSink : public SourceSink {
 public:
  explicit CollectingSink(std::size_t room = 1'000'000, weir_status when_full = WEIR_E_FULL)
      : room_(room), when_full_(when_full) {}

  weir_status emit(SourceInstance&, const weir_event* events, std::uint32_t stride, std::uint32_t count,
                   std::uint32_t* accepted) override {
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
  void gap(SourceInstance&, std::string_view subject, std::uint64_t count, std::string_view reason) override {
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
