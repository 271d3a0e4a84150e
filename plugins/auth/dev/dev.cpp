// An auth provider for a developer's machine: whoever connects from this very machine may come in.
// A forwarding header means that a proxy stands between, and then the loopback address says nothing about the client.
#include <string>
#include <string_view>
#include <vector>

#include "weir/sdk/plugin.hpp"

namespace {

using weir::sdk::Answer;
using weir::sdk::AuthRequest;
using weir::sdk::Host;
namespace json = weir::sdk::json;

constexpr const char* kManifest = R"({
  "kinds": ["auth"],
  "summary": "Lets in whoever connects from this machine. For development only.",
  "config_schema": {
    "type": "object",
    "properties": {
      "subject": {"type": "string", "minLength": 1, "maxLength": 255, "default": "dev", "description": "who everybody is"},
      "scopes": {"type": "array", "items": {"type": "string"}, "default": ["*"], "description": "what everybody may do; \"*\" is every scope"},
      "attributes": {"type": "object", "default": {}, "description": "attributes of the identity, for filters such as {identity.name}"}
    }
  }
})";

// 127.0.0.0/8, ::1, and the first as an IPv6 socket shows it.
bool is_loopback(std::string_view address) {
  if (address == "::1") return true;
  if (address.starts_with("::ffff:")) address.remove_prefix(7);
  if (!address.starts_with("127.")) return false;
  int parts = 0;
  for (std::size_t at = 0; at < address.size(); ++parts) {
    const std::size_t dot = std::min(address.find('.', at), address.size());
    const std::string_view part = address.substr(at, dot - at);
    if (part.empty() || part.size() > 3 || part.find_first_not_of("0123456789") != std::string_view::npos) return false;
    at = dot + 1;
  }
  return parts == 4 && address.back() != '.';
}

class Dev final : public weir::sdk::AuthProvider {
 public:
  Dev(Host host, const json::Value& config) : host_(std::move(host)) {
    identity_.subject = config.string_or("subject", "dev");
    identity_.scopes = config.strings_or("scopes", {"*"});
    if (const json::Value* attributes = config.find("attributes");
        attributes != nullptr && attributes->is(json::Kind::object))
      identity_.attributes_json = attributes->to_json();
    if (identity_.subject.empty() || identity_.subject.size() > 255)
      throw config.required("subject").wrong("1 to 255 bytes", json::quoted(identity_.subject));
  }

  void authenticate(const AuthRequest& request, Answer answer) override {
    for (const std::string_view name : {"x-forwarded-for", "forwarded", "x-real-ip"})
      if (request.header(name))
        return answer.unauthorized("the dev provider takes no client behind a proxy (header " + std::string(name) +
                                   ")");
    if (!is_loopback(request.peer())) return answer.unauthorized("the dev provider only takes clients of this machine");
    answer.allow(identity_);
  }

 private:
  Host host_;
  weir::sdk::Identity identity_;
};

}  // namespace

WEIR_PLUGIN("dev", "1.0.0", kManifest, Dev);
