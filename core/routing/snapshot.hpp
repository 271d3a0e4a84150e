// A channel's state as it stood at one event, encoded once for all who get it. Threads: [any]; immutable.
#pragma once
#include <memory>
#include <string>

#include "protocol/position.hpp"

namespace weir {

struct Snapshot {
  SequenceId at = 0;  // every event up to here is in it
  std::string frame;  // of the native protocol, with its WebSocket header
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace weir
