#include "routing/outbox.hpp"

#include <algorithm>

namespace weir {
namespace {
// A burst may have grown the list; an idle connection gives the memory back.
constexpr std::size_t kKeepFrames = 16;
}  // namespace

std::size_t Outbox::gather(std::span<iovec> parts) const {
  const std::size_t count = std::min(parts.size(), frames());
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view bytes = frames_[head_ + i]->bytes();
    parts[i] = {const_cast<char*>(bytes.data()), bytes.size()};
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
  while (head_ != frames_.size() && size >= frames_[head_]->bytes().size()) {
    size -= frames_[head_]->bytes().size();
    frames_[head_++].reset();
  }
  offset_ = size;
  if (head_ == frames_.size()) {
    head_ = 0;
    if (frames_.capacity() > kKeepFrames)
      std::vector<FramePtr>().swap(frames_);
    else
      frames_.clear();
  } else if (head_ > 1024 && head_ * 2 > frames_.size()) {
    frames_.erase(frames_.begin(), frames_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

void Outbox::drop_unsent() {
  const std::size_t keep = offset_ != 0 ? head_ + 1 : head_;
  frames_.resize(keep);
  bytes_ = offset_ != 0 ? frames_[head_]->bytes().size() - offset_ : 0;
}

}  // namespace weir
