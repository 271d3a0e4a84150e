// The connections of one shard whose outbox has something, and when each is to be flushed: at once, or, where the
// endpoint has a tick, at most once in that time. The first one after a pause leaves at once; what comes within the
// tick behind it waits for its end and leaves together. That trades latency for CPU on endpoints that are always busy
// (docs/manifest.md, `tick`). Threads: [shard].
#pragma once
#include <optional>
#include <vector>

#include "base/clock.hpp"

namespace weir {

struct Connection;
struct EndpointRule;

class FlushList {
 public:
  void add(Connection& c);  // c.dirty is set while it stands here
  void remove(Connection& c);
  // Moves those that are due into `out`, which is empty.
  void take(SteadyMs now, std::vector<Connection*>& out);
  // When take() has something next, because a tick ends; nothing when no tick holds anybody.
  std::optional<SteadyMs> due() const;
  bool ticks() const { return !ticks_.empty(); }

 private:
  struct Tick {
    const EndpointRule* endpoint;
    SteadyMs open_at = 0;  // from here on the next one leaves at once
    std::vector<Connection*> held;
  };
  std::vector<Connection*>& list_of(const Connection& c);  // of an endpoint with a tick

  std::vector<Connection*> at_once_;
  std::vector<Tick> ticks_;  // one for each endpoint with a tick that has had a connection here
};

}  // namespace weir
