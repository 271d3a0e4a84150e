#include "hub_figures.hpp"

#include <optional>

namespace weir::metrics {
namespace {

using sdk::json::Kind;
using sdk::json::Value;

struct Figure {
  const char* list;  // of the hub's figures, or an object of them
  const char* name;  // there
  const char* as;    // here
  bool counts;       // it only grows, so there is a rate as well
};
constexpr Figure kFigures[] = {
    {"shards", "connections", "connections", false},
    {"shards", "subscriptions", "subscriptions", false},
    {"shards", "channels", "channels", false},
    {"shards", "historyBytes", "historyBytes", false},
    {"shards", "opened", "opened", true},
    {"shards", "closed", "closed", true},
    {"shards", "framesIn", "framesIn", true},
    {"shards", "framesRefused", "framesRefused", true},
    {"shards", "published", "published", true},
    {"shards", "delivered", "delivered", true},
    {"shards", "dropped", "dropped", true},
    {"shards", "failed", "failed", true},
    {"shards", "refused", "refused", true},
    {"shards", "overflows", "overflows", true},
    {"shards", "gaps", "gaps", true},
    {"shards", "snapshots", "snapshots", true},
    {"shards", "disconnectedSlow", "disconnectedSlow", true},
    {"plugins", "emitted", "emitted", true},
    {"plugins", "refusedFull", "emittedFull", true},
    {"plugins", "refusedInvalid", "emittedInvalid", true},
    {"plugins", "unrouted", "unrouted", true},
    {"rules", "events", "ruleEvents", true},
    {"rules", "dropped", "ruleDropped", true},
    {"rules", "errors", "ruleErrors", true},
    {"kv", "entries", "kvEntries", false},
    {"kv", "bytes", "kvBytes", false},
};

// Nothing where no member of the list has it; an empty list is 0.
std::optional<double> sum_of(const Value& stats, const char* list, const char* name) {
  const Value* from = stats.find(list);
  if (from == nullptr) return std::nullopt;
  const auto number = [&](const Value& of) -> std::optional<double> {
    const Value* found = of.find(name);
    if (found == nullptr || !found->is(Kind::number)) return std::nullopt;
    return found->number();
  };
  if (from->is(Kind::object)) return number(*from);
  std::optional<double> sum;
  if (from->elements.empty()) sum = 0;
  for (const Value& one : from->elements)
    if (const auto value = number(one)) sum = sum.value_or(0) + *value;
  return sum;
}

}  // namespace

std::string HubFigures::read(std::string_view stats_json, std::int64_t steady_ms) {
  const Value stats = sdk::json::parse(stats_json);
  Object out;
  for (const Figure& figure : kFigures) {
    const auto value = sum_of(stats, figure.list, figure.name);
    if (!value) continue;
    out.add(figure.as, *value);
    if (figure.counts) out.add(std::string(figure.as) + "PerSecond", growth_.rate(figure.as, *value, steady_ms));
  }
  return out.json();
}

}  // namespace weir::metrics
