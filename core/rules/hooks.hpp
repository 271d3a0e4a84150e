// How each hook is called: the C function that State::call runs for it. What the call is about stands in the State
// before, what came of it afterwards; everything that may raise an error happens inside.
// Private to this layer. Threads: [channel].
#pragma once
#include "rules/hook.hpp"
#include "rules/state.hpp"

namespace weir::rules {

using LuaFunction = int (*)(lua_State*);
// nullptr: that hook is only called on the way to another one.
LuaFunction runner(Hook hook);

// Puts the state of State::context into State::out as JSON text, without running the script; for a reload.
int save_state(lua_State* L);
// Makes the state of State::context from what it carries; `migrate` is asked when another version made it.
int adopt_state(lua_State* L);

}  // namespace weir::rules
