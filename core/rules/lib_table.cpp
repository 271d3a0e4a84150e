// The `table` table of rules. Own versions where the stock ones can run for ever (positions far outside of the table),
// recurse through C, or trust a comparator that lies.
#include <lua.hpp>

#include "rules/lazy.hpp"
#include "rules/state.hpp"

namespace weir::rules {
namespace {

int length_of(lua_State* L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  const auto kind = table_kind(L, state_of(L), index);
  if (kind == TableKind::object || kind == TableKind::event)
    luaL_error(L, "this is an object of the event, not an array");
  return static_cast<int>(lua_objlen(L, index));
}

int insert(lua_State* L) {
  const int n = length_of(L, 1);
  int place = n + 1;
  const int given = lua_gettop(L);
  if (given == 3) {
    const double wanted = luaL_checknumber(L, 2);
    if (!(wanted >= 1 && wanted <= n + 1)) luaL_error(L, "table.insert: the position must be 1 to %d", n + 1);
    place = static_cast<int>(wanted);
  } else if (given != 2) {
    luaL_error(L, "wrong number of arguments to 'insert'");
  }
  charge(state_of(L), (n - place) / 8);
  for (int i = n; i >= place; --i) {
    lua_rawgeti(L, 1, i);
    lua_rawseti(L, 1, i + 1);
  }
  lua_pushvalue(L, given);
  lua_rawseti(L, 1, place);
  return 0;
}

int remove(lua_State* L) {
  const int n = length_of(L, 1);
  const double wanted = luaL_optnumber(L, 2, n);
  if (n == 0 || !(wanted >= 1 && wanted <= n)) return 0;
  const int place = static_cast<int>(wanted);
  charge(state_of(L), (n - place) / 8);
  lua_rawgeti(L, 1, place);
  for (int i = place; i < n; ++i) {
    lua_rawgeti(L, 1, i + 1);
    lua_rawseti(L, 1, i);
  }
  lua_pushnil(L);
  lua_rawseti(L, 1, n);
  return 1;
}

int concat(lua_State* L) {
  const int n = length_of(L, 1);
  charge(state_of(L), 1 + n / 4);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

// Is the value at `a` smaller than that at `b`? By the comparator at stack place 2, if there is one.
bool less(lua_State* L, int a, int b) {
  if (lua_isnil(L, 2)) return lua_lessthan(L, a, b) != 0;
  lua_pushvalue(L, 2);
  lua_pushvalue(L, a);
  lua_pushvalue(L, b);
  lua_call(L, 2, 1);
  const bool result = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return result;
}

// Moves the element at `at` down to where it belongs in the heap 1..n. Indices never leave 1..n, whatever less() says,
// and between two comparisons the table holds each element once.
void sift(lua_State* L, State& s, int at, int n) {
  while (at * 2 <= n) {
    charge(s, 2);
    int child = at * 2;
    lua_rawgeti(L, 1, child);
    if (child < n) {
      lua_rawgeti(L, 1, child + 1);
      if (less(L, lua_gettop(L) - 1, lua_gettop(L))) {
        ++child;
        lua_remove(L, -2);
      } else {
        lua_pop(L, 1);
      }
    }
    lua_rawgeti(L, 1, at);
    if (!less(L, lua_gettop(L), lua_gettop(L) - 1)) {
      lua_pop(L, 2);
      return;
    }
    lua_rawseti(L, 1, child);
    lua_rawseti(L, 1, at);
    at = child;
  }
}

int sort(lua_State* L) {
  auto& s = state_of(L);
  check_c_stack(L);
  const int n = length_of(L, 1);
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  for (int i = n / 2; i >= 1; --i) sift(L, s, i, n);
  for (int last = n; last > 1; --last) {
    lua_rawgeti(L, 1, 1);
    lua_rawgeti(L, 1, last);
    lua_rawseti(L, 1, 1);
    lua_rawseti(L, 1, last);
    sift(L, s, 1, last - 1);
  }
  return 0;
}

}  // namespace

void open_table(lua_State* L) {
  lua_newtable(L);
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "concat");
  lua_pushcclosure(L, concat, 1);
  lua_setfield(L, -3, "concat");
  lua_pop(L, 1);
  constexpr luaL_Reg kOwn[] = {{"insert", insert}, {"remove", remove}, {"sort", sort}};
  for (const auto& own : kOwn) {
    lua_pushcfunction(L, own.func);
    lua_setfield(L, -2, own.name);
  }
  lua_setfield(L, -2, "table");
}

}  // namespace weir::rules
