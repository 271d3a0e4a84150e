// One connection of the pool: it calls one function after the other, each in a transaction of its own.
// A call is one statement, so it is committed when its answer is here, and no lock is held for a trip longer. How long
// it may take the server knows (statement_timeout): it ends by itself even if nobody is there to cancel it.
// Threads: [strand].
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "canceller.hpp"
#include "connection.hpp"
#include "weir/sdk/host.hpp"
#include "weir/sdk/responder.hpp"

namespace weir::postgres {

struct Call {
  std::string function;  // schema and name, quoted
  std::string params, identity;
  std::int64_t until_ms = 0;  // Host::steady_ms(); afterwards nobody waits
  sdk::Reply reply;
};

class Session {
 public:
  struct Told {
    std::function<void()> free;  // it may be given a call
    std::function<void(const std::string& why)> away;
  };
  // schema: of the functions; without it this is no connection. `address` outlives it.
  Session(const sdk::Host& host, const Address& address, std::string schema, std::int64_t ping_ms, Told told);

  void open() { connection_.open(); }
  void tick() { connection_.expect(); }
  bool ready() const { return set_up_; }
  bool free() const { return set_up_ && !call_ && !connection_.busy() && !canceller_.running(); }
  // Only while free(). Its reply is given in any case.
  void carry_out(Call call);
  // False: it is not the call that is being carried out.
  bool cancel(std::uint64_t token);
  void stop();  // what is being carried out is cancelled

 private:
  void ready_to_set_up();
  void away(const std::string& why);
  void limit();
  void send(std::int64_t left_ms);
  void answered(const Result& result);
  void offer();

  sdk::Host host_;
  const std::string schema_;
  Told told_;
  bool set_up_ = false;
  std::optional<Call> call_;
  bool sent_ = false;          // the call, not only how long it may take
  std::int64_t limit_ms_ = 0;  // the server's statement_timeout; 0: not known
  Canceller canceller_;
  Connection connection_;
};

}  // namespace weir::postgres
