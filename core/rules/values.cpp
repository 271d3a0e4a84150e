#include "rules/values.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <lua.hpp>

#include "rules/lazy.hpp"

namespace weir::rules {

namespace {

constexpr double kDoublesAreExactBelow = 9007199254740992.0;  // 2^53

void push_string(lua_State* L, State& s, json::Value value) {
  if (const auto plain = value.plain_string()) {
    lua_pushlstring(L, plain->data(), plain->size());
    return;
  }
  s.text = value.string();
  lua_pushlstring(L, s.text.data(), s.text.size());
}

void push_plain_object(lua_State* L, State& s, json::Value object) {
  lua_createtable(L, 0, static_cast<int>(std::min<std::uint32_t>(object.count(), 1024)));
  object.each_member([&](json::Value key, json::Value value) {
    if (value.kind() == json::Kind::null) return;
    push_string(L, s, key);
    push_json(L, s, value, false);
    lua_rawset(L, -3);
  });
}

int absolute(lua_State* L, int index) { return index > 0 ? index : lua_gettop(L) + index + 1; }

// Numbers so large that several texts are the same double are remembered by their text for the rest of the call.
void note_exact(State& s, double number, std::string_view raw) {
  constexpr std::size_t kExactMax = 65'536;
  if (s.exact.size() >= kExactMax) return;
  charge(s, 2);
  const auto [entry, fresh] = s.exact.try_emplace(number, Exact{std::string(raw), false});
  if (!fresh && entry->second.text != raw) entry->second.several = true;
}

const Exact* find_exact(const State& s, double number) {
  if (s.exact.empty() || std::fabs(number) < kDoublesAreExactBelow) return nullptr;
  const auto found = s.exact.find(number);
  return found == s.exact.end() ? nullptr : &found->second;
}
}  // namespace

void push_json(lua_State* L, State& s, json::Value value, bool lazy) {
  charge(s, 1);
  const auto kind = value.kind();
  if (kind == json::Kind::array || !lazy) luaL_checkstack(L, 4, "JSON nested too deeply");
  switch (kind) {
    case json::Kind::null:
      lua_pushlightuserdata(L, nullptr);
      break;
    case json::Kind::boolean:
      lua_pushboolean(L, value.boolean());
      break;
    case json::Kind::number: {
      const double number = value.number();
      if (!std::isfinite(number)) {
        const auto raw = value.raw().substr(0, 40);
        lua_pushlstring(L, raw.data(), raw.size());
        luaL_error(L, "the number %s is beyond what Lua can hold", lua_tostring(L, -1));
      }
      if (std::fabs(number) >= kDoublesAreExactBelow) note_exact(s, number, value.raw());
      lua_pushnumber(L, number);
      break;
    }
    case json::Kind::string:
      push_string(L, s, value);
      break;
    case json::Kind::object:
      if (lazy)
        push_lazy_object(L, s, value.index());
      else
        push_plain_object(L, s, value);
      break;
    case json::Kind::array: {
      lua_createtable(L, static_cast<int>(std::min<std::uint32_t>(value.count(), 1U << 20)), 0);
      int place = 0;
      value.each_element([&](json::Value element) {
        push_json(L, s, element, lazy);
        lua_rawseti(L, -2, ++place);
      });
      lua_rawgeti(L, LUA_REGISTRYINDEX, s.array_mt);
      lua_setmetatable(L, -2);
    }
  }
}

void push_copy(lua_State* L, State& s, int index, int depth) {
  charge(s, 1);
  if (depth > Writer::kDepthMax)
    luaL_error(L, "hub.copy: nested deeper than %d levels, or a table that contains itself", Writer::kDepthMax);
  luaL_checkstack(L, 6, "nested too deeply");
  if (!lua_istable(L, index)) {
    lua_pushvalue(L, index);
    return;
  }
  const int from = absolute(L, index);
  const auto kind = table_kind(L, s, from);
  const bool lazy = kind == TableKind::object || kind == TableKind::event;
  if (lazy) fill(L, s, from);
  lua_newtable(L);
  const int to = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, from) != 0) {
    if (lazy && lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) == 0) {
      lua_pop(L, 1);
      continue;
    }
    lua_pushvalue(L, -2);
    push_copy(L, s, -2, depth + 1);
    lua_rawset(L, to);
    lua_pop(L, 1);
  }
  if (kind == TableKind::array) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, s.array_mt);
    lua_setmetatable(L, to);
  }
}

