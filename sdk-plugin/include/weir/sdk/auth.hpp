// The base of an auth provider written in C++: who is this client, and what may it do?
//   void authenticate(const AuthRequest& request, Answer answer) override {
//     const auto key = request.header("x-api-key");
//     if (!key) return answer.no_credential();
//     answer.allow({.subject = "ci", .scopes = {"events:read"}});
//   }
// Threads: the provider is called on its [strand]; an Answer may be moved anywhere and given from any thread.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weir/sdk/host.hpp"
#include "weir/sdk/json.hpp"
#include "weir/sdk/pending.hpp"

namespace weir::sdk {

struct Identity {
  std::string subject{};              // 1..255 bytes
  std::vector<std::string> scopes{};  // "*": every scope
  std::string attributes_json{};      // an object, or empty
  std::string key{};                  // what revoke() and connections_max count by; empty: the subject
  std::int64_t expires_at_ms = 0;     // Unix milliseconds; 0: never
  std::int64_t connections_max = 0;   // 0: no limit

  std::string to_json() const {
    std::string out = "{\"subject\":" + json::quoted(subject) + ",\"scopes\":[";
    for (std::size_t i = 0; i < scopes.size(); ++i) {
      if (i != 0) out += ',';
      json::append_string(out, scopes[i]);
    }
    out += ']';
    if (!attributes_json.empty()) (out += ",\"attributes\":") += attributes_json;
    if (!key.empty()) (out += ",\"key\":") += json::quoted(key);
    if (expires_at_ms != 0) (out += ",\"expires_at\":") += std::to_string(expires_at_ms);
    if (connections_max != 0) (out += ",\"connections_max\":") += std::to_string(connections_max);
    return out += '}';
  }
};

// What the client brought along. Names of headers are lower case.
class AuthRequest {
 public:
  explicit AuthRequest(std::string_view request_json) : root_(json::parse(request_json)) {}
  std::string path() const { return root_.string_or("path", ""); }
  std::string peer() const { return root_.string_or("peer", ""); }  // an address without its port
  std::optional<std::string> query(std::string_view name) const { return inside("query", name); }
  std::optional<std::string> header(std::string_view lower_case_name) const {
    return inside("headers", lower_case_name);
  }
  std::optional<std::string> token() const {  // of an in-band `auth` frame
    const json::Value* found = root_.find("token");
    if (found == nullptr || !found->is(json::Kind::string)) return std::nullopt;
    return found->text;
  }
  std::vector<std::string> subprotocols() const { return root_.strings_or("subprotocols", {}); }
  // The token of "Authorization: Bearer TOKEN"; the word's case does not matter (RFC 9110, 11.1).
  std::optional<std::string> bearer() const {
    const auto value = header("authorization");
    constexpr std::string_view word = "bearer ";
    if (!value || value->size() <= word.size()) return std::nullopt;
    for (std::size_t i = 0; i < word.size(); ++i)
      if (((*value)[i] | 0x20) != (word[i] | 0x20)) return std::nullopt;
    const std::size_t begin = value->find_first_not_of(' ', word.size());
    if (begin == std::string::npos) return std::nullopt;
    return value->substr(begin, value->find_last_not_of(' ') + 1 - begin);
  }
  const json::Value& json() const { return root_; }

 private:
  std::optional<std::string> inside(std::string_view part, std::string_view name) const {
    const json::Value* found = root_.find(part);
    if (found != nullptr) found = found->find(name);
    if (found == nullptr || !found->is(json::Kind::string)) return std::nullopt;
    return found->text;
  }
  json::Value root_;
};

// The answer that one client waits for.
class Answer : public Pending {
 public:
  using Pending::Pending;
  void allow(const Identity& identity) { give(WEIR_OK, identity.to_json()); }
  void no_credential() { give(WEIR_E_NO_CREDENTIAL, {}); }  // nothing here is for us; the next provider is asked
  void unauthorized(std::string_view message) { refuse(WEIR_E_UNAUTHORIZED, message); }
  void forbidden(std::string_view message) { refuse(WEIR_E_FORBIDDEN, message); }
  void unavailable(std::string_view message) { refuse(WEIR_E_UNAVAILABLE, message); }
  void refuse(weir_status status, std::string_view message) { give_error(status, message); }
};

// The derived class's constructor takes (Host, const json::Value& config), as a Source's.
class AuthProvider {
 public:
  AuthProvider() = default;
  AuthProvider(const AuthProvider&) = delete;
  AuthProvider& operator=(const AuthProvider&) = delete;
  virtual ~AuthProvider() = default;

  virtual void start() {}
  virtual void authenticate(const AuthRequest& request, Answer answer) = 0;
  virtual void cancel(std::uint64_t /*token*/) {}  // nobody waits for that answer any more
  virtual void stop() {}
};

}  // namespace weir::sdk
