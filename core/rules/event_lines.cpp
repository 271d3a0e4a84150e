#include "rules/event_lines.hpp"

#include <array>
#include <ctime>
#include <optional>

namespace weir::rules {
namespace {

constexpr std::size_t kNameBytesMax = 255;

// "2026-01-31T12:00:00.000Z", the only way in which the hub writes a time.
std::optional<UnixMs> milliseconds(const std::string& text) {
  std::tm t{};
  int ms = 0, used = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
                  &t.tm_min, &t.tm_sec, &ms, &used) != 7 ||
      static_cast<std::size_t>(used) != text.size())
    return std::nullopt;
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  return static_cast<UnixMs>(::timegm(&t)) * 1000 + ms;
}

std::string shown(json::Value value) { return std::string(value.raw().substr(0, 60)); }

}  // namespace

Result<EventLine> read_event_line(std::string_view line, json::Doc& doc) {
  const auto bad = [](const std::string& message) { return fail(Errc::bad_request, message); };
  if (auto parsed = doc.parse(line); !parsed) return parsed.error();
  const json::Value root = doc.root();
  if (!root.is(json::Kind::object)) return bad("an event is an object with event and data; this is " + shown(root));
  EventLine out;
  Draft& draft = out.draft;
  draft.event = "event";
  draft.data = "{}";
  std::string problem;
  root.each_member([&](json::Value key, json::Value value) {
    const std::string name = key.string();
    std::string* const text = name == "event"     ? &draft.event
                              : name == "id"      ? &draft.id
                              : name == "key"     ? &draft.key
                              : name == "source"  ? &draft.source
                              : name == "channel" ? &out.channel
                                                  : nullptr;
    if (name == "data") {
      draft.data = value.raw();
    } else if (text != nullptr) {
      if (!value.is(json::Kind::string))
        problem = name + " is " + shown(value) + "; expected a string";
      else
        *text = value.string();
    } else if (name == "time") {
      const auto ms = value.is(json::Kind::number) ? value.integer() : std::nullopt;
      if (!ms) problem = "time is " + shown(value) + "; expected milliseconds since 1970";
      draft.time_ms = ms.value_or(0);
    } else if (name == "emittedAt") {
      const auto ms = value.is(json::Kind::string) ? milliseconds(value.string()) : std::nullopt;
      if (!ms) problem = "emittedAt is " + shown(value) + "; expected a time such as \"2026-01-31T12:00:00.000Z\"";
      draft.time_ms = ms.value_or(0);
    } else if (name == "type") {
      if (!value.is(json::Kind::string) || !value.string_equals("event"))
        problem = "type is " + shown(value) + "; of the frames of weir.v1 only those of type \"event\" are events";
    } else if (name != "epoch" && name != "sequenceId" && name != "isReplay") {
      problem = "unknown key " + shown(key) + "; an event has event, data, id, key, time, source and channel";
    }
  });
  if (problem.empty() && (draft.event.empty() || draft.event.size() > kNameBytesMax))
    problem = "event has " + std::to_string(draft.event.size()) + " bytes; expected 1 to 255";
  if (!problem.empty()) return bad(problem);
  return out;
}

Draft draft_of_log_line(std::string_view line, std::string_view file) {
  Draft draft;
  draft.event = "line";
  draft.data = "{\"line\":";
  json::append_string(draft.data, line);
  draft.data += ",\"file\":";
  json::append_string(draft.data, file);
  draft.data += '}';
  return draft;
}

std::string event_line(const Draft& draft, std::string_view channel) {
  std::string out;
  const auto text = [&out](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    out += out.empty() ? "{\"" : ",\"";
    out.append(name).append("\":");
    json::append_string(out, value);
  };
  text("channel", channel);
  text("event", draft.event);
  text("id", draft.id);
  text("key", draft.key);
  if (draft.time_ms != 0) out += ",\"time\":" + std::to_string(draft.time_ms);
  text("source", draft.source);
  return out += ",\"data\":" + draft.data + "}\n";
}

}  // namespace weir::rules
