#include "cloud_event.hpp"

#include <array>

#include "json_skim.hpp"
#include "refused.hpp"
#include "weir/sdk/json_check.hpp"
#include "weir/sdk/text.hpp"
#include "weir/sdk/time.hpp"

namespace weir::http_ingest {
namespace {

constexpr std::array<std::string_view, 4> kRequired = {"specversion", "id", "source", "type"};
// What must not be empty where it is there; the required ones are there always.
constexpr std::array<std::string_view, 7> kNotEmpty = {"specversion", "id",         "source", "type",
                                                       "subject",     "dataschema", "time"};
constexpr std::size_t kMembersMax = 64;

[[noreturn]] void refuse(const std::string& what) { throw Refused(400, "not a CloudEvent: " + what); }

bool good_name(std::string_view name) {
  return !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == std::string_view::npos;
}

// U+0000 to U+001F and U+007F to U+009F are in no attribute.
bool has_controls(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7F) return true;
    if (c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) return true;
  }
  return false;
}

void check(Draft& draft) {
  const auto has = [&](std::string_view name) {
    for (const auto& [key, value] : draft.attributes)
      if (key == name) return true;
    return false;
  };
  for (const std::string_view name : kRequired)
    if (!has(name)) refuse("the attribute " + std::string(name) + " is missing");
  if (const auto version = draft.attribute("specversion"); version != "1.0")
    refuse("specversion is " + shown(version) + "; \"1.0\" is taken");
  for (const std::string_view name : kNotEmpty)
    if (has(name) && draft.attribute(name).empty()) refuse("the attribute " + std::string(name) + " is empty");
  for (const auto& [name, value] : draft.attributes) {
    if (!good_name(name)) refuse("the name of an attribute is " + shown(name) + "; it is made of a-z and 0-9");
    if (has_controls(value)) refuse("the attribute " + shown(name) + " has a control character");
  }
  if (draft.attribute("source").find(' ') != std::string_view::npos) refuse("source is a URI, which has no space");
  if (const auto type = draft.attribute("datacontenttype");
      !type.empty() && parse_media_type(type).essence.find('/') == std::string::npos)
    refuse("datacontenttype is " + shown(type) + "; a media type is expected");
  if (const auto time = draft.attribute("time"); !time.empty()) {
    const auto ms = sdk::parse_iso8601(time);
    if (!ms) refuse("time is " + shown(time) + R"(; such as "2018-04-05T17:31:00Z" is expected)");
    draft.time_ms = *ms;
  }
}

}  // namespace

std::optional<std::string> decode_header_value(std::string_view value) {
  std::string plain;
  bool quoted = false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '"') {
      quoted = !quoted;
    } else if (quoted && value[i] == '\\') {
      if (++i == value.size()) return std::nullopt;
      plain += value[i];
    } else {
      plain += value[i];
    }
  }
  if (quoted) return std::nullopt;
  auto out = percent_decoded(plain, false);
  if (!out || !sdk::is_utf8(*out)) return std::nullopt;
  return out;
}

bool is_binary_cloud_event(const sdk::HttpRequest& request) {
  for (const std::string_view name : kRequired)
    if (request.header("ce-" + std::string(name))) return true;
  return false;
}

Draft read_binary(const sdk::HttpRequest& request, std::string_view body, bool envelope) {
  Draft draft;
  for (const auto& [name, value] : request.headers().members) {
    if (!name.starts_with("ce-") || !value.is(sdk::json::Kind::string)) continue;
    if (name == "ce-datacontenttype")
      refuse("ce-datacontenttype is a header; in binary mode Content-Type says what the data is");
    auto text = decode_header_value(value.text);
    if (!text) refuse("the header " + shown(name) + " is no percent-encoded UTF-8");
    draft.attributes.emplace_back(name.substr(3), std::move(*text));
  }
  const std::string type = request.header("content-type").value_or("");
  if (!type.empty()) draft.attributes.emplace_back("datacontenttype", type);
  check(draft);
  const bool json = parse_media_type(type).is_json();
  draft.borrowed = body;
  if (json && !body.empty()) {
    if (const std::string wrong = sdk::json::wrong_with(body); !wrong.empty())
      throw Refused(400, "the data of the CloudEvent is " + wrong);
  } else if (!body.empty()) {
    draft.kind = type.empty() ? sdk::Data::any : sdk::Data::text;
  }
  if (!envelope) return draft;
  std::string whole = "{";
  for (const auto& [name, value] : draft.attributes) {
    sdk::json::append_string(whole, name);
    whole += ':';
    sdk::json::append_string(whole, value);
    whole += ',';
  }
  if (body.empty()) {
    whole.pop_back();
  } else if (json || (type.empty() && sdk::json::wrong_with(body).empty())) {
    (whole += "\"data\":") += json::trimmed(body);
  } else if (sdk::is_utf8(body)) {
    whole += "\"data\":";
    sdk::json::append_string(whole, body);
  } else {
    ((whole += "\"data_base64\":\"") += sdk::base64(body)) += '"';
  }
  draft.made = whole + '}';
  draft.kind = sdk::Data::json;
  return draft;
}

Draft read_structured(std::string_view json, bool envelope) {
  json = json::trimmed(json);
  if (!json.starts_with('{')) refuse("it is no JSON object");
  Draft draft;
  std::optional<std::string_view> data, base64;
  const auto members = json::members(json, kMembersMax + 1);
  if (members.size() > kMembersMax) refuse("it has more than " + std::to_string(kMembersMax) + " members");
  for (const auto& [quoted_name, value] : members) {
    const std::string name = json::unquoted(quoted_name);
    if (name == "data" || name == "data_base64") {
      (name == "data" ? data : base64) = value;
      continue;
    }
    std::erase_if(draft.attributes, [&](const auto& had) { return had.first == name; });  // the last one counts
    if (value == "null") continue;                                                        // the same as not there
    if (value.front() == '{' || value.front() == '[')
      refuse("the attribute " + shown(name) + " is neither text, number nor boolean");
    draft.attributes.emplace_back(name, value.front() == '"' ? json::unquoted(value) : std::string(value));
  }
  if (base64 == "null") base64.reset();
  check(draft);
  const std::string_view type = draft.attribute("datacontenttype");
  const bool is_json = type.empty() || parse_media_type(type).is_json();
  if (data && base64) refuse("it has data and data_base64; one of them is expected");
  if (data && !is_json && *data != "null" && data->front() != '"')
    refuse("data is no string, which it is where datacontenttype is not JSON");
  std::optional<std::string> bytes;
  if (base64) {
    if (base64->front() == '"') bytes = from_base64(json::unquoted(*base64));
    if (!bytes) refuse("data_base64 is no base64");
  }
  if (envelope) {
    draft.borrowed = json;
    return draft;
  }
  if (bytes) {
    draft.kind = is_json && !type.empty() ? sdk::Data::any : sdk::Data::text;
    draft.made = std::move(*bytes);
  } else if (data) {
    draft.borrowed = *data;
  }
  return draft;
}

}  // namespace weir::http_ingest
