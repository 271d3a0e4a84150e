#include "address.hpp"

#include <arpa/inet.h>
#include <libpq-fe.h>

#include <memory>
#include <string_view>

namespace weir::postgres {
namespace {

using sdk::Failure;

struct OptionsFree {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using Options = std::unique_ptr<PQconninfoOption, OptionsFree>;

std::string value_of(const Options& options, std::string_view key) {
  for (const auto* o = options.get(); o != nullptr && o->keyword != nullptr; ++o)
    if (key == o->keyword && o->val != nullptr) return o->val;
  return {};
}

// "a,b,,c" as libpq reads it: what is empty has its default.
std::vector<std::string> listed(const std::string& text) {
  std::vector<std::string> out;
  std::size_t from = 0;
  for (;;) {
    const auto comma = text.find(',', from);
    out.push_back(text.substr(from, comma - from));
    if (comma == std::string::npos) return out;
    from = comma + 1;
  }
}

std::string at(const std::vector<std::string>& list, std::size_t i) {
  return list.size() == 1 ? list[0] : i < list.size() ? list[i] : std::string();
}

}  // namespace

bool Address::Server::needs_lookup() const {
  if (!hostaddr.empty() || host.empty() || host[0] == '/' || host[0] == '@') return false;
  in6_addr ignored{};
  return ::inet_pton(AF_INET, host.c_str(), &ignored) != 1 && ::inet_pton(AF_INET6, host.c_str(), &ignored) != 1;
}

std::string Address::text() const {
  std::string out;
  for (const Server& server : servers) {
    if (!out.empty()) out += ", ";
    out += server.host.empty() ? server.hostaddr.empty() ? "the local socket" : server.hostaddr : server.host;
    if (!server.port.empty() && !server.host.starts_with('/')) out += ":" + server.port;
  }
  return out;
}

Address parse_address(const sdk::json::Value& url, const std::string& password) {
  const std::string& text = url.as_string();
  char* error = nullptr;
  const Options given(PQconninfoParse(text.c_str(), &error));
  const std::string why = error == nullptr ? "" : error;
  PQfreemem(error);
  if (!given) {
    // What it complains about may be a part of a password.
    const bool secret = text.find('@') != std::string::npos || text.find("password") != std::string::npos;
    throw Failure(WEIR_E_CONFIG,
                  "url is no connection string such as \"postgres://user@host:5432/database\"" +
                      (secret || why.empty() ? std::string() : ": " + why.substr(0, why.find_last_not_of('\n') + 1)),
                  url.pointer);
  }
  if (!value_of(given, "password").empty())
    throw Failure(WEIR_E_CONFIG, "the url holds a password; put it into `password`, where it is kept out of logs",
                  url.pointer);
  if (!value_of(given, "service").empty())
    throw Failure(WEIR_E_CONFIG, "the url names a service; name its host, database and user instead", url.pointer);

  const Options defaults(PQconndefaults());
  const auto value = [&](std::string_view key) {
    std::string out = value_of(given, key);
    return out.empty() && defaults ? value_of(defaults, key) : out;
  };
  Address address;
  const bool here = !value_of(given, "host").empty() || !value_of(given, "hostaddr").empty();
  const auto hosts = listed(here ? value_of(given, "host") : value("host"));
  const auto addresses = listed(here ? value_of(given, "hostaddr") : value("hostaddr"));
  const auto ports = listed(value("port"));
  const std::size_t count = std::max(hosts.size(), addresses.size());
  for (std::size_t i = 0; i < count; ++i) {
    Address::Server server{i < hosts.size() ? hosts[i] : "", i < addresses.size() ? addresses[i] : "", at(ports, i)};
    if (server.host.empty() && server.hostaddr.empty() && count > 1)
      throw Failure(WEIR_E_CONFIG, "url has a list of hosts with an empty one", url.pointer);
    address.servers.push_back(std::move(server));
  }
  for (const auto* o = given.get(); o->keyword != nullptr; ++o) {
    const std::string_view key = o->keyword;
    if (o->val != nullptr && key != "host" && key != "hostaddr" && key != "port")
      address.options.emplace_back(o->keyword, o->val);
  }
  if (!password.empty()) address.options.emplace_back("password", password);
  return address;
}

}  // namespace weir::postgres
