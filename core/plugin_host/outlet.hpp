// What waits for a sink: a short queue that shards fill and the instance's strand empties. It is bounded; who offers
// more keeps the rest and reads it from the channel's history later, so a sink that is away for hours costs no memory.
// Threads: [any], but for pump() and its kin.
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "routing/outgoing.hpp"
#include "weir/abi/sink.h"

namespace weir {

class Outlet {
 public:
  struct Bounds {
    std::size_t events = 4096, bytes = 8 * 1024 * 1024;
  };
  struct Ports {
    // weir_sink_v1::deliver of the instance. [strand]
    std::function<weir_status(const weir_event*, std::uint32_t count, std::uint32_t* taken)> deliver;
    std::function<void()> post;                        // lets pump() run on the strand, soon
    std::function<void(std::int64_t ms)> retry_later;  // retry() in a while [strand]
    std::function<void()> room;                        // somebody was refused, and there is room again
    std::function<void(std::string)> misbehaving;
  };
  Outlet(const Bounds& bounds, Ports ports) : ports_(std::move(ports)), bounds_(bounds) {}

  void use(const Bounds& bounds);  // for what comes after
  // Takes from the front (moves), and says how many.
  std::size_t offer(std::span<Outgoing> events);
  void ready();  // the plugin says that there is room
  void pump();   // [strand]
  void retry();  // [strand]
  bool empty() const { return size() == 0; }
  std::size_t size() const;
  // The end, after the strand's or in place of it: what waits goes to the next, before what that has, and nothing is
  // taken any more. Null: there is none; how many events are lost then. [main]
  std::size_t hand_on(Outlet* next);

  struct Counts {
    std::atomic<std::uint64_t> sent{0}, undeliverable{0};
  };
  const Counts& counts() const { return counts_; }

 private:
  static std::size_t size_of(const Outgoing& o) { return o.event->memory() + 64; }
  bool deliver_some();  // false: nothing more to do now
  void wake();

  const Ports ports_;
  mutable std::mutex mutex_;
  Bounds bounds_;                 // guarded by mutex_ down to here
  std::deque<Outgoing> waiting_;  // only pump() takes away, at the front
  std::size_t bytes_ = 0;
  bool posted_ = false, refused_ = false, gone_ = false;
  std::atomic<std::uint64_t> readies_{0};
  bool held_ = false;   // [strand] the plugin has no room until ready()
  bool retry_ = false;  // [strand] a timer will say ready()
  std::uint64_t seen_ready_ = 0;
  Counts counts_;
};

}  // namespace weir
