// Who may come in: asks the auth providers in order, counts connections against their limits, and looks from which
// pages browsers come. Threads: [any].
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "manifest/manifest.hpp"
#include "net/http.hpp"
#include "plugin_host/instance.hpp"
#include "routing/identity.hpp"

namespace weir {

class Authenticator {
 public:
  using Done = std::function<void(Result<Identity>)>;
  // Who is asked from now on; inquiries under way end with those that they began with.
  void set(std::vector<std::shared_ptr<AuthInstance>> instances);
  // A request as providers are shown it, as JSON without its last brace. `kept`: without the headers that only a
  // handshake needs, for connections that may authenticate again and keep it as long as they last.
  static std::string describe(const net::Request& request, bool kept);
  // Asks the named providers one after the other until one knows the credential. `done` is called once, on any thread.
  // Errors: unauthorized - nobody knows it, or there is none; forbidden, unavailable, timeout, internal as the provider
  // says.
  void ask(const std::vector<std::string>& providers, std::string described, const std::string& token,
           std::uint32_t deadline_ms, Done done) const;

 private:
  struct Inquiry;
  static void next(const std::shared_ptr<Inquiry>& inquiry);
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<AuthInstance>> instances_;  // guarded by mutex_
};

// Counts connections: all of them by address, WebSocket clients also in total and by the identity's key.
// limits.connections_per_address is for the WebSockets, so that whoever has as many as they may still can ask for
// /health. As many sockets again and kPlainExtra may be something else, or nothing yet: an address that only opens
// sockets has its bound too.
class Registry {
 public:
  static constexpr std::int64_t kPlainExtra = 16;
  explicit Registry(const Limits& limits) : limits_(limits) {}
  // A place that is given back when it is destroyed.
  class Place final : public net::Admission {
   public:
    Place(Registry& registry, std::string address) : registry_(registry), address_(std::move(address)) {}
    ~Place() override;
    // Counts as a client from now on. Errors: unavailable - the hub is full; limit_exceeded - this address has as many
    // clients as it may.
    Result<void> become_client();
    void no_client();
    // Also counts by this identity from now on. Errors: limit_exceeded - it has as many connections as it may.
    Result<void> take(const Identity& identity);

   private:
    friend class Registry;
    void give_back_key();
    Registry& registry_;
    const std::string address_;
    bool client_ = false;
    std::string key_;
  };
  // A connection, whatever it will be. Errors: limit_exceeded - this address has too many that are no clients.
  Result<std::unique_ptr<Place>> enter(const std::string& address);
  std::size_t clients() const;

 private:
  const Limits& limits_;
  mutable std::mutex mutex_;
  std::size_t clients_ = 0;  // guarded by mutex_, like the rest
  struct OfAddress {
    std::int64_t plain = 0, clients = 0;
  };
  std::map<std::string, OfAddress, std::less<>> by_address_;
  std::map<std::string, std::int64_t, std::less<>> by_key_;
};

// The name=value pairs of a query, percent-decoded; of equal names the last.
std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);
// Errors: bad_request - a '%' without two hexadecimal digits.
Result<std::string> percent_decoded(std::string_view text);

// Whether the Host header names this hub: loopback, the address it listens on, or one of `hosts` in the manifest.
// Whoever owns a domain can let its name point to 127.0.0.1, and then a page of theirs is of the "same host" as a hub
// on its reader's own machine (DNS rebinding); only the name tells the two apart.
bool own_host(const net::Request& request, const Manifest& manifest);
Error unknown_host(const net::Request& request);  // what a client is told that uses another name

// Whether a browser's page from there may use this endpoint; a request without Origin is no browser's and always may.
// `allowed` empty: with auth pages of the same host, if it is a name of this hub, and loopback ones; without auth only
// loopback pages that name the hub by a loopback name, so that no page on the internet reaches a hub on somebody's own
// machine.
bool origin_allowed(const net::Request& request, const std::vector<std::string>& allowed, bool has_auth,
                    const Manifest& manifest);

}  // namespace weir
