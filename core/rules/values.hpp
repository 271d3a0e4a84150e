// JSON into Lua values and back. Private to this layer.
// Reading: objects of an event become lazy tables (lazy.hpp), those of hub.json.decode and params plain ones; arrays
// are plain tables that carry a mark, so that an empty one stays `[]`. Writing: tables 1..n are arrays, tables with
// string keys objects (sorted), all else is an error that names the place. Parts of the event that nobody changed are
// copied from its text byte for byte. Limits: kDepthMax levels; State::data_bytes_max bytes of text. Threads:
// [channel]. All functions may raise Lua errors: call them from protected code only.
#pragma once
#include <cstdint>
#include <string>

#include "rules/state.hpp"

namespace weir::rules {

// Pushes a value of the index; `lazy`: objects become lazy tables of the running event.
// A null is pushed as the constant `null`.
void push_json(lua_State* L, State& s, json::Value value, bool lazy);
// Pushes a plain deep copy of the value at `index` (hub.copy).
void push_copy(lua_State* L, State& s, int index, int depth = 0);

class Writer {
 public:
  static constexpr int kDepthMax = 64;
  // `what` stands at the front of the paths in messages: "data".
  Writer(State& s, std::string& out, const char* what);
  // Appends the JSON of the value at `index`.
  void write(int index);
  // Writes the event's data as the hook left it, the value at `index` being what ev.data is now.
  // False: nothing was changed and nothing written.
  bool write_event_data(int index);

 private:
  void value(int index);
  void table(int index);
  void array(int index, std::size_t count);
  void object(int index);
  void moved(int index, std::uint32_t node);  // a lazy object that stands elsewhere now
  void in_place(int index, std::uint32_t node);
  void object_in_place(int index, std::uint32_t node);
  void array_in_place(int index, std::uint32_t node);
  bool same_scalar(int index, json::Value source);
  void flush(std::uint32_t upto);
  void member(int index, std::string_view key, bool comma);
  std::size_t count_array(int index);  // its length; raises for holes and other keys
  void collect_keys(int index, std::size_t first);
  void enter(const char* key, std::size_t length, std::size_t place);
  void leave() { --depth_; }
  void account();
  [[noreturn]] void wrong(const char* message);

  struct Step {
    const char* key;  // nullptr: an element
    std::size_t length, place;
  };
  State& s_;
  lua_State* L_;
  std::string& out_;
  const char* what_;
  std::uint32_t copied_ = 0;  // where the part of the event's text begins that is not written yet
  int depth_ = 0;
  Step path_[kDepthMax + 2];
};

void append_number(std::string& out, double number);

}  // namespace weir::rules
