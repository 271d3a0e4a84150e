// run_cases SCRIPT.lua: runs the cases that lie beside a script in the real engine; 0 if all of them hold.
#include <cstdio>

#include "rules/cases.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: run_cases SCRIPT.lua\n");
    return 2;
  }
  weir::RuleSettings settings;
  settings.path = argv[1];
  settings.script = settings.path.substr(settings.path.find_last_of('/') + 1);
  int failed = 0;
  for (const bool jit : {false, true}) {
    settings.jit = jit;
    const auto results = weir::run_rule_case_file(settings, {});
    if (!results) {
      std::fprintf(stderr, "%s\n", results.error().message.c_str());
      return 1;
    }
    for (const auto& result : *results) {
      if (result.problem.empty()) continue;
      ++failed;
      std::fprintf(stderr, "%s%s: %s\n    %s\n", settings.script.c_str(), jit ? " (jit)" : "", result.name.c_str(),
                   result.problem.c_str());
    }
    if (!jit) std::printf("%s: %zu cases\n", settings.script.c_str(), results->size());
  }
  return failed == 0 ? 0 : 1;
}
