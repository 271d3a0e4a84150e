#include "server/http_api.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <type_traits>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/secrets.hpp"
#include "protocol/client_frame.hpp"
#include "protocol/server_frame.hpp"
#include "server/client.hpp"
#include "server/hub.hpp"
#include "server/page.hpp"
#include "weir/abi/version.h"

namespace weir {
namespace {

constexpr std::string_view kPublishPrefix = "/api/v1/channels/", kPublishSuffix = "/events";
constexpr std::string_view kSubprotocol = "weir.v1";
constexpr const char* kPreflightSeconds = "600";  // how long a browser need not ask again
constexpr std::size_t kSubscriptionsShown = 1000, kSubscriptionsShownMax = 100'000;

void answer(const net::ExchangePtr& exchange, const Error& e, net::Headers headers = {}) {
  // A limit that somebody ran into is worth another try later only where we know when.
  if (e.retry_after_ms)
    headers.emplace_back("retry-after", std::to_string((*e.retry_after_ms + 999) / 1000));
  else if (http_status(e.code) == 503 || http_status(e.code) == 429)
    headers.emplace_back("retry-after", "2");
  exchange->respond(
      {http_status(e.code), "application/json", "{\"error\":" + server_frame::error_data(e) + "}", std::move(headers)});
}
void answer(const net::ExchangePtr& exchange, std::string json, int status = 200) {
  exchange->respond({status, "application/json", std::move(json), {{"cache-control", "no-store"}}});
}

std::vector<std::string_view> offered_subprotocols(std::string_view list) {
  std::vector<std::string_view> out;
  while (!list.empty()) {
    const auto comma = list.find(',');
    auto name = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    if (!name.empty()) out.push_back(name);
  }
  return out;
}

// Errors: bad_request - RFC 6455 section 4.2.1 asks for something else.
Result<void> check_handshake(const net::Request& r) {
  const std::string_view key = r.header("sec-websocket-key");
  const auto base64 = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  if (key.size() != 24 || !key.ends_with("==") || !std::all_of(key.begin(), key.end() - 2, base64))
    return fail(Errc::bad_request,
                "sec-websocket-key is " + (key.empty() ? "missing" : json::quoted(key)) +
                    "; 16 random bytes in base64 are expected, such as \"dGhlIHNhbXBsZSBub25jZQ==\"");
  if (r.header("host").empty()) return fail(Errc::bad_request, "the header host is missing");
  return {};
}

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

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& p : parts)
    if (!p.empty()) (out += out.empty() ? "" : ",") += p;
  return out;
}

// Answers the POST once the event has its place.
class HttpPublish final : public PublishWaiter {
 public:
  explicit HttpPublish(net::ExchangePtr exchange) : exchange_(std::move(exchange)) {}
  ~HttpPublish() override {
    if (exchange_)
      release([](const net::ExchangePtr& e) { answer(e, fail(Errc::unavailable, "the hub is shutting down")); });
  }
  void published(std::string_view channel, const PublishOutcome& o) override {
    std::string body = o.dropped ? server_frame::publish_dropped(channel, o.reason)
                                 : server_frame::publish_result(channel, o.at, o.duplicate);
    if (o.error)
      release([error = *o.error](const net::ExchangePtr& e) { answer(e, error); });
    else
      release([body = std::move(body)](const net::ExchangePtr& e) { answer(e, body); });
  }

 private:
  // The exchange belongs to its loop and is let go there.
  void release(std::function<void(const net::ExchangePtr&)> f) {
    net::Loop& loop = exchange_->loop();
    loop.post([e = std::exchange(exchange_, nullptr), f = std::move(f)]() mutable {
      f(e);
      e.reset();
    });
  }
  net::ExchangePtr exchange_;
};

}  // namespace

HttpApi::HttpApi(Hub& hub) : hub_(hub) {
  page_ = built_in_page();
  const auto& endpoints = hub_.setup().endpoints;
  const std::string_view mark = "{{endpoint}}";
  if (const auto at = page_.find(mark); at != std::string::npos) {
    std::string path;  // goes into an attribute of the page
    for (const char c : endpoints.empty() ? std::string() : endpoints[0].path) {
      if (c == '"')
        path += "&quot;";
      else if (c == '&')
        path += "&amp;";
      else if (c == '<')
        path += "&lt;";
      else
        path += c;
    }
    page_.replace(at, mark.size(), path);
  }
}

