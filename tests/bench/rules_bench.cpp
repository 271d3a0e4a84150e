// What a rule costs from the bytes of an event to the bytes that come out, beside the ways that other hubs take: a JSON
// library and Lua tables, or lua-cjson. One thread, one run, turn about, so that a busy machine slows all of them.
//   ./dev bench rules [--seconds 0.2] [--rounds 7] [--bytes 200] [--rule filter] [--way weir]
// Prints microseconds of processor time for each event (the best round) and how many times as long the others take.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <lua.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#ifdef WEIR_BENCH_SIMDJSON
#include <simdjson.h>
#endif

#include "base/json.hpp"
#include "rules/engine.hpp"

namespace weir {
namespace {

using Nlohmann = nlohmann::json;

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Events of about that many bytes, as an agent's trace looks: some fields at the top, the bulk in a list of steps.
std::vector<std::string> events_of(std::size_t bytes) {
  std::vector<std::string> out;
  for (int i = 0; i < 64; ++i) {
    std::string data = R"({"id":"a-)" + std::to_string(1000 + i) + R"(","level":")" + (i % 8 == 0 ? "debug" : "info") +
                       R"(","size":)" + std::to_string(i * 17) + R"(,"user":{"id":)" + std::to_string(i) +
                       R"(,"name":"Anna","admin":false},"ok":true)";
    std::string steps;
    for (int step = 0; data.size() + steps.size() + 60 < bytes; ++step)
      steps += (steps.empty() ? "" : ",") + std::string(R"({"step":)") + std::to_string(step) +
               R"(,"tool":"search","ms":12.5,"tags":["a","b"],"text":"what was found there"})";
    data += steps.empty() ? "" : ",\"steps\":[" + steps + "]";
    out.push_back(data + "}");
  }
  return out;
}

// The rules, once for Weir's hooks and once as a function of a table.
struct Rule {
  const char* name;
  const char* body;  // of function(data), which returns whether the event is kept
};
constexpr Rule kRules[] = {
    {"filter",
     "if data.level == 'debug' or data.user.id < 0 or data.size < 0 then return false end data.seen = true return "
     "true"},
    {"keep", "return data.level ~= 'none'"},
};

// One way from bytes to bytes. Returns how many bytes came out; 0: dropped.
using Way = std::function<std::size_t(const std::string&)>;

class Nowhere final : public RuleOutput {
  void publish(std::string, Draft) override {}
};

Way weir_way(const Rule& rule) {
  struct Holder {
    Nowhere output;
    std::unique_ptr<RuleEngine> engine;
    std::unique_ptr<RuleChain> chain;
    Draft draft;
    std::vector<Draft> more;
  };
  auto h = std::make_shared<Holder>();
  RuleSettings settings;
  settings.script = "bench.lua";
  const bool changes = std::strcmp(rule.name, "filter") == 0;
  const std::string text = "local function decide(data) " + std::string(rule.body) + " end return { " +
                           (changes ? "transform = function(ev) if decide(ev.data) then return ev end end }"
                                    : "filter = function(ev) return decide(ev.data) end }");
  // Shared by all states, as in a hub.
  static const auto kv = std::make_shared<Kv>(1'000'000);
  static std::map<std::string, std::shared_ptr<const RuleProgram>> programs;
  auto& known = programs[text];
  auto program =
      known ? Result<std::shared_ptr<const RuleProgram>>(known) : RuleProgram::from_text(settings, text, Limits{});
  if (!program) std::fprintf(stderr, "%s\n", program.error().message.c_str()), std::exit(1);
  known = *program;
  h->engine = std::make_unique<RuleEngine>(std::vector<std::shared_ptr<const RuleProgram>>{*program}, h->output,
                                           system_clock(), Limits{}, kv);
  const std::size_t only[] = {0};
  h->chain = h->engine->open(only, "bench/1", {});
  return [h](const std::string& data) {
    h->draft.event = "e";
    h->draft.data = data;
    h->draft.time_ms = 1;
    h->more.clear();
    return h->chain->run(h->draft, h->more).keep ? h->draft.data.size() : 0;
  };
}

std::shared_ptr<lua_State> stock_state(bool jit) {
  std::shared_ptr<lua_State> state(luaL_newstate(), lua_close);
  luaL_openlibs(state.get());
  luaJIT_setmode(state.get(), 0, LUAJIT_MODE_ENGINE | (jit ? LUAJIT_MODE_ON : LUAJIT_MODE_OFF));
  return state;
}
void run_text(lua_State* L, const std::string& text) {
  if (luaL_dostring(L, text.c_str()) != 0) std::fprintf(stderr, "%s\n", lua_tostring(L, -1)), std::exit(1);
}

void push(lua_State* L, const Nlohmann& v) {
  luaL_checkstack(L, 4, "deep");
  if (v.is_object()) {
    lua_createtable(L, 0, static_cast<int>(v.size()));
    for (const auto& [key, member] : v.items()) {
      lua_pushlstring(L, key.data(), key.size());
      push(L, member);
      lua_rawset(L, -3);
    }
  } else if (v.is_array()) {
    lua_createtable(L, static_cast<int>(v.size()), 0);
    int place = 0;
    for (const auto& element : v) {
      push(L, element);
      lua_rawseti(L, -2, ++place);
    }
  } else if (v.is_string()) {
    const auto& text = v.get_ref<const std::string&>();
    lua_pushlstring(L, text.data(), text.size());
  } else if (v.is_boolean()) {
    lua_pushboolean(L, v.get<bool>());
  } else if (v.is_number()) {
    lua_pushnumber(L, v.get<double>());
  } else {
    lua_pushlightuserdata(L, nullptr);
  }
}
Nlohmann pull(lua_State* L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
      return lua_toboolean(L, index) != 0;
    case LUA_TNUMBER: {
      const double number = lua_tonumber(L, index);
      if (number == static_cast<double>(static_cast<std::int64_t>(number))) return static_cast<std::int64_t>(number);
      return number;
    }
    case LUA_TSTRING: {
      std::size_t size = 0;
      const char* text = lua_tolstring(L, index, &size);
      return std::string(text, size);
    }
    case LUA_TTABLE: {
      const auto count = lua_objlen(L, index);
      if (count != 0) {
        Nlohmann list = Nlohmann::array();
        for (std::size_t i = 1; i <= count; ++i) {
          lua_rawgeti(L, index, static_cast<int>(i));
          list.push_back(pull(L, lua_gettop(L)));
          lua_pop(L, 1);
        }
        return list;
      }
      Nlohmann object = Nlohmann::object();
      lua_pushnil(L);
      while (lua_next(L, index) != 0) {
        std::size_t size = 0;
        const char* key = lua_tolstring(L, -2, &size);
        object[std::string(key, size)] = pull(L, lua_gettop(L));
        lua_pop(L, 1);
      }
      return object;
    }
    default:
      return nullptr;
  }
}

