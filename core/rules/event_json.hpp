// Events as JSON, for self-tests and case files: { "event", "data", "id"?, "key"?, "time"?, "source"? }.
// Private to this layer; includes nlohmann/json, so only for what is not on an event's way.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "routing/draft.hpp"

namespace weir::rules {

// Errors: bad_request - not an object, an unknown key, a value of the wrong type.
Result<Draft> draft_from_json(const nlohmann::json& event);
// What differs between what is expected and what came, in words; empty: nothing. Fields that are not expected to be
// anything are not looked at. `expected`: null (or false) for dropped, an event, or a list of events.
std::string differences(const nlohmann::json& expected, const std::vector<const Draft*>& got,
                        const std::string& reason);

// How a JSON text differs from what was expected, each place by its path from `name`; empty: it does not.
std::string value_differs(const std::string& name, const nlohmann::json& expected, std::string_view got_json);

}  // namespace weir::rules
