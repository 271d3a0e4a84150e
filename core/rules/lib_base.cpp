// The plain functions of the script's world: what of the stock library is harmless, and guards on its globals.
#include <lua.hpp>

#include <string_view>

#include "rules/lazy.hpp"
#include "rules/state.hpp"

namespace weir::rules {
namespace {

constexpr const char* kTaken[] = {"assert",   "error", "ipairs", "pcall",    "xpcall",       "select",
                                  "tostring", "type",  "unpack", "rawequal", "setmetatable", "getmetatable"};

// What people look for, and what to use in its place.
struct Missing {
  std::string_view name;
  const char* instead;
};
constexpr Missing kMissing[] = {
    {"print", "use hub.log(message)"},
    {"os", "hub.now() has the time"},
    {"io", "rules can't reach files"},
    {"dofile", "a rule is one file"},
    {"loadfile", "a rule is one file"},
    {"load", "rules can't make code"},
    {"loadstring", "rules can't make code"},
    {"coroutine", "a rule is called once per event"},
    {"debug", "use hub.log(message)"},
    {"ffi", "rules can't reach C"},
    {"jit", "set jit = true for the rule in the manifest"},
    {"package", "a rule is one file"},
    {"collectgarbage", "memory is looked after"},
    {"getfenv", "environments are fixed"},
    {"setfenv", "environments are fixed"},
    {"newproxy", "use tables"},
    {"module", "a rule is one file"},
};

// A long text of digits takes its time; a number has no more than this.
int bounded_tonumber(lua_State* L) {
  if (lua_type(L, 1) == LUA_TSTRING && lua_objlen(L, 1) > 1024) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

int undeclared_write(lua_State* L) {
  const char* name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
  return luaL_error(L,
                    lua_isfunction(L, 3) ? "assignment to the undeclared global '%s'; write `local function %s`"
                                         : "assignment to the undeclared global '%s'; write `local %s` before",
                    name, name);
}

int undeclared_read(lua_State* L) {
  if (lua_type(L, 2) == LUA_TSTRING) {
    const std::string_view name = lua_tostring(L, 2);
    for (const auto& missing : kMissing)
      if (missing.name == name)
        return luaL_error(L, "'%s' does not exist in rules; %s", missing.name.data(), missing.instead);
  }
  lua_pushnil(L);
  return 1;
}

void lock_metatable(lua_State* L) {
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
}

// Copies the stock library `name` without the functions in `leave_out`.
void copy_library(lua_State* L, const char* name, std::string_view leave_out) {
  lua_newtable(L);
  lua_getglobal(L, name);
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    if (lua_type(L, -2) == LUA_TSTRING && lua_tostring(L, -2) != leave_out) {
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, -6);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  lua_setfield(L, -2, name);
}

}  // namespace

void open_base(lua_State* L, State&) {
  for (const char* name : kTaken) {
    lua_getglobal(L, name);
    lua_setfield(L, -2, name);
  }
  lua_getglobal(L, "tonumber");
  lua_pushcclosure(L, bounded_tonumber, 1);
  lua_setfield(L, -2, "tonumber");
  lua_pushcfunction(L, lazy_rawget);
  lua_setfield(L, -2, "rawget");
  lua_pushcfunction(L, lazy_rawset);
  lua_setfield(L, -2, "rawset");
  lua_pushcfunction(L, lazy_next);
  lua_setfield(L, -2, "next");
  lua_pushcfunction(L, lazy_next);
  lua_getglobal(L, "next");
  lua_pushcclosure(L, lazy_pairs, 2);
  lua_setfield(L, -2, "pairs");
  copy_library(L, "math", "randomseed");
  copy_library(L, "bit", "");
}

void guard_globals(lua_State* L) {
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, undeclared_read);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, undeclared_write);
  lua_setfield(L, -2, "__newindex");
  lock_metatable(L);
  lua_setmetatable(L, -2);
}

}  // namespace weir::rules
