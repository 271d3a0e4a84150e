// Runs a file of cases through a script in the real engine: what `weir rules test` and the tests of the shipped rules
// do. A case: { "name", "params"?, "event": { "event", "data", ... }, "channel"?, "vars"?, "expect": event | null |
// [events],
//           "reason"?, "error"?, "publishes"?: [{ "channel", "event", "data" }] }
// `expect` names the fields that matter; null means dropped. `error` is a part of the text that a failing rule, or one
// that does not load, gives. Several events one after the other: "events": [...] in place of "event", with a list of
// what each comes to in "expect"; "pauses" (ms that pass before each of them) and "reasons" are lists beside it.
// A further pause may stand behind them. "every": ms between two runs of on_timer, as time passes in the pauses.
// "snapshot": the state after them, asked for with the params "ask"; "expect" may be missing then.
// Threads: [any].
#pragma once
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "rules/program.hpp"

namespace weir {

struct CaseResult {
  std::string name;
  std::string problem;  // empty: the case holds
};

// `cases_json`: the array; `cases_name` stands in messages. Each case has a fresh engine.
// Errors: bad_request - the cases are no valid JSON array of cases. A script that does not load is a problem of each
// case.
Result<std::vector<CaseResult>> run_rule_cases(const RuleSettings& settings, std::string_view cases_name,
                                               std::string_view cases_json, const Limits& limits);
// The same with "NAME.cases.json" beside settings.path "NAME.lua".
Result<std::vector<CaseResult>> run_rule_case_file(const RuleSettings& settings, const Limits& limits);

}  // namespace weir
