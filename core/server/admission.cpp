#include "server/admission.hpp"

#include <algorithm>

#include "base/json.hpp"

namespace weir {

void Authenticator::add(std::shared_ptr<AuthInstance> instance) { instances_.push_back(std::move(instance)); }

struct Authenticator::Inquiry {
  std::vector<std::shared_ptr<AuthInstance>> providers;
  std::size_t at = 0;
  std::string request;
  std::uint32_t deadline_ms;
  Done done;
};

void Authenticator::ask(const std::vector<std::string>& providers, const net::Request& request, const std::string& token, std::uint32_t deadline_ms, Done done) const {
  auto inquiry = std::make_shared<Inquiry>();
  for (const std::string& name : providers)
    for (const auto& instance : instances_)
      if (instance->name() == name) inquiry->providers.push_back(instance);
  std::string& r = inquiry->request;
  r = "{\"path\":" + json::quoted(request.path) + ",\"peer\":" + json::quoted(request.peer) + ",\"query\":{";
  const auto members = [&r](const std::vector<std::pair<std::string, std::string>>& list) {
    for (const auto& [name, value] : list) {
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
  if (!token.empty()) r += ",\"token\":" + json::quoted(token);
  r += '}';
  inquiry->deadline_ms = deadline_ms;
  inquiry->done = std::move(done);
  next(inquiry);
}

void Authenticator::next(const std::shared_ptr<Inquiry>& inquiry) {
  if (inquiry->at == inquiry->providers.size())
    return inquiry->done(fail(Errc::unauthorized, "no credential, or none that this hub knows"));
  const auto& provider = inquiry->providers[inquiry->at++];
  provider->authenticate(inquiry->request, inquiry->deadline_ms, [inquiry](Result<AuthIdentity> answer, bool no_credential) {
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
  if (total_ >= static_cast<std::size_t>(limits_.connections))
    return fail(Errc::unavailable, "the hub has " + std::to_string(limits_.connections) + " connections already (limits.connections)");
  auto& mine = by_address_[address];
  if (limits_.connections_per_address != 0 && mine >= limits_.connections_per_address)
    return fail(Errc::limit_exceeded, "your address has " + std::to_string(mine) + " connections already (limits.connections_per_address)");
  ++mine;
  ++total_;
  return std::make_unique<Place>(*this, address);
}

Registry::Place::~Place() {
  const std::lock_guard lock(registry_.mutex_);
  give_back_key();
  --registry_.total_;
  if (const auto it = registry_.by_address_.find(address_); --it->second == 0) registry_.by_address_.erase(it);
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
    return fail(Errc::limit_exceeded, json::quoted(identity.subject) + " has " + std::to_string(open) + " connections already; at most " + std::to_string(identity.connections_max) + " are allowed");
  give_back_key();
  key_ = key;
  ++registry_.by_key_[key_];
  return {};
}

std::size_t Registry::connections() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

Result<std::string> percent_decoded(std::string_view text) {
  const auto hex = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex(text[i + 1]) : -1, low = i + 2 < text.size() ? hex(text[i + 2]) : -1;
    if (high < 0 || low < 0) return fail(Errc::bad_request, "a '%' without two hexadecimal digits in " + json::quoted(text));
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
    auto value = percent_decoded(equals == std::string::npos ? std::string_view() : std::string_view(pair).substr(equals + 1));
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
  if (text.starts_with('[')) host = text.substr(1, text.find(']') - 1);
  else host = text.substr(0, text.find_first_of(":/"));
  for (char& c : host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return host;
}
bool is_loopback(const std::string& host) {
  if (host == "localhost" || host.ends_with(".localhost") || host == "::1") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}
}  // namespace

bool origin_allowed(const net::Request& request, const std::vector<std::string>& allowed, bool has_auth) {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return true;
  if (!allowed.empty())
    return std::any_of(allowed.begin(), allowed.end(), [&](const std::string& a) { return a == "*" || a == origin; });
  const std::string from = host_of(origin), to = host_of(request.header("host"));
  if (is_loopback(from) && is_loopback(to)) return true;
  return has_auth && from == to;
}

}  // namespace weir
