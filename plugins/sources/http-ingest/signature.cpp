#include "signature.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <charconv>
#include <cstdlib>
#include <memory>

#include "text.hpp"

namespace weir::http_ingest {
namespace {

using sdk::json::Value;
using Style = SignatureConfig::Style;

constexpr std::size_t kSignaturesMax = 16;  // in one header: each costs a comparison only, but nobody needs more

std::optional<std::int64_t> to_seconds(std::string_view text) {
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out < 0 || out > 253'402'300'799) return std::nullopt;
  return out;
}

std::vector<SignedPart> parse_parts(const Value& value) {
  using What = SignedPart::What;
  std::vector<SignedPart> out;
  const std::string& text = value.as_string();
  std::size_t at = 0;
  while (at < text.size()) {
    const auto open = text.find('{', at);
    if (open != at) out.push_back({What::text, text.substr(at, open - at)});
    if (open == std::string::npos) break;
    const auto close = text.find('}', open);
    const std::string place = text.substr(open + 1, close == std::string::npos ? close : close - open - 1);
    if (close != std::string::npos && place == "body")
      out.push_back({What::body, {}});
    else if (close != std::string::npos && place == "timestamp")
      out.push_back({What::timestamp, {}});
    else if (close != std::string::npos && place.starts_with("header:") && place.size() > 7)
      out.push_back({What::header, lower(place.substr(7))});
    else
      throw value.wrong("{body}, {timestamp} or {header:Name} in braces", sdk::json::quoted(text.substr(open)));
    at = close + 1;
  }
  return out;
}

bool has_part(const std::vector<SignedPart>& parts, SignedPart::What what) {
  for (const SignedPart& part : parts)
    if (part.what == what) return true;
  return false;
}

struct Claim {
  std::string timestamp;
  std::vector<std::string> signatures;  // bytes
  std::string why;                      // not empty: it can't be used
};

Claim read_claim(const SignatureConfig& config, const sdk::HttpRequest& request) {
  Claim claim;
  const auto header = request.header(config.header);
  if (!header) return {{}, {}, "the header " + config.header + " is missing"};
  if (config.style == Style::stripe) {
    auto read = parse_stripe_header(*header);
    if (!read) return {{}, {}, "the header " + config.header + " is not t=...,v1=..."};
    return {std::move(read->time), std::move(read->signatures), {}};
  }
  std::string_view text = without_space(*header);
  if (!text.starts_with(config.prefix)) return {{}, {}, "the header " + config.header + " lacks its prefix"};
  text.remove_prefix(config.prefix.size());
  auto bytes = config.base64 ? from_base64(text) : from_hex(text);
  if (!bytes) return {{}, {}, "the header " + config.header + " can't be decoded"};
  claim.signatures.push_back(std::move(*bytes));
  if (!config.timestamp_header.empty()) {
    const auto timestamp = request.header(config.timestamp_header);
    if (!timestamp) return {{}, {}, "the header " + config.timestamp_header + " is missing"};
    claim.timestamp = std::string(without_space(*timestamp));
  }
  return claim;
}

}  // namespace

std::string hmac(const std::string& algorithm, std::string_view secret, const std::vector<std::string_view>& parts) {
  static const std::unique_ptr<EVP_MAC, void (*)(EVP_MAC*)> method(EVP_MAC_fetch(nullptr, "HMAC", nullptr),
                                                                   &EVP_MAC_free);
  if (!method) throw std::runtime_error("OpenSSL has no HMAC");
  const std::unique_ptr<EVP_MAC_CTX, void (*)(EVP_MAC_CTX*)> context(EVP_MAC_CTX_new(method.get()), &EVP_MAC_CTX_free);
  std::string digest = algorithm;
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest.data(), 0),
                               OSSL_PARAM_construct_end()};
  bool good = context && EVP_MAC_init(context.get(), reinterpret_cast<const unsigned char*>(secret.data()),
                                      secret.size(), params) == 1;
  for (const std::string_view part : parts)
    good = good && EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(part.data()), part.size()) == 1;
  std::string out(EVP_MAX_MD_SIZE, '\0');
  std::size_t size = 0;
  good = good && EVP_MAC_final(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, out.size()) == 1;
  if (!good) throw std::runtime_error("HMAC with " + algorithm + " failed");
  out.resize(size);
  return out;
}

std::optional<StripeHeader> parse_stripe_header(std::string_view header) {
  StripeHeader out;
  while (!header.empty()) {
    const std::string_view item = without_space(header.substr(0, header.find(',')));
    header.remove_prefix(std::min(header.size(), std::min(header.find(','), header.size()) + 1));
    if (item.starts_with("t=")) {
      const auto seconds = to_seconds(item.substr(2));
      if (!seconds || !out.time.empty()) return std::nullopt;
      out.time = item.substr(2);
      out.seconds = *seconds;
    } else if (item.starts_with("v1=")) {
      auto bytes = from_hex(item.substr(3));
      if (bytes && out.signatures.size() < kSignaturesMax) out.signatures.push_back(std::move(*bytes));
    }
  }
  if (out.time.empty() || out.signatures.empty()) return std::nullopt;
  return out;
}

