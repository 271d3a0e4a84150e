#include "rules/state.hpp"

#include <cstdlib>
#include <lua.hpp>
#include <utility>

namespace weir::rules {
namespace {

// Deep enough for any honest callback, far below the smallest thread stack.
constexpr std::ptrdiff_t kCStackBytesMax = 256 * 1024;
constexpr std::size_t kBigRequest = 32 * 1024;
// Lua's own stack must not overflow: with the JIT compiler on, unwinding such an error can crash the process. Between
// two looks at the depth at most a quantum of calls is added, which stays far below the overflow.
constexpr int kCallDepthMax = 2000;

void* allocate(void* user, void* block, std::size_t old_size, std::size_t new_size) {
  auto& s = *static_cast<State*>(user);
  if (block == nullptr) old_size = 0;
  if (new_size == 0) {
    std::free(block);
    s.bytes -= old_size;
    return nullptr;
  }
  if (new_size > old_size) {
    if (s.bytes - old_size + new_size > s.bytes_max) {
      s.meter.trip(Trip::memory);
      return nullptr;
    }
    // Building ever longer strings does its work here and nowhere else.
    if (new_size >= kBigRequest && !s.meter.in_time()) return nullptr;
  }
  void* fresh = std::realloc(block, new_size);
  if (fresh == nullptr) return nullptr;
  s.bytes += new_size - old_size;
  if (new_size > old_size) s.bytes_allocated += new_size - old_size;
  return fresh;
}

void set_gas(State& s, std::int64_t operations) {
  lua_rawgeti(s.L, LUA_REGISTRYINDEX, s.gas_reference);
  lua_pushnumber(s.L, static_cast<lua_Number>(operations));
  if (lua_setupvalue(s.L, -2, 1) == nullptr) lua_pop(s.L, 1);
  lua_pop(s.L, 1);
}

std::int64_t get_gas(State& s) {
  std::int64_t left = 0;
  lua_rawgeti(s.L, LUA_REGISTRYINDEX, s.gas_reference);
  if (lua_getupvalue(s.L, -1, 1) != nullptr) {
    left = static_cast<std::int64_t>(lua_tonumber(s.L, -1));
    lua_pop(s.L, 1);
  }
  lua_pop(s.L, 1);
  return left;
}

// The stock libraries are opened, and then only what is listed is carried over into the script's world.
int set_up(lua_State* L) {
  auto& s = *static_cast<State*>(lua_touserdata(L, 1));
  lua_settop(L, 0);
  // So that giving back a reference never needs memory later.
  lua_pushboolean(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, luaL_ref(L, LUA_REGISTRYINDEX));
  const lua_CFunction stock[] = {luaopen_base, luaopen_string, luaopen_table, luaopen_math, luaopen_bit};
  for (const auto function : stock) {
    lua_pushcfunction(L, function);
    lua_pushstring(L, "");
    lua_call(L, 1, 0);
  }
  lua_newtable(L);  // the environment
  open_lazy(L, s);
  open_base(L, s);
  open_string(L);
  open_table(L);
  open_hub(L);
  open_require(L);
  lua_pushcfunction(L, trip);
  lua_setfield(L, -2, "__weir_trip");
  guard_globals(L);
  // Nothing of the stock world stays reachable under its global names.
  lua_setfield(L, LUA_REGISTRYINDEX, "weir.environment");
  for (const char* name : {"io", "os", "ffi", "jit", "debug", "package", "_G", "coroutine", "require", "module"}) {
    lua_pushnil(L);
    lua_setglobal(L, name);
  }
  return 0;
}

int open_jit(lua_State* L) {
  lua_pushcfunction(L, luaopen_jit);
  lua_pushstring(L, LUA_JITLIBNAME);
  lua_call(L, 1, 0);
  return 0;
}

struct Source {
  const std::string* text;
  bool given;
};
const char* read_source(lua_State*, void* data, std::size_t* size) {
  auto& source = *static_cast<Source*>(data);
  if (source.given) return nullptr;
  source.given = true;
  *size = source.text->size();
  return source.text->data();
}

struct Load {
  State* s;
  const std::string* text;
};
int load_chunk(lua_State* L) {
  auto& load = *static_cast<Load*>(lua_touserdata(L, 1));
  Source source{load.text, false};
  lua_pushfstring(L, "@%s", load.s->script.c_str());
  if (lua_loadx(L, read_source, &source, lua_tostring(L, -1), "t") != 0) return lua_error(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "weir.environment");
  lua_setfenv(L, -2);
  load.s->chunk_reference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

std::string budget_text(const State& s) {
  switch (s.meter.tripped()) {
    case Trip::ops:
      return "operations budget exceeded (" + std::to_string(s.meter.ops_max()) +
             " operations a call; limits.rule_ops)";
    case Trip::time:
      return "time budget exceeded (" + std::to_string(s.meter.time_max_ms()) + " ms a call; limits.rule_ms)";
    case Trip::memory:
      return "memory budget exceeded (" + std::to_string(s.bytes_max) + " bytes; limits.rule_bytes)";
    case Trip::none:
      break;
  }
  return "budget exceeded";
}

// The error on top of the stack as a sentence; takes it away.
std::string take_error(lua_State* L) {
  std::string text;
  if (lua_type(L, -1) == LUA_TSTRING) {
    std::size_t size = 0;
    const char* p = lua_tolstring(L, -1, &size);
    text.assign(p, size < 1000 ? size : 1000);
  } else {
    text = lua_isnil(L, -1) ? std::string("error() was given no text; use error(\"text\")")
                            : std::string("the error value is a ") + luaL_typename(L, -1) + "; use error(\"text\")";
  }
  lua_pop(L, 1);
  return json::to_utf8(text);
}

// An error without a place (a value that is no text, error(text, 0), no memory) says at least which script it was.
std::string placed(std::string message, const std::string& script) {
  if (!message.starts_with(script + ":") && !message.starts_with("...")) message.insert(0, script + ": ");
  return message;
}

}  // namespace

// `__weir_trip`: first called by the prolog with the accessor of the counter, then by every check that finds it used
// up.
int trip(lua_State* L) {
  auto& s = state_of(L);
  if (lua_isfunction(L, 1)) {
    s.gas_reference = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
  }
  const auto next = s.meter.grant();
  if (next == 0) raise_budget(L);
  lua_Debug frame;
  if (lua_getstack(L, kCallDepthMax, &frame) != 0) return luaL_error(L, "calls nested deeper than %d", kCallDepthMax);
  lua_pushnumber(L, static_cast<lua_Number>(next - 1));  // the operation that asked is the first of them
  return 1;
}

State& state_of(lua_State* L) {
  void* user = nullptr;
  lua_getallocf(L, &user);
  return *static_cast<State*>(user);
}

void raise_budget(lua_State* L) {
  // The full sentence is made by call(), which knows the state; here only the place matters.
  luaL_where(L, 1);
  if (lua_objlen(L, -1) == 0) {  // called from C code that was called by Lua
    lua_pop(L, 1);
    luaL_where(L, 2);
  }
  lua_error(L);
  std::abort();
}

void check_c_stack(lua_State* L) {
  const auto& s = state_of(L);
  const char* here = static_cast<const char*>(__builtin_frame_address(0));
  const auto used = s.stack_base > here ? s.stack_base - here : here - s.stack_base;
  if (s.stack_base != nullptr && used > kCStackBytesMax) luaL_error(L, "too many callbacks inside callbacks");
}

State::~State() {
  if (L != nullptr) lua_close(L);
}

Result<void> State::open(std::string_view name, std::int64_t bytes_limit, bool jit) {
  script = name;
  bytes_max = static_cast<std::size_t>(bytes_limit);
  L = lua_newstate(allocate, this);
  if (L == nullptr) return fail(Errc::internal, script + ": no memory for a Lua state; raise limits.rule_bytes");
  // Off before anything runs: traces that exist already could still grow side traces later.
  luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  if (jit) {
    if (lua_cpcall(L, open_jit, nullptr) != 0) return fail(Errc::internal, script + ": " + take_error(L));
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
  }
  if (lua_cpcall(L, set_up, this) != 0)
    return fail(Errc::internal, script + ": no Lua state with " + std::to_string(bytes_limit) +
                                    " bytes: " + take_error(L) + "; raise limits.rule_bytes");
  // Collect early: a state that may hold 8 MiB should not first let garbage grow to 8 MiB.
  lua_gc(L, LUA_GCSETPAUSE, 180);
  lua_gc(L, LUA_GCSETSTEPMUL, 400);
  return {};
}

Result<void> State::run_top_level(const std::string& instrumented, std::int64_t ops, std::int64_t time_ms) {
  Load load{this, &instrumented};
  meter.start(ops, time_ms);
  stack_base = static_cast<const char*>(__builtin_frame_address(0));
  if (lua_cpcall(L, load_chunk, &load) != 0) {
    meter.finish(0);
    auto message = placed(take_error(L), script);
    if (meter.tripped() != Trip::none) message = script + ": " + budget_text(*this) + " while it was compiled";
    return fail(Errc::bad_request, std::move(message));
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, chunk_reference);
  meter.start(ops, time_ms);
  const int status = lua_pcall(L, 0, 1, 0);
  if (gas_reference >= 0) meter.finish(get_gas(*this));
  luaL_unref(L, LUA_REGISTRYINDEX, chunk_reference);
  if (status == 0 && meter.tripped() == Trip::none) return {};
  auto message = status != 0 ? take_error(L) : std::string();
  if (status == 0) lua_pop(L, 1);
  if (meter.tripped() != Trip::none) {
    if (message.empty() || message.back() != ' ') message = script + ": ";
    message += budget_text(*this) + " while it was loaded";
  }
  return fail(Errc::bad_request, placed(std::move(message), script));
}

Result<void> State::call(int function_reference, std::int64_t ops, std::int64_t time_ms) {
  if (++generation >= 1U << 25) generation = 1;
  event_flags = 0;
  data_open = data_touched = false;
  if (!exact.empty()) exact.clear();
  stack_base = static_cast<const char*>(__builtin_frame_address(0));
  set_gas(*this, meter.start(ops, time_ms));
  lua_rawgeti(L, LUA_REGISTRYINDEX, function_reference);
  const int status = lua_pcall(L, 0, 0, 0);
  operations_last = meter.finish(get_gas(*this));
  operations_all += static_cast<std::uint64_t>(operations_last);
  if (status == 0 && meter.tripped() == Trip::none) return {};
  auto message = status != 0 ? take_error(L) : std::string();
  if (meter.tripped() == Trip::none) {
    return fail(Errc::bad_request, placed(std::move(message), script));
  }
  // raise_budget() leaves "script:line: "; memory errors and swallowed ones have no place.
  if (message.empty() || message.back() != ' ') message = script + ": ";
  return fail(Errc::limit_exceeded, message + budget_text(*this));
}

bool State::recover() {
  lua_settop(L, 0);
  // Runs no script: nothing of it has a finalizer. Collecting may need a little memory itself (a smaller table of
  // strings is made before the old one goes), and nothing would catch an error here.
  const auto limit = std::exchange(bytes_max, static_cast<std::size_t>(-1) / 2);
  lua_gc(L, LUA_GCCOLLECT, 0);
  bytes_max = limit;
  out.shrink_to_fit();
  return bytes < bytes_max - bytes_max / 4;
}

}  // namespace weir::rules
