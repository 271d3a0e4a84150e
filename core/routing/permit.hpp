// Who may subscribe to what, and what they then see: the manifest's access rule and what the channel's rules say
// (`on_subscribe`) together. Threads: [shard]; asks the Lua states of the shard that it is called on.
#pragma once
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "routing/filter.hpp"
#include "routing/routes.hpp"
#include "routing/rule_chain.hpp"

namespace weir {

struct Permit {
  FilterPtr filter;   // what holds whatever the client asks for; null: it may see everything
  bool part = false;  // a rule gave it a filter of its own, so what is the same for all is not for it
};

// `params`: the subscription's, as JSON text. `rules` may be null where no route asks them. `routes_of_rules`: those
// that `rules` has its rules from; during a reload they are newer than `route`. Errors: unauthorized, forbidden - as
// check_access(), or a rule says no; internal - a rule failed.
Result<Permit> permit(const ChannelRoute& route, RuleProvider* rules, const Routes& routes_of_rules,
                      std::string_view channel, const Identity& identity, std::string_view params);

}  // namespace weir