Verdict verify(const SignatureConfig& config, const sdk::HttpRequest& request, std::int64_t now_ms) {
  const Claim claim = read_claim(config, request);
  if (!claim.why.empty()) return {false, claim.why, {}};
  std::vector<std::string> headers;
  headers.reserve(config.parts.size());  // the views below must stay
  std::vector<std::string_view> parts;
  for (const SignedPart& part : config.parts) {
    switch (part.what) {
      case SignedPart::What::text:
        parts.emplace_back(part.text);
        break;
      case SignedPart::What::timestamp:
        parts.emplace_back(claim.timestamp);
        break;
      case SignedPart::What::header: {
        auto value = request.header(part.text);
        if (!value) return {false, "the header " + part.text + " is missing", {}};
        headers.push_back(std::move(*value));
        parts.emplace_back(headers.back());
        break;
      }
      case SignedPart::What::body:
        parts.push_back(request.body());
    }
  }
  Verdict verdict;
  for (const std::string& secret : config.secrets) {
    const std::string wanted = hmac(config.algorithm, secret, parts);
    if (verdict.replay.empty()) verdict.replay = wanted;  // of the first secret, whichever one signed
    for (const std::string& given : claim.signatures)
      verdict.good |= given.size() == wanted.size() && CRYPTO_memcmp(given.data(), wanted.data(), wanted.size()) == 0;
  }
  if (!config.has_time()) verdict.replay.clear();
  if (!verdict.good) return {false, "no secret makes this signature", {}};
  if (config.has_time()) {
    const auto seconds = to_seconds(claim.timestamp);
    if (!seconds) return {false, "the time is no number of seconds", {}};
    if (const std::int64_t off = *seconds * 1000 - now_ms; std::abs(off) > config.tolerance_ms)
      return {false, "its time is " + std::to_string(std::abs(off) / 1000) + (off > 0 ? " s ahead" : " s ago"), {}};
  }
  return verdict;
}

SignatureConfig parse_signature_config(const Value& json, Style fallback) {
  SignatureConfig config;
  const std::string style = json.string_or("style", "");
  config.style = style == "github"    ? Style::github
                 : style == "stripe"  ? Style::stripe
                 : style == "generic" ? Style::generic
                                      : fallback;
  config.secrets = json.strings_or("secret", {});
  if (config.secrets.empty()) throw json.required("secret").wrong("a secret or a list of them", "empty");
  for (const std::string& secret : config.secrets)
    if (secret.empty()) throw json.required("secret").wrong("secrets that are not empty", "an empty one");
  config.tolerance_ms = json.duration_ms_or("tolerance", 300'000);
  config.remembered_max = static_cast<std::size_t>(json.integer_or("max", 1'000'000));
  using What = SignedPart::What;
  if (config.style != Style::generic) {
    for (const char* key : {"header", "prefix", "encoding", "algorithm", "timestamp_header", "signed"})
      if (const Value* found = json.find(key))
        throw sdk::Failure(WEIR_E_CONFIG,
                           std::string(key) + " is for style = \"generic\"; the other styles say it themselves",
                           found->pointer);
    const bool github = config.style == Style::github;
    config.header = github ? "x-hub-signature-256" : "stripe-signature";
    config.prefix = github ? "sha256=" : "";
    if (!github) config.parts = {{What::timestamp, {}}, {What::text, "."}};
    config.parts.push_back({What::body, {}});
    return config;
  }
  config.header = lower(json.required("header").as_string());
  config.prefix = json.string_or("prefix", "");
  config.base64 = json.string_or("encoding", "hex") == "base64";
  const std::string algorithm = json.string_or("algorithm", "sha256");
  config.algorithm = algorithm == "sha1" ? "SHA1" : algorithm == "sha512" ? "SHA512" : "SHA256";
  config.timestamp_header = lower(json.string_or("timestamp_header", ""));
  const bool has_time = !config.timestamp_header.empty();
  if (const Value* parts = json.find("signed")) {
    config.parts = parse_parts(*parts);
    if (!has_part(config.parts, What::body)) throw parts->wrong("a text with {body}", sdk::json::quoted(parts->text));
    if (has_part(config.parts, What::timestamp) != has_time)
      throw parts->wrong(has_time ? "a text with {timestamp}: a time that is not signed can be changed"
                                  : "timestamp_header to say where {timestamp} stands",
                         sdk::json::quoted(parts->text));
  } else {
    if (has_time) config.parts = {{What::timestamp, {}}, {What::text, "."}};
    config.parts.push_back({What::body, {}});
  }
  return config;
}

}  // namespace weir::http_ingest
