// The `hub` table: what a rule can ask of the hub and tell it.
#include <openssl/evp.h>

#include <algorithm>
#include <lua.hpp>

#include "rules/lazy.hpp"
#include "rules/state.hpp"
#include "rules/values.hpp"

namespace weir::rules {
namespace {

constexpr int kManyMax = 16;

std::string_view text_arg(lua_State* L, int index) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, index, &size);
  return {text, size};
}

int now(lua_State* L) {
  lua_pushnumber(L, static_cast<lua_Number>(state_of(L).host->now()));
  return 1;
}

int write_log(lua_State* L) {
  auto& s = state_of(L);
  auto level = log::Level::info;
  int at = 1;
  if (lua_gettop(L) > 1) {
    constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warn", "error"};
    const auto name = text_arg(L, 1);
    const auto* found = std::find(std::begin(kLevels), std::end(kLevels), name);
    if (found == std::end(kLevels))
      luaL_error(L, "hub.log: '%s' is no level; trace, debug, info, warn or error", lua_tostring(L, 1));
    level = static_cast<log::Level>(found - std::begin(kLevels));
    at = 2;
  }
  charge(s, 20);
  lua_pushvalue(L, at);
  if (lua_type(L, -1) != LUA_TSTRING) {
    if (lua_istable(L, -1)) luaL_error(L, "hub.log: the message is a table; use hub.json.encode");
    const bool truth = lua_toboolean(L, -1) != 0;
    if (lua_isboolean(L, -1))
      lua_pushstring(L, truth ? "true" : "false");
    else if (lua_isnil(L, -1))
      lua_pushliteral(L, "nil");
    else
      luaL_checkstring(L, -1);
  }
  s.host->log(level, text_arg(L, -1).substr(0, 1000));
  return 0;
}

int publish(lua_State* L) {
  auto& s = state_of(L);
  const auto channel = text_arg(L, 1);
  const auto event = text_arg(L, 2);
  if (s.draft == nullptr) luaL_error(L, "hub.publish works in filter and transform only");
  charge(s, 50);
  lua_settop(L, 3);
  Writer(s, s.out, "data").write(3);
  if (const char* refused = s.host->publish(channel, event, s.out))
    luaL_error(L, "hub.publish to '%s': %s", channel.data(), refused);
  return 0;
}

int json_encode(lua_State* L) {
  auto& s = state_of(L);
  luaL_checkany(L, 1);
  Writer(s, s.out, "value").write(1);
  lua_pushlstring(L, s.out.data(), s.out.size());
  return 1;
}

int json_decode(lua_State* L) {
  auto& s = state_of(L);
  const auto text = text_arg(L, 1);
  charge(s, 1 + static_cast<std::int64_t>(text.size() / 256));
  bool good = false;
  {
    const auto parsed = s.decode_doc.parse(text);
    good = parsed.has_value();
    if (!good) s.text2 = parsed.error().message;
  }
  if (!good) {
    lua_pushnil(L);
    lua_pushlstring(L, s.text2.data(), s.text2.size());
    return 2;
  }
  push_json(L, s, s.decode_doc.root(), false);
  return 1;
}

int mark(lua_State* L, int metatable) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  const auto kind = table_kind(L, state_of(L), 1);
  if (kind == TableKind::object || kind == TableKind::event)
    luaL_error(L, "an object of the event can't become a list");
  lua_rawgeti(L, LUA_REGISTRYINDEX, metatable);
  lua_setmetatable(L, 1);
  return 1;
}
int array(lua_State* L) { return mark(L, state_of(L).array_mt); }
int many(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_objlen(L, 1) > kManyMax)
    luaL_error(L, "hub.many: %d events; at most %d", static_cast<int>(lua_objlen(L, 1)), kManyMax);
  return mark(L, state_of(L).many_mt);
}

int copy(lua_State* L) {
  luaL_checkany(L, 1);
  push_copy(L, state_of(L), 1);
  return 1;
}

int hash(lua_State* L) {
  const auto text = text_arg(L, 1);
  charge(state_of(L), 10 + static_cast<std::int64_t>(text.size() / 32));
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) != 1)
    luaL_error(L, "hub.hash: no SHA-256");
  char hex[2 * EVP_MAX_MD_SIZE];
  constexpr char kHex[] = "0123456789abcdef";
  for (unsigned i = 0; i < size; ++i) {
    hex[2 * i] = kHex[digest[i] >> 4];
    hex[2 * i + 1] = kHex[digest[i] & 15];
  }
  lua_pushlstring(L, hex, 2UL * size);
  return 1;
}

int unknown(lua_State* L) {
  const char* name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
  return luaL_error(
      L, "hub.%s does not exist in this version; there are array, copy, hash, json, log, many, now, null and publish",
      name);
}

}  // namespace

void open_hub(lua_State* L) {
  lua_newtable(L);
  constexpr luaL_Reg kFunctions[] = {{"array", array}, {"copy", copy}, {"hash", hash},      {"log", write_log},
                                     {"many", many},   {"now", now},   {"publish", publish}};
  for (const auto& function : kFunctions) {
    lua_pushcfunction(L, function.func);
    lua_setfield(L, -2, function.name);
  }
  lua_pushlightuserdata(L, nullptr);
  lua_setfield(L, -2, "null");
  lua_newtable(L);
  lua_pushcfunction(L, json_encode);
  lua_setfield(L, -2, "encode");
  lua_pushcfunction(L, json_decode);
  lua_setfield(L, -2, "decode");
  lua_setfield(L, -2, "json");
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, unknown);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, "hub");
}

}  // namespace weir::rules
