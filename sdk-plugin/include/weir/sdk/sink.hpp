// The base of a sink written in C++: where events of channels go (`to` in the manifest).
//   std::size_t deliver(std::span<const Outgoing> events) override {
//     for (std::size_t i = 0; i < events.size(); ++i)
//       if (!socket_.send(events[i].data)) return i;       // then host.sink_ready() when there is room again
//     return events.size();
//   }
// Threads: [strand].
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "weir/sdk/host.hpp"

namespace weir::sdk {

// Lives for the call only.
struct Outgoing {
  std::string_view subject;  // the manifest's `to` with its variables filled in
  std::string_view event;
  std::string_view data;  // JSON
  std::string_view id;    // the event's, the same however often it is sent
  std::string_view key;   // may be empty
  std::int64_t time_ms = 0;
};

class Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink() = default;

  virtual void start() {}
  // Takes events from the front and says how many. What was taken is the sink's to get there. Fewer than all: the rest
  // is offered at once again; none: the hub waits until host.sink_ready(). Throws Failure when the first of `events`
  // can't be delivered, ever: it is left out, counted and logged with the message. With the status UNAVAILABLE, TIMEOUT
  // or FULL it is offered again: after a second, or with FULL when the sink is ready. So it is after other exceptions.
  virtual std::size_t deliver(std::span<const Outgoing> events) = 0;
  virtual void stop() {}
};

}  // namespace weir::sdk