void append_number(std::string& out, double number) {
  char buffer[40];
  std::to_chars_result end{};
  // Whole numbers print without ".0"; 2^53 is where doubles stop to hold every integer.
  if (std::fabs(number) <= kDoublesAreExactBelow && number == std::floor(number))
    end = std::to_chars(buffer, buffer + sizeof buffer, static_cast<std::int64_t>(number));
  else
    end = std::to_chars(buffer, buffer + sizeof buffer, number);
  out.append(buffer, end.ptr);
}

Writer::Writer(State& s, std::string& out, const char* what) : s_(s), L_(s.L), out_(out), what_(what) {
  out_.clear();
  s_.keys.clear();
}

void Writer::wrong(const char* message) {
  auto& text = s_.text2;
  text = what_;
  for (int i = 0; i < depth_ && text.size() < 200; ++i) {
    if (path_[i].key == nullptr)
      ((text += '[') += std::to_string(path_[i].place)) += ']';
    else
      (text += '.').append(path_[i].key, std::min<std::size_t>(path_[i].length, 60));
  }
  luaL_error(L_, "%s: %s", text.c_str(), message);
  std::abort();
}

void Writer::enter(const char* key, std::size_t length, std::size_t place) {
  if (depth_ > kDepthMax) wrong("nested deeper than 64 levels, or a table that contains itself");
  path_[depth_++] = {key, length, place};
  luaL_checkstack(L_, 8, "nested too deeply");
}

void Writer::account() {
  charge(s_, 1);
  if (out_.size() > s_.data_bytes_max) wrong("larger than limits.data_bytes");
}

void Writer::flush(std::uint32_t upto) {
  out_ += s_.shared->doc.slice(copied_, upto);
  copied_ = upto;
}

void Writer::write(int index) {
  value(absolute(L_, index));
  account();
}

void Writer::value(int index) {
  account();
  switch (lua_type(L_, index)) {
    case LUA_TNIL:
      out_ += "null";
      break;
    case LUA_TLIGHTUSERDATA:
      if (lua_touserdata(L_, index) != nullptr) wrong("a userdata can't be written as JSON");
      out_ += "null";
      break;
    case LUA_TBOOLEAN:
      out_ += lua_toboolean(L_, index) != 0 ? "true" : "false";
      break;
    case LUA_TNUMBER: {
      const double number = lua_tonumber(L_, index);
      if (!std::isfinite(number)) wrong("not a finite number; JSON has no nan and no infinity");
      if (const Exact* exact = find_exact(s_, number)) {
        if (exact->several)
          wrong("is a number beyond 2^53 that Lua can't tell from another one here; send such numbers as strings");
        out_ += exact->text;
        break;
      }
      append_number(out_, number);
      break;
    }
    case LUA_TSTRING: {
      std::size_t size = 0;
      const char* text = lua_tolstring(L_, index, &size);
      charge(s_, static_cast<std::int64_t>(size / 256));
      json::append_string(out_, {text, size});
      break;
    }
    case LUA_TTABLE:
      table(index);
      break;
    case LUA_TFUNCTION:
      wrong("a function can't be written as JSON");
    default:
      wrong("this kind of value can't be written as JSON");
  }
}

void Writer::table(int index) {
  switch (table_kind(L_, s_, index)) {
    case TableKind::event:
      wrong("the event itself stands here; did you mean ev.data?");
    case TableKind::object:
      moved(index, lazy_node(L_, s_, index));
      return;
    case TableKind::array:
    case TableKind::many:
      array(index, count_array(index));
      return;
    case TableKind::plain:
      break;
  }
  lua_rawgeti(L_, index, 1);
  const bool sequence = !lua_isnil(L_, -1);
  lua_pop(L_, 1);
  if (sequence)
    array(index, count_array(index));
  else
    object(index);
}

std::size_t Writer::count_array(int index) {
  const auto length = lua_objlen(L_, index);
  std::size_t count = 0;
  lua_pushnil(L_);
  while (lua_next(L_, index) != 0) {
    ++count;
    lua_pop(L_, 1);
  }
  charge(s_, static_cast<std::int64_t>(count / 4));
  if (count != length)
    wrong("an array must run from 1 to n without holes and without other keys (use `null` for nothing)");
  return length;
}

