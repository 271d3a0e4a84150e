#include "rules/instance.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <lua.hpp>

#include "rules/lazy.hpp"
#include "rules/values.hpp"

namespace weir::rules {
namespace {

constexpr int kManyMax = 16;
constexpr const char* kHooks[] = {"filter",   "transform",  "initial",    "reduce",
                                  "snapshot", "on_publish", "on_request", "on_timer"};
constexpr const char* kHookList = "filter, transform, initial, reduce, snapshot, on_publish, on_request and on_timer";
constexpr std::size_t kProblemsMax = 32;  // of one check(); more of them help nobody
constexpr const char* kLaterHooks[] = {"migrate", "on_subscribe"};

// --- What a transform returned -------------------------------------------------------------------------------------

std::string_view text_field(lua_State* L, const char* name, int index) {
  if (lua_type(L, index) != LUA_TSTRING)
    luaL_error(L, "ev.%s must be a string, not a %s", name, luaL_typename(L, index));
  std::size_t size = 0;
  const char* text = lua_tolstring(L, index, &size);
  if (size > 255) luaL_error(L, "ev.%s has %d bytes; at most 255", name, static_cast<int>(size));
  if (!json::valid_utf8({text, size})) luaL_error(L, "ev.%s is not UTF-8", name);
  return {text, size};
}

// Takes the value on top of the stack away and puts it into the field. Nil clears it.
void take_field(lua_State* L, Draft& out, Field field) {
  switch (field) {
    case Field::event: {
      const auto text = text_field(L, "event", -1);
      if (text.empty()) luaL_error(L, "ev.event must not be empty");
      out.event = text;
      break;
    }
    case Field::id:
      lua_isnil(L, -1) ? out.id.clear() : void(out.id = text_field(L, "id", -1));
      break;
    case Field::key:
      lua_isnil(L, -1) ? out.key.clear() : void(out.key = text_field(L, "key", -1));
      break;
    case Field::time: {
      const double time = lua_isnil(L, -1) ? 0 : lua_tonumber(L, -1);
      if ((!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TNUMBER) || !(time >= 0 && time < 1e15))
        luaL_error(L, "ev.time must be milliseconds since 1970");
      out.time_ms = static_cast<UnixMs>(time);
      break;
    }
    default:
      break;
  }
  lua_pop(L, 1);
}

// The event table at `index` as the rule left it, onto `out`, a copy of the event as it came in.
void take_event(lua_State* L, State& s, int index, Draft& out) {
  check_event(L, s, index);
  const auto raw = [&](const char* name) {
    lua_pushstring(L, name);
    lua_rawget(L, index);
  };
  const auto touched = [&](Field field) { return (s.event_flags & field_bit(field)) != 0; };
  for (const auto& [field, name] :
       {std::pair{Field::event, "event"}, {Field::id, "id"}, {Field::key, "key"}, {Field::time, "time"}}) {
    if (!touched(field)) continue;
    raw(name);
    // A time that was not given and only read stays not given.
    if (field == Field::time && s.draft->time_ms == 0 &&
        lua_tonumber(L, -1) == static_cast<lua_Number>(s.host->now())) {
      lua_pop(L, 1);
      continue;
    }
    take_field(L, out, field);
  }
  if (touched(Field::data)) {
    raw("data");
    Writer writer(s, s.out, "data");
    if (s.data_open) {
      s.data_changed = writer.write_event_data(lua_gettop(L));
    } else {
      writer.write(lua_gettop(L));
      s.data_changed = true;
    }
    if (s.data_changed) out.data.swap(s.out);
    lua_pop(L, 1);
  }
}

// A table that the rule made: {event=, data=, key=, id=, time=}; what is missing is as in the event that came in.
void take_table(lua_State* L, State& s, int index, Draft& out, bool keeps_id) {
  if (!keeps_id) out.id.clear();
  bool data = false;
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    const bool named = lua_type(L, -2) == LUA_TSTRING;
    const std::string_view name = named ? lua_tostring(L, -2) : "";
    if (name == "event") {
      take_field(L, out, Field::event);
    } else if (name == "id") {
      take_field(L, out, Field::id);
    } else if (name == "key") {
      take_field(L, out, Field::key);
    } else if (name == "time") {
      take_field(L, out, Field::time);
    } else if (name == "data") {
      Writer(s, s.out, "data").write(lua_gettop(L));
      out.data.swap(s.out);
      data = s.data_changed = true;
      lua_pop(L, 1);
    } else if (name == "channel" || name == "source") {
      lua_pop(L, 1);  // as a copy of the event has them; they can't be changed
    } else {
      luaL_error(L, "the returned event has an unknown field '%s'; it may have event, data, id, key and time",
                 named ? lua_tostring(L, -2) : luaL_typename(L, -2));
    }
  }
  if (!data) luaL_error(L, "the returned event has no data; return {event = ..., data = {...}}");
}

void take_reason(lua_State* L, State& s, int index) {
  s.reason.clear();
  if (lua_type(L, index) != LUA_TSTRING) return;
  std::size_t size = 0;
  const char* text = lua_tolstring(L, index, &size);
  s.reason.assign(text, std::min<std::size_t>(size, 200));
  if (!json::valid_utf8(s.reason)) s.reason = json::to_utf8(s.reason);
}

// The event as it came in but for its data, which is copied only when it changes.
void copy_head(Draft& to, const Draft& from) {
  to.event = from.event;
  to.id = from.id;
  to.key = from.key;
  to.time_ms = from.time_ms;
}

void take_any(lua_State* L, State& s, int index, Draft& out, bool keeps_id) {
  s.data_changed = false;
  if (table_kind(L, s, index) == TableKind::event)
    take_event(L, s, index, out);
  else
    take_table(L, s, index, out, keeps_id);
}

// --- The functions that State::call runs: everything that may fail happens inside of them ---------------------------

int run_filter(lua_State* L) {
  auto& s = state_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.hook_reference);
  push_event(L, s);
  push_context(L, s);
  lua_call(L, 2, 2);
  s.kept = lua_toboolean(L, -2) != 0;
  if (!s.kept) take_reason(L, s, lua_gettop(L));
  return 0;
}

