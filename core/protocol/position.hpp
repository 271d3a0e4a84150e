// A place in a channel: one life of its history (epoch) and the number of an event in it.
// Threads: plain values.
#pragma once
#include <cstdint>
#include <string>

namespace weir {

// Sequence ids start at 1 and grow by 1; they compare only inside one epoch. 0 stands for "before the first event".
using SequenceId = std::uint64_t;
struct Position {
  std::string epoch;
  SequenceId sequence_id = 0;
  bool operator==(const Position&) const = default;
};

// "k3f9:42", as in SSE ids and `since=`.
std::string to_text(const Position& position);

// What of the past a subscriber asks for.
struct ReplayRequest {
  enum class Kind : std::uint8_t { none, last, count, since };
  Kind kind = Kind::none;
  std::uint64_t count = 0;  // kind count
  Position since{};         // kind since: everything behind it
};

// A range that a subscriber did not get and will not get, said aloud. from and to are 0 when they are not known.
struct Gap {
  SequenceId from = 0, to = 0;
  std::uint64_t count = 0;  // 0: not known
  std::string reason;       // "history", "epoch_changed", or what the source said
};

}  // namespace weir
