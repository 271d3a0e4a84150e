// What the tests of the rule engine share: a script as text becomes a chain that one can push events through.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rules/engine.hpp"
#include "rules/program.hpp"

namespace weir {

class ManualTime final : public Clock {
 public:
  SteadyMs steady_ms() const override { return steady; }
  UnixMs unix_ms() const override { return unix_time; }
  SteadyMs steady = 1'000'000;
  UnixMs unix_time = 1'767'225'600'000;
};

class Published final : public RuleOutput {
 public:
  void publish(std::string channel, Draft draft) override { events.emplace_back(std::move(channel), std::move(draft)); }
  std::vector<std::pair<std::string, Draft>> events;
};

inline Result<std::shared_ptr<const RuleProgram>> load_rule(const std::string& text, RuleSettings settings = {},
                                                            const Limits& limits = {}) {
  if (settings.script.empty()) settings.script = "test.lua";
  return RuleProgram::from_text(std::move(settings), text, limits);
}

// The error of a script that must not load.
inline std::string load_error(const std::string& text, RuleSettings settings = {}) {
  const auto loaded = load_rule(text, std::move(settings));
  return loaded ? "loaded" : loaded.error().message;
}

// One channel with the given scripts as its rules.
struct Bench {
  explicit Bench(const std::vector<std::string>& scripts, RuleSettings settings = {}, Limits limits_wanted = {})
      : limits(limits_wanted) {
    std::vector<std::shared_ptr<const RuleProgram>> programs;
    std::vector<std::size_t> order;
    for (const auto& text : scripts) {
      auto loaded = load_rule(text, settings, limits);
      if (!loaded)
        ADD_FAILURE() << loaded.error().message;
      else
        programs.push_back(*loaded), order.push_back(order.size());
    }
    engine = std::make_unique<RuleEngine>(std::move(programs), output, clock, limits);
    chain = engine->open(order, "agents/7", {{"id", "7"}});
  }
  explicit Bench(const std::string& script, RuleSettings settings = {}, Limits limits_wanted = {})
      : Bench(std::vector<std::string>{script}, std::move(settings), limits_wanted) {}

  RuleVerdict run(std::string data, std::string event = "line") {
    draft = {};
    draft.event = std::move(event);
    draft.data = std::move(data);
    more.clear();
    return chain->run(draft, more);
  }
  // The data after the rules, or why there is none.
  std::string data(std::string text) {
    const auto verdict = run(std::move(text));
    return verdict.keep ? draft.data : "dropped: " + verdict.reason;
  }

  Limits limits;
  ManualTime clock;
  Published output;
  std::unique_ptr<RuleEngine> engine;
  std::unique_ptr<RuleChain> chain;
  Draft draft;
  std::vector<Draft> more;
};

// A rule whose transform has this body.
inline std::string transform(const std::string& body) {
  return "return { transform = function(ev, ctx) " + body + " end }";
}
inline std::string filter(const std::string& body) { return "return { filter = function(ev, ctx) " + body + " end }"; }

}  // namespace weir
