// CloudEvents 1.0 as the HTTP binding and the JSON format write them (version 1.0.2 of both).
// Errors: Refused(400) that names the attribute. Threads: pure functions, [any].
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "draft.hpp"
#include "text.hpp"
#include "weir/sdk/http.hpp"

namespace weir::http_ingest {

// Whether it is meant as an event in binary mode: at least one header of a required attribute.
bool is_binary_cloud_event(const sdk::HttpRequest& request);
// envelope: the data is the whole event in the JSON format, otherwise what the event calls its data.
Draft read_binary(const sdk::HttpRequest& request, std::string_view body, bool envelope);
// `json` is JSON that was checked, of one event.
Draft read_structured(std::string_view json, bool envelope);

// The value of a ce- header: quoted strings, then one round of percent-encoding, are undone. Nothing when it is broken
// or no UTF-8 comes out.
std::optional<std::string> decode_header_value(std::string_view value);

}  // namespace weir::http_ingest
