#include "server/insight.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/secrets.hpp"
#include "routing/describe.hpp"
#include "server/answer.hpp"
#include "server/client.hpp"
#include "server/hub.hpp"
#include "weir/abi/version.h"

namespace weir {
namespace {

constexpr std::size_t kSubscriptionsShown = 1000, kSubscriptionsShownMax = 100'000;

// Collects one answer from every shard, then hands them over on the exchange's loop.
template <class Answer>
void gather(Hub& hub, net::Loop& loop, std::type_identity_t<std::function<Answer(ShardHost&)>> ask,
            std::type_identity_t<std::function<void(std::vector<Answer>)>> done) {
  struct State {
    std::vector<Answer> answers;
    std::atomic<std::size_t> missing;
    std::function<Answer(ShardHost&)> ask;
    std::function<void(std::vector<Answer>)> done;
  };
  auto state = std::make_shared<State>();
  state->answers.resize(hub.shards().size());
  state->missing = hub.shards().size();
  state->ask = std::move(ask);
  state->done = std::move(done);
  for (auto& shard : hub.shards())
    shard->loop().post([state, &host = *shard, &loop] {
      state->answers[host.id()] = state->ask(host);
      if (--state->missing == 0) loop.post([state] { state->done(std::move(state->answers)); });
    });
}

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& p : parts)
    if (!p.empty()) (out += out.empty() ? "" : ",") += p;
  return out;
}

}  // namespace

std::string Insight::health(int& status) const {
  std::string plugins, rules, reasons;
  bool degraded = false, failing = hub_.draining();
  const auto quoted = [](const std::string& text) { return json::quoted(secrets::masked(text)); };
  const auto reason = [&](const std::string& text) { (reasons += reasons.empty() ? "" : ",") += quoted(text); };
  if (failing) reason("draining");
  if (const std::string trouble = log::trouble(); !trouble.empty()) {
    degraded = true;
    reason(trouble);
  }
  if (const std::string trouble = hub_.reload_trouble(); !trouble.empty()) {
    degraded = true;
    reason(trouble);
  }
  for (const auto& view : hub_.plugins().views()) {
    const InstanceStatus s = view.instance->status();
    if (!plugins.empty()) plugins += ',';
    plugins += "{\"name\":" + json::quoted(view.name) + ",\"library\":" + quoted(view.library) + ",\"state\":\"" +
               std::string(to_word(s.state)) + "\",\"reason\":" + quoted(s.reason) + ",\"since\":\"" +
               iso8601(s.since) + "\"}";
    if (s.state == InstanceState::degraded || s.state == InstanceState::retrying || s.state == InstanceState::failed ||
        s.state == InstanceState::stopped) {
      degraded = true;
      reason("plugin \"" + view.name + "\" is " + std::string(to_word(s.state)) +
             (s.reason.empty() ? "" : ": " + s.reason));
    }
  }
  // A rule is there once on each shard; one script may be several rules, which stand in the same order everywhere.
  std::vector<std::pair<std::string, std::vector<RuleStatus>>> by_rule;
  for (const auto& shard : hub_.shards()) {
    std::map<std::string, std::size_t> seen;
    for (RuleStatus& status_here : shard->rules().status()) {
      std::size_t nth = seen[status_here.script]++;
      auto found = std::find_if(by_rule.begin(), by_rule.end(),
                                [&](const auto& rule) { return rule.first == status_here.script && nth-- == 0; });
      if (found == by_rule.end()) found = by_rule.insert(found, {status_here.script, {}});
      found->second.push_back(std::move(status_here));
    }
  }
  for (const auto& [script, on_shards] : by_rule) {
    bool quarantined = false;
    std::string why;
    std::uint64_t stopped = 0;
    std::vector<StoppedChannel> shown;
    for (const RuleStatus& one : on_shards) {
      if (one.quarantined) {
        quarantined = true;
        why = one.reason;
      }
      stopped += one.channels_stopped;
      for (const auto& channel : one.stopped)
        if (shown.size() < RuleStatus::kStoppedShown) shown.push_back(channel);
    }
    if (quarantined) reason("rule " + script + " is quarantined: " + why);
    for (const auto& [channel, error] : shown) {
      reason("channel " + channel + " is stopped by rule " + script + ": " + error + "; mend it, then weir reload");
      (why += why.empty() ? "" : "; ") += "channel " + channel + " is stopped: " + error;
    }
    if (stopped > shown.size()) {
      const std::string more = std::to_string(stopped - shown.size()) + " more channels are stopped";
      reason("rule " + script + ": " + more);
      why += "; " + more;
    }
    degraded = degraded || quarantined || stopped != 0;
    if (!rules.empty()) rules += ',';
    rules += "{\"script\":" + quoted(script) + ",\"state\":\"" +
             (stopped != 0  ? "stopped"
              : quarantined ? "quarantined"
                            : "ok") +
             "\",\"reason\":" + quoted(why) + "}";
  }
  std::uint64_t connections = 0, subscriptions = 0, channels = 0;
  for (const auto& shard : hub_.shards()) {
    connections += shard->gauges().connections;
    subscriptions += shard->gauges().subscriptions;
    channels += shard->gauges().channels;
  }
  status = failing ? 503 : 200;
  return "{\"status\":\"" +
         std::string(failing    ? "failing"
                     : degraded ? "degraded"
                                : "ok") +
         "\",\"reasons\":[" + reasons + "],\"version\":\"" WEIR_VERSION "\",\"uptimeMs\":" +
         std::to_string(system_clock().unix_ms() - hub_.started_at()) +
         ",\"connections\":" + std::to_string(connections) + ",\"subscriptions\":" + std::to_string(subscriptions) +
         ",\"channels\":" + std::to_string(channels) + ",\"plugins\":[" + plugins + "],\"rules\":[" + rules + "]}";
}

