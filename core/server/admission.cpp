#include "server/admission.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "base/json.hpp"

namespace weir {

namespace {
// Headers of the handshake and of what the browser likes; who somebody is does not stand there.
bool is_mechanics(std::string_view name) {
  constexpr std::string_view names[] = {
      "accept", "accept-encoding",          "accept-language",   "cache-control",         "connection",
      "pragma", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-version", "upgrade"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}
}  // namespace

void Authenticator::set(std::vector<std::shared_ptr<AuthInstance>> instances) {
  const std::lock_guard lock(mutex_);
  instances_.swap(instances);
}

struct Authenticator::Inquiry {
  std::vector<std::shared_ptr<AuthInstance>> providers;
  std::size_t at = 0;
  std::string request;
  std::uint32_t deadline_ms;
  Done done;
};

std::string Authenticator::describe(const net::Request& request, bool kept) {
  std::string r =
      "{\"path\":" + json::quoted(request.path) + ",\"peer\":" + json::quoted(request.peer) + ",\"query\":{";
  const auto members = [&r, kept](const std::vector<std::pair<std::string, std::string>>& list) {
    for (const auto& [name, value] : list) {
      if (kept && is_mechanics(name)) continue;
      if (r.back() != '{') r += ',';
      ((r += json::quoted(name)) += ':') += json::quoted(value);
    }
  };
  members(parse_query(request.query));
  r += "},\"headers\":{";
  members(request.headers);
  r += "},\"subprotocols\":[";
  std::string_view list = request.header("sec-websocket-protocol");
  while (!list.empty()) {
    const auto comma = list.find(',');
    auto name = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    if (r.back() != '[') r += ',';
    r += json::quoted(name);
  }
  r += ']';
  r.shrink_to_fit();
  return r;
}

void Authenticator::ask(const std::vector<std::string>& providers, std::string described, const std::string& token,
                        std::uint32_t deadline_ms, Done done) const {
  auto inquiry = std::make_shared<Inquiry>();
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& name : providers)
      for (const auto& instance : instances_)
        if (instance->name() == name) inquiry->providers.push_back(instance);
  }
  inquiry->request = std::move(described);
  if (!token.empty()) inquiry->request += ",\"token\":" + json::quoted(token);
  inquiry->request += '}';
  inquiry->deadline_ms = deadline_ms;
  inquiry->done = std::move(done);
  next(inquiry);
}

void Authenticator::next(const std::shared_ptr<Inquiry>& inquiry) {
  if (inquiry->at == inquiry->providers.size())
    return inquiry->done(fail(Errc::unauthorized, "no credential, or none that this hub knows"));
  const auto& provider = inquiry->providers[inquiry->at++];
  provider->authenticate(inquiry->request, inquiry->deadline_ms,
                         [inquiry](Result<AuthIdentity> answer, bool no_credential) {
                           if (no_credential) return next(inquiry);
                           if (!answer) return inquiry->done(answer.error());
                           Identity identity;
                           identity.subject = std::move(answer->subject);
                           identity.scopes = std::move(answer->scopes);
                           identity.attributes_json = std::move(answer->attributes);
                           identity.key = answer->key.empty() ? identity.subject : std::move(answer->key);
                           identity.provider = std::move(answer->provider);
                           identity.expires_at = answer->expires_at_ms;
                           identity.connections_max = answer->connections_max;
                           inquiry->done(std::move(identity));
                         });
}

Result<std::unique_ptr<Registry::Place>> Registry::enter(const std::string& address) {
  const std::lock_guard lock(mutex_);
  const std::int64_t most = limits_.connections_per_address;
  std::int64_t& plain = by_address_[address].plain;
  if (most != 0 && plain >= most + kPlainExtra)
    return fail(Errc::limit_exceeded, "your address has " + std::to_string(plain) +
                                          " connections already that are no WebSockets (limits.connections_per_address"
                                          " and " +
                                          std::to_string(kPlainExtra) + " more)");
  ++plain;
  return std::make_unique<Place>(*this, address);
}

Registry::Place::~Place() {
  const std::lock_guard lock(registry_.mutex_);
  give_back_key();
  if (client_) --registry_.clients_;
  const auto it = registry_.by_address_.find(address_);
  --(client_ ? it->second.clients : it->second.plain);
  if (it->second.clients == 0 && it->second.plain == 0) registry_.by_address_.erase(it);
}

Result<void> Registry::Place::become_client() {
  const std::lock_guard lock(registry_.mutex_);
  OfAddress& mine = registry_.by_address_.find(address_)->second;
  const std::int64_t most = registry_.limits_.connections_per_address;
  if (most != 0 && mine.clients >= most)
    return fail(Errc::limit_exceeded, "your address has " + std::to_string(mine.clients) +
                                          " connections already (limits.connections_per_address)");
  if (registry_.clients_ >= static_cast<std::size_t>(registry_.limits_.connections))
    return fail(Errc::unavailable, "the hub has " + std::to_string(registry_.limits_.connections) +
                                       " connections already (limits.connections)");
  client_ = true;
  --mine.plain;
  ++mine.clients;
  ++registry_.clients_;
  return {};
}

void Registry::Place::no_client() {
  const std::lock_guard lock(registry_.mutex_);
  OfAddress& mine = registry_.by_address_.find(address_)->second;
  client_ = false;
  ++mine.plain;
  --mine.clients;
  --registry_.clients_;
}

void Registry::Place::give_back_key() {
  if (key_.empty()) return;
  if (const auto it = registry_.by_key_.find(key_); --it->second == 0) registry_.by_key_.erase(it);
  key_.clear();
}

Result<void> Registry::Place::take(const Identity& identity) {
  const std::string key = identity.provider + '\0' + identity.key;
  const std::lock_guard lock(registry_.mutex_);
  if (key == key_) return {};
  const auto it = registry_.by_key_.find(key);
  const std::int64_t open = it == registry_.by_key_.end() ? 0 : it->second;
  if (identity.connections_max != 0 && open >= identity.connections_max)
    return fail(Errc::limit_exceeded, "connections_max: at most " + std::to_string(identity.connections_max) +
                                          " connections are allowed, and " + json::quoted(identity.subject) + " has " +
                                          std::to_string(open) + " already");
  give_back_key();
  key_ = key;
  ++registry_.by_key_[key_];
  return {};
}

std::size_t Registry::clients() const {
  const std::lock_guard lock(mutex_);
  return clients_;
}

Result<std::string> percent_decoded(std::string_view text) {
  const auto hex = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex(text[i + 1]) : -1, low = i + 2 < text.size() ? hex(text[i + 2]) : -1;
    if (high < 0 || low < 0)
      return fail(Errc::bad_request, "a '%' without two hexadecimal digits in " + json::quoted(text));
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!query.empty()) {
    const auto amp = query.find('&');
    std::string pair(query.substr(0, amp));
    query.remove_prefix(amp == std::string_view::npos ? query.size() : amp + 1);
    std::replace(pair.begin(), pair.end(), '+', ' ');
    const auto equals = pair.find('=');
    auto name = percent_decoded(std::string_view(pair).substr(0, equals));
    auto value =
        percent_decoded(equals == std::string::npos ? std::string_view() : std::string_view(pair).substr(equals + 1));
    if (!name || !value || name->empty()) continue;
    std::erase_if(out, [&](const auto& p) { return p.first == *name; });
    out.emplace_back(std::move(*name), std::move(*value));
  }
  return out;
}