int run_transform(lua_State* L) {
  auto& s = state_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.hook_reference);
  push_event(L, s);
  push_context(L, s);
  lua_call(L, 2, 2);
  const int result = lua_gettop(L) - 1;
  s.results.clear();
  s.kept = lua_toboolean(L, result) != 0;
  if (!s.kept) {
    take_reason(L, s, result + 1);
    return 0;
  }
  if (!lua_istable(L, result))
    return luaL_error(L, "transform returned a %s; return the event, a table, hub.many{...} or nil",
                      luaL_typename(L, result));
  const auto kind = table_kind(L, s, result);
  if (kind == TableKind::object || kind == TableKind::array)
    return luaL_error(L, "transform returned a part of the event; return ev or {event = ..., data = ...}");
  if (kind == TableKind::event) check_event(L, s, result);
  if (kind == TableKind::event && s.event_flags == 0) return 0;  // nothing was even looked at
  s.in_place = kind != TableKind::many;
  if (s.in_place) {
    copy_head(s.patch, *s.draft);
    take_any(L, s, result, s.patch, true);
    s.patched = true;
    return 0;
  }
  const auto count = static_cast<int>(lua_objlen(L, result));
  if (count > kManyMax) return luaL_error(L, "hub.many: %d events; at most %d", count, kManyMax);
  for (int i = 1; i <= count; ++i) {
    lua_rawgeti(L, result, i);
    if (!lua_istable(L, -1)) return luaL_error(L, "hub.many: entry %d is a %s, not an event", i, luaL_typename(L, -1));
    s.results.push_back(*s.draft);
    auto& out = s.results.back();
    if (i != 1) {
      out.dedupe.clear();
      out.id.clear();  // an id is given once; a table may bring its own
    }
    take_any(L, s, lua_gettop(L), out, false);
    if (i != 1 && out.id == s.draft->id) out.id.clear();
    lua_pop(L, 1);
  }
  s.kept = count != 0;
  return 0;
}

