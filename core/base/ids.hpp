// Names that the hub makes up: event ids, client ids, epochs. Randomness and time come from outside, so that
// a run can be repeated from its seed.
// Threads: one IdMaker belongs to one shard.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace weir {

// A small, fast generator (SplitMix64). Not for secrets: ids name things, they do not protect them.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }

 private:
  std::uint64_t state_;
};

// A seed from the operating system. [any]
std::uint64_t random_seed();
// Unguessable text of `bytes` random bytes as lower-case hexadecimal, from the operating system. [any]
std::string random_token(std::size_t bytes);

class IdMaker {
 public:
  explicit IdMaker(std::uint64_t seed) : random_(seed) { text_.fill('0'); }
  // 26 characters, sortable by time (the ULID form: 48 bits of milliseconds, 80 of randomness, Crockford's base 32).
  // Within one millisecond the random part grows by one, so ids of one maker never repeat and sort as made.
  // The text is this object's own, until the next call.
  std::string_view event_id(UnixMs now);
  // Short text such as "k3f9a0c2"; distinct for each channel's life within a process, and between processes.
  std::string epoch();

 private:
  Random random_;
  UnixMs last_ms_ = -1;
  std::array<char, 26> text_;  // the last one that was made
};

}  // namespace weir
