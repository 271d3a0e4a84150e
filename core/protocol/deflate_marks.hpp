// For a reader of WebSocket frames that knows nothing of compression: takes the mark of compressed messages (RSV1,
// RFC 7692 section 6) off the bytes that a client sends, before the reader sees them, and remembers which messages had
// it. Such a message goes on as a binary one, since its bytes are no text as they stand. It follows the frames only as
// far as their lengths; everything that is wrong with them, an RSV1 at a place where it means nothing among that, is
// left for the reader to refuse. Bound: one byte for each message between pass() and next(), so as much as the reader
// reads ahead. Threads: one object, one thread at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace weir {

class DeflateMarks {
 public:
  enum class Message : char { plain, text, binary };  // plain: as the reader sees it; else compressed, and what it was

  // The next bytes of the stream, changed in place.
  void pass(char* bytes, std::size_t size);
  // What the next whole message was. To be called for each one that the reader gives out, in order.
  Message next();
  // Nobody will ask for messages any more; marks are still taken off.
  void forget() {
    remembers_ = false;
    messages_.clear();
    first_ = 0;
  }

 private:
  enum class At : std::uint8_t { start, size, long_size, rest };
  At at_ = At::start;
  std::uint8_t bytes_missing_ = 0;  // long_size: of the length
  bool masked_ = false, remembers_ = true;
  std::uint64_t length_ = 0;  // long_size: so far. rest: bytes of mask and payload that are still to come
  std::string messages_;      // a Message each, from first_ on
  std::size_t first_ = 0;
};

}  // namespace weir
