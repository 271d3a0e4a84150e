// Who sent a request, by an HMAC with a shared secret over its body as it came.
//   github   X-Hub-Signature-256: sha256=<hex>                over the body
//   stripe   Stripe-Signature: t=<seconds>,v1=<hex>[,v1=...]  over "<t>.<body>"
//   generic  a header of one's own, hex or base64, with a prefix or not, perhaps with a header that has the time
// Where there is a time it is at most `tolerance` away from now, before or behind.
// Threads: pure functions, [any].
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weir/sdk/http.hpp"
#include "weir/sdk/json.hpp"

namespace weir::http_ingest {

// What is signed: texts, the time, headers and the body, one behind the other.
struct SignedPart {
  enum class What : std::uint8_t { text, timestamp, header, body };
  What what;
  std::string text;
};

struct SignatureConfig {
  enum class Style : std::uint8_t { github, stripe, generic };
  Style style = Style::github;
  std::vector<std::string> secrets;  // all are tried, so that one can take the place of another
  std::string header;                // lower case
  std::string prefix;                // generic: before the signature
  bool base64 = false;               // generic: not hexadecimal
  std::string algorithm = "SHA256";  // generic: or SHA1, SHA512, as OpenSSL calls them
  std::string timestamp_header;      // generic: seconds since 1970; empty: there is none
  std::vector<SignedPart> parts;
  std::int64_t tolerance_ms = 300'000;
  std::size_t remembered_max = 1'000'000;  // signatures with a time, so that each is taken once
  bool has_time() const { return style == Style::stripe || !timestamp_header.empty(); }
  // How long a signature may come again and be good: its time may be ahead, and a second for what the clocks differ.
  std::int64_t remembered_ms() const { return 2 * tolerance_ms + 1000; }
};

// The object `signature` of the config. Errors: Failure(WEIR_E_CONFIG).
SignatureConfig parse_signature_config(const sdk::json::Value& json, SignatureConfig::Style fallback);

struct Verdict {
  bool good = false;
  std::string why;     // not good: for the hub's log, not for who asked
  std::string replay;  // good, and there is a time: the same for the same signed text, and for no other
};
Verdict verify(const SignatureConfig& config, const sdk::HttpRequest& request, std::int64_t now_ms);

// "t=1492774577,v1=5257...,v0=6ffb...": nothing when there is not exactly one t, a number, and one v1 at least.
struct StripeHeader {
  std::string time;
  std::int64_t seconds = 0;
  std::vector<std::string> signatures;  // bytes; a v1 that is no hexadecimal is left out
};
std::optional<StripeHeader> parse_stripe_header(std::string_view header);

// The bytes of HMAC(secret, all parts one behind the other).
std::string hmac(const std::string& algorithm, std::string_view secret, const std::vector<std::string_view>& parts);

}  // namespace weir::http_ingest
