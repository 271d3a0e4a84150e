// Events as lines of text, for `weir rules run` and `bench`. A line is an object with `event`, `data`, `id`, `key`,
// `time` (milliseconds since 1970), `source` and `channel`, each of which may be missing; also an event as clients of
// weir.v1 get it, so that what was recorded from a hub can be tried again. Data goes on byte for byte.
// Private to this layer.
#pragma once
#include <string>
#include <string_view>

#include "base/json.hpp"
#include "base/result.hpp"
#include "routing/draft.hpp"

namespace weir::rules {

struct EventLine {
  Draft draft;
  std::string channel;  // empty: the line says none
};

// Errors: bad_request - no JSON, no object, an unknown key, a value of the wrong type, and where.
Result<EventLine> read_event_line(std::string_view line, json::Doc& doc);
// What log-tail would make of the line of that file: event `line`.
Draft draft_of_log_line(std::string_view line, std::string_view file);
// The reverse of read_event_line(), with a line break. `channel` is left out when it is empty.
std::string event_line(const Draft& draft, std::string_view channel);

}  // namespace weir::rules
