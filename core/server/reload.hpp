// What a reload came to, and what two manifests have that differs. Threads: plain values.
#pragma once
#include <string>
#include <vector>

#include "server/setup.hpp"

namespace weir {

struct ReloadReport {
  bool done = false;                  // false: nothing was changed
  std::vector<std::string> problems;  // why not, each with its place; or, done: what did not go well afterwards
  std::vector<std::string> warnings;
  std::vector<std::string> changed;  // "rule rules/orders.lua", "channel agents/{id} is new", ...
  std::vector<std::string> restart;  // what the new manifest says that only a restart brings about
  // The answer of POST /api/v1/reload.
  std::string json() const;
};

// Fills in `changed` and `restart`.
void compare(const Setup& before, const Setup& now, const Limits& limits, ReloadReport& report);

}  // namespace weir
