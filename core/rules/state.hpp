// One isolated Lua state: its memory, its meter, its own libraries, and the event that a hook is looking at.
// Private to this layer; knows Lua only by name, so that no header includes it.
// What C functions called by Lua keep between them lives here and not on their stack: an error leaves their frames
// without looking back, so those frames hold nothing that needs a destructor.
// Limits: bytes_max of memory; the meter's budget for each call.
// Threads: [channel], that of the shard the state belongs to.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "routing/draft.hpp"
#include "routing/event.hpp"
#include "routing/identity.hpp"
#include "rules/kv.hpp"
#include "rules/meter.hpp"

struct lua_State;

namespace weir::rules {

class ModuleSource;

// What a rule can reach outside of its state.
class Host {
 public:
  virtual ~Host() = default;
  virtual UnixMs now() = 0;  // when the event came in; the same for a whole event
  virtual void log(log::Level level, std::string_view message) = 0;
  virtual Kv& kv() = 0;
  virtual SteadyMs steady_ms() = 0;  // for how long things last
  // hub.metric. False: there are too many names.
  virtual bool metric(std::string_view name, double by) = 0;
  // nullptr: taken. Else why not, as a text that lives until the next call.
  virtual const char* publish(std::string_view channel, std::string_view event, std::string_view data) = 0;
};

// The index of one event's data, made when the first rule looks at it and shared by all rules of its chain.
struct SharedDoc {
  json::Doc doc;
  bool ready = false;
  // The index that the event has brought along, if it has. Its memory goes back afterwards, and ours waits here
  // meanwhile: a draft may be copied.
  void take(Draft& draft) {
    ready = taken_ = !draft.index.empty();
    if (!ready) return;
    std::swap(own_, draft.index);
    doc.adopt(draft.data, own_);
  }
  void give_back(Draft& draft) {
    ready = false;
    if (!std::exchange(taken_, false)) return doc.trim(kNodesKept);
    doc.give_back(own_);
    std::swap(own_, draft.index);
  }

 private:
  static constexpr std::size_t kNodesKept = 16 * 1024;  // what one large event needed is not kept for ever
  json::Index own_{};
  bool taken_ = false;
};

// A channel's state on its way from a rule that goes to the one that takes its place.
struct Carried {
  std::string json;
  std::string version;  // of the script that made it, as JSON text; empty: it had none
};

// What is told to hooks of the channel they run for; its Lua table is made at the first event.
struct ChannelContext {
  std::string_view channel;
  const Variables* variables = nullptr;
  int reference = -2;                // in the state's registry; -2: not made yet
  int state_reference = -2;          // of the channel's materialised state; -2: `initial` has not run yet
  std::uint64_t incarnation = 0;     // of the state that made them
  std::string source;                // what the table says now
  std::optional<Carried> carried{};  // becomes the state when it is needed
};

// A number beyond 2^53, as the JSON has it: a double may not hold it.
struct Exact {
  std::string text;
  bool several = false;  // others were read in the same call that are the same double
};

struct State {
  State() = default;
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Makes the Lua state with its libraries. Errors: internal - not enough memory (bytes_max too small).
  Result<void> open(std::string_view script, std::int64_t bytes_limit, bool jit);
  // Runs the instrumented source's top level; what it returns is on top of the stack then.
  // Errors: bad_request - "script:line: message".
  Result<void> run_top_level(const std::string& instrumented, std::int64_t ops, std::int64_t time_ms);

  // A protected call of a C function by its registry reference, under the meter: pushes nothing, takes nothing.
  // Errors: limit_exceeded - a budget; bad_request - an error of the script. The message has script:line where known.
  Result<void> call(int function_reference, std::int64_t ops, std::int64_t time_ms);
  // After an error: gives memory back. False: even so the state is nearly full and should be thrown away.
  bool recover();
  std::int64_t operations() const { return operations_last; }

  lua_State* L = nullptr;
  std::string script;
  Meter meter;
  std::size_t bytes = 0, bytes_max = 0;
  Host* host = nullptr;
  ModuleSource* modules = nullptr;  // for `require`; null: there are none
  std::uint64_t incarnation = 0;
  std::int64_t operations_last = 0;
  std::uint64_t operations_all = 0, bytes_allocated = 0;          // ever
  const char* stack_base = nullptr;                               // where the C stack stood when the call began
  int gas_reference = -2;                                         // the accessor closure of the counter
  int chunk_reference = -2;                                       // the compiled script, until it has run
  int index_mt = -2, array_mt = -2, event_mt = -2, many_mt = -2;  // registry references of metatables
  int data_name = -2;                                             // and of the string "data"
  const void *object_id = nullptr, *array_id = nullptr, *event_id = nullptr, *many_id = nullptr;

  // The event of the running hook.
  const Draft* draft = nullptr;
  ChannelContext* context = nullptr;
  SharedDoc* shared = nullptr;
  std::uint32_t generation = 0;     // grows by one with each hook call
  std::uint8_t event_flags = 0;     // by field: read or written
  bool data_open = false;           // `flags` belongs to this event's data
  std::vector<std::uint8_t> flags;  // by node of the index
  bool data_touched = false;        // some of `flags` say that the data may be written otherwise than it came
  std::size_t data_bytes_max = 1024 * 1024;

  // Scratch space of the C functions.
  std::string text, text2, out;
  json::Doc decode_doc;
  std::vector<std::string_view> keys;
  std::unordered_map<double, Exact> exact;  // of the running call

  // What the last hook call came to.
  bool kept = false;
  std::string reason;
  bool in_place = false;  // the result is one event, not a list
  // `patch` holds what became of the event: its data if `data_changed`, the rest if `patched_head`.
  bool patched = false, patched_head = false;
  bool data_changed = false;
  Draft patch;
  std::vector<Draft> results;         // of hub.many
  std::vector<std::string> problems;  // what `check` said about the params

  // The event that `reduce` takes in; what `snapshot` and `on_request` are asked with; who asks.
  const Event* event = nullptr;
  std::string_view ask, method;
  const Identity* identity = nullptr;
  bool without_event = false;    // a hook runs that may publish, though there is no event
  std::optional<Error> refusal;  // what `on_request` returned in place of a value

  // What call() runs.
  int hook_reference = -2, initial_reference = -2, migrate_reference = -2;
  std::string version{};  // of the script, as JSON text; empty: it says none
  int params_reference = -2;
};

State& state_of(lua_State* L);
// Raises the budget error of the state's tripped meter. Never returns.
[[noreturn]] void raise_budget(lua_State* L);
inline void charge(State& s, std::int64_t operations) {
  if (!s.meter.charge(operations)) raise_budget(s.L);
}
// What the counter woven into scripts calls when it has run out (instrument.hpp).
int trip(lua_State* L);
// Raises an error when C code calls Lua that calls C too deeply (callbacks of gsub, comparators of sort).
void check_c_stack(lua_State* L);

// The libraries, each adding to the table on top of the stack (the environment of the script).
void open_base(lua_State* L, State& s);
void guard_globals(lua_State* L);  // after all others: from now on a new global is an error
void open_string(lua_State* L);
void open_table(lua_State* L);
void open_hub(lua_State* L);
void open_require(lua_State* L);
void open_lazy(lua_State* L, State& s);

}  // namespace weir::rules
