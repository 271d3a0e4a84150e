// The event as a rule sees it: tables that are filled only where the rule looks.
// An object of ev.data is a real Lua table whose slot 0 holds "which call, which place in the JSON index"; a missing
// key is looked up in the index, put into the table and remembered. Arrays become plain tables when first touched.
// Private to this layer. Threads: [channel]. May raise Lua errors: protected code only.
#pragma once
#include <cstdint>
#include <optional>

#include "rules/state.hpp"

namespace weir::rules {

// Flags of an index node (State::flags).
inline constexpr std::uint8_t kRead = 1;      // the value of a member: now lives in the Lua table
inline constexpr std::uint8_t kShadowed = 2;  // an earlier member of the same name, touched with the last one
inline constexpr std::uint8_t kNewKeys = 4;   // an object: the table has keys that the source has not
inline constexpr std::uint8_t kAsked = 8;     // a scalar that was read once, without being put into the table

enum class Field : std::uint8_t { data, event, id, key, time, channel, source, none };
inline constexpr std::uint8_t field_bit(Field f) { return static_cast<std::uint8_t>(1U << static_cast<unsigned>(f)); }

enum class TableKind : std::uint8_t { plain, array, object, event, many };
TableKind table_kind(lua_State* L, State& s, int index);

// Raises an error unless the event table at `index` is that of the running call.
void check_event(lua_State* L, State& s, int index);
// The node of the lazy object at `index`; raises an error when its event is over.
std::uint32_t lazy_node(lua_State* L, State& s, int index);
// The value's node of the member of that name, the last one if there are several (then `repeated` is set).
std::optional<std::uint32_t> find_member(const json::Doc& doc, std::uint32_t object, std::string_view key,
                                         bool* repeated = nullptr);

// Pushes the running hook's `ev` and its `ctx`.
void push_event(lua_State* L, State& s);
void push_context(lua_State* L, State& s);
void push_lazy_object(lua_State* L, State& s, std::uint32_t node);
// Puts every member that was not touched yet into the lazy table at `index` (an object or the event).
void fill(lua_State* L, State& s, int index);
// Reading and writing like t[k] and t[k] = v for lazy tables, raw for all others; used by rawget, rawset, next, pairs.
int lazy_rawget(lua_State* L);
int lazy_rawset(lua_State* L);
int lazy_next(lua_State* L);
int lazy_pairs(lua_State* L);

}  // namespace weir::rules
