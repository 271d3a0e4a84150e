// `weir rules`: a script tried in the real engine, outside of a hub: with its cases (test), with events of a file
// (run), and for its cost (bench).
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/json.hpp"
#include "cli/commands.hpp"
#include "rules/cases.hpp"
#include "rules/dry_run.hpp"

namespace weir::cli {
namespace {

int complain(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  return 2;
}

RuleSettings settings_of(const RuleRunOptions& options) {
  RuleSettings settings;
  settings.script = settings.path = options.script;
  settings.params_json = options.params;
  settings.jit = options.jit;
  return settings;
}

// Errors: bad_request - the pattern is none, the params are no JSON.
Result<DryRunInput> input_of(const RuleRunOptions& options) {
  json::Doc params;
  if (auto parsed = params.parse(options.params); !parsed)
    return fail(Errc::bad_request, "--params: " + parsed.error().message);
  DryRunInput input;
  if (options.input != "-") input.name = options.input;
  input.log_lines = options.log_lines;
  if (!options.channel.empty()) input.channel = options.channel;
  if (options.pattern.empty()) return input;
  auto pattern = Pattern::parse(options.pattern);
  if (!pattern) return fail(Errc::bad_request, "--pattern: " + pattern.error().message);
  input.pattern = std::move(*pattern);
  return input;
}

// The stream that is named; "-" is standard input.
class Input {
 public:
  explicit Input(const std::string& name) : standard_(name == "-") {
    if (standard_) return;
    file_.open(name, std::ios::binary);
    if (!file_) problem_ = "--input " + name + ": " + std::strerror(errno);
    // A folder opens, and says only when it is read that it is none.
    if (problem_.empty() && std::filesystem::is_directory(name)) problem_ = "--input " + name + ": is a folder";
  }
  const std::string& problem() const { return problem_; }
  std::istream& stream() { return standard_ ? std::cin : file_; }

 private:
  const bool standard_;
  std::ifstream file_;
  std::string problem_;
};

std::string counted(std::uint64_t n, const char* what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

double us(std::int64_t ns) { return static_cast<double>(ns) / 1000; }
double each(std::uint64_t all, const DryRunTotals& t) {
  return t.events == 0 ? 0 : static_cast<double>(all) / static_cast<double>(t.events);
}

}  // namespace

int rules_run(const RuleRunOptions& options) {
  const auto input = input_of(options);
  if (!input) return complain(input.error().message);
  Input file(options.input);
  if (!file.problem().empty()) return complain(file.problem());
  const auto totals = dry_run(settings_of(options), Limits{}, *input, file.stream(), std::cout, std::cerr);
  if (!totals) return complain(totals.error().message);
  if (!std::cout.flush()) {
    complain("what came out can't be written to standard output");
    return 1;
  }
  const DryRunTotals& t = *totals;
  std::string text = counted(t.events, "event") + ": " + std::to_string(t.kept) + " kept, " +
                     std::to_string(t.dropped) + " dropped, " + std::to_string(t.failed) + " failed";
  if (t.published != 0) text += ", " + std::to_string(t.published) + " published elsewhere";
  if (t.unreadable != 0) text += "; " + counted(t.unreadable, "line") + " could not be read";
  std::fprintf(stderr, "%s\n", text.c_str());
  for (const auto& [reason, count] : t.reasons)
    std::fprintf(stderr, "  %8llu dropped: %s\n", static_cast<unsigned long long>(count),
                 reason.empty() ? "without a reason" : reason.c_str());
  std::fprintf(stderr,
               "an event took %.1f us (median), %.1f us at most; %.0f operations, %.0f bytes allocated (mean)\n",
               us(t.median_ns), us(t.slowest_ns), each(t.operations, t), each(t.allocated_bytes, t));
  return t.failed == 0 && t.unreadable == 0 ? 0 : 1;
}

int rules_bench(const RuleRunOptions& options) {
  const auto input = input_of(options);
  if (!input) return complain(input.error().message);
  Input file(options.input);
  if (!file.problem().empty()) return complain(file.problem());
  std::ostringstream all;  // it may be a pipe, and is run twice
  all << file.stream().rdbuf();
  std::printf("%-5s %12s %10s %10s %14s %16s\n", "jit", "events/s", "median us", "p99 us", "operations",
              "bytes allocated");
  for (const bool jit : {false, true}) {
    std::istringstream events(all.str());
    RuleSettings settings = settings_of(options);
    settings.jit = jit;
    const auto totals = bench_rule(settings, Limits{}, *input, events, options.seconds);
    if (!totals) return complain(totals.error().message);
    const DryRunTotals& t = *totals;
    std::printf("%-5s %12.0f %10.2f %10.2f %14.0f %16.0f\n", jit ? "true" : "false",
                t.median_ns == 0 ? 0 : 1e9 / static_cast<double>(t.median_ns), us(t.median_ns), us(t.p99_ns),
                each(t.operations, t), each(t.allocated_bytes, t));
    if (t.failed != 0)
      return complain("the rule failed for " + counted(t.failed, "event") + " of " + std::to_string(t.events) +
                      "; `weir rules run` tells why");
  }
  return 0;
}

int rules_test(const std::vector<std::string>& scripts) {
  std::size_t passed = 0, failed = 0;
  for (const std::string& script : scripts) {
    RuleSettings settings;
    settings.script = settings.path = script;
    const auto results = run_rule_case_file(settings, Limits{});
    if (!results) {
      std::printf("FAIL %s\n     %s\n", script.c_str(), results.error().message.c_str());
      ++failed;
      continue;
    }
    for (const CaseResult& r : *results) {
      std::printf("%s %s: %s\n", r.problem.empty() ? "ok  " : "FAIL", script.c_str(), r.name.c_str());
      if (!r.problem.empty()) std::printf("%s\n", r.problem.c_str());
      ++(r.problem.empty() ? passed : failed);
    }
  }
  std::printf("%zu passed, %zu failed\n", passed, failed);
  return failed == 0 ? 0 : 2;
}

}  // namespace weir::cli
