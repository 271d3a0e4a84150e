// What the hub tells about itself: /health, /stats and /subscriptions. Who may ask is decided by HttpApi.
// Threads: [shard] of the exchange; the figures of the other shards are asked of them.
#pragma once
#include <functional>
#include <string>

#include "net/http.hpp"

namespace weir {

class Hub;

class Insight {
 public:
  explicit Insight(Hub& hub) : hub_(hub) {}
  // The body, and the status that goes with it: 503 while the hub drains, else 200, degraded or not.
  std::string health(int& status) const;
  void stats(net::ExchangePtr exchange);
  // What stats() answers, for `done`, on that loop. [any]
  void figures(net::Loop& loop, std::function<void(std::string)> done);
  void subscriptions(net::ExchangePtr exchange);

 private:
  Hub& hub_;
};

}  // namespace weir
