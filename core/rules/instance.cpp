#include "rules/instance.hpp"

#include <atomic>
#include <lua.hpp>
#include <utility>

#include "rules/hooks.hpp"
#include "rules/values.hpp"

namespace weir::rules {
namespace {

struct Params {
  State* s;
};
int make_params(lua_State* L) {
  auto& s = *static_cast<Params*>(lua_touserdata(L, 1))->s;
  push_json(L, s, s.decode_doc.root(), false);
  if (s.params_reference >= 0) luaL_unref(L, LUA_REGISTRYINDEX, s.params_reference);
  s.params_reference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

std::uint64_t next_incarnation() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

Result<std::unique_ptr<Instance>> Instance::load(const InstanceSettings& settings, const std::string& instrumented,
                                                 Host& host, ModuleSource& modules) {
  std::unique_ptr<Instance> made(new Instance);
  auto& s = made->state_;
  s.host = &host;
  s.modules = &modules;
  s.incarnation = next_incarnation();
  s.data_bytes_max = settings.data_bytes_max;
  made->budget_ = settings.budget;
  if (auto opened = s.open(settings.script, settings.budget.bytes, settings.jit); !opened) return opened.error();
  // Loading gets the operations that fit into its time, measured by what a call gets for its own.
  const auto load_ops =
      settings.budget.ops *
      std::max<std::int64_t>(1, settings.load_ms / std::max<std::int64_t>(1, settings.budget.time_ms));
  made->load_ops_ = load_ops;
  made->load_ms_ = settings.load_ms;
  if (auto ran = s.run_top_level(instrumented, load_ops, settings.load_ms); !ran) return ran.error();
  made->hooks_.fill(-2);
  made->runners_.fill(-2);
  if (auto described = made->describe_table(luaL_ref(s.L, LUA_REGISTRYINDEX)); !described) return described.error();
  if (auto set = made->set_params(settings.params_json); !set) return set.error();
  return made;
}

Result<void> Instance::set_params(const std::string& params_json) {
  auto& s = state_;
  if (auto parsed = s.decode_doc.parse(params_json); !parsed)
    return fail(Errc::bad_request, s.script + ": params: " + parsed.error().message);
  // The operator's own params: a rule with a small budget takes them too, whatever loading has left of it.
  s.meter.idle();
  Params params{&s};
  if (lua_cpcall(s.L, make_params, &params) == 0) return {};
  const std::string message = lua_isstring(s.L, -1) != 0 ? lua_tostring(s.L, -1) : "not enough memory";
  lua_settop(s.L, 0);
  return fail(Errc::bad_request, s.script + ": params: " + json::to_utf8(message));
}

Result<void> Instance::check_params() {
  if (!description_(Hook::check)) return {};
  auto& s = state_;
  s.hook_reference = hooks_[index(Hook::check)];
  s.problems.clear();
  if (auto called = s.call(runners_[index(Hook::check)], load_ops_, load_ms_); !called) return called;
  if (s.problems.empty()) return {};
  std::string message;
  for (const auto& problem : s.problems) message += (message.empty() ? "" : "\n") + s.script + ": " + problem;
  return fail(Errc::bad_request, json::to_utf8(message));
}

bool Instance::clean_up() {
  const auto begin = thread_cpu_ns();
  const bool well = state_.recover();
  cleanup_ns_ = thread_cpu_ns() - begin;
  return well;
}

Result<void> Instance::call(Hook hook) {
  state_.hook_reference = hooks_[index(hook)];
  auto called = state_.call(runners_[index(hook)], budget_.ops, budget_.time_ms);
  // An instance that keeps the states of channels is never thrown away: its limit holds, and its errors are told.
  if (!called) usable_ = clean_up() || description_.has_state();
  return called;
}

Result<void> Instance::call_without_event(Hook hook) {
  state_.without_event = true;
  auto called = call(hook);
  state_.without_event = false;
  return called;
}

Outcome Instance::judged(const Result<void>& called) {
  if (called) return state_.kept ? Outcome::keep : Outcome::drop;
  state_.reason = called.error().message;
  return Outcome::failed;
}

Outcome Instance::judge(Hook hook, const Draft& draft, SharedDoc& shared, ChannelContext& context) {
  auto& s = state_;
  s.draft = &draft;
  s.shared = &shared;
  s.context = &context;
  s.results.clear();
  s.reason.clear();
  s.patched = s.data_changed = false;
  const auto called = call(hook);
  s.draft = nullptr;
  return judged(called);
}

Result<void> Instance::call_with_state(Hook hook, ChannelContext& context) {
  state_.context = &context;
  return call(hook);
}

Result<void> Instance::reduce(const Event& event, ChannelContext& context) {
  if (!description_(Hook::reduce)) return {};
  state_.event = &event;
  return call_with_state(Hook::reduce, context);
}

Result<std::string> Instance::snapshot(std::string_view params_json, ChannelContext& context) {
  state_.ask = params_json;
  if (const auto called = call_with_state(Hook::snapshot, context); !called) return called.error();
  return state_.out;
}

Result<std::string> Instance::save_state(ChannelContext& context) {
  state_.context = &context;
  if (auto called = state_.call(save_, load_ops_, load_ms_); !called) {
    (void)clean_up();
    return called.error();
  }
  return state_.out;
}

Result<void> Instance::adopt_state(ChannelContext& context) {
  state_.context = &context;
  auto called = state_.call(adopt_, load_ops_, load_ms_);
  if (!called) (void)clean_up();
  context.carried.reset();
  return called;
}

Outcome Instance::filter(const Draft& draft, SharedDoc& shared, ChannelContext& context) {
  return judge(Hook::filter, draft, shared, context);
}

Outcome Instance::transform(Draft& draft, SharedDoc& shared, ChannelContext& context, std::vector<Draft>& more) {
  const auto outcome = judge(Hook::transform, draft, shared, context);
  auto& results = state_.results;
  if (outcome != Outcome::keep) {
  } else if (state_.patched) {
    auto& patch = state_.patch;
    if (state_.patched_head) {
      draft.event.swap(patch.event);
      draft.id.swap(patch.id);
      draft.key.swap(patch.key);
      draft.time_ms = patch.time_ms;
    }
    if (state_.data_changed && draft.data != patch.data) {
      draft.data.swap(patch.data);
      shared.ready = false;
    }
  } else if (!results.empty()) {
    shared.ready = false;
    draft = std::move(results.front());
    for (std::size_t i = 1; i < results.size(); ++i) more.push_back(std::move(results[i]));
  }
  results.clear();
  return outcome;
}

Outcome Instance::may_publish(const Identity& identity, const Draft& draft, SharedDoc& shared,
                              ChannelContext& context) {
  state_.identity = &identity;
  return judge(Hook::on_publish, draft, shared, context);
}

Outcome Instance::may_subscribe(const Identity& identity, std::string_view params_json, ChannelContext& context,
                                std::string& where) {
  auto& s = state_;
  s.identity = &identity;
  s.ask = params_json;
  s.context = &context;
  s.reason.clear();
  const Outcome outcome = judged(call(Hook::on_subscribe));
  where = outcome == Outcome::keep ? s.text : std::string();
  return outcome;
}

Result<Instance::Answer> Instance::request(const Identity& identity, std::string_view method,
                                           std::string_view params_json) {
  auto& s = state_;
  s.identity = &identity;
  s.method = method;
  s.ask = params_json;
  s.refusal.reset();
  if (const auto called = call_without_event(Hook::on_request); !called) return called.error();
  if (s.refusal) return Answer{{}, std::move(s.refusal)};
  return Answer{s.out, {}};
}

Result<void> Instance::stop() {
  const Budget each = std::exchange(budget_, Budget{load_ops_, load_ms_, budget_.bytes});
  auto stopped = call_without_event(Hook::on_stop);
  budget_ = each;
  return stopped;
}

// The state stays: `ctx` is only made anew, so what says whose incarnation both are must not change.
void Instance::forget_table(ChannelContext& context) {
  if (context.incarnation == state_.incarnation && context.reference >= 0)
    luaL_unref(state_.L, LUA_REGISTRYINDEX, context.reference);
  context.reference = -2;
}

void Instance::forget(ChannelContext& context) {
  if (context.incarnation == state_.incarnation)
    for (const int reference : {context.reference, context.state_reference})
      if (reference >= 0) luaL_unref(state_.L, LUA_REGISTRYINDEX, reference);
  context.reference = context.state_reference = -2;
}

}  // namespace weir::rules
