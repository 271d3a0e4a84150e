// What somebody who asks is told about a connection. Threads: [shard] of the connection.
#pragma once
#include <string>

#include "routing/connection.hpp"

namespace weir {

// All of them and how far each has come: a JSON list.
std::string describe_subscriptions(const Connection& connection);

// {"subject":...,"scopes":[...],"attributes":{...}}, or "null" when nobody in particular is known.
std::string identity_json(const Identity& identity);

}  // namespace weir
