// Any bytes as a line of events: refused with a reason, or an event that is the same when it is written and read again.
#include "rules/event_lines.hpp"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  if (line.find('\n') != std::string_view::npos) return 0;  // not one line
  weir::json::Doc doc;
  const auto read = weir::rules::read_event_line(line, doc);
  if (!read) {
    if (read.error().message.empty()) std::abort();
    return 0;
  }
  const weir::Draft& is = read->draft;
  std::string text = weir::rules::event_line(is, read->channel);
  text.pop_back();
  const auto again = weir::rules::read_event_line(text, doc);
  if (!again || again->channel != read->channel) std::abort();
  const weir::Draft& was = again->draft;
  if (is.event != was.event || is.data != was.data || is.id != was.id || is.key != was.key ||
      is.time_ms != was.time_ms || is.source != was.source)
    std::abort();
  return 0;
}