void Writer::array(int index, std::size_t count) {
  out_ += '[';
  for (std::size_t i = 1; i <= count; ++i) {
    if (i != 1) out_ += ',';
    enter(nullptr, 0, i);
    lua_rawgeti(L_, index, static_cast<int>(i));
    value(lua_gettop(L_));
    lua_pop(L_, 1);
    leave();
  }
  out_ += ']';
}

// Appends the table's string keys to s_.keys, from `first` on sorted. Their bytes live as long as the table holds them.
void Writer::collect_keys(int index, std::size_t first) {
  lua_pushnil(L_);
  while (lua_next(L_, index) != 0) {
    lua_pop(L_, 1);
    charge(s_, 1);
    if (lua_type(L_, -1) != LUA_TSTRING) wrong("a table must have either the keys 1..n or strings as keys");
    std::size_t size = 0;
    const char* key = lua_tolstring(L_, -1, &size);
    s_.keys.emplace_back(key, size);
  }
  std::sort(s_.keys.begin() + static_cast<std::ptrdiff_t>(first), s_.keys.end());
}

void Writer::member(int index, std::string_view key, bool comma) {
  if (comma) out_ += ',';
  json::append_string(out_, key);
  out_ += ':';
  enter(key.data(), key.size(), 0);
  lua_pushlstring(L_, key.data(), key.size());
  lua_rawget(L_, index);
  value(lua_gettop(L_));
  lua_pop(L_, 1);
  leave();
}

void Writer::object(int index) {
  const auto first = s_.keys.size();
  collect_keys(index, first);
  const auto last = s_.keys.size();
  out_ += '{';
  for (std::size_t i = first; i < last; ++i) member(index, s_.keys[i], i != first);
  out_ += '}';
  s_.keys.resize(first);
}

void Writer::moved(int index, std::uint32_t node) {
  const auto copied = copied_;
  const auto& place = s_.shared->doc.node(node);
  copied_ = place.begin;
  object_in_place(index, node);
  flush(place.end);
  copied_ = copied;
}

bool Writer::same_scalar(int index, json::Value source) {
  switch (lua_type(L_, index)) {
    case LUA_TNIL:
      return source.is(json::Kind::null);
    case LUA_TLIGHTUSERDATA:
      return source.is(json::Kind::null) && lua_touserdata(L_, index) == nullptr;
    case LUA_TBOOLEAN:
      return source.is(json::Kind::boolean) && source.boolean() == (lua_toboolean(L_, index) != 0);
    case LUA_TNUMBER: {
      const double number = lua_tonumber(L_, index);
      if (!source.is(json::Kind::number) || source.number() != number) return false;
      // One from elsewhere that looks the same in Lua is written as it was there.
      const Exact* exact = find_exact(s_, number);
      return exact == nullptr || exact->several || exact->text == source.raw();
    }
    case LUA_TSTRING: {
      if (!source.is(json::Kind::string)) return false;
      std::size_t size = 0;
      const char* text = lua_tolstring(L_, index, &size);
      return source.string_equals({text, size});
    }
    default:
      return false;
  }
}

void Writer::in_place(int index, std::uint32_t node) {
  account();
  const json::Value source(&s_.shared->doc, node);
  if (lua_istable(L_, index)) {
    const auto kind = table_kind(L_, s_, index);
    if (kind == TableKind::object && lazy_node(L_, s_, index) == node) return object_in_place(index, node);
    if (kind == TableKind::array && source.is(json::Kind::array)) return array_in_place(index, node);
  } else if (same_scalar(index, source)) {
    return;
  }
  const auto& place = s_.shared->doc.node(node);
  flush(place.begin);
  value(index);
  copied_ = place.end;
}

