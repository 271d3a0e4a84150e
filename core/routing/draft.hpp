// An event before it has its place in a channel: what a publisher or a source handed over, or what a rule made of it.
// `data` is JSON that has been checked where it came in; everything behind relies on that.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/json.hpp"

namespace weir {

struct Draft {
  std::string event;      // its name, 1..255 bytes of UTF-8
  std::string data;       // JSON text, never empty
  std::string id;         // empty: the hub makes one
  std::string key;        // for conflation and state; may be empty
  std::string dedupe;     // the publisher's id for this publication; empty: none
  UnixMs time_ms = 0;     // when it happened; 0: when it gets its place
  std::string source;     // the plugin instance it came from; empty: a client
  json::Index index{};    // that of `data` from where it came in, for the first rule that looks; empty: not kept
  std::uint8_t hops = 0;  // how many rules published it on; bounded, so that rules can't go in circles for ever
};

// What the `{name}`s of a channel's pattern stand for in one channel's name, in the order of the pattern.
using Variables = std::vector<std::pair<std::string, std::string>>;

}  // namespace weir
