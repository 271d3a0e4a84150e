// What is inside a compressed message: permessage-deflate without context takeover (RFC 7692 section 7.2). Every
// message stands for itself, so one compression serves all who are to get it, and no connection keeps anything between
// two messages. zlib is behind. Threads: one object, one thread at a time.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace weir {

class Deflater {
 public:
  explicit Deflater(int level);  // 1 fast .. 9 small; takes about 270 KB
  ~Deflater();
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  // The payload of the compressed message; empty where it would not be smaller than `message`. Valid until the next
  // call. Whoever reads it needs a window no larger than the message.
  std::string_view deflate(std::string_view message);

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

class Inflater {
 public:
  Inflater();  // takes about 45 KB once it is used, and up to 64 KB or the last message
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  // The message that `payload` was made from; valid until the next call. Stops as soon as it would be larger than `max`
  // bytes: what is allocated follows that, never what the payload promises.
  // Errors: too_large; bad_frame - it is no deflate stream, or breaks off within a block.
  Result<std::string_view> inflate(std::string_view payload, std::size_t max);

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace weir
