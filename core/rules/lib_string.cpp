// The `string` table of rules: own pattern functions that count their steps, the rest of the stock ones by a toll.
#include <algorithm>
#include <cstring>
#include <lua.hpp>

#include "rules/pattern.hpp"
#include "rules/state.hpp"

namespace weir::rules {
namespace {

constexpr std::size_t kRepeatBytesMax = 1024 * 1024;

std::string_view text_arg(lua_State* L, int index) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, index, &size);
  return {text, size};
}

[[noreturn]] void pattern_failed(lua_State* L, const Matcher& matcher) {
  if (*matcher.failed() == '\0') raise_budget(L);
  luaL_error(L, "%s", matcher.failed());
  std::abort();
}

void push_capture(lua_State* L, const Matcher& matcher, int i, const char* from, const char* to) {
  if (i >= matcher.captures()) {
    if (i != 0) luaL_error(L, "invalid capture index");
    lua_pushlstring(L, from, static_cast<std::size_t>(to - from));
    return;
  }
  const auto& capture = matcher.capture(i);
  if (capture.length == Matcher::kPosition)
    lua_pushinteger(L, capture.begin - matcher.begin() + 1);
  else if (capture.length < 0)
    luaL_error(L, "unfinished capture");
  else
    lua_pushlstring(L, capture.begin, static_cast<std::size_t>(capture.length));
}

// All captures, or the whole match if there are none and `whole`.
int push_captures(lua_State* L, const Matcher& matcher, const char* from, const char* to, bool whole) {
  const int n = matcher.captures() == 0 && whole ? 1 : matcher.captures();
  luaL_checkstack(L, n, "too many captures");
  for (int i = 0; i < n; ++i) push_capture(L, matcher, i, from, to);
  return n;
}

std::size_t start_arg(lua_State* L, int index, std::size_t size) {
  auto init = static_cast<std::ptrdiff_t>(luaL_optnumber(L, index, 1));
  const auto length = static_cast<std::ptrdiff_t>(size);
  if (init < 0)
    init = std::max<std::ptrdiff_t>(init + length, 0);
  else if (init > 0)
    --init;
  return static_cast<std::size_t>(std::min(init, length));
}

int find_or_match(lua_State* L, bool find) {
  auto& s = state_of(L);
  const auto subject = text_arg(L, 1);
  auto pattern = text_arg(L, 2);
  const auto init = start_arg(L, 3, subject.size());
  if (find && (lua_toboolean(L, 4) != 0 || pattern.find_first_of("^$*+?.([%-") == std::string_view::npos)) {
    charge(s, static_cast<std::int64_t>((subject.size() - init) / 256));
    const void* found = pattern.empty()
                            ? subject.data() + init
                            : memmem(subject.data() + init, subject.size() - init, pattern.data(), pattern.size());
    if (found == nullptr) {
      lua_pushnil(L);
      return 1;
    }
    const auto place = static_cast<const char*>(found) - subject.data();
    lua_pushinteger(L, place + 1);
    lua_pushinteger(L, place + static_cast<std::ptrdiff_t>(pattern.size()));
    return 2;
  }
  const bool anchored = pattern.starts_with('^');
  if (anchored) pattern.remove_prefix(1);
  Matcher matcher(subject, pattern, s.meter);
  const char* from = subject.data() + init;
  do {
    const char* to = matcher.match(from);
    if (to != nullptr) {
      if (!find) return push_captures(L, matcher, from, to, true);
      lua_pushinteger(L, from - subject.data() + 1);
      lua_pushinteger(L, to - subject.data());
      return push_captures(L, matcher, from, to, false) + 2;
    }
    if (matcher.failed() != nullptr) pattern_failed(L, matcher);
  } while (from++ < matcher.end() && !anchored);
  lua_pushnil(L);
  return 1;
}
int find(lua_State* L) { return find_or_match(L, true); }
int match(lua_State* L) { return find_or_match(L, false); }

int gmatch_next(lua_State* L) {
  auto& s = state_of(L);
  std::size_t size = 0, pattern_size = 0;
  const char* text = lua_tolstring(L, lua_upvalueindex(1), &size);
  const char* pattern = lua_tolstring(L, lua_upvalueindex(2), &pattern_size);
  Matcher matcher({text, size}, {pattern, pattern_size}, s.meter);
  for (const char* from = text + lua_tointeger(L, lua_upvalueindex(3)); from <= text + size; ++from) {
    const char* to = matcher.match(from);
    if (to != nullptr) {
      lua_pushinteger(L, to - text + (to == from ? 1 : 0));
      lua_replace(L, lua_upvalueindex(3));
      return push_captures(L, matcher, from, to, true);
    }
    if (matcher.failed() != nullptr) pattern_failed(L, matcher);
  }
  return 0;
}
int gmatch(lua_State* L) {
  text_arg(L, 1);
  text_arg(L, 2);
  lua_settop(L, 2);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, gmatch_next, 3);
  return 1;
}

