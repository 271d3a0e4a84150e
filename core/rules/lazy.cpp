#include "rules/lazy.hpp"

#include <algorithm>
#include <lua.hpp>

#include "rules/values.hpp"

namespace weir::rules {
namespace {

constexpr double kNodes = 268435456.0;  // 2^28: a slot 0 holds generation * 2^28 + node, exact in a double
constexpr const char* kOver = "event object used after its callback returned; keep a copy with hub.copy()";

constexpr std::string_view kFieldNames[] = {"data", "event", "id", "key", "time", "channel", "source"};

Field field_of(lua_State* L, int index) {
  if (lua_type(L, index) != LUA_TSTRING) return Field::none;
  std::size_t size = 0;
  const char* text = lua_tolstring(L, index, &size);
  const std::string_view name(text, size);
  for (std::size_t i = 0; i < std::size(kFieldNames); ++i)
    if (kFieldNames[i] == name) return static_cast<Field>(i);
  return Field::none;
}

void push_text(lua_State* L, std::string_view text) { lua_pushlstring(L, text.data(), text.size()); }

// The data's index, made when the first rule of the chain looks at it.
void open_data(lua_State* L, State& s) {
  if (s.data_open) return;
  auto& shared = *s.shared;
  if (!shared.ready) {
    charge(s, static_cast<std::int64_t>(s.draft->data.size() / 1024));
    shared.ready = shared.doc.parse(s.draft->data).has_value();
    if (!shared.ready) luaL_error(L, "the event's data is not JSON");
  }
  s.flags.assign(shared.doc.end_index(), 0);
  s.data_open = true;
}

// The generation and node in slot 0 of the table at `index`; raises an error when they are not of the running call.
std::uint32_t handle(lua_State* L, const State& s, int index) {
  lua_rawgeti(L, index, 0);
  // A script can write anything there. A string must not be read as a number: that costs by its length.
  const double value = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
  lua_pop(L, 1);
  const double node = value - s.generation * kNodes;
  if (node >= 0 && node < kNodes && s.draft != nullptr && s.meter.running()) return static_cast<std::uint32_t>(node);
  if (!(value >= 0 && value < 9007199254740992.0))
    luaL_error(L, "the key 0 of an event's object is taken; use another one");
  luaL_error(L, kOver);
  return 0;
}

// Pushes the event's field as it came in; nil for what is empty.
void push_field(lua_State* L, State& s, Field field) {
  const Draft& draft = *s.draft;
  switch (field) {
    case Field::data:
      open_data(L, s);
      push_json(L, s, s.shared->doc.root(), true);
      if (lua_islightuserdata(L, -1)) {  // null reads as nil
        lua_pop(L, 1);
        lua_pushnil(L);
      }
      break;
    case Field::event:
      push_text(L, draft.event);
      break;
    case Field::id:
      draft.id.empty() ? lua_pushnil(L) : push_text(L, draft.id);
      break;
    case Field::key:
      draft.key.empty() ? lua_pushnil(L) : push_text(L, draft.key);
      break;
    case Field::time:
      lua_pushnumber(L, static_cast<lua_Number>(draft.time_ms != 0 ? draft.time_ms : s.host->now()));
      break;
    case Field::channel:
      push_text(L, s.context->channel);
      break;
    case Field::source:
      draft.source.empty() ? lua_pushnil(L) : push_text(L, draft.source);
      break;
    case Field::none:
      lua_pushnil(L);
  }
}

// t, key on the stack at `index`, `key`; leaves the value on top.
void read_event(lua_State* L, State& s, int index, int key) {
  handle(L, s, index);
  const auto field = field_of(L, key);
  if (field == Field::none || (s.event_flags & field_bit(field)) != 0) {
    lua_pushnil(L);
    return;
  }
  push_field(L, s, field);
  s.event_flags = static_cast<std::uint8_t>(s.event_flags | field_bit(field));
  if (lua_isnil(L, -1)) return;
  lua_pushvalue(L, key);
  lua_pushvalue(L, -2);
  lua_rawset(L, index);
}

// Of several members of one name the last counts. Once it is touched the earlier ones must know, for when it is
// removed. Whoever calls this has touched the data.
void mark_shadowed(State& s, std::uint32_t object, std::uint32_t last, std::string_view key) {
  const auto& doc = s.shared->doc;
  std::uint32_t i = object + 1;
  for (auto n = doc.node(object).count; n != 0; --n) {
    if (i + 1 < last && json::Value(&doc, i).string_equals(key)) s.flags[i + 1] = kShadowed;
    i = doc.node(i + 1).next;
  }
}

void read_object(lua_State* L, State& s, int index, int key) {
  const auto node = lazy_node(L, s, index);
  if (lua_type(L, key) != LUA_TSTRING) {
    lua_pushnil(L);
    return;
  }
  std::size_t size = 0;
  const char* text = lua_tolstring(L, key, &size);
  const auto& doc = s.shared->doc;
  charge(s, doc.node(node).count / 32);
  bool repeated = false;
  const auto found = find_member(doc, node, {text, size}, &repeated);
  if (!found || (s.flags[*found] & kRead) != 0 || doc.node(*found).kind == json::Kind::null) {
    lua_pushnil(L);
    return;
  }
  push_json(L, s, json::Value(&doc, *found), true);
  // Most scalars are read once. One that stays out of the table need not be compared when the event is written.
  const auto kind = doc.node(*found).kind;
  if (kind != json::Kind::object && kind != json::Kind::array && (s.flags[*found] & kAsked) == 0) {
    s.flags[*found] |= kAsked;
    return;
  }
  lua_pushvalue(L, key);
  lua_pushvalue(L, -2);
  lua_rawset(L, index);
  s.flags[*found] |= kRead;
  s.data_touched = true;
  if (repeated) mark_shadowed(s, node, *found, {text, size});
}

void write_event(lua_State* L, State& s, int index, int key, int value) {
  handle(L, s, index);
  const auto field = field_of(L, key);
  if (field == Field::channel)
    luaL_error(L, "ev.channel can't be changed; publish on another channel with hub.publish(channel, event, data)");
  if (field == Field::source) luaL_error(L, "ev.source can't be changed; it says where the event came from");
  if (field == Field::none)
    luaL_error(L, "an event has no field '%s'; put it into ev.data",
               lua_type(L, key) == LUA_TSTRING ? lua_tostring(L, key) : luaL_typename(L, key));
  s.event_flags = static_cast<std::uint8_t>(s.event_flags | field_bit(field));
  lua_pushvalue(L, key);
  lua_pushvalue(L, value);
  lua_rawset(L, index);
}

void write_object(lua_State* L, State& s, int index, int key, int value) {
  const auto node = lazy_node(L, s, index);
  s.data_touched = true;
  if (lua_type(L, key) == LUA_TSTRING) {
    std::size_t size = 0;
    const char* text = lua_tolstring(L, key, &size);
    const auto& doc = s.shared->doc;
    charge(s, doc.node(node).count / 32);
    bool repeated = false;
    const auto found = find_member(doc, node, {text, size}, &repeated);
    if (found) {
      s.flags[*found] |= kRead;
      if (repeated) mark_shadowed(s, node, *found, {text, size});
    } else {
      s.flags[node] |= kNewKeys;
    }
  } else if (lua_isnil(L, key)) {
    luaL_error(L, "index is nil");
  } else {
    s.flags[node] |= kNewKeys;
  }
  lua_pushvalue(L, key);
  lua_pushvalue(L, value);
  lua_rawset(L, index);
}

int object_index(lua_State* L) {
  read_object(L, state_of(L), 1, 2);
  return 1;
}
int object_newindex(lua_State* L) {
  write_object(L, state_of(L), 1, 2, 3);
  return 0;
}
int event_index(lua_State* L) {
  read_event(L, state_of(L), 1, 2);
  return 1;
}
int event_newindex(lua_State* L) {
  write_event(L, state_of(L), 1, 2, 3);
  return 0;
}

// Leaves a metatable's reference and identity; `name` is what getmetatable() answers.
void make_metatable(lua_State* L, const char* name, lua_CFunction index, lua_CFunction newindex, int& reference,
                    const void*& id) {
  lua_createtable(L, 0, 3);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
  if (index != nullptr) {
    lua_pushcfunction(L, index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, newindex);
    lua_setfield(L, -2, "__newindex");
  }
  id = lua_topointer(L, -1);
  reference = luaL_ref(L, LUA_REGISTRYINDEX);
}

int null_text(lua_State* L) {
  lua_pushliteral(L, "null");
  return 1;
}

}  // namespace

void open_lazy(lua_State* L, State& s) {
  make_metatable(L, "event object", object_index, object_newindex, s.index_mt, s.object_id);
  make_metatable(L, "event", event_index, event_newindex, s.event_mt, s.event_id);
  make_metatable(L, "array", nullptr, nullptr, s.array_mt, s.array_id);
  make_metatable(L, "many", nullptr, nullptr, s.many_mt, s.many_id);
  lua_pushliteral(L, "data");
  s.data_name = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushlightuserdata(L, nullptr);
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, null_text);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "null");
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, "null");
}

