#include "server/http_api.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "protocol/client_frame.hpp"
#include "protocol/server_frame.hpp"
#include "server/answer.hpp"
#include "server/client.hpp"
#include "server/hub.hpp"
#include "server/page.hpp"

namespace weir {
namespace {

constexpr std::string_view kPublishPrefix = "/api/v1/channels/", kPublishSuffix = "/events";
constexpr std::string_view kSubprotocol = "weir.v1";
constexpr const char* kPreflightSeconds = "600";  // how long a browser need not ask again

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

HttpApi::HttpApi(Hub& hub) : hub_(hub), page_(built_in_page()) {}

std::string HttpApi::page() const {
  const auto setup = hub_.setup();
  const auto& endpoints = setup->endpoints;
  std::string page = page_;
  const std::string_view mark = "{{endpoint}}";
  if (const auto at = page.find(mark); at != std::string::npos) {
    std::string path;  // goes into an attribute of the page
    const auto socket =
        std::find_if(endpoints.begin(), endpoints.end(), [](const auto& e) { return e->plugin.empty(); });
    for (const char c : socket == endpoints.end() ? std::string() : (*socket)->path) {
      if (c == '"')
        path += "&quot;";
      else if (c == '&')
        path += "&amp;";
      else if (c == '<')
        path += "&lt;";
      else
        path += c;
    }
    page.replace(at, mark.size(), path);
  }
  return page;
}

void HttpApi::handle(ShardHost& shard, net::ExchangePtr exchange) {
  const net::Request& r = exchange->request();
  const auto setup = hub_.setup();
  for (const auto& endpoint : setup->endpoints)
    if (endpoint->path == r.path && endpoint->plugin.empty()) return upgrade(shard, *endpoint, std::move(exchange));
  const EndpointRule* below = nullptr;  // the longest path that it lies below
  for (const auto& endpoint : setup->endpoints) {
    const std::string& path = endpoint->path;
    if (endpoint->plugin.empty() || !r.path.starts_with(path)) continue;
    if (r.path.size() != path.size() && path.back() != '/' && r.path[path.size()] != '/') continue;
    if (below == nullptr || path.size() > below->path.size()) below = endpoint.get();
  }
  if (below != nullptr) return to_plugin(*below, std::move(exchange));
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
  if (r.path == "/api/v1/reload") {
    if (r.method != "POST")
      return exchange->respond({405,
                                "application/json",
                                "{\"error\":" + server_frame::error_data(fail(Errc::bad_request, "use POST")) + "}",
                                {{"allow", "POST"}}});
    return admin(exchange, [this, exchange] { reload(exchange); });
  }
  const bool page = r.path == "/" && setup->manifest.page;
  const bool known =
      page || r.path == "/health" || r.path == "/ready" || r.path == "/stats" || r.path == "/subscriptions";
  if (!known)
    return answer(exchange,
                  fail(Errc::not_found, "nothing at " + json::quoted(r.path) +
                                            "; there are /health, /ready, /stats, /subscriptions, "
                                            "/api/v1/reload, /api/v1/channels/{channel}/events and the endpoints of "
                                            "the manifest"));
  if (r.method != "GET" && r.method != "HEAD")
    return exchange->respond({405,
                              "application/json",
                              "{\"error\":" + server_frame::error_data(fail(Errc::bad_request, "use GET")) + "}",
                              {{"allow", "GET, HEAD"}}});
  if (page)
    return exchange->respond(
        {200,
         "text/html; charset=utf-8",
         this->page(),
         {{"cache-control", "no-cache"},
          {"x-content-type-options", "nosniff"},
          {"referrer-policy", "no-referrer"},
          {"content-security-policy",
           "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src "
           "data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}}});
  if (r.path == "/health") {
    int status = 200;
    std::string body = hub_.insight().health(status);
    return answer(exchange, std::move(body), status);
  }
  if (r.path == "/ready")
    return answer(exchange, hub_.ready() ? "{\"ready\":true}" : "{\"ready\":false}", hub_.ready() ? 200 : 503);
  if (r.path == "/stats") return admin(exchange, [this, exchange] { hub_.insight().stats(exchange); });
  return admin(exchange, [this, exchange] { hub_.insight().subscriptions(exchange); });
}

// ---------------------------------------------------------------- who asks

// Whether browsers may be let ask from where they are. `by_own_name`: a request that names another host is refused even
// without an Origin header, because a browser sends none for what a page of the "same host" reads.
bool HttpApi::may_ask(const net::ExchangePtr& exchange, bool by_own_name, bool to_publish) const {
  const auto setup = hub_.setup();
  const auto& m = setup->manifest;
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
  const auto setup = hub_.setup();
  const auto& m = setup->manifest;
  if (origin_allowed(r, {}, !m.api_auth.empty(), m)) return true;
  return std::any_of(setup->endpoints.begin(), setup->endpoints.end(), [&](const auto& e) {
    return !e->origins.empty() && (e->auth.empty() || !m.api_auth.empty()) &&
           origin_allowed(r, e->origins, !e->auth.empty(), m);
  });
}

// A browser asks before it sends a page's JSON or key to another origin (Fetch standard, "CORS-preflight request").
void HttpApi::preflight(const net::ExchangePtr& exchange) {
  if (!may_ask(exchange, hub_.setup()->manifest.api_auth.empty(), true)) return;
  exchange->respond({204,
                     "",
                     "",
                     {{"access-control-allow-methods", "POST"},
                      {"access-control-allow-headers", "content-type, authorization, x-api-key"},
                      {"access-control-max-age", kPreflightSeconds}}});
}

void HttpApi::identified(net::ExchangePtr exchange, Known known) {
  const auto setup = hub_.setup();
  const auto& providers = setup->manifest.api_auth;
  if (!may_ask(exchange, providers.empty(), true)) return;
  if (providers.empty()) return known(Identity{});
  hub_.authenticator().ask(
      providers, Authenticator::describe(exchange->request(), false), {},
      static_cast<std::uint32_t>(hub_.limits().auth_ms),
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
    const auto setup = hub_.setup();
    const auto& m = setup->manifest;
    if (!m.api_auth.empty() && !who.has_scope(m.admin_scope))
      return answer(exchange,
                    fail(Errc::forbidden, "this takes the scope \"" + m.admin_scope + "\" (api.admin_scope)"));
    allowed();
  });
}

void HttpApi::reload(const net::ExchangePtr& exchange) {
  if (hub_.draining()) return answer(exchange, fail(Errc::draining, "the hub is shutting down"));
  hub_.ask_for_reload([exchange](const ReloadReport& report) {
    exchange->loop().post(
        [exchange, body = report.json(), done = report.done] { answer(exchange, body, done ? 200 : 422); });
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
  if (!origin_allowed(r, endpoint.origins, !endpoint.auth.empty(), hub_.setup()->manifest))
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
                           static_cast<std::uint32_t>(hub_.limits().auth_ms),
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
    const Limits& limits = hub_.limits();
    const RoutesPtr routes = hub_.setup()->routes;
    const ChannelRoute* route = routes->find(channel);
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
    if (!route->rules.empty()) draft.index = doc.index_of(frame.data_value);
    draft.key = std::move(frame.key);
    if (!frame.dedupe.empty()) draft.dedupe = who.provider + '\n' + who.key + '\n' + frame.dedupe;
    if (id) draft.id = id.string();
    Ticket ticket;
    ticket.waiter = std::make_shared<HttpPublish>(exchange);
    if (route->asks_publishers) ticket.who = std::make_shared<const Identity>(who);
    shard.shard().publish(channel, std::move(draft), std::move(ticket));
  });
}

}  // namespace weir