namespace {
// "http://[::1]:8080" or "localhost:8080" -> the host alone, in lower case and without brackets.
std::string host_of(std::string_view text) {
  if (const auto scheme = text.find("://"); scheme != std::string_view::npos) text.remove_prefix(scheme + 3);
  std::string host;
  if (text.starts_with('['))
    host = text.substr(1, text.find(']') - 1);
  else
    host = text.substr(0, text.find_first_of(":/"));
  for (char& c : host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return host;
}
bool is_loopback(const std::string& host) {
  if (host == "localhost" || host.ends_with(".localhost") || host == "::1") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}
bool is_address(const std::string& host) {
  in6_addr bytes;
  return ::inet_pton(AF_INET, host.c_str(), &bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), &bytes) == 1;
}
}  // namespace

bool own_host(const net::Request& request, const Manifest& manifest) {
  const std::string host = host_of(request.header("host"));
  if (is_loopback(host) || host == manifest.listen_host) return true;
  // Listening everywhere, the hub does not know its addresses; but nobody can let an address point elsewhere.
  if ((manifest.listen_host == "0.0.0.0" || manifest.listen_host == "::") && is_address(host)) return true;
  return std::any_of(manifest.hosts.begin(), manifest.hosts.end(),
                     [&](const std::string& own) { return host_of(own) == host; });
}

Error unknown_host(const net::Request& request) {
  const std::string host = host_of(request.header("host"));
  return fail(Errc::forbidden, "this hub does not go by the name " + json::quoted(host) +
                                   "; if it should, write hosts = [" + json::quoted(host) +
                                   "] at the top of the manifest");
}

bool origin_allowed(const net::Request& request, const std::vector<std::string>& allowed, bool has_auth,
                    const Manifest& manifest) {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return true;
  if (!allowed.empty())
    return std::any_of(allowed.begin(), allowed.end(), [&](const std::string& a) { return a == "*" || a == origin; });
  const std::string from = host_of(origin), to = host_of(request.header("host"));
  if (is_loopback(from) && is_loopback(to)) return true;
  return has_auth && from == to && own_host(request, manifest);
}

}  // namespace weir
