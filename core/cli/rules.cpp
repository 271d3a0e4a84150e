// `weir rules test`: cases beside a script, run in the real engine.
#include <cstdio>

#include "cli/commands.hpp"
#include "rules/cases.hpp"

namespace weir::cli {

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