Way nlohmann_way(const Rule& rule) {
  auto L = stock_state(true);
  run_text(L.get(), "function decide(data) " + std::string(rule.body) + " end");
  const bool changes = std::strcmp(rule.name, "filter") == 0;
  return [L, changes, out = std::make_shared<std::string>()](const std::string& data) -> std::size_t {
    const Nlohmann parsed = Nlohmann::parse(data);
    lua_settop(L.get(), 0);
    push(L.get(), parsed);
    lua_getglobal(L.get(), "decide");
    lua_pushvalue(L.get(), 1);
    if (lua_pcall(L.get(), 1, 1, 0) != 0) std::fprintf(stderr, "%s\n", lua_tostring(L.get(), -1)), std::exit(1);
    if (lua_toboolean(L.get(), -1) == 0) return 0;
    *out = changes ? pull(L.get(), 1).dump() : data;  // kept as it is: the bytes that came in go on
    return out->size();
  };
}

// Empty where lua-cjson is not installed.
Way cjson_way(const Rule& rule) {
  auto L = stock_state(true);
  const bool changes = std::strcmp(rule.name, "filter") == 0;
  lua_getglobal(L.get(), "require");
  lua_pushstring(L.get(), "cjson");
  if (lua_pcall(L.get(), 1, 1, 0) != 0) return {};
  lua_setglobal(L.get(), "cjson");
  run_text(L.get(), "local decode, encode = cjson.decode, cjson.encode local function decide(data) " +
                        std::string(rule.body) +
                        " end function run(text) local data = decode(text) if decide(data) then return " +
                        (changes ? "encode(data)" : "text") + " end end");
  return [L, out = std::make_shared<std::string>()](const std::string& data) -> std::size_t {
    lua_settop(L.get(), 0);
    lua_getglobal(L.get(), "run");
    lua_pushlstring(L.get(), data.data(), data.size());
    if (lua_pcall(L.get(), 1, 1, 0) != 0) std::fprintf(stderr, "%s\n", lua_tostring(L.get(), -1)), std::exit(1);
    if (lua_isnil(L.get(), -1)) return 0;
    std::size_t size = 0;
    const char* text = lua_tolstring(L.get(), -1, &size);
    out->assign(text, size);
    return out->size();
  };
}

Way index_way() {
  return [doc = std::make_shared<json::Doc>()](const std::string& data) -> std::size_t {
    return doc->parse(data) ? doc->end_index() : 0;
  };
}

