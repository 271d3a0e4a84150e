// Endpoints whose requests a plugin answers: who may ask is the hub's, what is said the plugin's.
#include <map>
#include <string>
#include <utility>

#include "base/json.hpp"
#include "routing/describe.hpp"
#include "server/answer.hpp"
#include "server/http_api.hpp"
#include "server/hub.hpp"

namespace weir {
namespace {

constexpr std::uint32_t kAnswerMs = 30'000;  // what proxies and webhook senders wait at most, roughly

void append_member(std::string& object, std::string_view name, std::string_view value) {
  if (object.size() > 1) object += ',';
  json::append_string(object, json::to_utf8(name));
  object += ':';
  json::append_string(object, json::to_utf8(value));
}

std::string query_json(const std::string& query) {
  std::string out = "{";
  for (const auto& [name, value] : parse_query(query)) append_member(out, name, value);
  return out += '}';
}

// Several of one name are one with commas between (RFC 9110, 5.3).
std::string headers_json(const net::Headers& headers) {
  std::map<std::string, std::string> joined;
  for (const auto& [name, value] : headers) {
    std::string lower = name;
    for (char& c : lower)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const auto [it, fresh] = joined.try_emplace(std::move(lower), value);
    if (!fresh) it->second += ", " + value;
  }
  std::string out = "{";
  for (const auto& [name, value] : joined) append_member(out, name, value);
  return out += '}';
}

}  // namespace

void HttpApi::to_plugin(const EndpointRule& endpoint, net::ExchangePtr exchange) {
  const net::Request& r = exchange->request();
  if (hub_.draining()) return answer(exchange, fail(Errc::draining, "the hub is shutting down"));
  const auto setup = hub_.setup();
  if (endpoint.auth.empty() && !own_host(r, setup->manifest)) return answer(exchange, unknown_host(r));
  if (const std::string origin(r.header("origin")); !origin.empty()) {
    exchange->add_header("vary", "origin");
    if (!origin_allowed(r, endpoint.origins, !endpoint.auth.empty(), setup->manifest))
      return answer(exchange, fail(Errc::forbidden, "pages of " + origin +
                                                        " may not use this endpoint (origins and hosts in the "
                                                        "manifest)"));
    exchange->add_header("access-control-allow-origin", origin);
    if (r.method == "OPTIONS" && !r.header("access-control-request-method").empty())
      return exchange->respond(
          {204,
           "",
           "",
           {{"access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE"},
            {"access-control-allow-headers", std::string(r.header("access-control-request-headers"))},
            {"access-control-max-age", "600"}}});
  }
  auto path = percent_decoded(std::string_view(r.path).substr(endpoint.path == "/" ? 0 : endpoint.path.size()));
  if (!path) return answer(exchange, path.error());
  const auto go_on = [this, plugin = endpoint.plugin, exchange, path = std::move(*path)](const Identity* who) {
    const net::Request& request = exchange->request();
    HttpCall call;
    call.method = request.method;
    call.path = path;
    call.query_json = query_json(request.query);
    call.headers_json = headers_json(request.headers);
    call.body = request.body;
    call.peer = request.peer;
    call.identity_json = who == nullptr ? "null" : identity_json(*who);
    hub_.flows().handle(plugin, std::move(call), kAnswerMs, [exchange](Result<HttpAnswer> result) mutable {
      // The exchange belongs to its loop and is let go there.
      net::Loop& loop = exchange->loop();
      loop.post([exchange = std::exchange(exchange, nullptr), result = std::move(result)]() mutable {
        if (!result) return answer(exchange, result.error());
        exchange->respond(
            {result->status, std::move(result->content_type), std::move(result->body), std::move(result->headers)});
      });
    });
  };
  if (endpoint.auth.empty()) return go_on(nullptr);
  hub_.authenticator().ask(endpoint.auth, Authenticator::describe(r, false), {},
                           static_cast<std::uint32_t>(hub_.limits().auth_ms), [exchange, go_on](Result<Identity> who) {
                             exchange->loop().post([exchange, go_on, who = std::move(who)]() mutable {
                               if (!who) return answer(exchange, who.error());
                               go_on(&*who);
                             });
                           });
}

}  // namespace weir
