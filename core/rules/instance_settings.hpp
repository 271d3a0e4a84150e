// What a rule's Lua state is made with. Private to this layer; plain values.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace weir::rules {

struct Budget {
  std::int64_t ops = 0, time_ms = 0, bytes = 0;
  bool operator==(const Budget&) const = default;
};

struct InstanceSettings {
  std::string script;
  std::string params_json = "{}";
  Budget budget;
  std::int64_t load_ms = 0;
  std::size_t data_bytes_max = 1024 * 1024;
  bool jit = false;
  bool operator==(const InstanceSettings&) const = default;
};

}  // namespace weir::rules