void Insight::stats(net::ExchangePtr exchange) {
  figures(exchange->loop(), [exchange](std::string json) { answer(exchange, std::move(json)); });
}

void Insight::figures(net::Loop& loop, std::function<void(std::string)> done) {
  gather<std::string>(
      hub_, loop,
      [](ShardHost& host) {
        const Shard& s = host.shard();
        const auto& c = s.counters();
        const auto& ch = s.channels().counters();
        const auto& su = s.subscribers().counters();
        const auto n = [](auto v) { return std::to_string(v); };
        return "{\"shard\":" + n(host.id()) + ",\"connections\":" + n(s.connections()) + ",\"opened\":" + n(c.opened) +
               ",\"closed\":" + n(c.closed) + ",\"framesIn\":" + n(c.frames_in) +
               ",\"framesRefused\":" + n(c.frames_refused) + ",\"idleClosed\":" + n(c.idle_closed) +
               ",\"deflated\":" + n(c.deflated) + ",\"deflateSavedBytes\":" + n(c.deflate_saved) +
               ",\"channels\":" + n(s.channels().size()) + ",\"historyBytes\":" + n(s.channels().history_bytes()) +
               ",\"published\":" + n(ch.published) + ",\"dropped\":" + n(ch.dropped) + ",\"failed\":" + n(ch.failed) +
               ",\"refused\":" + n(ch.refused) + ",\"delivered\":" + n(su.delivered) +
               ",\"overflows\":" + n(su.overflows) + ",\"gaps\":" + n(su.gaps) + ",\"snapshots\":" + n(su.snapshots) +
               ",\"disconnectedSlow\":" + n(su.disconnected_slow) +
               ",\"subscriptions\":" + n(s.subscribers().subscriptions()) + "}";
      },
      [this, done = std::move(done)](const std::vector<std::string>& shards) {
        std::string plugins, rules;
        for (const auto& view : hub_.plugins().views()) {
          if (!plugins.empty()) plugins += ',';
          const InstanceCounters c = view.instance->counters();
          plugins += "{\"name\":" + json::quoted(view.name) + ",\"emitted\":" + std::to_string(c.emitted) +
                     ",\"accepted\":" + std::to_string(c.accepted) +
                     ",\"refusedFull\":" + std::to_string(c.refused_full) +
                     ",\"refusedInvalid\":" + std::to_string(c.refused_invalid) +
                     ",\"misbehaved\":" + std::to_string(c.misbehaved);
          if (view.source) {
            const auto in = hub_.ingress().counters(view.name);
            plugins += ",\"unrouted\":" + std::to_string(in.unrouted) +
                       ",\"inFlight\":" + std::to_string(in.in_flight) + ",\"pauses\":" + std::to_string(in.pauses);
          }
          if (view.sink)
            plugins += ",\"sent\":" + std::to_string(c.sent) + ",\"undeliverable\":" + std::to_string(c.undeliverable) +
                       ",\"lost\":" + std::to_string(hub_.flows().lost(view.name));
          if (c.requests != 0) plugins += ",\"requests\":" + std::to_string(c.requests);
          plugins += ",\"metrics\":{";
          for (const auto& [name, value] : view.instance->metrics()) {
            if (plugins.back() != '{') plugins += ',';
            plugins += json::quoted(name) + ":" + number_text(value);
          }
          plugins += "}}";
        }
        for (const auto& shard : hub_.shards())
          for (const RuleStatus& r : shard->rules().status()) {
            if (r.events + r.skipped + r.requests + r.errors + r.subscriptions_refused == 0)
              continue;  // not used on this shard
            if (!rules.empty()) rules += ',';
            rules += "{\"script\":" + json::quoted(r.script) + ",\"shard\":" + std::to_string(shard->id()) +
                     ",\"events\":" + std::to_string(r.events) + ",\"kept\":" + std::to_string(r.kept) +
                     ",\"dropped\":" + std::to_string(r.dropped) + ",\"errors\":" + std::to_string(r.errors) +
                     ",\"budgetStops\":" + std::to_string(r.budget_stops) +
                     ",\"skipped\":" + std::to_string(r.skipped) + ",\"published\":" + std::to_string(r.published) +
                     ",\"reduced\":" + std::to_string(r.reduced) + ",\"snapshots\":" + std::to_string(r.snapshots) +
                     ",\"refused\":" + std::to_string(r.refused) + ",\"requests\":" + std::to_string(r.requests) +
                     ",\"timers\":" + std::to_string(r.timers) +
                     ",\"subscriptionsRefused\":" + std::to_string(r.subscriptions_refused) +
                     ",\"reloads\":" + std::to_string(r.reloads) + ",\"operations\":" + std::to_string(r.operations) +
                     ",\"allocatedBytes\":" + std::to_string(r.allocated_bytes) +
                     ",\"logLinesLost\":" + std::to_string(r.log_lines_lost) + ",\"reasons\":{";
            for (const auto& [why, count] : r.reasons) {
              if (rules.back() != '{') rules += ',';
              rules += json::quoted(why) + ":" + std::to_string(count);
            }
            rules += "},\"metrics\":{";
            for (const auto& [name, value] : r.metrics) {
              if (rules.back() != '{') rules += ',';
              (rules += json::quoted(name) + ":") += number_text(value);
            }
            rules += "}}";
          }
        done("{\"shards\":[" + joined(shards) + "],\"plugins\":[" + plugins + "],\"rules\":[" + rules +
             "],\"kv\":{\"entries\":" + std::to_string(hub_.setup()->kv->entries()) +
             ",\"bytes\":" + std::to_string(hub_.setup()->kv->bytes()) + "}}");
      });
}