void HttpApi::handle(ShardHost& shard, net::ExchangePtr exchange) {
  const net::Request& r = exchange->request();
  for (const EndpointRule& endpoint : hub_.setup().endpoints)
    if (endpoint.path == r.path) return upgrade(shard, endpoint, std::move(exchange));
  if (r.path.starts_with(kPublishPrefix) && r.path.ends_with(kPublishSuffix) &&
      r.path.size() > kPublishPrefix.size() + kPublishSuffix.size()) {
    if (const std::string origin(r.header("origin")); !origin.empty()) {
      exchange->add_header("vary", "origin");
      if (page_may_publish(r)) exchange->add_header("access-control-allow-origin", origin);
    }
    if (r.method == "OPTIONS" && !r.header("access-control-request-method").empty()) return preflight(exchange);
    if (r.method != "POST")
      return exchange->respond(
          {405,
           "application/json",
           "{\"error\":" + server_frame::error_data(fail(Errc::bad_request, "publish by POST")) + "}",
           {{"allow", "POST, OPTIONS"}}});
    if (hub_.draining()) return answer(exchange, fail(Errc::draining, "the hub is shutting down"));
    const auto channel = std::string_view(r.path).substr(kPublishPrefix.size(),
                                                         r.path.size() - kPublishPrefix.size() - kPublishSuffix.size());
    return publish(shard, channel, std::move(exchange));
  }
  const bool page = r.path == "/" && hub_.setup().manifest.page;
  const bool known =
      page || r.path == "/health" || r.path == "/ready" || r.path == "/stats" || r.path == "/subscriptions";
  if (!known)
    return answer(exchange,
                  fail(Errc::not_found, "nothing at " + json::quoted(r.path) +
                                            "; there are /health, /ready, /stats, /subscriptions, "
                                            "/api/v1/channels/{channel}/events and the endpoints of the manifest"));
  if (r.method != "GET" && r.method != "HEAD")
    return exchange->respond({405,
                              "application/json",
                              "{\"error\":" + server_frame::error_data(fail(Errc::bad_request, "use GET")) + "}",
                              {{"allow", "GET, HEAD"}}});
  if (page)
    return exchange->respond(
        {200,
         "text/html; charset=utf-8",
         page_,
         {{"cache-control", "no-cache"},
          {"x-content-type-options", "nosniff"},
          {"referrer-policy", "no-referrer"},
          {"content-security-policy",
           "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src "
           "data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}}});
  if (r.path == "/health") {
    int status = 200;
    std::string body = health(status);
    return answer(exchange, std::move(body), status);
  }
  if (r.path == "/ready")
    return answer(exchange, hub_.ready() ? "{\"ready\":true}" : "{\"ready\":false}", hub_.ready() ? 200 : 503);
  if (r.path == "/stats") return admin(exchange, [this, exchange] { stats(exchange); });
  return admin(exchange, [this, exchange] { subscriptions(exchange); });
}

// ---------------------------------------------------------------- who asks

// Whether browsers may be let ask from where they are. `by_own_name`: a request that names another host is refused even
// without an Origin header, because a browser sends none for what a page of the "same host" reads.
bool HttpApi::may_ask(const net::ExchangePtr& exchange, bool by_own_name, bool to_publish) const {
  const auto& m = hub_.setup().manifest;
  if (by_own_name && !own_host(exchange->request(), m)) {
    answer(exchange, unknown_host(exchange->request()));
    return false;
  }
  if (to_publish ? page_may_publish(exchange->request())
                 : origin_allowed(exchange->request(), {}, !m.api_auth.empty(), m))
    return true;
  answer(exchange, fail(Errc::forbidden,
                        "pages of " + std::string(exchange->request().header("origin")) + " may not use this hub"));
  return false;
}

// Besides the pages that may by themselves, those that an endpoint names: they could publish there as well. Where
// nobody is asked who they are, only the endpoints count that ask nobody either.
bool HttpApi::page_may_publish(const net::Request& r) const {
  const auto& m = hub_.setup().manifest;
  if (origin_allowed(r, {}, !m.api_auth.empty(), m)) return true;
  const auto& endpoints = hub_.setup().endpoints;
  return std::any_of(endpoints.begin(), endpoints.end(), [&](const EndpointRule& e) {
    return !e.origins.empty() && (e.auth.empty() || !m.api_auth.empty()) &&
           origin_allowed(r, e.origins, !e.auth.empty(), m);
  });
}

// A browser asks before it sends a page's JSON or key to another origin (Fetch standard, "CORS-preflight request").
void HttpApi::preflight(const net::ExchangePtr& exchange) {
  if (!may_ask(exchange, hub_.setup().manifest.api_auth.empty(), true)) return;
  exchange->respond({204,
                     "",
                     "",
                     {{"access-control-allow-methods", "POST"},
                      {"access-control-allow-headers", "content-type, authorization, x-api-key"},
                      {"access-control-max-age", kPreflightSeconds}}});
}

void HttpApi::identified(net::ExchangePtr exchange, Known known) {
  const auto& providers = hub_.setup().manifest.api_auth;
  if (!may_ask(exchange, providers.empty(), true)) return;
  if (providers.empty()) return known(Identity{});
  hub_.authenticator().ask(
      providers, Authenticator::describe(exchange->request(), false), {},
      static_cast<std::uint32_t>(hub_.setup().manifest.limits.auth_ms),
      [exchange, known = std::move(known)](Result<Identity> who) mutable {
        net::Loop& loop = exchange->loop();
        loop.post([exchange = std::move(exchange), known = std::move(known), who = std::move(who)]() mutable {
          if (!who) return answer(exchange, who.error());
          known(std::move(*who));
        });
      });
}

void HttpApi::admin(net::ExchangePtr exchange, std::function<void()> allowed) {
  if (!may_ask(exchange, true, false)) return;
  identified(exchange, [this, exchange, allowed = std::move(allowed)](const Identity& who) {
    const auto& m = hub_.setup().manifest;
    if (!m.api_auth.empty() && !who.has_scope(m.admin_scope))
      return answer(exchange,
                    fail(Errc::forbidden, "this takes the scope \"" + m.admin_scope + "\" (api.admin_scope)"));
    allowed();
  });
}

// ---------------------------------------------------------------- WebSocket

void HttpApi::upgrade(ShardHost& shard, const EndpointRule& endpoint, net::ExchangePtr exchange) {
  const net::Request& r = exchange->request();
  if (hub_.draining()) return answer(exchange, fail(Errc::draining, "the hub is shutting down"));
  if (!r.upgrade)
    return exchange->respond(
        {426,
         "application/json",
         "{\"error\":" +
             server_frame::error_data(
                 fail(Errc::bad_request, "this is a WebSocket endpoint; connect with a WebSocket client")) +
             "}",
         {{"upgrade", "websocket"}, {"connection", "upgrade"}}});
  if (r.header("sec-websocket-version") != "13")
    return exchange->respond(
        {426,
         "application/json",
         "{\"error\":" +
             server_frame::error_data(fail(Errc::bad_request, "sec-websocket-version is " +
                                                                  json::quoted(r.header("sec-websocket-version")) +
                                                                  "; this hub speaks version 13")) +
             "}",
         {{"sec-websocket-version", "13"}, {"upgrade", "websocket"}, {"connection", "upgrade"}}});
  if (auto ok = check_handshake(r); !ok) return answer(exchange, ok.error());
  if (!origin_allowed(r, endpoint.origins, !endpoint.auth.empty(), hub_.setup().manifest))
    return answer(exchange,
                  fail(Errc::forbidden, "pages of " + std::string(r.header("origin")) +
                                            " may not use this endpoint (origins and hosts in the manifest)"));
  const auto offered = offered_subprotocols(r.header("sec-websocket-protocol"));
  std::string_view chosen;
  for (const auto name : offered)
    if (name == kSubprotocol) chosen = name;
  if (!offered.empty() && chosen.empty())
    return answer(exchange, fail(Errc::bad_request, "this endpoint speaks the subprotocol \"weir.v1\", or none"));
  const auto asked = hub_.revocations().mark();
  const auto go_on = [this, &shard, &endpoint, exchange, asked,
                      chosen = std::string(chosen)](std::optional<Identity> identity) {
    if (hub_.draining()) return answer(exchange, fail(Errc::draining, "the hub is shutting down"));
    auto& place = static_cast<Registry::Place&>(*exchange->admission());
    if (auto ok = place.become_client(); !ok) return answer(exchange, ok.error());
    if (identity)
      if (auto ok = place.take(*identity); !ok) {
        place.no_client();
        return answer(exchange, ok.error());
      }
    std::unique_ptr<Registry::Place> taken(static_cast<Registry::Place*>(exchange->admission().release()));
    exchange->upgrade(std::make_shared<Client>(hub_, shard, endpoint, exchange->request(), std::move(identity),
                                               std::move(taken), asked),
                      chosen, endpoint.deflate);
  };
  if (endpoint.auth.empty()) return go_on(Identity{});
  hub_.authenticator().ask(endpoint.auth, Authenticator::describe(r, false), {},
                           static_cast<std::uint32_t>(hub_.setup().manifest.limits.auth_ms),
                           [exchange, go_on, by_frame = endpoint.auth_by_frame](Result<Identity> who) {
                             exchange->loop().post([exchange, go_on, by_frame, who = std::move(who)]() mutable {
                               if (who) return go_on(std::move(*who));
                               if (by_frame && who.error().code == Errc::unauthorized) return go_on(std::nullopt);
                               answer(exchange, who.error());
                             });
                           });
}

// ---------------------------------------------------------------- publish

void HttpApi::publish(ShardHost& shard, std::string_view channel_in_path, net::ExchangePtr exchange) {
  auto channel = percent_decoded(channel_in_path);
  if (!channel) return answer(exchange, channel.error());
  if (auto ok = check_channel_name(*channel); !ok) return answer(exchange, ok.error());
  identified(exchange, [this, &shard, channel = std::move(*channel), exchange](const Identity& who) {
    const Limits& limits = hub_.setup().manifest.limits;
    const ChannelRoute* route = hub_.setup().routes->find(channel);
    if (route == nullptr)
      return answer(exchange,
                    fail(Errc::no_such_channel, "no [[channel]] of the manifest matches " + json::quoted(channel)));
    if (auto ok = check_access(route->publish, who, "publish to", channel); !ok) return answer(exchange, ok.error());
    const std::string& body = exchange->request().body;
    json::Doc doc;
    if (auto ok = doc.parse(body, static_cast<int>(limits.frame_depth)); !ok) {
      Error e = ok.error();
      e.code = Errc::bad_request;
      return answer(exchange, e);
    }
    if (!doc.root().is(json::Kind::object))
      return answer(exchange, fail(Errc::bad_request, "the body is an object: {\"event\":\"...\",\"data\":...}"));
    ClientFrame frame;
    if (auto ok = read_publication(doc.root(), frame); !ok) return answer(exchange, ok.error());
    const json::Value id = doc.root().find("id");
    if (id && (!id.is(json::Kind::string) || id.string().size() > 255))
      return answer(exchange, fail(Errc::bad_request, "\"id\" is no string of at most 255 bytes"));
    if (frame.data.size() > static_cast<std::size_t>(limits.data_bytes))
      return answer(exchange,
                    fail(Errc::too_large, "\"data\" has " + std::to_string(frame.data.size()) + " bytes; at most " +
                                              std::to_string(limits.data_bytes) + " are allowed (limits.data_bytes)"));
    if (hub_.shards()[shard.owner(channel)]->full()) {
      Error busy =
          fail(Errc::rate_limited, "the hub has more to do than it can do at once; publish this again in a moment");
      busy.retry_after_ms = 1000;
      return answer(exchange, busy);
    }
    Draft draft;
    draft.event = std::move(frame.event);
    draft.data = frame.data;
    draft.key = std::move(frame.key);
    if (!frame.dedupe.empty()) draft.dedupe = who.provider + '\n' + who.key + '\n' + frame.dedupe;
    if (id) draft.id = id.string();
    Ticket ticket;
    ticket.waiter = std::make_shared<HttpPublish>(exchange);
    shard.shard().publish(channel, std::move(draft), std::move(ticket));
  });
}

// ---------------------------------------------------------------- seeing inside

std::string HttpApi::health(int& status) const {
  std::string plugins, rules, reasons;
  bool degraded = false, failing = hub_.draining();
  const auto quoted = [](const std::string& text) { return json::quoted(secrets::masked(text)); };
  const auto reason = [&](const std::string& text) { (reasons += reasons.empty() ? "" : ",") += quoted(text); };
  if (failing) reason("draining");
  if (const std::string trouble = log::trouble(); !trouble.empty()) {
    degraded = true;
    reason(trouble);
  }
  for (const auto& view : hub_.plugin_views()) {
    const InstanceStatus s = view.instance->status();
    if (!plugins.empty()) plugins += ',';
    plugins += "{\"name\":" + json::quoted(view.plugin->entry->name) +
               ",\"library\":" + quoted(view.plugin->entry->library) + ",\"state\":\"" + std::string(to_word(s.state)) +
               "\",\"reason\":" + quoted(s.reason) + ",\"since\":\"" + iso8601(s.since) + "\"}";
    if (s.state == InstanceState::degraded || s.state == InstanceState::retrying || s.state == InstanceState::failed ||
        s.state == InstanceState::stopped) {
      degraded = true;
      reason("plugin \"" + view.plugin->entry->name + "\" is " + std::string(to_word(s.state)) +
             (s.reason.empty() ? "" : ": " + s.reason));
    }
  }
  const auto& programs = hub_.setup().programs;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    bool quarantined = false;
    std::string why;
    std::uint64_t stopped = 0;
    std::vector<StoppedChannel> shown;
    for (const auto& shard : hub_.shards()) {
      auto list = shard->rules().status();
      if (i >= list.size()) continue;
      if (list[i].quarantined) {
        quarantined = true;
        why = list[i].reason;
      }
      stopped += list[i].channels_stopped;
      for (auto& one : list[i].stopped)
        if (shown.size() < RuleStatus::kStoppedShown) shown.push_back(std::move(one));
    }
    const std::string& script = programs[i]->settings().script;
    if (quarantined) reason("rule " + script + " is quarantined: " + why);
    for (const auto& [channel, error] : shown) {
      reason("channel " + channel + " is stopped by rule " + script + ": " + error +
             "; mend it and start the hub again");
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

void HttpApi::stats(net::ExchangePtr exchange) {
  gather<std::string>(
      hub_, exchange->loop(),
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
               ",\"overflows\":" + n(su.overflows) + ",\"gaps\":" + n(su.gaps) +
               ",\"disconnectedSlow\":" + n(su.disconnected_slow) +
               ",\"subscriptions\":" + n(s.subscribers().subscriptions()) + "}";
      },
      [this, exchange](const std::vector<std::string>& shards) {
        std::string plugins, rules;
        for (const auto& view : hub_.plugin_views()) {
          if (!plugins.empty()) plugins += ',';
          const InstanceCounters c = view.instance->counters();
          plugins += "{\"name\":" + json::quoted(view.plugin->entry->name) +
                     ",\"emitted\":" + std::to_string(c.emitted) + ",\"accepted\":" + std::to_string(c.accepted) +
                     ",\"refusedFull\":" + std::to_string(c.refused_full) +
                     ",\"refusedInvalid\":" + std::to_string(c.refused_invalid) +
                     ",\"misbehaved\":" + std::to_string(c.misbehaved);
          if (dynamic_cast<const SourceInstance*>(view.instance) != nullptr) {
            const auto in = hub_.ingress().counters(view.plugin->entry->name);
            plugins += ",\"unrouted\":" + std::to_string(in.unrouted) +
                       ",\"inFlight\":" + std::to_string(in.in_flight) + ",\"pauses\":" + std::to_string(in.pauses);
          }
          plugins += ",\"metrics\":{";
          for (const auto& [name, value] : view.instance->metrics()) {
            if (plugins.back() != '{') plugins += ',';
            char number[32];
            std::snprintf(number, sizeof number, "%.17g", value);
            plugins += json::quoted(name) + ":" + number;
          }
          plugins += "}}";
        }
        for (const auto& shard : hub_.shards())
          for (const RuleStatus& r : shard->rules().status()) {
            if (r.events == 0 && r.skipped == 0) continue;
            if (!rules.empty()) rules += ',';
            rules += "{\"script\":" + json::quoted(r.script) + ",\"shard\":" + std::to_string(shard->id()) +
                     ",\"events\":" + std::to_string(r.events) + ",\"kept\":" + std::to_string(r.kept) +
                     ",\"dropped\":" + std::to_string(r.dropped) + ",\"errors\":" + std::to_string(r.errors) +
                     ",\"budgetStops\":" + std::to_string(r.budget_stops) +
                     ",\"skipped\":" + std::to_string(r.skipped) + ",\"reasons\":{";
            for (const auto& [why, count] : r.reasons) {
              if (rules.back() != '{') rules += ',';
              rules += json::quoted(why) + ":" + std::to_string(count);
            }
            rules += "}}";
          }
        answer(exchange,
               "{\"shards\":[" + joined(shards) + "],\"plugins\":[" + plugins + "],\"rules\":[" + rules + "]}");
      });
}

void HttpApi::subscriptions(net::ExchangePtr exchange) {
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
                            ",\"subscriptions\":" + Subscribers::describe(c);
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
