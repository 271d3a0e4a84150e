#include "rules/program.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "rules/event_json.hpp"
#include "rules/instance.hpp"
#include "rules/instrument.hpp"
#include "rules/params.hpp"

namespace weir {
namespace {

using rules::Outcome;
using Json = nlohmann::json;

// The world of self-tests: time stands still, nothing leaves.
class TestHost final : public rules::Host {
 public:
  UnixMs now() override { return 1'767'225'600'000; }  // 2026-01-01T00:00:00Z
  void log(log::Level, std::string_view) override {}
  Kv& kv() override { return kv_; }
  SteadyMs steady_ms() override { return 1000; }
  const char* publish(std::string_view, std::string_view, std::string_view) override { return nullptr; }
  bool metric(std::string_view, double) override { return true; }

 private:
  Kv kv_{1024 * 1024};
};

rules::InstanceSettings rules_settings(const RuleSettings& settings, const Limits& limits) {
  rules::InstanceSettings out;
  out.script = settings.script;
  out.budget = {settings.ops.value_or(limits.rule_ops), settings.time_ms.value_or(limits.rule_ms),
                settings.bytes.value_or(limits.rule_bytes)};
  out.load_ms = limits.rule_load_ms;
  out.data_bytes_max = static_cast<std::size_t>(limits.data_bytes);
  out.jit = settings.jit;
  return out;
}

std::vector<std::string> folders_of(const RuleSettings& settings) {
  if (!settings.folders.empty() || settings.path.empty()) return settings.folders;
  const auto folder = std::filesystem::absolute(settings.path).parent_path();
  return {folder.string(), folder.parent_path().string()};
}

// The events of a test go into the state, one after the other; then it is asked for.
std::string run_state_test(rules::Instance& instance, rules::ChannelContext& context, const Json& test) {
  const Json& events = test["reduce"];
  if (!events.is_array() && !events.empty()) return "(reduce) needs a list of events";
  SequenceId place = 0;
  for (const Json& one : events) {
    auto draft = rules::draft_from_json(one);
    if (!draft) return "(reduce) event " + std::to_string(place + 1) + ": " + draft.error().message;
    const EventPtr event = Event::make(context.channel, "test", ++place, *draft);
    if (auto taken = instance.reduce(*event, context); !taken)
      return "(reduce) event " + std::to_string(place) + ": " + taken.error().message;
  }
  const auto got = instance.snapshot(test.contains("ask") ? test["ask"].dump() : "{}", context);
  if (!got) return "(snapshot): " + got.error().message;
  return test.contains("expect") ? rules::value_differs("snapshot", test["expect"], *got) : "";
}

// What is wrong with one entry of rule.tests; empty: it holds.
std::string run_test(rules::Instance& instance, const RuleSettings& settings, const std::string& declared,
                     const Json& test) {
  if (!test.is_object()) return "is no table";
  for (const auto& [key, unused] : test.items())
    if (key != "filter" && key != "transform" && key != "reduce" && key != "ask" && key != "expect" &&
        key != "reason" && key != "params" && key != "channel" && key != "name")
      return "has the unknown key `" + key +
             "`; there are filter, transform, reduce, ask, expect, reason, params, channel and name";
  const bool filter = test.contains("filter"), state = test.contains("reduce");
  if (filter + test.contains("transform") + state != 1)
    return "needs one of `filter` and `transform` with an event, and `reduce` with a list of events";
  const char* hook = filter ? "filter" : state ? "reduce" : "transform";
  const rules::Description& has = instance.description();
  if (filter ? !has(rules::Hook::filter) : state ? !has.has_state() : !has(rules::Hook::transform))
    return std::string("is for `") + hook + "`, which the rule has not";
  auto params = rules::check_params(settings.script, declared, test.contains("params") ? test["params"].dump() : "{}");
  if (!params) return params.error().message;
  if (auto set = instance.set_params(*params); !set) return set.error().message;
  if (auto checked = instance.check_params(); !checked) return checked.error().message;
  rules::ChannelContext context;
  const auto channel = test.value("channel", std::string("test"));
  const Variables none;
  context.channel = channel;
  context.variables = &none;
  if (state) {
    auto problem = run_state_test(instance, context, test);
    instance.forget(context);
    return problem;
  }
  auto draft = rules::draft_from_json(test[hook]);
  if (!draft) return draft.error().message;
  rules::SharedDoc shared;
  std::vector<Draft> more;
  const auto outcome =
      filter ? instance.filter(*draft, shared, context) : instance.transform(*draft, shared, context, more);
  instance.forget(context);
  if (outcome == Outcome::failed) return "(" + std::string(hook) + "): " + instance.reason();
  std::vector<const Draft*> got;
  if (outcome == Outcome::keep) {
    got.push_back(&*draft);
    for (const auto& one : more) got.push_back(&one);
  }
  if (const auto text = rules::differences(test.contains("expect") ? test["expect"] : Json(), got, instance.reason());
      !text.empty())
    return "(" + std::string(hook) + "): " + text;
  if (test.contains("reason") && test["reason"] != instance.reason())
    return "(" + std::string(hook) + "): expected the reason " + test["reason"].dump() + ", is \"" + instance.reason() +
           "\"";
  return {};
}

}  // namespace

Result<std::shared_ptr<const RuleProgram>> RuleProgram::load(RuleSettings settings, const Limits& limits) {
  std::ifstream file(settings.path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    return fail(Errc::bad_request,
                settings.script + ": can't read " + settings.path + "; give the path of a Lua file that is not empty");
  return from_text(std::move(settings), text.str(), limits);
}

Result<std::shared_ptr<const RuleProgram>> RuleProgram::from_text(RuleSettings settings, std::string_view text,
                                                                  const Limits& limits) {
  std::shared_ptr<RuleProgram> made(new RuleProgram);
  auto instrumented = rules::instrument(settings.script, text);
  if (!instrumented) return instrumented.error();
  made->instrumented_ = std::move(*instrumented);
  TestHost host;
  made->instance_ = rules_settings(settings, limits);
  rules::ModuleFolders modules(folders_of(settings));
  auto instance = rules::Instance::load(made->instance_, made->instrumented_, host, modules);
  if (!instance) return instance.error();
  const auto& description = (*instance)->description();
  made->hooks_ = description.hooks;
  made->version_ = description.version;
  made->declared_ = description.params;
  auto params = rules::check_params(settings.script, description.params, settings.params_json);
  if (!params) return params.error();
  made->params_ = made->instance_.params_json = std::move(*params);
  if (auto set = (*instance)->set_params(made->params_); !set) return set.error();
  if (auto checked = (*instance)->check_params(); !checked) return checked.error();
  if (!description.tests.empty()) {
    const auto tests = Json::parse(description.tests, nullptr, false);
    if (!tests.is_array() && !tests.empty())
      return fail(Errc::bad_request, settings.script + ": rule.tests must be a list of tests");
    for (const auto& test : tests) {
      ++made->tests_run_;
      const auto problem = run_test(**instance, settings, description.params, test);
      if (problem.empty()) continue;
      const auto name = test.is_object() && test.contains("name") ? " " + test["name"].dump() : "";
      return fail(Errc::bad_request,
                  settings.script + ": test " + std::to_string(made->tests_run_) + name + " " + problem);
    }
  }
  instance->reset();  // it refers to the modules
  made->modules_ = modules.take();
  if (!settings.path.empty()) made->files_.push_back(settings.path);
  for (const auto& [name, module] : made->modules_) made->files_.push_back(module.file);
  made->settings_ = std::move(settings);
  return std::shared_ptr<const RuleProgram>(std::move(made));
}

bool RuleProgram::same_as(const RuleProgram& other) const {
  return instance_ == other.instance_ && settings_.on_error == other.settings_.on_error &&
         settings_.every_ms == other.settings_.every_ms && instrumented_ == other.instrumented_ &&
         modules_ == other.modules_;
}

}  // namespace weir
