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

Outbox::~Outbox() { clear(); }

void Outbox::clear() {
  first_.reset();
  while (head_ != nullptr) {
    const std::size_t end = head_ == tail_ ? tail_at_ : kBlockFrames;
    for (std::size_t at = head_at_; at < end; ++at) head_->frames[at].reset();
    let_go_of_head();
  }
  frames_ = 0;
  bytes_ = offset_ = 0;
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
  if (head_at_ == kBlockFrames || frames_ == 0) let_go_of_head();
}

void Outbox::let_go_of_head() {
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
  if (count == 0) return 0;
  const auto part = [](const Frame& frame) {
    return iovec{const_cast<char*>(frame.bytes().data()), frame.bytes().size()};
  };
  std::size_t i = 0, at = head_at_;
  if (first_) parts[i++] = part(*first_);
  for (const Block* block = head_; i < count; block = block->next, at = 0)
    for (; at < kBlockFrames && i < count; ++at) parts[i++] = part(*block->frames[at]);
  parts[0].iov_base = static_cast<char*>(parts[0].iov_base) + offset_;
  parts[0].iov_len -= offset_;
  return count;
}

void Outbox::sent(std::size_t size) {
  if (size == bytes_) return clear();  // all of it, as nearly always
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
  const std::size_t offset = offset_;
  clear();
  if (!half) return;
  push(half);
  offset_ = offset;
  bytes_ -= offset;
}

}  // namespace weir
