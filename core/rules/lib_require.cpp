// `require`: another script of the manifest's folders, run once in each Lua state, under the same budgets.
#include <lua.hpp>

#include "rules/modules.hpp"
#include "rules/state.hpp"

namespace weir::rules {
namespace {

constexpr const char* kLoaded = "weir.modules";

struct Text {
  const Module* module;
  bool given;
};
const char* read_text(lua_State*, void* data, std::size_t* size) {
  auto& text = *static_cast<Text*>(data);
  if (text.given) return nullptr;
  text.given = true;
  *size = text.module->text.size();
  return text.module->text.data();
}

// The function on top of the stack counts by the counter of the script that the state runs, not by one of its own.
void share_counter(lua_State* L, const State& s) {
  const int function = lua_gettop(L);
  for (int n = 1;; ++n) {
    const char* name = lua_getupvalue(L, function, n);
    if (name == nullptr) return;
    const std::string_view upvalue = name;
    lua_pop(L, 1);
    if (upvalue == "__weir_g") {
      lua_rawgeti(L, LUA_REGISTRYINDEX, s.gas_reference);
      lua_upvaluejoin(L, function, n, lua_gettop(L), 1);
      lua_pop(L, 1);
    } else if (upvalue == "__weir_t") {
      lua_pushcfunction(L, trip);
      lua_setupvalue(L, function, n);
    }
  }
}

int require(lua_State* L) {
  auto& s = state_of(L);
  std::size_t size = 0;
  const char* name = luaL_checklstring(L, 1, &size);
  lua_settop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, kLoaded);
  lua_pushvalue(L, 1);
  lua_rawget(L, 2);
  if (lua_touserdata(L, 3) == &s) luaL_error(L, "require: '%s' requires itself", lua_tostring(L, 1));
  if (!lua_isnil(L, 3)) return 1;
  lua_settop(L, 2);
  const Module* module = s.modules == nullptr ? nullptr : s.modules->find({name, size}, s.text2);
  if (module == nullptr) luaL_error(L, "require: %s", s.text2.c_str());
  charge(s, 10 + static_cast<std::int64_t>(module->text.size() / 64));
  lua_pushvalue(L, 1);
  lua_pushlightuserdata(L, &s);  // under way
  lua_rawset(L, 2);
  Text text{module, false};
  lua_pushfstring(L, "@%s.lua", lua_tostring(L, 1));
  if (lua_loadx(L, read_text, &text, lua_tostring(L, -1), "t") != 0) return lua_error(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "weir.environment");
  lua_setfenv(L, -2);
  lua_call(L, 0, 1);
  share_counter(L, s);
  lua_call(L, 0, 1);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
  }
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawset(L, 2);
  return 1;
}

}  // namespace

void open_require(lua_State* L) {
  lua_newtable(L);
  lua_setfield(L, LUA_REGISTRYINDEX, kLoaded);
  lua_pushcfunction(L, require);
  lua_setfield(L, -2, "require");
}

}  // namespace weir::rules
