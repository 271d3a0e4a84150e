// What somebody who asks is told about a connection's subscriptions. Threads: [shard] of the connection.
#pragma once
#include <string>

#include "routing/connection.hpp"

namespace weir {

// All of them and how far each has come: a JSON list.
std::string describe_subscriptions(const Connection& connection);

}  // namespace weir
