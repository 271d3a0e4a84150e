// What one connection is owed, in order: frames shared with others, none of them copied. Knows no socket: whoever owns
// the socket gathers what waits into one write and says how much of it left. Its size in bytes is what overflow
// policies look at; it does not refuse anything itself. An empty one takes no memory beside itself: the places of
// frames come in blocks that the outboxes of one thread hand on to each other, so pushing and sending allocate nothing
// once there are enough. Threads: [shard].
#pragma once
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "routing/frame.hpp"

namespace weir {

class Outbox {
 public:
  Outbox() = default;
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  void push(const FramePtr& frame) {
    bytes_ += frame->bytes().size();
    if (frames_++ == 0) {
      first_ = frame;
      return;
    }
    if (tail_at_ == kBlockFrames) append_block();
    tail_->frames[tail_at_++] = frame;
  }
  bool empty() const { return frames_ == 0; }
  std::size_t bytes() const { return bytes_; }  // not yet sent
  std::size_t frames() const { return frames_; }
  // What is left of the oldest frame, of which there must be one.
  iovec front() const {
    const std::string_view bytes = oldest().bytes().substr(offset_);
    return {const_cast<char*>(bytes.data()), bytes.size()};
  }

  // Points `parts` at what waits, oldest first; returns how many parts are used. Valid until the next call of anything.
  std::size_t gather(std::span<iovec> parts) const;
  // `size` bytes of what gather() showed have left.
  void sent(std::size_t size);
  // Drops everything but the frame that is half sent: a frame boundary must not be broken.
  void drop_unsent();

 private:
  static constexpr std::uint32_t kBlockFrames = 31;  // with the link: four cache lines
  struct Block {
    std::array<FramePtr, kBlockFrames> frames;
    Block* next = nullptr;
  };
  struct Spare;  // the thread's blocks that nobody uses
  static Spare& spare();
  void append_block();
  const Frame& oldest() const { return first_ ? *first_ : *head_->frames[head_at_]; }
  void pop();  // the oldest frame
  void clear();
  void let_go_of_head();  // the oldest block, all of whose frames have left

  FramePtr first_;  // older than those in the blocks; an outbox with one frame, which most have, needs no block
  Block* head_ = nullptr;
  Block* tail_ = nullptr;
  std::uint32_t head_at_ = 0, tail_at_ = kBlockFrames;  // the oldest frame in blocks; where the next one goes
  std::size_t frames_ = 0;                              // also the one in first_
  std::size_t offset_ = 0;                              // bytes of the oldest frame that have left already
  std::size_t bytes_ = 0;
};

}  // namespace weir
