#include "routing/outbox.hpp"

#include <algorithm>

namespace weir {
namespace {
constexpr std::size_t kSpareMax = 4096;  // 1 MiB for each thread
}

struct Outbox::Spare {
  Block* first = nullptr;
  std::size_t count = 0;
  ~Spare() {
    while (first != nullptr) delete std::exchange(first, first->next);
  }
};

Outbox::Spare& Outbox::spare() {
  static thread_local Spare spare;
  return spare;
}

Outbox::~Outbox() {
  while (!empty()) pop();
}

void Outbox::append_block() {
  Spare& s = spare();
  Block* block;
  if (s.first != nullptr) {
    block = std::exchange(s.first, s.first->next);
    --s.count;
    block->next = nullptr;
  } else {
    block = new Block;
  }
  if (tail_ == nullptr)
    head_ = block;
  else
    tail_->next = block;
  tail_ = block;
  tail_at_ = 0;
}

void Outbox::pop() {
  --frames_;
  if (first_) return first_.reset();
  head_->frames[head_at_++].reset();
  if (head_at_ != kBlockFrames && frames_ != 0) return;
  Block* const used = head_;
  head_ = used->next;
  head_at_ = 0;
  if (head_ == nullptr) {
    tail_ = nullptr;
    tail_at_ = kBlockFrames;
  }
  Spare& s = spare();
  if (s.count == kSpareMax) {
    delete used;
    return;
  }
  used->next = s.first;
  s.first = used;
  ++s.count;
}

std::size_t Outbox::gather(std::span<iovec> parts) const {
  const std::size_t count = std::min(parts.size(), frames_);
  const auto part = [](const Frame& frame) {
    return iovec{const_cast<char*>(frame.bytes().data()), frame.bytes().size()};
  };
  std::size_t i = 0;
  if (first_ && count != 0) parts[i++] = part(*first_);
  const Block* block = head_;
  for (std::size_t at = head_at_; i < count; ++i, ++at) {
    if (at == kBlockFrames) {
      block = block->next;
      at = 0;
    }
    parts[i] = part(*block->frames[at]);
  }
  if (count != 0) {
    parts[0].iov_base = static_cast<char*>(parts[0].iov_base) + offset_;
    parts[0].iov_len -= offset_;
  }
  return count;
}

void Outbox::sent(std::size_t size) {
  bytes_ -= size;
  size += offset_;
  while (frames_ != 0) {
    const std::size_t next = oldest().bytes().size();
    if (size < next) break;
    size -= next;
    pop();
  }
  offset_ = size;
}

void Outbox::drop_unsent() {
  FramePtr half;
  if (offset_ != 0) half = FramePtr(&oldest());
  while (frames_ != 0) pop();
  bytes_ = 0;
  if (!half) return;
  bytes_ -= offset_;  // push() adds the whole frame
  push(half);
}

}  // namespace weir