// Calls check(params): nothing, one text, or a list of texts, each of them a mistake.
int run_check(lua_State* L) {
  auto& s = state_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.hook_reference);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.params_reference);
  lua_call(L, 1, 1);
  const int said = lua_gettop(L);
  if (lua_isnil(L, said)) return 0;
  if (lua_type(L, said) == LUA_TSTRING) {
    s.problems.emplace_back(lua_tostring(L, said));
    return 0;
  }
  if (!lua_istable(L, said))
    return luaL_error(L, "check returned a %s; return nothing, a text, or a list of texts", luaL_typename(L, said));
  const auto count = static_cast<int>(std::min<std::size_t>(lua_objlen(L, said), kProblemsMax));
  for (int i = 1; i <= count; ++i) {
    lua_rawgeti(L, said, i);
    if (lua_type(L, -1) != LUA_TSTRING)
      return luaL_error(L, "check returned a list with a %s in it; each entry is a text", luaL_typename(L, -1));
    s.problems.emplace_back(lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  return 0;
}

// --- The channel's state ---------------------------------------------------------------------------------------------

// Pushes the channel's state, which `initial` makes when it is needed first.
void push_state(lua_State* L, State& s) {
  auto& context = *s.context;
  push_context(L, s);  // before the state is looked for: it says of which incarnation both are
  if (context.state_reference >= 0) {
    lua_pop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, context.state_reference);
    return;
  }
  if (s.initial_reference >= 0) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, s.initial_reference);
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1)) luaL_error(L, "initial returned nothing; return the state to begin with");
  } else {
    lua_pop(L, 1);
    lua_newtable(L);
  }
  lua_pushvalue(L, -1);
  context.state_reference = luaL_ref(L, LUA_REGISTRYINDEX);
}

// The event as plain values: what a state keeps of it must outlive the call.
void push_plain_event(lua_State* L, State& s, const Event& event) {
  const auto text = [&](const char* name, std::string_view value) {
    if (value.empty()) return;
    lua_pushlstring(L, value.data(), value.size());
    lua_setfield(L, -2, name);
  };
  lua_createtable(L, 0, 7);
  text("event", event.name());
  text("id", event.id());
  text("key", event.key());
  text("channel", event.channel());
  lua_pushnumber(L, static_cast<lua_Number>(event.time_ms()));
  lua_setfield(L, -2, "time");
  lua_pushnumber(L, static_cast<lua_Number>(event.sequence_id()));
  lua_setfield(L, -2, "sequence_id");
  charge(s, static_cast<std::int64_t>(event.data().size() / 1024));
  if (!s.decode_doc.parse(event.data())) luaL_error(L, "the event's data is not JSON");
  push_json(L, s, s.decode_doc.root(), false);
  lua_setfield(L, -2, "data");
}

int run_reduce(lua_State* L) {
  auto& s = state_of(L);
  push_state(L, s);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.hook_reference);
  lua_insert(L, -2);
  push_plain_event(L, s, *s.event);
  push_context(L, s);
  lua_call(L, 3, 1);
  if (lua_isnil(L, -1)) return luaL_error(L, "reduce returned nothing; return the state");
  lua_rawseti(L, LUA_REGISTRYINDEX, s.context->state_reference);
  return 0;
}

int run_snapshot(lua_State* L) {
  auto& s = state_of(L);
  push_state(L, s);
  if (s.hook_reference >= 0) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, s.hook_reference);
    lua_insert(L, -2);
    if (!s.decode_doc.parse(s.ask)) luaL_error(L, "the params are not JSON");
    push_json(L, s, s.decode_doc.root(), false);
    push_context(L, s);
    lua_call(L, 3, 1);
    if (lua_isnil(L, -1)) return luaL_error(L, "snapshot returned nothing; return what subscribers get");
  }
  Writer(s, s.out, "snapshot").write(lua_gettop(L));
  return 0;
}

// --- Clients and time ------------------------------------------------------------------------------------------------

void push_identity(lua_State* L, State& s) {
  const Identity& who = *s.identity;
  lua_createtable(L, 0, 4);
  const auto text = [&](const char* name, std::string_view value) {
    if (value.empty()) return;
    lua_pushlstring(L, value.data(), value.size());
    lua_setfield(L, -2, name);
  };
  text("subject", who.subject);
  text("provider", who.provider);
  lua_createtable(L, static_cast<int>(who.scopes.size()), 0);
  int place = 0;
  for (const std::string& scope : who.scopes) {
    lua_pushlstring(L, scope.data(), scope.size());
    lua_rawseti(L, -2, ++place);
  }
  lua_setfield(L, -2, "scopes");
  if (!s.decode_doc.parse(who.attributes_json)) luaL_error(L, "the identity's attributes are not JSON");
  push_json(L, s, s.decode_doc.root(), false);
  lua_setfield(L, -2, "attributes");
}