void Insight::subscriptions(net::ExchangePtr exchange) {
  std::size_t limit = kSubscriptionsShown;
  for (const auto& [name, value] : parse_query(exchange->request().query)) {
    if (name != "limit") continue;
    const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), limit);
    if (ec != std::errc() || end != value.data() + value.size() || limit > kSubscriptionsShownMax)
      return answer(exchange, fail(Errc::bad_request, "limit is " + json::quoted(value) + "; expected 0.." +
                                                          std::to_string(kSubscriptionsShownMax)));
  }
  struct Some {
    std::vector<std::string> connections;
    std::size_t all = 0;
  };
  gather<Some>(
      hub_, exchange->loop(),
      [limit](ShardHost& host) {
        Some some;
        some.all = host.clients().size();
        for (const Client* client : host.clients()) {
          if (some.connections.size() == limit) break;
          const Connection& c = client->connection();
          std::string out = "{\"clientId\":" + json::quoted(c.client_id) + ",\"peer\":" + json::quoted(c.peer) +
                            ",\"endpoint\":" + json::quoted(c.endpoint.path) +
                            ",\"subject\":" + (c.identity.subject.empty() ? "null" : json::quoted(c.identity.subject)) +
                            ",\"since\":\"" + iso8601(c.opened_at) + "\",\"delivered\":" + std::to_string(c.delivered) +
                            ",\"received\":" + std::to_string(c.received) +
                            ",\"outboxBytes\":" + std::to_string(c.outbox.bytes()) +
                            ",\"subscriptions\":" + describe_subscriptions(c);
          some.connections.push_back(out + "}");
        }
        return some;
      },
      [exchange, limit](const std::vector<Some>& shards) {
        std::vector<std::string> shown;
        std::size_t all = 0;
        for (const Some& some : shards) {
          all += some.all;
          for (const std::string& c : some.connections)
            if (shown.size() < limit) shown.push_back(c);
        }
        answer(exchange, "{\"connections\":[" + joined(shown) + "],\"total\":" + std::to_string(all) +
                             ",\"truncated\":" + (shown.size() < all ? "true" : "false") + "}");
      });
}

}  // namespace weir
