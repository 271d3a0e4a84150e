// Tells a server to end what it does for a connection. libpq waits for the server meanwhile, so that runs on a thread
// that owns what it works on and calls nothing of the hub, as a lookup does (weir/sdk/resolver.hpp). Until it is over
// nothing else must be asked of that connection: the word might come late, and end that. Threads: [strand].
#pragma once
#include <functional>
#include <memory>

#include "weir/sdk/host.hpp"

struct pg_conn;

namespace weir::postgres {

class Canceller {
 public:
  Canceller() = default;
  ~Canceller() { forget(); }
  Canceller(const Canceller&) = delete;
  Canceller& operator=(const Canceller&) = delete;

  // `over` is called when the server has been told, or can't be.
  void start(const sdk::Host& host, pg_conn* connection, std::function<void()> over);
  bool running() const { return watch_.watching(); }
  void forget() { watch_.end(); }  // the call does not come any more; the server is told all the same

 private:
  sdk::FdWatch watch_;
};

}  // namespace weir::postgres
