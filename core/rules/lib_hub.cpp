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
  if (s.draft == nullptr && !s.without_event)
    luaL_error(L, "hub.publish works in filter, transform, on_request, on_timer and on_stop only");
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

// Adds to a number of that name, which /stats shows.
int metric(lua_State* L) {
  auto& s = state_of(L);
  const auto name = text_arg(L, 1);
  const double by = luaL_optnumber(L, 2, 1);
  const bool well_formed = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
  if (!well_formed) luaL_error(L, "hub.metric: '%s' is no name; 1 to 64 of a-z, 0-9, '_' and '.'", name.data());
  if (!(by > -1e15 && by < 1e15)) luaL_error(L, "hub.metric: what is added must be a number below 1e15");
  charge(s, 10);
  if (!s.host->metric(name, by))
    luaL_error(L, "hub.metric: a rule has at most 64 of them; '%s' is one more", name.data());
  return 0;
}

// --- hub.kv ----------------------------------------------------------------------------------------------------------

std::string_view key_arg(lua_State* L, const char* function) {
  if (lua_type(L, 1) != LUA_TSTRING)
    luaL_error(L, "hub.kv.%s: the key is a %s; expected a string", function, luaL_typename(L, 1));
  const auto key = text_arg(L, 1);
  if (key.empty() || key.size() > Kv::kKeyBytesMax)
    luaL_error(L, "hub.kv.%s: the key has %d bytes; expected 1 to %d", function, static_cast<int>(key.size()),
               static_cast<int>(Kv::kKeyBytesMax));
  charge(state_of(L), 5);
  return key;
}

// When an entry with the seconds at `index` is over; 0: never.
SteadyMs until_arg(lua_State* L, State& s, int index, const char* function) {
  if (lua_isnoneornil(L, index)) return 0;
  const double seconds = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : -1;
  if (!(seconds > 0 && seconds < 1e9))
    luaL_error(L, "hub.kv.%s: the time to live must be a number of seconds above 0", function);
  return s.host->steady_ms() + std::max<SteadyMs>(1, static_cast<SteadyMs>(seconds * 1000));
}

int kv_get(lua_State* L) {
  auto& s = state_of(L);
  const auto key = key_arg(L, "get");
  if (!s.host->kv().get(key, s.host->steady_ms(), s.text)) {
    lua_pushnil(L);
    return 1;
  }
  charge(s, static_cast<std::int64_t>(s.text.size() / 256));
  if (!s.decode_doc.parse(s.text)) luaL_error(L, "hub.kv.get: what is there is not JSON");
  push_json(L, s, s.decode_doc.root(), false);
  return 1;
}

int kv_put(lua_State* L, const char* function, bool only_new) {
  auto& s = state_of(L);
  const auto key = key_arg(L, function);
  const SteadyMs until = until_arg(L, s, 3, function);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) luaL_error(L, "hub.kv.%s: the value is nil; hub.kv.delete(key) takes an entry away", function);
  Writer(s, s.out, "value").write(2);
  charge(s, static_cast<std::int64_t>(s.out.size() / 256));
  const auto put = s.host->kv().set(key, s.out, until, only_new, s.host->steady_ms());
  if (put == Kv::Put::full) {
    lua_pushnil(L);
    lua_pushliteral(L, "full");
    return 2;
  }
  lua_pushboolean(L, put == Kv::Put::done ? 1 : 0);
  return 1;
}
int kv_set(lua_State* L) { return kv_put(L, "set", false); }
int kv_add(lua_State* L) { return kv_put(L, "add", true); }

int kv_incr(lua_State* L) {
  auto& s = state_of(L);
  const auto key = key_arg(L, "incr");
  const double by = luaL_optnumber(L, 2, 1);
  const SteadyMs until = until_arg(L, s, 3, "incr");
  bool not_a_number = false;
  const auto number = s.host->kv().add(key, by, until, s.host->steady_ms(), not_a_number);
  if (not_a_number) luaL_error(L, "hub.kv.incr: what '%s' holds is no number, or would be none", key.data());
  if (!number) {
    lua_pushnil(L);
    lua_pushliteral(L, "full");
    return 2;
  }
  lua_pushnumber(L, *number);
  return 1;
}

int kv_delete(lua_State* L) {
  state_of(L).host->kv().remove(key_arg(L, "delete"));
  return 0;
}

int unknown(lua_State* L) {
  const char* name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
  return luaL_error(
      L,
      "hub.%s does not exist in this version; there are array, copy, hash, json, kv, log, many, metric, now, null and "
      "publish",
      name);
}

}  // namespace

void open_hub(lua_State* L) {
  lua_newtable(L);
  constexpr luaL_Reg kFunctions[] = {{"array", array}, {"copy", copy},     {"hash", hash}, {"log", write_log},
                                     {"many", many},   {"metric", metric}, {"now", now},   {"publish", publish}};
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
  lua_newtable(L);
  constexpr luaL_Reg kKv[] = {
      {"get", kv_get}, {"set", kv_set}, {"add", kv_add}, {"incr", kv_incr}, {"delete", kv_delete}};
  for (const auto& function : kKv) {
    lua_pushcfunction(L, function.func);
    lua_setfield(L, -2, function.name);
  }
  lua_setfield(L, -2, "kv");
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, unknown);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, "hub");
}

}  // namespace weir::rules