int run_on_publish(lua_State* L) {
  auto& s = state_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.hook_reference);
  push_identity(L, s);
  push_event(L, s);
  push_context(L, s);
  lua_call(L, 3, 2);
  s.kept = lua_toboolean(L, -2) != 0;
  if (!s.kept) take_reason(L, s, lua_gettop(L));
  return 0;
}

// What `{code = ..., message = ...}` says.
void take_refusal(lua_State* L, State& s, int index) {
  const auto text = [&](const char* name) -> std::string_view {
    lua_pushstring(L, name);
    lua_rawget(L, index);
    std::size_t size = 0;
    const char* value = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : nullptr;
    lua_pop(L, 1);  // the table keeps it
    return value == nullptr ? std::string_view() : std::string_view(value, size);
  };
  const std::string_view word = text("code"), message = text("message");
  const auto code = from_word(word.empty() ? "bad_request" : word);
  if (!code) luaL_error(L, "on_request returned the code '%s'; docs/protocol.md has those there are", word.data());
  s.text = message.empty() ? sentence(*code) : message.substr(0, 1000);
  s.refusal = Error{*code, json::to_utf8(s.text)};
}

int run_on_request(lua_State* L) {
  auto& s = state_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.hook_reference);
  push_identity(L, s);
  lua_pushlstring(L, s.method.data(), s.method.size());
  if (!s.decode_doc.parse(s.ask)) luaL_error(L, "the params are not JSON");
  push_json(L, s, s.decode_doc.root(), false);
  lua_createtable(L, 0, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.params_reference);
  lua_setfield(L, -2, "params");
  lua_call(L, 4, 2);
  const int error = lua_gettop(L), value = error - 1;
  if (lua_isnil(L, value) && lua_istable(L, error)) {
    take_refusal(L, s, error);
    return 0;
  }
  if (lua_isnil(L, value)) {
    if (!lua_isnil(L, error))
      return luaL_error(L, "on_request returned nil and a %s; an error is nil, {code = ..., message = ...}",
                        luaL_typename(L, error));
    s.out = "null";
    return 0;
  }
  Writer(s, s.out, "result").write(value);
  return 0;
}

int run_on_timer(lua_State* L) {
  auto& s = state_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.hook_reference);
  lua_pushnumber(L, static_cast<lua_Number>(s.host->now()));
  lua_call(L, 1, 0);
  return 0;
}

// --- Loading ---------------------------------------------------------------------------------------------------------

struct Hook {
  const char* name;
  int* reference;
  bool* there;
};
struct Describe {
  State* s;
  Description* description;
  int table;
  std::array<Hook, 9> hooks;
};

void take_hook(lua_State* L, State& s, int table, const char* name, int& reference, bool& there) {
  lua_getfield(L, table, name);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  if (!lua_isfunction(L, -1))
    luaL_error(L, "%s: `%s` must be a function, not a %s", s.script.c_str(), name, luaL_typename(L, -1));
  reference = luaL_ref(L, LUA_REGISTRYINDEX);
  there = true;
}

void take_json(lua_State* L, State& s, int table, const char* name, std::string& out) {
  lua_getfield(L, table, name);
  if (!lua_isnil(L, -1)) {
    if (!lua_istable(L, -1))
      luaL_error(L, "%s: `%s` must be a table, not a %s", s.script.c_str(), name, luaL_typename(L, -1));
    Writer(s, s.out, name).write(lua_gettop(L));
    out = s.out;
  }
  lua_pop(L, 1);
}

// Is `name`, a function that no hook is called, one letter or two away from a hook's name? It is then mistyped.
const char* mistyped(std::string_view name) {
  for (const char* hook : kHooks) {
    const std::string_view right(hook);
    if (name.size() + 2 < right.size() || right.size() + 2 < name.size() || name.size() < 4) continue;
    std::size_t same_front = 0, same_back = 0;
    while (same_front < std::min(name.size(), right.size()) && name[same_front] == right[same_front]) ++same_front;
    while (same_back < std::min(name.size(), right.size()) - same_front &&
           name[name.size() - 1 - same_back] == right[right.size() - 1 - same_back])
      ++same_back;
    if (same_front + same_back + 2 >= std::max(name.size(), right.size())) return hook;
  }
  return nullptr;
}

