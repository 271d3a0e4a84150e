// Checks a rule's params against what its script declares in `rule.params`, and fills in the defaults.
// Declared: { name = { type = "string|pattern|number|integer|boolean|array|object", of = "type of the elements",
// default =, required =, enum = {}, description = } }; a pattern is a string that holds a well-formed Lua pattern.
// Threads: [any]; a pure function.
#pragma once
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace weir::rules {

// `declared_json`: empty when the script declares none; then everything is taken as it is.
// Returns the params that the hooks will see, as a JSON object.
// Errors: bad_request - a line for each mistake: the script, the param, what is wrong with it and what is expected.
Result<std::string> check_params(std::string_view script, std::string_view declared_json, std::string_view given_json);

}  // namespace weir::rules
