// What http-ingest reads of requests: JSON, lines, forms, CloudEvents, headers, gzip. Its JSON must be the hub's.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "http-ingest/body.hpp"
#include "http-ingest/cloud_event.hpp"
#include "http-ingest/gunzip.hpp"
#include "http-ingest/json_skim.hpp"
#include "http-ingest/refused.hpp"
#include "http-ingest/signature.hpp"
#include "http-ingest/text.hpp"
#include "weir/sdk/json_check.hpp"
#include "weir/sdk/text.hpp"

namespace {

namespace ingest = weir::http_ingest;
namespace skim = weir::http_ingest::json;

void must(bool holds) {
  if (!holds) std::abort();
}

template <class Call>
void may_refuse(Call&& call) {
  try {
    call();
  } catch (const ingest::Refused& e) {
    must(e.status() >= 400 && weir::sdk::is_utf8(e.what()));
  }
}

// Every part stands where the hub finds it, too.
void same(std::string_view text, const weir::json::Value& hub, int depth) {
  must(skim::trimmed(text) == hub.raw());
  if (hub.is(weir::json::Kind::string)) must(skim::unquoted(skim::trimmed(text)) == hub.string());
  if (depth == 8) return;
  if (hub.is(weir::json::Kind::array)) {
    const auto parts = skim::elements(text, 32);
    must(parts.size() == std::min<std::size_t>(32, hub.count()));
    for (std::size_t i = 0; i < parts.size(); ++i) same(parts[i], hub.at(static_cast<std::uint32_t>(i)), depth + 1);
  }
  if (hub.is(weir::json::Kind::object)) {
    const auto parts = skim::members(text, 1024);
    must(parts.size() == std::min<std::size_t>(1024, hub.count()));
    for (std::size_t i = 0; i < parts.size() && i < 8; ++i) {
      const std::string name = skim::unquoted(parts[i].name);
      std::string pointer = "/";
      for (const char c : name)
        pointer += c == '~' ? std::string("~0") : c == '/' ? std::string("~1") : std::string(1, c);
      const auto found = skim::at(text, pointer);
      must(found.has_value());
      same(*found, hub.find(name), depth + 1);
    }
  }
}

void json(std::string_view text) {
  weir::json::Doc doc;
  const bool good = weir::sdk::json::wrong_with(text).empty();
  must(good == static_cast<bool>(doc.parse(text)));
  if (good) same(text, doc.root(), 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  json(text);
  may_refuse([&] {
    for (const auto& draft : ingest::read_lines(text)) must(weir::sdk::json::wrong_with(draft.data()).empty());
  });
  if (weir::sdk::json::wrong_with(text).empty()) {
    may_refuse([&] {
      const auto draft = ingest::read_structured(text, false);
      must(draft.attribute("specversion") == "1.0" && !draft.attribute("id").empty());
      must(draft.kind != weir::sdk::Data::json || draft.data().empty() ||
           weir::sdk::json::wrong_with(draft.data()).empty());
    });
  }
  for (const char* type : {"application/json", "application/x-www-form-urlencoded", "image/png"}) {
    const std::string headers =
        "{\"content-type\":\"" + std::string(type) +
        "\",\"ce-id\":\"%31\",\"ce-source\":\"\\\"/s\\\"\",\"ce-type\":\"t\",\"ce-specversion\":\"1.0\"}";
    const std::string plain = "{\"content-type\":\"" + std::string(type) + "\"}";
    for (const std::string& h : {headers, plain}) {
      weir_http_request raw{};
      raw.struct_size = sizeof raw;
      raw.headers_json = weir::sdk::to_str(h);
      raw.query_json = weir::sdk::to_str("{}");
      raw.body = weir::sdk::to_str(text);
      const weir::sdk::HttpRequest request(raw);
      may_refuse([&] {
        for (const auto& draft : ingest::read_events(request, text, {.batch = true, .envelope = true}))
          must(draft.kind != weir::sdk::Data::json || weir::sdk::json::wrong_with(draft.data()).empty());
      });
    }
  }
  if (const auto value = ingest::decode_header_value(text)) must(weir::sdk::is_utf8(*value) && value->size() <= size);
  if (const auto header = ingest::parse_stripe_header(text)) must(!header->signatures.empty() && header->seconds >= 0);
  if (const auto bytes = ingest::from_base64(text)) must(ingest::from_base64(weir::sdk::base64(*bytes)) == bytes);
  if (const auto bytes = ingest::from_hex(text)) must(ingest::from_hex(ingest::to_hex(*bytes)) == bytes);
  must(weir::sdk::is_utf8(ingest::shown(text)));
  (void)ingest::parse_media_type(text);
  may_refuse([&] { must(ingest::gunzip(text, 4096).size() <= 4096); });
  return 0;
}
