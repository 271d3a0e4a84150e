#include "rules/instance.hpp"

#include <algorithm>
#include <lua.hpp>

#include "rules/hooks.hpp"
#include "rules/values.hpp"

namespace weir::rules {
namespace {

struct Describe {
  State* s;
  Description* description;
  int table;
  std::array<int, kHooks>* hooks;
  std::array<int, kHooks>* runners;
};

constexpr const char* kHookList =
    "filter, transform, initial, reduce, snapshot, migrate, on_subscribe, on_publish, on_request, on_timer and on_stop";

void take_hook(lua_State* L, Describe& d, Hook hook) {
  const char* name = kHookNames[index(hook)];
  lua_getfield(L, d.table, name);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  if (!lua_isfunction(L, -1))
    luaL_error(L, "%s: `%s` must be a function, not a %s", d.s->script.c_str(), name, luaL_typename(L, -1));
  (*d.hooks)[index(hook)] = luaL_ref(L, LUA_REGISTRYINDEX);
  d.description->hooks |= 1U << index(hook);
  if (const LuaFunction run = runner(hook)) {
    lua_pushcfunction(L, run);
    (*d.runners)[index(hook)] = luaL_ref(L, LUA_REGISTRYINDEX);
  }
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
  for (const char* hook : kHookNames) {
    if (name == hook) return nullptr;
  }
  for (const char* hook : kHookNames) {
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

// What one hook needs of others to be of any use.
void check_together(lua_State* L, const State& s, const Description& has) {
  const char* script = s.script.c_str();
  if ((has.hooks & ~(1U << index(Hook::check))) == 0)
    luaL_error(L, "%s: the returned table has no hook; there are %s", script, kHookList);
  for (const Hook hook : {Hook::initial, Hook::migrate})
    if (has(hook) && !has.has_state())
      luaL_error(L, "%s: `%s` without `reduce` or `snapshot` does nothing", script, kHookNames[index(hook)]);
  if (has(Hook::migrate) && has.version.empty())
    luaL_error(L, "%s: `migrate` without `version` does nothing; say which version of its state this script makes",
               script);
}

void take_version(lua_State* L, State& s, int table, std::string& out) {
  lua_getfield(L, table, "version");
  const int type = lua_type(L, -1);
  if (type != LUA_TNIL && type != LUA_TNUMBER && type != LUA_TSTRING)
    luaL_error(L, "%s: `version` must be a number or a string, not a %s", s.script.c_str(), lua_typename(L, type));
  if (type != LUA_TNIL) {
    s.out.clear();
    Writer(s, s.out, "version").write(lua_gettop(L));
    out = s.out;
  }
  lua_pop(L, 1);
}

int describe(lua_State* L) {
  auto& d = *static_cast<Describe*>(lua_touserdata(L, 1));
  auto& s = *d.s;
  lua_rawgeti(L, LUA_REGISTRYINDEX, d.table);
  d.table = lua_gettop(L);
  if (!lua_istable(L, d.table))
    luaL_error(L, "%s: the script must return a table with hooks, not a %s; there are %s", s.script.c_str(),
               luaL_typename(L, d.table), kHookList);
  for (std::size_t i = 0; i < kHooks; ++i) take_hook(L, d, static_cast<Hook>(i));
  lua_pushnil(L);
  while (lua_next(L, d.table) != 0) {
    if (lua_isfunction(L, -1) && lua_type(L, -2) == LUA_TSTRING) {
      const char* name = lua_tostring(L, -2);
      if (const char* meant = mistyped(name))
        luaL_error(L, "%s: unknown hook `%s`; did you mean `%s`?", s.script.c_str(), name, meant);
    }
    lua_pop(L, 1);
  }
  take_version(L, s, d.table, d.description->version);
  check_together(L, s, *d.description);
  take_json(L, s, d.table, "params", d.description->params);
  take_json(L, s, d.table, "tests", d.description->tests);
  return 0;
}

// A function that can store its own reference.
struct TakeFunction {
  LuaFunction function;
  int* reference;
};
int take_function(lua_State* L) {
  const auto& take = *static_cast<TakeFunction*>(lua_touserdata(L, 1));
  lua_pushcfunction(L, take.function);
  *take.reference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

}  // namespace

Result<void> Instance::describe_table(int table) {
  auto& s = state_;
  Describe d{&s, &description_, table, &hooks_, &runners_};
  TakeFunction save{rules::save_state, &save_}, adopt{rules::adopt_state, &adopt_};
  s.meter.start(load_ops_, load_ms_);  // the table may have a metatable that does things
  bool described = lua_cpcall(s.L, describe, &d) == 0;
  if (described && description_.has_state()) {
    described = lua_cpcall(s.L, take_function, &save) == 0 && lua_cpcall(s.L, take_function, &adopt) == 0;
    if (described && !description_(Hook::snapshot)) {
      TakeFunction whole{runner(Hook::snapshot), &runners_[index(Hook::snapshot)]};  // the state as it is
      described = lua_cpcall(s.L, take_function, &whole) == 0;
    }
  }
  s.meter.finish(0);
  if (!described) {
    std::string message = lua_isstring(s.L, -1) != 0 ? lua_tostring(s.L, -1) : "not enough memory";
    if (s.meter.tripped() != Trip::none) message = "budget exceeded while the returned table was read";
    if (message.compare(0, s.script.size(), s.script) != 0) message.insert(0, s.script + ": ");
    return fail(Errc::bad_request, json::to_utf8(message));
  }
  s.initial_reference = hooks_[index(Hook::initial)];
  s.migrate_reference = hooks_[index(Hook::migrate)];
  s.version = description_.version;
  return {};
}

}  // namespace weir::rules
