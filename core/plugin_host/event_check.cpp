#include "plugin_host/event_check.hpp"

#include "base/base64.hpp"
#include "base/json.hpp"

namespace weir {

static_assert(offsetof(weir_event, time_ms) + sizeof(std::int64_t) == kEventBytesMin);

namespace {

std::string_view view(const weir_str& text) { return {text.ptr, static_cast<std::size_t>(text.size)}; }

std::string wrong_with_text(const char* what, const weir_str& text, std::uint64_t most) {
  if (text.size > most)
    return std::string(what) + " has " + std::to_string(text.size) + " bytes; " + std::to_string(most) + " are allowed";
  if (text.size != 0 && text.ptr == nullptr)
    return std::string(what) + " is a null pointer with size " + std::to_string(text.size);
  return {};
}

}  // namespace

std::string wrong_with_batch(const weir_event* events, std::uint32_t stride, std::uint32_t count) {
  if (count == 0) return {};
  if (events == nullptr) return "emit() was given no events but the count " + std::to_string(count);
  if (stride < kEventBytesMin || stride > kStrideMax || stride % alignof(weir_event) != 0)
    return "emit() was given the stride " + std::to_string(stride) + "; sizeof(weir_event) is expected, at least " +
           std::to_string(kEventBytesMin);
  if (reinterpret_cast<std::uintptr_t>(events) % alignof(weir_event) != 0)
    return "emit() was given events that are not aligned";
  return {};
}

namespace {
// What is no JSON becomes some.
std::string json_of(std::string_view bytes) {
  if (json::valid_utf8(bytes)) return json::quoted(bytes);
  return "{\"base64\":\"" + base64(bytes) + "\"}";
}
}  // namespace

std::string wrong_with_event(const weir_event& event, std::uint32_t stride, const EventBounds& bounds, json::Doc& doc,
                             std::string& made) {
  made.clear();
  if (event.struct_size < kEventBytesMin || event.struct_size > stride)
    return "struct_size is " + std::to_string(event.struct_size) + "; sizeof(weir_event) is expected";
  if (event.flags > WEIR_DATA_ANY)
    return "flags is " + std::to_string(event.flags) + "; WEIR_DATA_JSON, WEIR_DATA_TEXT or WEIR_DATA_ANY is expected";
  struct Text {
    const char* what;
    const weir_str& text;
    std::uint64_t most;
  };
  const Text texts[] = {{"subject", event.subject, bounds.subject_max},
                        {"event", event.event, bounds.name_max},
                        {"id", event.id, bounds.id_max},
                        {"key", event.key, bounds.key_max},
                        {"cursor", event.cursor, bounds.cursor_max}};
  for (const Text& t : texts) {
    if (std::string wrong = wrong_with_text(t.what, t.text, t.most); !wrong.empty()) return wrong;
    if (!json::valid_utf8(view(t.text))) return std::string(t.what) + " is not UTF-8";
  }
  if (event.event.size == 0) return "event has no name";
  if (std::string wrong = wrong_with_text("data", event.data, bounds.data_max); !wrong.empty()) return wrong;
  if (event.data.size == 0 && event.flags == WEIR_DATA_JSON) {  // stands for null
    doc.trim(0);
    return {};
  }
  if (event.flags != WEIR_DATA_TEXT) {
    const auto parsed = doc.parse(view(event.data));
    if (parsed) return {};
    if (event.flags == WEIR_DATA_JSON) return "data is not JSON: " + parsed.error().message;
  }
  made = json_of(view(event.data));
  if (made.size() > bounds.data_max)
    return "data has " + std::to_string(made.size()) + " bytes as JSON; at most " + std::to_string(bounds.data_max) +
           " are allowed";
  (void)doc.parse(made);
  return {};
}

void BatchIndex::trim() {
  constexpr std::size_t kRoomKept = 1024;
  for (std::size_t i = 0; i < used_; ++i) docs_[i].trim(kRoomKept);
  rest_.trim(kRoomKept);
  begin();
}

}  // namespace weir
