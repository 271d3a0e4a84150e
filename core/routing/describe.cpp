#include "routing/describe.hpp"

#include <algorithm>
#include <unordered_map>

#include "base/json.hpp"
#include "routing/delivery.hpp"

namespace weir {

std::string describe_subscriptions(const Connection& connection) {
  struct Summary {
    std::uint64_t channels = 0, behind = 0;
    SequenceId at = 0;
    std::string_view epoch;
    FilterPtr filter;
  };
  std::unordered_map<const Subscription*, Summary> summaries;
  for (const auto& [feed, a] : connection.attachments)
    for (const Grant& g : a->grants) {
      Summary& s = summaries[g.subscription];
      ++s.channels;
      s.at = Delivery::reached(*a);
      s.behind += a->feed->last - std::min(a->feed->last, s.at);
      s.epoch = a->feed->epoch;
      s.filter = g.filter;
    }
  std::string out = "[";
  for (const auto& subscription : connection.subscriptions) {
    const Summary& s = summaries[subscription.get()];
    const FilterPtr& filter = subscription->pattern ? subscription->filter : s.filter;
    if (out.size() > 1) out += ',';
    out += "{\"channel\":";
    json::append_string(out, subscription->text);
    if (subscription->pattern) {
      out += ",\"pattern\":true,\"channels\":" + std::to_string(s.channels);
    } else {
      out += ",\"epoch\":";
      json::append_string(out, s.epoch);
      out += ",\"sequenceId\":" + std::to_string(s.at);
    }
    out += ",\"behind\":" + std::to_string(s.behind) + ",\"filter\":" + (filter ? filter->text() : "null") +
           ",\"since\":\"" + iso8601(subscription->since) + "\"}";
  }
  return out + "]";
}

std::string identity_json(const Identity& who) {
  if (who.subject.empty()) return "null";
  std::string out = "{\"subject\":";
  json::append_string(out, who.subject);
  out += ",\"scopes\":[";
  for (const std::string& s : who.scopes) {
    if (out.back() != '[') out += ',';
    json::append_string(out, s);
  }
  return out += "],\"attributes\":" + who.attributes_json + "}";
}

}  // namespace weir
