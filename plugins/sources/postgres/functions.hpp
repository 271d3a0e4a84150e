// Methods that functions of one schema answer: the method's subject is the function's name, byte for byte, and the
// function is called with the parameters and the identity. A pool of connections of its own; requests that find none
// free wait in a queue that is bounded in number and bytes, none of them longer than its deadline. While no connection
// is there everybody is told so at once. Threads: [strand].
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config.hpp"
#include "session.hpp"
#include "weir/sdk/host.hpp"
#include "weir/sdk/responder.hpp"

namespace weir::postgres {

class Functions {
 public:
  static constexpr std::size_t kWaitingMost = 1'000, kWaitingBytes = 16 * 1024 * 1024;
  using TellState = std::function<void(sdk::State state, const std::string& why)>;
  // `address` and `config` outlive it.
  Functions(const sdk::Host& host, const Address& address, const FunctionsConfig& config, std::int64_t ping_ms,
            TellState tell);

  void open();
  void request(const sdk::Request& request, sdk::Reply reply);
  void cancel(std::uint64_t token);
  void tick();  // every 100 ms or so
  void stop();
  std::size_t waiting() const { return waiting_.size(); }
  std::size_t connections() const;

 private:
  void serve();
  void away(const std::string& why);
  void show();
  void drop_waiting(const std::function<void(Call&)>& look);

  sdk::Host host_;
  const FunctionsConfig& config_;
  TellState tell_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::deque<Call> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::string why_;  // a connection is missing; empty: none is, or it is being opened for the first time
};

}  // namespace weir::postgres
