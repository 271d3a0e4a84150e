// Time as it is handed to the parts that must not look at a clock themselves.
// Two bases that never mix: `SteadyMs` for durations (never jumps), `UnixMs` for what people see.
// Threads: [any].
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace weir {

using UnixMs = std::int64_t;    // milliseconds since 1970-01-01 UTC
using SteadyMs = std::int64_t;  // milliseconds since some fixed moment of this process

class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyMs steady_ms() const = 0;
  virtual UnixMs unix_ms() const = 0;
};

// The machine's clock.
Clock& system_clock();

// "2026-02-10T12:00:00.000Z"; years 0000 to 9999, earlier and later ones are clamped.
std::string iso8601(UnixMs t);
inline constexpr std::size_t kIso8601Bytes = 24;
void write_iso8601(char* out, UnixMs t);  // exactly kIso8601Bytes

}  // namespace weir