void add_replacement_text(lua_State* L, luaL_Buffer* buffer, const Matcher& matcher, std::string_view text,
                          const char* from, const char* to) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      luaL_addchar(buffer, text[i]);
      continue;
    }
    const char c = ++i < text.size() ? text[i] : '\0';
    if (c < '0' || c > '9') {
      luaL_addchar(buffer, c);
    } else if (c == '0') {
      luaL_addlstring(buffer, from, static_cast<std::size_t>(to - from));
    } else {
      push_capture(L, matcher, c - '1', from, to);
      luaL_addvalue(buffer);
    }
  }
}

int gsub(lua_State* L) {
  auto& s = state_of(L);
  check_c_stack(L);
  const auto subject = text_arg(L, 1);
  auto pattern = text_arg(L, 2);
  const int kind = lua_type(L, 3);
  luaL_argcheck(L, kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION || kind == LUA_TTABLE, 3,
                "string/function/table expected");
  const auto most =
      static_cast<std::size_t>(std::max(0.0, luaL_optnumber(L, 4, static_cast<double>(subject.size() + 1))));
  const bool anchored = pattern.starts_with('^');
  if (anchored) pattern.remove_prefix(1);
  lua_settop(L, 4);
  std::string_view replacement;
  if (kind == LUA_TNUMBER || kind == LUA_TSTRING) replacement = text_arg(L, 3);
  Matcher matcher(subject, pattern, s.meter);
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  const char* from = subject.data();
  std::size_t n = 0;
  while (n < most) {
    const char* to = matcher.match(from);
    if (to == nullptr && matcher.failed() != nullptr) pattern_failed(L, matcher);
    if (to != nullptr) {
      ++n;
      charge(s, 1 + static_cast<std::int64_t>(replacement.size() / 256));
      if (kind == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, matcher, from, to, true), 1);
      } else if (kind == LUA_TTABLE) {
        push_capture(L, matcher, 0, from, to);
        lua_gettable(L, 3);
      } else {
        add_replacement_text(L, &buffer, matcher, replacement, from, to);
      }
      if (kind == LUA_TFUNCTION || kind == LUA_TTABLE) {
        if (lua_toboolean(L, -1) == 0) {
          lua_pop(L, 1);
          lua_pushlstring(L, from, static_cast<std::size_t>(to - from));
        } else if (lua_isstring(L, -1) == 0) {
          luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
        }
        luaL_addvalue(&buffer);
      }
    }
    if (to != nullptr && to > from)
      from = to;
    else if (from < matcher.end())
      luaL_addchar(&buffer, *from++);
    else
      break;
    if (anchored) break;
  }
  luaL_addlstring(&buffer, from, static_cast<std::size_t>(matcher.end() - from));
  luaL_pushresult(&buffer);
  lua_pushinteger(L, static_cast<lua_Integer>(n));
  return 2;
}

int rep(lua_State* L) {
  auto& s = state_of(L);
  const auto text = text_arg(L, 1);
  const double times = luaL_checknumber(L, 2);
  const auto separator = lua_isnoneornil(L, 3) ? std::string_view() : text_arg(L, 3);
  const double bytes =
      times < 1 ? 0 : times * static_cast<double>(text.size()) + (times - 1) * static_cast<double>(separator.size());
  if (bytes > static_cast<double>(kRepeatBytesMax))
    luaL_error(L, "string.rep would make more than %d bytes", static_cast<int>(kRepeatBytesMax));
  charge(s, static_cast<std::int64_t>(bytes / 256));
  lua_settop(L, 3);
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  if (!text.empty() || !separator.empty()) {
    for (double i = 1; i <= times; ++i) {
      luaL_addlstring(&buffer, text.data(), text.size());
      if (i + 1 <= times) luaL_addlstring(&buffer, separator.data(), separator.size());
    }
  }
  luaL_pushresult(&buffer);
  return 1;
}

// A stock function that reads its first argument once from end to end.
int tolled(lua_State* L) {
  check_c_stack(L);  // format calls __tostring
  charge(state_of(L), 1 + static_cast<std::int64_t>(lua_type(L, 1) == LUA_TSTRING ? lua_objlen(L, 1) / 256 : 0));
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

}  // namespace

void open_string(lua_State* L) {
  lua_newtable(L);
  lua_getglobal(L, "string");
  for (const char* name : {"byte", "char", "len", "sub"}) {
    lua_getfield(L, -1, name);
    lua_setfield(L, -3, name);
  }
  for (const char* name : {"format", "lower", "reverse", "upper"}) {
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, tolled, 1);
    lua_setfield(L, -3, name);
  }
  lua_pop(L, 1);
  constexpr luaL_Reg kOwn[] = {{"find", find}, {"gmatch", gmatch}, {"gsub", gsub}, {"match", match}, {"rep", rep}};
  for (const auto& own : kOwn) {
    lua_pushcfunction(L, own.func);
    lua_setfield(L, -2, own.name);
  }
  // The methods of strings are this table's, and nobody can take their metatable away.
  lua_pushliteral(L, "");
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  lua_setfield(L, -2, "string");
}

}  // namespace weir::rules