int describe(lua_State* L) {
  auto& d = *static_cast<Describe*>(lua_touserdata(L, 1));
  auto& s = *d.s;
  lua_rawgeti(L, LUA_REGISTRYINDEX, d.table);
  const int table = lua_gettop(L);
  if (!lua_istable(L, table))
    luaL_error(L, "%s: the script must return a table with hooks, not a %s; there are %s", s.script.c_str(),
               luaL_typename(L, table), kHookList);
  for (const char* hook : kLaterHooks) {
    lua_getfield(L, table, hook);
    if (!lua_isnil(L, -1))
      luaL_error(L, "%s: this version does not run `%s` yet; it runs %s", s.script.c_str(), hook, kHookList);
    lua_pop(L, 1);
  }
  for (const Hook& hook : d.hooks) take_hook(L, s, table, hook.name, *hook.reference, *hook.there);
  lua_pushnil(L);
  while (lua_next(L, table) != 0) {
    if (lua_isfunction(L, -1) && lua_type(L, -2) == LUA_TSTRING) {
      const std::string_view name = lua_tostring(L, -2);
      const bool known = std::find(std::begin(kHooks), std::end(kHooks), name) != std::end(kHooks);
      const char* meant = known ? nullptr : mistyped(name);
      if (meant != nullptr)
        luaL_error(L, "%s: unknown hook `%s`; did you mean `%s`?", s.script.c_str(), name.data(), meant);
    }
    lua_pop(L, 1);
  }
  const Description& has = *d.description;
  if (!has.filter && !has.transform && !has.has_state() && !has.on_publish && !has.on_request && !has.on_timer)
    luaL_error(L, "%s: the returned table has no hook; there are %s", s.script.c_str(), kHookList);
  if (d.description->initial && !d.description->has_state())
    luaL_error(L, "%s: `initial` without `reduce` or `snapshot` does nothing", s.script.c_str());
  take_json(L, s, table, "params", d.description->params);
  take_json(L, s, table, "tests", d.description->tests);
  return 0;
}

struct Runners {
  std::pair<lua_CFunction, int*> list[8];
};
int take_runners(lua_State* L) {
  for (const auto& [function, reference] : static_cast<Runners*>(lua_touserdata(L, 1))->list) {
    lua_pushcfunction(L, function);
    *reference = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  return 0;
}

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
                                                 Host& host) {
  std::unique_ptr<Instance> made(new Instance);
  auto& s = made->state_;
  s.host = &host;
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
  made->rule_table_ = luaL_ref(s.L, LUA_REGISTRYINDEX);
  Description& has = made->description_;
  Describe d{&s,
             &has,
             made->rule_table_,
             {{{"filter", &made->filter_, &has.filter},
               {"transform", &made->transform_, &has.transform},
               {"check", &made->check_, &has.check},
               {"initial", &s.initial_reference, &has.initial},
               {"reduce", &made->reduce_, &has.reduce},
               {"snapshot", &made->snapshot_, &has.snapshot},
               {"on_publish", &made->on_publish_, &has.on_publish},
               {"on_request", &made->on_request_, &has.on_request},
               {"on_timer", &made->on_timer_, &has.on_timer}}}};
  Runners runners{{{run_filter, &made->run_filter_},
                   {run_transform, &made->run_transform_},
                   {run_check, &made->run_check_},
                   {run_reduce, &made->run_reduce_},
                   {run_snapshot, &made->run_snapshot_},
                   {run_on_publish, &made->run_on_publish_},
                   {run_on_request, &made->run_on_request_},
                   {run_on_timer, &made->run_on_timer_}}};
  s.meter.start(load_ops, settings.load_ms);  // the table may have a metatable that does things
  const bool described = lua_cpcall(s.L, describe, &d) == 0 && lua_cpcall(s.L, take_runners, &runners) == 0;
  s.meter.finish(0);
  if (!described) {
    std::string message = lua_isstring(s.L, -1) != 0 ? lua_tostring(s.L, -1) : "not enough memory";
    if (s.meter.tripped() != Trip::none) message = "budget exceeded while the returned table was read";
    if (message.compare(0, settings.script.size(), settings.script) != 0) message.insert(0, settings.script + ": ");
    return fail(Errc::bad_request, json::to_utf8(message));
  }
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
  if (!description_.check) return {};
  auto& s = state_;
  s.hook_reference = check_;
  s.problems.clear();
  if (auto called = s.call(run_check_, load_ops_, load_ms_); !called) return called;
  if (s.problems.empty()) return {};
  std::string message;
  for (const auto& problem : s.problems) message += (message.empty() ? "" : "\n") + s.script + ": " + problem;
  return fail(Errc::bad_request, json::to_utf8(message));
}

