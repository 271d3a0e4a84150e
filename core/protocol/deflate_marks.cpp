#include "protocol/deflate_marks.hpp"

#include <algorithm>

namespace weir {
namespace {
constexpr std::uint64_t kMask = 4;
constexpr std::uint64_t kEndless = ~std::uint64_t{0} - kMask;  // readers refuse what is longer than 63 bits can say
}  // namespace

void DeflateMarks::pass(char* bytes, std::size_t size) {
  const auto rest = [this](std::uint64_t payload) {
    length_ = std::min(payload, kEndless) + (masked_ ? kMask : 0);
    at_ = length_ == 0 ? At::start : At::rest;
  };
  for (std::size_t i = 0; i < size;) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    switch (at_) {
      case At::start: {
        const unsigned opcode = byte & 0x0fU;
        if (opcode == 1 || opcode == 2) {  // a message begins
          const bool compressed = (byte & 0x70U) == 0x40;
          if (compressed) bytes[i] = static_cast<char>((byte & 0x80U) | 2U);
          if (remembers_)
            messages_ += static_cast<char>(!compressed   ? Message::plain
                                           : opcode == 1 ? Message::text
                                                         : Message::binary);
        }
        at_ = At::size;
        ++i;
        break;
      }
      case At::size:
        masked_ = (byte & 0x80U) != 0;
        if (const unsigned length = byte & 0x7fU; length < 126) {
          rest(length);
        } else {
          bytes_missing_ = length == 126 ? 2 : 8;
          length_ = 0;
          at_ = At::long_size;
        }
        ++i;
        break;
      case At::long_size:
        length_ = length_ << 8 | byte;
        if (--bytes_missing_ == 0) rest(length_);
        ++i;
        break;
      case At::rest: {
        const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(length_, size - i));
        i += n;
        length_ -= n;
        if (length_ == 0) at_ = At::start;
        break;
      }
    }
  }
}

DeflateMarks::Message DeflateMarks::next() {
  if (first_ == messages_.size()) return Message::plain;  // forgotten
  const auto message = static_cast<Message>(messages_[first_++]);
  if (first_ == messages_.size()) {
    messages_.clear();
    first_ = 0;
  } else if (first_ >= 64) {
    messages_.erase(0, first_);
    first_ = 0;
  }
  return message;
}

}  // namespace weir
