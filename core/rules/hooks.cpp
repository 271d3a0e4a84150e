#include "rules/hooks.hpp"

#include <algorithm>
#include <lua.hpp>

#include "rules/lazy.hpp"
#include "rules/values.hpp"

namespace weir::rules {
namespace {

constexpr int kManyMax = 16;
constexpr std::size_t kProblemsMax = 32;  // of one check(); more of them help nobody

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
    s.patched_head = kind != TableKind::event || (s.event_flags & ~field_bit(Field::data)) != 0;
    if (s.patched_head) copy_head(s.patch, *s.draft);
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

// on_timer and on_stop.
int run_with_time(lua_State* L) {
  auto& s = state_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.hook_reference);
  lua_pushnumber(L, static_cast<lua_Number>(s.host->now()));
  lua_call(L, 1, 0);
  return 0;
}

// true; false and perhaps why; { where = {...} }: State::text is that filter then, as JSON.
int run_on_subscribe(lua_State* L) {
  auto& s = state_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.hook_reference);
  push_identity(L, s);
  lua_pushlstring(L, s.context->channel.data(), s.context->channel.size());
  if (!s.decode_doc.parse(s.ask)) luaL_error(L, "the params are not JSON");
  push_json(L, s, s.decode_doc.root(), false);
  push_context(L, s);
  lua_call(L, 4, 2);
  s.text.clear();
  const int said = lua_gettop(L) - 1;
  s.kept = lua_toboolean(L, said) != 0;
  if (!s.kept) {
    take_reason(L, s, said + 1);
    return 0;
  }
  if (lua_isboolean(L, said)) return 0;
  if (!lua_istable(L, said))
    return luaL_error(L, "on_subscribe returned a %s; return true, false and a reason, or { where = {...} }",
                      luaL_typename(L, said));
  lua_pushnil(L);
  while (lua_next(L, said) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING || std::string_view(lua_tostring(L, -2)) != "where")
      return luaL_error(L, "on_subscribe returned a table with '%s' in it; there is only `where`",
                        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2));
    lua_pop(L, 1);
  }
  lua_getfield(L, said, "where");
  if (!lua_istable(L, -1))
    return luaL_error(
        L, "on_subscribe returned a table without `where`, which is a filter such as {[\"data.level\"] = \"error\"}");
  s.out.clear();
  Writer(s, s.out, "where").write(lua_gettop(L));
  s.text = s.out;
  return 0;
}

}  // namespace

LuaFunction runner(Hook hook) {
  switch (hook) {
    case Hook::filter:
      return run_filter;
    case Hook::transform:
      return run_transform;
    case Hook::check:
      return run_check;
    case Hook::reduce:
      return run_reduce;
    case Hook::snapshot:
      return run_snapshot;
    case Hook::on_publish:
      return run_on_publish;
    case Hook::on_request:
      return run_on_request;
    case Hook::on_timer:
    case Hook::on_stop:
      return run_with_time;
    case Hook::on_subscribe:
      return run_on_subscribe;
    case Hook::initial:
    case Hook::migrate:  // called on the way to a state
      return nullptr;
  }
  return nullptr;
}

int save_state(lua_State* L) {
  auto& s = state_of(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s.context->state_reference);
  s.out.clear();
  Writer(s, s.out, "state").write(lua_gettop(L));
  return 0;
}

// The version that made it is no other one, or there is a `migrate`.
int adopt_state(lua_State* L) {
  auto& s = state_of(L);
  const Carried& carried = *s.context->carried;
  push_context(L, s);  // it says of which incarnation the state is
  const bool migrates = carried.version != s.version;
  if (migrates) lua_rawgeti(L, LUA_REGISTRYINDEX, s.migrate_reference);
  if (!s.decode_doc.parse(carried.json)) luaL_error(L, "what was kept of the state is not JSON");
  push_json(L, s, s.decode_doc.root(), false);
  if (migrates) {
    if (carried.version.empty()) {
      lua_pushnil(L);
    } else {
      if (!s.decode_doc.parse(carried.version)) luaL_error(L, "the version is not JSON");
      push_json(L, s, s.decode_doc.root(), false);
    }
    lua_call(L, 2, 1);
    if (lua_isnil(L, -1)) return 0;  // it begins anew
  }
  s.context->state_reference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

}  // namespace weir::rules
