#include "routing/permit.hpp"

#include "base/json.hpp"

namespace weir {

Result<Permit> permit(const ChannelRoute& route, RuleProvider* rules, const Routes& routes_of_rules,
                      std::string_view channel, const Identity& identity, std::string_view params) {
  if (auto ok = check_access(route.subscribe, identity, "subscribe to", channel); !ok) return ok.error();
  auto mandatory = mandatory_filter(route.subscribe, identity);
  if (!mandatory) return mandatory.error();
  Permit out{std::move(*mandatory)};
  if (!route.asks_subscribers || rules == nullptr) return out;
  const ChannelRoute* asked = routes_of_rules.find(channel);
  if (asked == nullptr)
    return fail(Errc::no_such_channel, "no [[channel]] of the manifest matches " + json::quoted(channel) + " any more");
  const auto variables = asked->pattern.match(channel).value_or(Variables());
  auto filters = rules->may_subscribe(asked->rules, channel, variables, identity, params);
  if (!filters) return filters.error();
  for (const std::string& text : *filters) {
    json::Doc doc;
    auto parsed = doc.parse(text);
    auto filter = parsed ? Filter::parse(doc.root(), Filter::kTrusted) : Result<FilterPtr>(parsed.error());
    if (!filter)
      return fail(Errc::internal, "rule error: the `where` that on_subscribe returned: " + filter.error().message);
    out.filter = Filter::both(std::move(out.filter), *filter);
    out.part = true;
  }
  return out;
}

}  // namespace weir
