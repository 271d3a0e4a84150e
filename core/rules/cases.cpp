#include "rules/cases.hpp"

#include <fstream>
#include <sstream>

#include "rules/engine.hpp"
#include "rules/event_json.hpp"

namespace weir {
namespace {

using Json = nlohmann::json;

class CollectingOutput final : public RuleOutput {
 public:
  void publish(std::string channel, Draft draft) override {
    events.push_back({{"channel", channel}, {"event", draft.event}, {"data", Json::parse(draft.data, nullptr, false)}});
  }
  Json events = Json::array();
};

// 2026-01-01T00:00:00Z and the pauses that a case asks for, so that it comes out the same each time.
class CaseClock final : public Clock {
 public:
  SteadyMs steady_ms() const override { return 1000 + passed; }
  UnixMs unix_ms() const override { return 1'767'225'600'000 + passed; }
  std::int64_t passed = 0;  // ms
};

std::string unknown_key(const Json& one) {
  for (const auto& [key, unused] : one.items())
    if (key != "name" && key != "params" && key != "event" && key != "events" && key != "channel" && key != "vars" &&
        key != "expect" && key != "reason" && key != "error" && key != "publishes" && key != "pauses" &&
        key != "reasons" && key != "snapshot" && key != "ask" && key != "every")
      return key;
  return {};
}

std::string run_case(RuleSettings settings, const Json& one, const Limits& limits) {
  if (const auto key = unknown_key(one); !key.empty()) return "the case has an unknown key `" + key + "`";
  if (one.contains("event") == one.contains("events")) return "the case needs `event` or `events`";
  const auto error = one.value("error", std::string());
  if (one.contains("params")) settings.params_json = one["params"].dump();
  if (one.contains("every")) settings.every_ms = one["every"].get<std::int64_t>();
  auto program = RuleProgram::load(settings, limits);
  if (!program)
    return !error.empty() && program.error().message.find(error) != std::string::npos ? "" : program.error().message;

  CollectingOutput output;
  CaseClock clock;
  RuleEngine engine({*program}, output, clock, limits);
  Variables variables;
  if (one.contains("vars"))
    for (const auto& [name, value] : one["vars"].items()) variables.emplace_back(name, value.get<std::string>());
  const std::size_t rules[] = {0};
  const auto channel = one.value("channel", std::string("test"));
  auto chain = engine.open(rules, channel, variables);

  const bool several = one.contains("events");
  const Json events = several ? one["events"] : Json::array({one["event"]});
  const Json expect = one.contains("expect") ? one["expect"] : Json();
  const bool state_alone = one.contains("snapshot") && !one.contains("expect");
  if (one.contains("snapshot") && !chain->has_state()) return "`snapshot` is of a rule that keeps no state";
  if (several && !state_alone && (!expect.is_array() || expect.size() != events.size()))
    return "`expect` must be a list with an entry for each of `events`";
  for (const char* list : {"pauses", "reasons"})
    if (one.contains(list) && (!several || !one[list].is_array() || one[list].size() > events.size() + 1))
      return std::string("`") + list + "` must be a list with at most one entry for each of `events` and one behind";
  SequenceId place = 0;
  const auto reduce = [&](Draft draft) {
    if (draft.time_ms == 0) draft.time_ms = clock.unix_ms();
    chain->reduce(*Event::make(channel, "case", ++place, draft));
  };
  const auto pause = [&](std::size_t before) {
    if (!one.contains("pauses") || before >= one["pauses"].size()) return;
    // Timers run as time passes, not all at its end.
    const std::int64_t until = clock.passed + one["pauses"][before].get<std::int64_t>();
    for (auto due = engine.timers(); due && *due <= 1000 + until; due = engine.timers()) clock.passed = *due - 1000;
    clock.passed = until;
  };
  for (std::size_t i = 0; i < events.size(); ++i) {
    pause(i);
    const std::string where = several ? "event " + std::to_string(i + 1) + ": " : "";
    auto draft = rules::draft_from_json(events[i]);
    if (!draft) return where + draft.error().message;
    std::vector<Draft> more;
    const auto verdict = chain->run(*draft, more);
    if (verdict.failed || !error.empty()) {
      if (!error.empty() && verdict.failed && verdict.reason.find(error) != std::string::npos) continue;
      return where +
             (verdict.failed ? verdict.reason : "expected the error \"" + error + "\", but the rule did not fail");
    }
    std::vector<const Draft*> got;
    if (verdict.keep) got.push_back(&*draft);
    for (const auto& event : more) got.push_back(&event);
    if (chain->has_state())
      for (const Draft* event : got) reduce(*event);
    if (state_alone) continue;
    if (const auto text = rules::differences(several ? expect[i] : expect, got, verdict.reason); !text.empty())
      return where + text;
    if (one.contains("reasons") && i < one["reasons"].size() && one["reasons"][i] != verdict.reason)
      return where + "expected the reason " + one["reasons"][i].dump() + ", is \"" + verdict.reason + "\"";
    if (one.contains("reason") && one["reason"] != verdict.reason)
      return where + "expected the reason " + one["reason"].dump() + ", is \"" + verdict.reason + "\"";
  }
  pause(events.size());
  if (one.contains("snapshot")) {
    const auto got = chain->snapshot(one.contains("ask") ? one["ask"].dump() : "{}");
    if (!got) return got.error().message;
    if (auto text = rules::value_differs("snapshot", one["snapshot"], *got); !text.empty()) return text;
  }
  if (one.contains("publishes") && one["publishes"] != output.events)
    return "expected to publish " + one["publishes"].dump() + ", published " + output.events.dump();
  return {};
}

}  // namespace

Result<std::vector<CaseResult>> run_rule_cases(const RuleSettings& settings, std::string_view cases_name,
                                               std::string_view cases_json, const Limits& limits) {
  const auto cases = Json::parse(cases_json, nullptr, false);
  if (!cases.is_array() || cases.empty())
    return fail(Errc::bad_request, std::string(cases_name) + ": expected a JSON array with at least one case");
  std::vector<CaseResult> results;
  for (const auto& one : cases) {
    if (!one.is_object() || !one.contains("name") || !one["name"].is_string())
      return fail(Errc::bad_request, std::string(cases_name) + ": case " + std::to_string(results.size() + 1) +
                                         " is no object with a `name`");
    results.push_back({one["name"].get<std::string>(), {}});
    try {  // a value of an unexpected type inside of a case
      results.back().problem = run_case(settings, one, limits);
    } catch (const Json::exception& e) {
      results.back().problem = e.what();
    }
  }
  return results;
}

Result<std::vector<CaseResult>> run_rule_case_file(const RuleSettings& settings, const Limits& limits) {
  auto path = settings.path;
  if (path.ends_with(".lua")) path.resize(path.size() - 4);
  path += ".cases.json";
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) return fail(Errc::bad_request, settings.script + ": no cases at " + path);
  return run_rule_cases(settings, path, text.str(), limits);
}

}  // namespace weir
