// Who may come in: asks the auth providers in order, and counts connections against their limits.
// Threads: [any].
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "net/http.hpp"
#include "plugin_host/instance.hpp"
#include "routing/identity.hpp"

namespace weir {

class Authenticator {
 public:
  using Done = std::function<void(Result<Identity>)>;
  void add(std::shared_ptr<AuthInstance> instance);  // [main], before anybody asks
  // Asks the named providers one after the other until one knows the credential. `done` is called once, on any thread.
  // Errors: unauthorized - nobody knows it, or there is none; forbidden, unavailable, timeout, internal as the provider says.
  void ask(const std::vector<std::string>& providers, const net::Request& request, const std::string& token, std::uint32_t deadline_ms, Done done) const;
  const std::vector<std::shared_ptr<AuthInstance>>& instances() const { return instances_; }

 private:
  struct Inquiry;
  static void next(const std::shared_ptr<Inquiry>& inquiry);
  std::vector<std::shared_ptr<AuthInstance>> instances_;
};

// Counts open connections: all, by address and by the identity's key.
class Registry {
 public:
  explicit Registry(const Limits& limits) : limits_(limits) {}
  // A place that is given back when it is destroyed.
  class Place {
   public:
    Place(Registry& registry, std::string address) : registry_(registry), address_(std::move(address)) {}
    ~Place();
    // Also counts by this identity from now on. Errors: limit_exceeded - it has as many connections as it may.
    Result<void> take(const Identity& identity);

   private:
    friend class Registry;
    void give_back_key();
    Registry& registry_;
    const std::string address_;
    std::string key_;
  };
  // Errors: unavailable - the hub is full; limit_exceeded - this address has as many as it may.
  Result<std::unique_ptr<Place>> enter(const std::string& address);
  std::size_t connections() const;

 private:
  const Limits& limits_;
  mutable std::mutex mutex_;
  std::size_t total_ = 0;  // guarded by mutex_, like the rest
  std::map<std::string, std::int64_t, std::less<>> by_address_, by_key_;
};

// The name=value pairs of a query, percent-decoded; of equal names the last.
std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);
// Errors: bad_request - a '%' without two hexadecimal digits.
Result<std::string> percent_decoded(std::string_view text);

// Whether a browser's page from there may use this endpoint; a request without Origin is no browser's and always may.
// `allowed` empty: with auth pages of the same host and loopback ones, without auth only loopback pages that name the hub by
// a loopback name, so that no page on the internet reaches a hub on somebody's own machine.
bool origin_allowed(const net::Request& request, const std::vector<std::string>& allowed, bool has_auth);

}  // namespace weir