TableKind table_kind(lua_State* L, State& s, int index) {
  if (lua_getmetatable(L, index) == 0) return TableKind::plain;
  const void* id = lua_topointer(L, -1);
  lua_pop(L, 1);
  if (id == s.object_id) return TableKind::object;
  if (id == s.array_id) return TableKind::array;
  if (id == s.event_id) return TableKind::event;
  return id == s.many_id ? TableKind::many : TableKind::plain;
}

void check_event(lua_State* L, State& s, int index) { handle(L, s, index); }

std::uint32_t lazy_node(lua_State* L, State& s, int index) {
  const auto node = handle(L, s, index);
  // A script can write a number of its own into slot 0; it must not lead outside of the index.
  const auto& doc = s.shared->doc;
  if (!s.data_open || node < doc.root_index() || node >= doc.end_index() || doc.node(node).kind != json::Kind::object)
    luaL_error(L, kOver);
  return node;
}

std::optional<std::uint32_t> find_member(const json::Doc& doc, std::uint32_t object, std::string_view key,
                                         bool* repeated) {
  std::uint32_t found = 0;  // no member's value stands there
  std::uint32_t i = object + 1;
  for (auto n = doc.node(object).count; n != 0; --n) {
    const json::Node& name = doc.node(i);
    // Most names differ in length already, and that takes no look at the text.
    if ((name.escaped || name.end - name.begin == key.size() + 2) && json::Value(&doc, i).string_equals(key)) {
      if (found != 0 && repeated != nullptr) *repeated = true;
      found = i + 1;
    }
    i = doc.node(i + 1).next;
  }
  return found == 0 ? std::nullopt : std::optional(found);
}

