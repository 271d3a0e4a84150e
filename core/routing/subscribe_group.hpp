// One subscribe frame that waits for its answer. Its channels may be owned by several shards, so the answer is put
// together from theirs and sent when the last one has spoken.
// Threads: [shard] of the connection.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "routing/connection.hpp"

namespace weir {

struct SubscribeGroup {
  ConnectionId connection_id = 0;
  Connection* connection = nullptr;  // null once it is gone
  std::string id;
  bool many = false;
  std::string pattern;  // a wildcard subscription
  std::size_t missing = 0;
  std::uint64_t replayed = 0;
  std::string filter_text = "null";
  struct Answer {
    std::uint64_t attachment;  // starts once the frame is answered
    std::uint64_t request;     // the attachment's, when this was said; 0: by a pattern
    std::string text;          // one object per channel
  };
  std::vector<Answer> answers;
  std::optional<Error> error;

  // What the acknowledgement of a pattern says, for that many channels of now.
  std::string pattern_text(std::size_t channels) const;
};

}  // namespace weir