Outcome Instance::run(int hook, int runner, const Draft& draft, SharedDoc& shared, ChannelContext& context) {
  auto& s = state_;
  s.draft = &draft;
  s.shared = &shared;
  s.context = &context;
  s.hook_reference = hook;
  s.results.clear();
  s.reason.clear();
  s.patched = s.data_changed = false;
  const auto called = s.call(runner, budget_.ops, budget_.time_ms);
  s.draft = nullptr;
  if (called) return s.kept ? Outcome::keep : Outcome::drop;
  s.reason = called.error().message;
  // An instance that keeps the states of channels is never thrown away: its limit holds, and its errors are told.
  usable_ = s.recover() || description_.has_state();
  return Outcome::failed;
}

Result<void> Instance::run_on_state(int runner, ChannelContext& context) {
  auto& s = state_;
  s.context = &context;
  const auto called = s.call(runner, budget_.ops, budget_.time_ms);
  if (!called) (void)s.recover();
  return called;
}

Result<void> Instance::reduce(const Event& event, ChannelContext& context) {
  if (!description_.reduce) return {};
  state_.hook_reference = reduce_;
  state_.event = &event;
  return run_on_state(run_reduce_, context);
}

Result<std::string> Instance::snapshot(std::string_view params_json, ChannelContext& context) {
  state_.hook_reference = snapshot_;
  state_.ask = params_json;
  if (const auto called = run_on_state(run_snapshot_, context); !called) return called.error();
  return state_.out;
}

Outcome Instance::filter(const Draft& draft, SharedDoc& shared, ChannelContext& context) {
  return run(filter_, run_filter_, draft, shared, context);
}

Outcome Instance::transform(Draft& draft, SharedDoc& shared, ChannelContext& context, std::vector<Draft>& more) {
  const auto outcome = run(transform_, run_transform_, draft, shared, context);
  auto& results = state_.results;
  if (outcome != Outcome::keep) {
  } else if (state_.patched) {
    auto& patch = state_.patch;
    draft.event.swap(patch.event);
    draft.id.swap(patch.id);
    draft.key.swap(patch.key);
    draft.time_ms = patch.time_ms;
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
  return run(on_publish_, run_on_publish_, draft, shared, context);
}

Result<Instance::Answer> Instance::request(const Identity& identity, std::string_view method,
                                           std::string_view params_json) {
  auto& s = state_;
  s.identity = &identity;
  s.method = method;
  s.ask = params_json;
  s.refusal.reset();
  s.hook_reference = on_request_;
  s.without_event = true;
  const auto called = s.call(run_on_request_, budget_.ops, budget_.time_ms);
  s.without_event = false;
  if (!called) {
    usable_ = s.recover() || description_.has_state();
    return called.error();
  }
  if (s.refusal) return Answer{{}, std::move(s.refusal)};
  return Answer{s.out, {}};
}

Result<void> Instance::timer() {
  auto& s = state_;
  s.hook_reference = on_timer_;
  s.without_event = true;
  const auto called = s.call(run_on_timer_, budget_.ops, budget_.time_ms);
  s.without_event = false;
  if (!called) usable_ = s.recover() || description_.has_state();
  return called;
}

void Instance::forget(ChannelContext& context) {
  if (context.incarnation == state_.incarnation)
    for (const int reference : {context.reference, context.state_reference})
      if (reference >= 0) luaL_unref(state_.L, LUA_REGISTRYINDEX, reference);
  context.reference = context.state_reference = -2;
}

}  // namespace weir::rules