#ifdef WEIR_BENCH_SIMDJSON
// The same job by simdjson's on-demand parser: every value visited, so that all of it is checked, and its place kept.
struct Places {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> at;
  const char* base = nullptr;
  void walk(simdjson::ondemand::value value) {
    const std::string_view raw = value.raw_json_token();
    at.emplace_back(static_cast<std::uint32_t>(raw.data() - base), static_cast<std::uint32_t>(raw.size()));
    switch (value.type()) {
      case simdjson::ondemand::json_type::object:
        for (auto field : value.get_object()) {
          const std::string_view key = field.unescaped_key();
          at.emplace_back(static_cast<std::uint32_t>(key.size()), 0U);
          walk(field.value());
        }
        break;
      case simdjson::ondemand::json_type::array:
        for (auto element : value.get_array()) walk(element.value());
        break;
      case simdjson::ondemand::json_type::string:
        (void)value.get_string().value();  // checks its escapes
        break;
      case simdjson::ondemand::json_type::number:
        (void)value.get_number().value();
        break;
      case simdjson::ondemand::json_type::boolean:
        (void)value.get_bool().value();
        break;
      case simdjson::ondemand::json_type::null:
        (void)value.is_null();
        break;
    }
  }
};
Way simdjson_way() {
  struct Holder {
    simdjson::ondemand::parser parser;
    simdjson::padded_string text;
    Places places;
    std::string padded;
  };
  auto h = std::make_shared<Holder>();
  return [h](const std::string& data) -> std::size_t {
    h->padded.reserve(data.size() + simdjson::SIMDJSON_PADDING);  // its input needs room behind it
    h->padded = data;
    auto doc = h->parser.iterate(h->padded.data(), h->padded.size(), h->padded.capacity());
    h->places.at.clear();
    h->places.base = h->padded.data();
    h->places.walk(doc.get_value().value());
    return h->places.at.size();
  };
}
#endif

std::int64_t resident_kib() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  long long all = 0, resident = 0;
  if (file == nullptr || std::fscanf(file, "%lld %lld", &all, &resident) != 2) return 0;
  std::fclose(file);
  return resident * 4;
}

// What one rule's Lua state takes, when it has been made and when it has seen events.
void measure_states() {
  constexpr int kStates = 400;
  const auto events = events_of(200);
  std::vector<Way> ways;
  ways.reserve(kStates);
  const auto before = resident_kib();
  for (int i = 0; i < kStates; ++i) {
    ways.push_back(weir_way(kRules[0]));
    ways.back()(events[1]);
  }
  const auto made = resident_kib();
  for (const Way& way : ways)
    for (int i = 0; i < 1000; ++i) way(events[static_cast<std::size_t>(i) % events.size()]);
  const auto used = resident_kib();
  std::printf(
      "a rule's state: %.1f KiB once made, %.1f KiB after 1000 events (mean of %d, with what the hub keeps for each)\n",
      static_cast<double>(made - before) / kStates, static_cast<double>(used - before) / kStates, kStates);
}

struct Measured {
  const char* name;
  Way way;
  double best = 1e9;  // seconds for an event
};

void measure(std::vector<Measured>& ways, const std::vector<std::string>& events, int rounds, double seconds) {
  for (int round = 0; round <= rounds; ++round)  // the first one warms up
    for (Measured& m : ways) {
      if (!m.way) continue;
      std::size_t ran = 0, bytes = 0;
      const double begin = cpu_seconds();
      double spent = 0;
      while (spent < (round == 0 ? seconds / 4 : seconds)) {
        for (const std::string& e : events) bytes += m.way(e);
        ran += events.size();
        spent = cpu_seconds() - begin;
      }
      if (bytes == 0) std::fprintf(stderr, "%s: nothing came out\n", m.name), std::exit(1);
      if (round != 0) m.best = std::min(m.best, spent / static_cast<double>(ran));
    }
}

void print(const std::vector<Measured>& ways) {
  for (std::size_t i = 0; i < ways.size(); ++i) {
    if (!ways[i].way) {
      std::printf("  %s: not installed", ways[i].name);
      continue;
    }
    std::printf("  %s %.2f us", ways[i].name, ways[i].best * 1e6);
    if (i != 0) std::printf(" (%.1fx)", ways[i].best / ways[0].best);
  }
  std::printf("\n");
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  using namespace weir;
  double seconds = 0.2;
  int rounds = 7;
  std::string only_way, only_rule;
  std::vector<std::size_t> sizes = {200, 1024, 6 * 1024};
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::atof(argv[i + 1]);
    if (std::strcmp(argv[i], "--rounds") == 0) rounds = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--way") == 0) only_way = argv[i + 1];
    if (std::strcmp(argv[i], "--rule") == 0) only_rule = argv[i + 1];
    if (std::strcmp(argv[i], "--bytes") == 0) sizes = {static_cast<std::size_t>(std::atoi(argv[i + 1]))};
  }
  if (only_way.empty() && only_rule.empty()) measure_states();
  for (const std::size_t size : sizes) {
    const auto events = events_of(size);
    std::printf("events of %zu bytes\n", events[1].size());
    for (const Rule& rule : kRules) {
      std::vector<Measured> ways = {
          {"weir", weir_way(rule)}, {"nlohmann", nlohmann_way(rule)}, {"lua-cjson", cjson_way(rule)}};
      if (!only_rule.empty() && only_rule != rule.name) continue;
      if (!only_way.empty()) std::erase_if(ways, [&](const Measured& m) { return only_way != m.name; });
      measure(ways, events, rounds, seconds);
      std::printf("  %-7s", rule.name);
      print(ways);
    }
    if (!only_rule.empty() && only_rule != "parse") continue;
    std::vector<Measured> parsers = {{"index", index_way()}};
#ifdef WEIR_BENCH_SIMDJSON
    parsers.push_back({"simdjson", simdjson_way()});
#endif
    measure(parsers, events, rounds, seconds);
    std::printf("  %-7s", "parse");
    print(parsers);
  }
}
