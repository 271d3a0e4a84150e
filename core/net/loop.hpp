// The event loop of one shard: handlers run until none is ready, then everything that they left to be sent is sent at
// once. That order is where the speed of fan-out comes from: the busier the loop, the more leaves in one system call,
// and an idle hub sends the first event without waiting for anything. The burst is bounded, so that it can't starve the
// sending. An idle loop uses no CPU. Threads: run() is the shard's thread; post() and stop() from [any].
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace weir::net {

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(). `after_burst` is called whenever no handler is ready any more, or a burst has lasted long
  // enough; it returns in how many ms it wants to be called again if nothing else happens, or nothing.
  void run(const std::function<std::optional<std::int64_t>()>& after_burst);
  void stop();
  // Lets go of all that still waits without running it; after run() has returned. What waits on one loop may hold
  // sockets of another, so all loops are cleared before the first of them is destroyed. Whatever is posted from then on
  // is let go as well.
  void clear();
  void post(std::function<void()> task);
  // Runs the task on the loop in that many ms. [shard]
  void call_in(std::int64_t ms, std::function<void()> task);

  struct Impl;  // holds the io_context; for core/net only
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::net
