#include "key_ring.hpp"

#include "weir/sdk/time.hpp"

namespace weir::api_key {
namespace {

constexpr std::size_t kKeysMax = 100'000;

std::string text_of(const Digest& digest) { return {reinterpret_cast<const char*>(digest.data()), digest.size()}; }

Entry read_entry(const sdk::json::Value& value, std::int64_t connections_max) {
  using sdk::json::Kind;
  if (!value.is(Kind::object)) throw value.wrong("an object", to_word(value.kind));
  for (const auto& member : value.members) {
    bool known = false;
    for (const std::string_view name :
         {"id", "hash", "form", "scopes", "attributes", "connections_max", "expires_at", "disabled", "comment"})
      known = known || member.key == name;
    if (!known)
      throw sdk::Failure(WEIR_E_CONFIG, "unknown key \"" + member.key + "\" in " + value.pointer, value.pointer);
  }
  Entry out;
  const std::string& id = value.required("id").as_string();
  if (!valid_id(id))
    throw value.required("id").wrong("1 to 64 of letters, digits, '_', '.', '-'", sdk::json::quoted(id));
  const auto hash = parse_hash(value.required("hash").as_string());
  if (!hash)
    throw value.required("hash").wrong("\"sha256:<salt in hex>:<64 hex digits>\"", "another text");  // no hash in a log
  out.hash = *hash;
  out.identity.subject = out.identity.key = id;
  out.identity.scopes = value.strings_or("scopes", {});
  if (const auto* attributes = value.find("attributes")) {
    if (!attributes->is(Kind::object)) throw attributes->wrong("an object", to_word(attributes->kind));
    out.identity.attributes_json = attributes->to_json();
  }
  out.identity.connections_max = value.integer_or("connections_max", connections_max);
  if (out.identity.connections_max < 0) throw value.required("connections_max").wrong("0 (no limit) or more", "less");
  if (const std::string expires = value.string_or("expires_at", ""); !expires.empty()) {
    const auto at = sdk::parse_iso8601(expires);
    if (!at || *at <= 0)
      throw value.required("expires_at").wrong("a time such as \"2027-01-01T00:00:00Z\"", sdk::json::quoted(expires));
    out.identity.expires_at_ms = *at;
  }
  const std::string form = value.string_or("form", "");
  if (!form.empty() && form != "wk") throw value.required("form").wrong("\"wk\" or nothing", sdk::json::quoted(form));
  out.wk_only = form == "wk";
  out.disabled = value.boolean_or("disabled", false);
  out.text = value.to_json();
  return out;
}

}  // namespace

KeyRing KeyRing::parse(std::string_view file_text, std::int64_t connections_max) {
  const sdk::json::Value root = sdk::json::parse(file_text);
  if (!root.is(sdk::json::Kind::object))
    throw sdk::Failure(WEIR_E_CONFIG,
                       "the file holds " + std::string(to_word(root.kind)) + "; expected {\"keys\":[...]}");
  const auto& keys = root.required("keys").as_array();
  if (keys.size() > kKeysMax)
    throw sdk::Failure(WEIR_E_CONFIG, std::to_string(keys.size()) + " keys; 100000 are allowed", "/keys");
  KeyRing out;
  for (const auto& value : keys) {
    out.entries_.push_back(read_entry(value, connections_max));
    const std::size_t place = out.entries_.size() - 1;
    const Entry& entry = out.entries_.back();
    if (!out.by_id_.emplace(entry.identity.key, place).second)
      throw sdk::Failure(WEIR_E_CONFIG,
                         "the id \"" + entry.identity.key + "\" stands there twice, again at " + value.pointer,
                         value.pointer);
    if (!entry.wk_only) out.by_salt_[entry.hash.salt].emplace(text_of(entry.hash.digest), place);
  }
  return out;
}

const Entry* KeyRing::by_id(const std::string& id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &entries_[it->second];
}

const Entry* KeyRing::find(std::string_view key) const {
  if (const auto id = id_of(key)) {
    const Entry* entry = by_id(std::string(*id));
    if (entry != nullptr) return entry->hash.matches(key) ? entry : nullptr;
    static const Hash nobody{};
    (void)nobody.matches(key);  // an unknown id takes as long as a known one
  }
  for (const auto& [salt, digests] : by_salt_) {
    const Digest digest = digest_of(salt, key);
    // A table of digests gives nothing away by its timing: what is looked up is a hash, which nobody can steer.
    if (const auto it = digests.find(text_of(digest)); it != digests.end() && entries_[it->second].hash.equals(digest))
      return &entries_[it->second];
  }
  return nullptr;
}

}  // namespace weir::api_key