// Removing the i-th of the kept parts takes the comma before it along, or the one behind if nothing is kept before.
void Writer::object_in_place(int index, std::uint32_t node) {
  const auto& doc = s_.shared->doc;
  std::uint32_t kept_end = 0;
  std::uint32_t i = node + 1;
  for (auto n = doc.node(node).count; n != 0; --n) {
    const auto& key = doc.node(i);
    const auto value_node = i + 1;
    const auto& place = doc.node(value_node);
    const auto flags = s_.flags[value_node];
    bool deleted = false;
    if ((flags & (kRead | kShadowed)) != 0) {
      const json::Value name(&doc, i);
      std::string_view text;
      if (const auto plain = name.plain_string()) {
        text = *plain;
      } else {
        s_.text = name.string();
        text = s_.text;
      }
      lua_pushlstring(L_, text.data(), text.size());
      std::size_t size = 0;
      const char* anchored = lua_tolstring(L_, -1, &size);
      lua_pushvalue(L_, -1);
      lua_rawget(L_, index);
      deleted = lua_isnil(L_, -1);
      if (deleted && (flags & kShadowed) != 0)
        deleted = (s_.flags[*find_member(doc, node, {anchored, size})] & kRead) != 0;
      if (!deleted && (flags & kRead) != 0) {
        enter(anchored, size, 0);
        in_place(lua_gettop(L_), value_node);
        leave();
      }
      lua_pop(L_, 2);
    }
    if (!deleted) {
      kept_end = place.end;
    } else if (kept_end != 0) {
      if (copied_ < kept_end) flush(kept_end);
      copied_ = place.end;
    } else {
      if (copied_ < key.begin) flush(key.begin);
      copied_ = n > 1 ? doc.node(place.next).begin : place.end;
    }
    i = place.next;
  }
  if ((s_.flags[node] & kNewKeys) == 0) return;
  const auto first = s_.keys.size();
  lua_pushnil(L_);
  while (lua_next(L_, index) != 0) {
    lua_pop(L_, 1);
    charge(s_, 1 + doc.node(node).count / 8);
    if (lua_type(L_, -1) == LUA_TNUMBER && lua_tonumber(L_, -1) == 0) continue;  // the slot that makes it lazy
    if (lua_type(L_, -1) != LUA_TSTRING) wrong("this is an object: its keys must be strings");
    std::size_t size = 0;
    const char* key = lua_tolstring(L_, -1, &size);
    if (!find_member(doc, node, {key, size})) s_.keys.emplace_back(key, size);
  }
  std::sort(s_.keys.begin() + static_cast<std::ptrdiff_t>(first), s_.keys.end());
  const auto last = s_.keys.size();
  if (first != last) {
    const std::uint32_t inside = doc.node(node).begin + 1;
    if (kept_end != 0 && copied_ < kept_end) flush(kept_end);
    if (copied_ < inside) flush(inside);
    for (std::size_t k = first; k < last; ++k) member(index, s_.keys[k], kept_end != 0 || k != first);
  }
  s_.keys.resize(first);
}

void Writer::array_in_place(int index, std::uint32_t node) {
  const auto& doc = s_.shared->doc;
  const auto count = count_array(index);
  const std::size_t in_source = doc.node(node).count;
  std::uint32_t kept_end = 0;
  std::uint32_t i = node + 1;
  for (std::size_t n = 1; n <= in_source; ++n) {
    const auto& place = doc.node(i);
    if (n <= count) {
      lua_rawgeti(L_, index, static_cast<int>(n));
      enter(nullptr, 0, n);
      in_place(lua_gettop(L_), i);
      leave();
      lua_pop(L_, 1);
      kept_end = place.end;
    } else {
      if (kept_end != 0 && copied_ < kept_end) flush(kept_end);
      if (n == 1) flush(place.begin);
      copied_ = place.end;
    }
    i = place.next;
  }
  if (count <= in_source) return;
  const std::uint32_t inside = doc.node(node).begin + 1;
  if (copied_ < std::max(inside, kept_end)) flush(std::max(inside, kept_end));
  for (std::size_t n = in_source + 1; n <= count; ++n) {
    if (n != 1) out_ += ',';
    enter(nullptr, 0, n);
    lua_rawgeti(L_, index, static_cast<int>(n));
    value(lua_gettop(L_));
    lua_pop(L_, 1);
    leave();
  }
}

bool Writer::write_event_data(int index) {
  const auto& doc = s_.shared->doc;
  index = absolute(L_, index);
  if (!s_.data_touched && table_kind(L_, s_, index) == TableKind::object &&
      lazy_node(L_, s_, index) == doc.root_index())
    return false;
  copied_ = doc.begin();
  in_place(index, doc.root_index());
  if (copied_ == doc.begin() && out_.empty()) return false;
  flush(doc.end());
  account();
  return true;
}

}  // namespace weir::rules
