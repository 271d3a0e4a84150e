// What one connection is owed, in order: frames shared with others, none of them copied. Knows no socket: whoever owns
// the socket gathers what waits into one write and says how much of it left. Its size in bytes is what overflow
// policies look at; it does not refuse anything itself. Threads: [shard].
#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <vector>

#include "routing/frame.hpp"

namespace weir {

class Outbox {
 public:
  void push(FramePtr frame) {
    bytes_ += frame->bytes().size();
    frames_.push_back(std::move(frame));
  }
  bool empty() const { return head_ == frames_.size(); }
  std::size_t bytes() const { return bytes_; }  // not yet sent
  std::size_t frames() const { return frames_.size() - head_; }

  // Points `parts` at what waits, oldest first; returns how many parts are used. Valid until the next call of anything.
  std::size_t gather(std::span<iovec> parts) const;
  // `size` bytes of what gather() showed have left.
  void sent(std::size_t size);
  // Drops everything but the frame that is half sent: a frame boundary must not be broken.
  void drop_unsent();

 private:
  std::vector<FramePtr> frames_;  // [head_, end) waits
  std::size_t head_ = 0;
  std::size_t offset_ = 0;  // bytes of frames_[head_] that have left already
  std::size_t bytes_ = 0;
};

}  // namespace weir
