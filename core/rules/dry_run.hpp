// A rule tried outside of a hub, in the same engine: what `weir rules run` and `weir rules bench` do.
// Threads: [any].
#pragma once
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "routing/pattern.hpp"
#include "rules/program.hpp"

namespace weir {

struct DryRunInput {
  std::string name = "stdin";      // of the file, for messages and as data.file
  bool log_lines = false;          // each line is text, as log-tail reads it, and not an event (rules/event_lines.hpp)
  std::string channel = "test";    // of events that name none
  std::optional<Pattern> pattern;  // of the channels, for ctx.vars; every channel must match it
};

struct DryRunTotals {
  std::uint64_t events = 0, kept = 0, dropped = 0, failed = 0, published = 0;
  std::uint64_t unreadable = 0;                                // lines that are no events
  std::vector<std::pair<std::string, std::uint64_t>> reasons;  // why they were dropped
  std::uint64_t operations = 0, allocated_bytes = 0;           // of all events, by the rule's Lua state
  std::int64_t median_ns = 0, p99_ns = 0, slowest_ns = 0;      // an event, in the rule
};

// Runs all events of `in` through the rule, in order. What comes out is written to `out` as lines that can be read
// again; what was dropped, failed or could not be read to `notes`, each with the number of its line. A rule that keeps
// failing is not quarantined here. Errors: bad_request - the script can't be loaded, a channel is none, `in` breaks
// off.
Result<DryRunTotals> dry_run(const RuleSettings& settings, const Limits& limits, const DryRunInput& input,
                             std::istream& in, std::ostream& out, std::ostream& notes);

// Runs all events of `in` through the rule again and again for about `seconds`, and writes nothing.
// Errors: as above; also a line that can't be read, and none that can.
Result<DryRunTotals> bench_rule(const RuleSettings& settings, const Limits& limits, const DryRunInput& input,
                                std::istream& in, double seconds);

}  // namespace weir
