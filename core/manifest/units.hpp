// Durations and sizes as people write them: "30s", "500ms", "1.5h"; "16MiB", "64KB", "512B".
// One number, one unit, no space. A unit is always written, so that nobody has to guess whether 30 means ms or s.
// Threads: [any]; pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::manifest {

// Milliseconds: ms, s, m, h, d. Nothing if it is no duration, or one that does not fit or is no whole number of ms.
std::optional<std::int64_t> parse_duration_ms(std::string_view text);
// Bytes: B, KiB, MiB, GiB, TiB (1024) and KB, MB, GB, TB (1000). Nothing as above.
std::optional<std::int64_t> parse_bytes(std::string_view text);

// The largest unit that gives a whole number: "30s", "90s" for 90000, "16MiB".
std::string duration_text(std::int64_t ms);
std::string bytes_text(std::int64_t bytes);

}  // namespace weir::manifest