void push_lazy_object(lua_State* L, State& s, std::uint32_t node) {
  lua_createtable(
      L, 1, node == s.shared->doc.root_index() ? 2 : 0);  // most of what is put into one is put into the outermost
  lua_pushnumber(L, s.generation * kNodes + node);
  lua_rawseti(L, -2, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.index_mt);
  lua_setmetatable(L, -2);
}

void push_event(lua_State* L, State& s) {
  lua_createtable(L, 1, 1);
  lua_pushnumber(L, s.generation * kNodes);
  lua_rawseti(L, -2, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.event_mt);
  lua_setmetatable(L, -2);
  // Nearly every rule looks at an object in ev.data: it is there at once where that takes no work of its own.
  const auto& shared = *s.shared;
  if (!shared.ready || !shared.doc.root().is(json::Kind::object)) return;
  open_data(L, s);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.data_name);
  push_lazy_object(L, s, shared.doc.root_index());
  lua_rawset(L, -3);
  s.event_flags = field_bit(Field::data);
}

void push_context(lua_State* L, State& s) {
  auto& context = *s.context;
  if (context.reference >= 0 && context.incarnation == s.incarnation) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, context.reference);
  } else {
    lua_createtable(L, 0, 5);
    push_text(L, context.channel);
    lua_setfield(L, -2, "channel");
    push_text(L, s.script);
    lua_setfield(L, -2, "script");
    lua_newtable(L);
    for (const auto& [name, value] : *context.variables) {
      push_text(L, name);
      push_text(L, value);
      lua_rawset(L, -3);
    }
    lua_setfield(L, -2, "vars");
    lua_rawgeti(L, LUA_REGISTRYINDEX, s.params_reference);
    lua_setfield(L, -2, "params");
    lua_pushvalue(L, -1);
    context.reference = luaL_ref(L, LUA_REGISTRYINDEX);
    if (context.incarnation != s.incarnation) context.state_reference = -2;
    context.incarnation = s.incarnation;
    context.source.clear();
  }
  if (s.draft != nullptr && context.source != s.draft->source) {
    context.source = s.draft->source;
    if (context.source.empty())
      lua_pushnil(L);
    else
      push_text(L, context.source);
    lua_setfield(L, -2, "source");
  }
}

