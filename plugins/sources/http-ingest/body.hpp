// Makes events of a request's body, as its Content-Type says. All of the body is checked before anything of it counts.
// Errors: Refused(400) names the line or the event, Refused(413) has too many events, Refused(415) knows no such type.
// Threads: pure functions, [any].
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "draft.hpp"
#include "weir/sdk/http.hpp"

namespace weir::http_ingest {

// So many find room in the emitter at once; a request with more could never be taken as a whole.
inline constexpr std::size_t kEventsMax = sdk::Emitter::kKeptEventsMax;

struct BodyConfig {
  bool batch = false;       // an array of JSON is one event for each element
  bool envelope = false;    // of a CloudEvent
  std::string form_json{};  // the field of a form that is JSON and the data; empty: all fields are
};

// `body` is without content-encoding, and outlives what is returned.
std::vector<Draft> read_events(const sdk::HttpRequest& request, std::string_view body, const BodyConfig& config);

// One event for each line; blank ones are skipped.
std::vector<Draft> read_lines(std::string_view body);

}  // namespace weir::http_ingest
