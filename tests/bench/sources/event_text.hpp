// The events that are published: each has its number and the time when it was made, and all of a run have one size, so
// that a reader finds both at a fixed place from a frame's end. Threads: [any]; constant after construction.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::bench {

std::int64_t steady_ns();  // CLOCK_MONOTONIC, the same for all processes of a machine

struct Stamp {
  std::uint64_t number;
  std::int64_t made_ns;
};

class EventText {
 public:
  // json: the event's data as it is. line: a line of a log file, which log-tail wraps into {"line":...,"file":"hub"}.
  enum class Kind { json, line };
  EventText(Kind kind, std::size_t bytes);
  // `bytes` long, 80 at least.
  std::string make(std::uint64_t number) const;
  std::size_t bytes() const { return bytes_; }
  // From what was published.
  std::optional<Stamp> read(std::string_view text) const { return read(text, prefix_); }
  // From the JSON of a frame that a subscriber got. Nothing: it is no event of this kind.
  std::optional<Stamp> read_frame(std::string_view frame) const;

 private:
  static std::optional<Stamp> read(std::string_view text, std::string_view prefix);
  const Kind kind_;
  const std::size_t bytes_;
  const std::string prefix_, middle_, rest_, end_;  // of the text
  const std::string data_prefix_;                   // of the data in a frame
  const std::size_t data_bytes_;
};

}  // namespace weir::bench
