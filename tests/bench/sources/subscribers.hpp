// Many WebSocket subscribers of one channel on one thread: each counts what it got and notes how long that took.
// Threads: one of its own; the functions may be called from one other.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "bench/sources/event_text.hpp"
#include "bench/sources/latencies.hpp"

namespace weir::bench {

struct Tally {
  std::uint64_t delivered = 0;
  std::uint64_t skipped = 0;   // numbers that were passed over: lost, or late
  std::uint64_t repeated = 0;  // numbers that were no greater than the one before: doubled, or late
  std::uint64_t gaps = 0;      // frames that say what is missing
  std::string complaint;       // the first frame that is neither an event nor an acknowledgement
  Latencies latencies;         // from when an event was made to when its bytes were read
  std::int64_t cpu_ns = 0;     // of the thread
  void add_to(std::string& out) const;
  // Each event once, in order; how many there were is for others to know.
  bool well() const { return skipped + repeated + gaps == 0 && complaint.empty(); }
};

class Subscribers {
 public:
  // Subscribed to `channel` when this returns. `first`: the number of the first event that is to come.
  Subscribers(std::uint16_t port, int count, const std::string& channel, const EventText& text, std::uint64_t first);
  ~Subscribers();
  Subscribers(const Subscribers&) = delete;
  Subscribers& operator=(const Subscribers&) = delete;
  std::uint64_t delivered() const { return delivered_.load(std::memory_order_relaxed); }
  // Until so many deliveries have come to all of them together. False: nothing more came for ten seconds.
  bool wait(std::uint64_t deliveries) const;
  // Ends the thread; once.
  const Tally& stop();

 private:
  struct One {
    int fd;
    std::uint64_t next;
    std::string rest;  // the beginning of a frame
  };
  void open(One& one, std::uint16_t port, const std::string& channel);
  void run();
  bool read(One& one, std::vector<char>& buffer);
  void frame(One& one, std::string_view payload, std::int64_t now);

  const EventText& text_;
  std::vector<One> all_;
  int poll_ = -1;
  Tally tally_;  // of the thread, until stop()
  std::atomic<std::uint64_t> delivered_ = 0;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

}  // namespace weir::bench
