// One flat JSON object of numbers, and rates from counters.
// Threads: plain values.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>

#include "weir/sdk/json.hpp"

namespace weir::metrics {

class Object {
 public:
  void add(std::string_view name, double value) {
    char text[32];
    // Whole numbers as such; of others three decimals, which is all that a share or a rate is good for.
    const bool whole = value == std::floor(value) && std::abs(value) < 9e15;
    std::snprintf(text, sizeof text, whole ? "%.0f" : "%.3f", value);
    add_json(name, text);
  }
  void add_json(std::string_view name, std::string_view json) {
    if (!text_.empty()) text_ += ',';
    sdk::json::append_string(text_, name);
    (text_ += ':') += json;
  }
  bool empty() const { return text_.empty(); }
  std::string json() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

// What counters grew by since they were seen last.
class Growth {
 public:
  // Per second; 0 for one that is new or began anew, and when no time went by.
  double rate(const std::string& name, double value, std::int64_t steady_ms) {
    const auto [it, fresh] = seen_.try_emplace(name, Seen{value, steady_ms});
    const Seen before = it->second;
    it->second = {value, steady_ms};
    if (fresh || value < before.value || steady_ms <= before.at_ms) return 0;
    return (value - before.value) * 1000 / static_cast<double>(steady_ms - before.at_ms);
  }

 private:
  struct Seen {
    double value;
    std::int64_t at_ms;
  };
  std::map<std::string, Seen> seen_;
};

}  // namespace weir::metrics
