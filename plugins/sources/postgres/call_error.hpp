// What a client is told when a function failed. Only what the function's author wrote for clients goes out: the message
// of RAISE EXCEPTION without a code, or with WR and three digits. What the server says by itself may show names and
// data, so it stays in the hub's log. Threads: pure functions.
#pragma once
#include <string>
#include <string_view>

#include "weir/abi/types.h"

namespace weir::postgres {

struct CallError {
  weir_status status = WEIR_E_INTERNAL;
  std::string_view code = "internal";  // of the protocol
  std::string message;                 // for the client
  bool expected = false;               // the function's own business, or the client's; else somebody should look at it
};

// `state`: the SQLSTATE; `message`: its first line; `inside`: it comes from within a function, not from the call of it.
CallError call_error(std::string_view state, std::string_view message, bool inside);

}  // namespace weir::postgres
