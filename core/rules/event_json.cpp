#include "rules/event_json.hpp"

namespace weir::rules {
namespace {

using Json = nlohmann::json;

std::string shown(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string json_differs(const std::string& name, const Json& expected, const Json& is) {
  if (expected == is) return {};
  if (!is.is_object() || !expected.is_object()) return name + ": expected " + shown(expected) + ", is " + shown(is);
  std::string text;
  for (const auto& step : Json::diff(expected, is)) {
    const auto pointer = step.at("path").get<std::string>();
    const auto operation = step.at("op").get<std::string>();
    if (!text.empty()) text += "; ";
    text += name + pointer + ": ";
    if (operation == "remove")
      text += "expected " + shown(expected.at(Json::json_pointer(pointer))) + ", is missing";
    else if (operation == "add")
      text += "unexpected " + shown(step.at("value"));
    else
      text += "expected " + shown(expected.at(Json::json_pointer(pointer))) + ", is " + shown(step.at("value"));
  }
  return text;
}

std::string one_differs(const Json& expected, const Draft& got) {
  if (!expected.is_object()) return "expected is " + shown(expected) + ", which is no event";
  for (const auto& [name, value] : expected.items()) {
    Json is;
    if (name == "event")
      is = got.event;
    else if (name == "data")
      is = Json::parse(got.data, nullptr, false);
    else if (name == "id")
      is = got.id;
    else if (name == "key")
      is = got.key;
    else if (name == "time")
      is = got.time_ms;
    else
      return "expected has the unknown field `" + name + "`; there are event, data, id, key and time";
    if (auto text = json_differs(name, value, is); !text.empty()) return text;
  }
  return {};
}

std::string why(const std::string& reason) { return reason.empty() ? "" : " (" + reason + ")"; }

}  // namespace

std::string value_differs(const std::string& name, const Json& expected, std::string_view got_json) {
  return json_differs(name, expected, Json::parse(got_json, nullptr, false));
}

Result<Draft> draft_from_json(const Json& event) {
  const auto bad = [](const std::string& message) { return fail(Errc::bad_request, message); };
  if (!event.is_object()) return bad("the event is " + shown(event) + "; expected an object with event and data");
  Draft draft;
  draft.event = "event";
  draft.data = "{}";
  for (const auto& [name, value] : event.items()) {
    if (name == "data") {
      draft.data = shown(value);
      continue;
    }
    if (name == "time") {
      if (!value.is_number_integer()) return bad("time is " + shown(value) + "; expected milliseconds since 1970");
      draft.time_ms = value.get<UnixMs>();
      continue;
    }
    std::string* field = name == "event"    ? &draft.event
                         : name == "id"     ? &draft.id
                         : name == "key"    ? &draft.key
                         : name == "source" ? &draft.source
                                            : nullptr;
    if (field == nullptr)
      return bad("the event has the unknown field `" + name + "`; there are event, data, id, key, time and source");
    if (!value.is_string()) return bad(name + " is " + shown(value) + "; expected a string");
    *field = value.get<std::string>();
  }
  return draft;
}

std::string differences(const Json& expected, const std::vector<const Draft*>& got, const std::string& reason) {
  const bool dropped = expected.is_null() || (expected.is_boolean() && !expected.get<bool>());
  if (dropped)
    return got.empty() ? ""
                       : "expected it to be dropped, but it was kept: " + got.front()->event + " " + got.front()->data;
  if (got.empty()) return "expected it to be kept, but it was dropped" + why(reason);
  if (expected.is_boolean()) return {};
  if (!expected.is_array()) {
    if (got.size() != 1) return "expected one event, got " + std::to_string(got.size());
    return one_differs(expected, *got.front());
  }
  if (expected.size() != got.size())
    return "expected " + std::to_string(expected.size()) + " events, got " + std::to_string(got.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    if (const auto text = one_differs(expected[i], *got[i]); !text.empty())
      return "event " + std::to_string(i + 1) + ": " + text;
  return {};
}

}  // namespace weir::rules
