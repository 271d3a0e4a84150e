#include "body.hpp"

#include "cloud_event.hpp"
#include "json_skim.hpp"
#include "refused.hpp"
#include "text.hpp"
#include "weir/sdk/json_check.hpp"

namespace weir::http_ingest {
namespace {

constexpr std::size_t kFieldsMax = 1024;
constexpr const char* kTaken =
    "application/json and +json, application/x-ndjson, application/jsonl, text/plain, "
    "application/x-www-form-urlencoded, application/cloudevents+json, application/cloudevents-batch+json";

[[noreturn]] void too_many() {
  throw Refused(413, "more than " + std::to_string(kEventsMax) + " events in one request; send them in several");
}

void check_json(std::string_view body) {
  if (json::trimmed(body).empty()) throw Refused(400, "the body is empty; JSON is expected");
  if (const std::string wrong = sdk::json::wrong_with(body); !wrong.empty()) throw Refused(400, "the body is " + wrong);
}

std::vector<std::string_view> elements_of(std::string_view body) {
  auto elements = json::elements(body, kEventsMax + 1);
  if (elements.size() > kEventsMax) too_many();
  return elements;
}

std::vector<Draft> read_json(std::string_view body, bool batch) {
  check_json(body);
  std::vector<Draft> out;
  if (!batch || !json::trimmed(body).starts_with('[')) {
    out.push_back({.borrowed = json::trimmed(body)});
    return out;
  }
  for (const auto element : elements_of(body)) out.push_back({.borrowed = element});
  return out;
}

std::vector<Draft> read_batch(std::string_view body, bool envelope) {
  check_json(body);
  if (!json::trimmed(body).starts_with('[')) throw Refused(400, "a batch of CloudEvents is a JSON array");
  std::vector<Draft> out;
  for (const auto element : elements_of(body)) {
    try {
      out.push_back(read_structured(element, envelope));
    } catch (const Refused& e) {
      throw Refused(e.status(), "event " + std::to_string(out.size() + 1) + " of the batch is " + e.what() +
                                    "; nothing of the request was taken");
    }
  }
  return out;
}

std::vector<Draft> read_text(std::string_view body) {
  std::vector<Draft> out;
  if (body.empty())
    out.push_back({.borrowed = "\"\""});
  else
    out.push_back({.borrowed = body, .kind = sdk::Data::text});
  return out;
}

// An object of strings; of equal names the last one counts.
std::vector<Draft> read_form(std::string_view body, const std::string& json_field) {
  auto fields = parse_form(body, kFieldsMax);
  if (!fields)
    throw Refused(400, "the form has a broken escape, bytes that are no UTF-8, or more than " +
                           std::to_string(kFieldsMax) + " fields");
  std::string object = "{";
  for (std::size_t i = 0; i < fields->size(); ++i) {
    auto& [name, value] = (*fields)[i];
    if (!json_field.empty() && name == json_field) {
      if (const std::string wrong = sdk::json::wrong_with(value); !wrong.empty())
        throw Refused(400, "the form's field " + json_field + " is " + wrong);
      std::vector<Draft> out(1);
      out[0].made = std::move(value);
      return out;
    }
    bool again = false;
    for (std::size_t j = i + 1; j < fields->size() && !again; ++j) again = (*fields)[j].first == name;
    if (again) continue;
    if (object.size() > 1) object += ',';
    sdk::json::append_string(object, name);
    object += ':';
    sdk::json::append_string(object, value);
  }
  if (!json_field.empty()) throw Refused(400, "the form has no field " + json_field);
  std::vector<Draft> out(1);
  out[0].made = object + '}';
  return out;
}

}  // namespace

std::vector<Draft> read_lines(std::string_view body) {
  std::vector<Draft> out;
  for (std::size_t number = 1; !body.empty(); ++number) {
    const std::string_view line = body.substr(0, body.find('\n'));
    body.remove_prefix(line.size() == body.size() ? line.size() : line.size() + 1);
    const std::string_view text = json::trimmed(line);
    if (text.empty()) continue;
    if (const std::string wrong = sdk::json::wrong_with(text); !wrong.empty())
      throw Refused(400, "line " + std::to_string(number) + " is " + wrong + "; nothing of the request was taken");
    if (out.size() == kEventsMax) too_many();
    out.push_back({.borrowed = text});
  }
  return out;
}

std::vector<Draft> read_events(const sdk::HttpRequest& request, std::string_view body, const BodyConfig& config) {
  const MediaType type = parse_media_type(request.header("content-type").value_or(""));
  const auto unknown = [&](const std::string& what) -> Refused {
    return {415, what + "; taken are " + kTaken, "accept-post", kTaken};
  };
  const std::string& name = type.essence;
  const auto utf8_only = [&] {
    if (!type.charset.empty() && type.charset != "utf-8" && type.charset != "utf8" && type.charset != "us-ascii")
      throw Refused(415, "the charset is " + shown(type.charset) + "; utf-8 is taken");
  };
  if (name.starts_with("application/cloudevents")) {
    utf8_only();
    if (name == "application/cloudevents-batch+json") return read_batch(body, config.envelope);
    if (name != "application/cloudevents+json") throw unknown("content-type is " + shown(name));
    check_json(body);
    std::vector<Draft> out;
    out.push_back(read_structured(body, config.envelope));
    return out;
  }
  if (is_binary_cloud_event(request)) {
    std::vector<Draft> out;
    out.push_back(read_binary(request, body, config.envelope));
    return out;
  }
  utf8_only();
  if (type.is_json()) return read_json(body, config.batch);
  if (name == "application/x-ndjson" || name == "application/ndjson" || name == "application/jsonl")
    return read_lines(body);
  if (name == "text/plain") return read_text(body);
  if (name == "application/x-www-form-urlencoded") return read_form(body, config.form_json);
  throw unknown(name.empty() ? "the request has no content-type" : "content-type is " + shown(name));
}

}  // namespace weir::http_ingest