void fill(lua_State* L, State& s, int index) {
  if (table_kind(L, s, index) == TableKind::event) {
    for (const auto name : kFieldNames) {
      push_text(L, name);
      lua_pushvalue(L, -1);
      lua_rawget(L, index);
      const bool there = !lua_isnil(L, -1);
      lua_pop(L, 1);
      if (!there) {
        read_event(L, s, index, lua_gettop(L));
        lua_pop(L, 1);
      }
      lua_pop(L, 1);
    }
    return;
  }
  const auto node = lazy_node(L, s, index);
  const auto& doc = s.shared->doc;
  s.data_touched = true;
  luaL_checkstack(L, 6, "nested too deeply");
  std::uint32_t i = node + 1;
  for (auto n = doc.node(node).count; n != 0; --n) {
    const auto value = i + 1;
    if ((s.flags[value] & (kRead | kShadowed)) == 0) {
      const json::Value name(&doc, i);
      if (const auto plain = name.plain_string()) {
        push_text(L, *plain);
      } else {
        s.text = name.string();
        push_text(L, s.text);
      }
      lua_pushvalue(L, -1);
      lua_rawget(L, index);
      const bool taken = !lua_isnil(L, -1);
      lua_pop(L, 1);
      if (taken) {  // there is another member of this name
        std::size_t size = 0;
        const char* key = lua_tolstring(L, -1, &size);
        const auto last = *find_member(doc, node, {key, size});
        mark_shadowed(s, node, last, {key, size});
        if (value != last && (s.flags[last] & kRead) != 0) {
          lua_pop(L, 1);
          i = doc.node(value).next;
          continue;
        }
      }
      if (doc.node(value).kind == json::Kind::null) {
        lua_pushnil(L);
      } else {
        push_json(L, s, json::Value(&doc, value), true);
        s.flags[value] |= kRead;
      }
      lua_rawset(L, index);
    }
    i = doc.node(value).next;
  }
}

int lazy_rawget(lua_State* L) {
  auto& s = state_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  const auto kind = table_kind(L, s, 1);
  if (kind == TableKind::object || kind == TableKind::event) {
    lua_pushvalue(L, 2);
    lua_rawget(L, 1);
    if (lua_isnil(L, -1)) kind == TableKind::object ? read_object(L, s, 1, 2) : read_event(L, s, 1, 2);
  } else {
    lua_rawget(L, 1);
  }
  return 1;
}

int lazy_rawset(lua_State* L) {
  auto& s = state_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  luaL_checkany(L, 3);
  lua_settop(L, 3);
  const auto kind = table_kind(L, s, 1);
  if (kind == TableKind::object)
    write_object(L, s, 1, 2, 3);
  else if (kind == TableKind::event)
    write_event(L, s, 1, 2, 3);
  else
    lua_rawset(L, 1);
  lua_settop(L, 1);
  return 1;
}

int lazy_next(lua_State* L) {
  auto& s = state_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  const auto kind = table_kind(L, s, 1);
  const bool lazy = kind == TableKind::object || kind == TableKind::event;
  if (lazy && lua_isnil(L, 2)) fill(L, s, 1);
  for (;;) {
    if (lua_next(L, 1) == 0) {
      lua_pushnil(L);
      return 1;
    }
    if (!lazy || lua_type(L, -2) != LUA_TNUMBER || lua_tonumber(L, -2) != 0) return 2;
    lua_pop(L, 1);  // slot 0 is ours
  }
}

int lazy_pairs(lua_State* L) {
  auto& s = state_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  const auto kind = table_kind(L, s, 1);
  if (kind == TableKind::object || kind == TableKind::event) {
    fill(L, s, 1);
    lua_pushvalue(L, lua_upvalueindex(1));  // our next
  } else {
    lua_pushvalue(L, lua_upvalueindex(2));  // the stock one, which the interpreter has a short way for
  }
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

}  // namespace weir::rules
