#include "inbox.hpp"

#include <nats/nats.h>

#include <utility>

namespace weir::nats {
namespace {
std::size_t size_of(natsMsg* message) { return static_cast<std::size_t>(natsMsg_GetDataLength(message)); }
}  // namespace

void Inbox::put(natsMsg* message, std::uint32_t subscription) {
  {
    std::unique_lock lock(mutex_);
    // One is always taken, or a message larger than all of the room could never come.
    const bool fits =
        messages_.empty() || (messages_.size() < messages_max_ && bytes_ + size_of(message) <= bytes_max_);
    if (closed_ || !fits) {
      if (!closed_) ++dropped_;
      lock.unlock();
      natsMsg_Destroy(message);
      return;
    }
    messages_.push_back({message, subscription});
    bytes_ += size_of(message);
    came_.notify_all();
    if (woken_) return;
    woken_ = true;
  }
  wake_();
}

bool Inbox::take(std::vector<Came>& out, std::size_t count) {
  const std::lock_guard lock(mutex_);
  for (; count != 0 && !messages_.empty(); --count) {
    out.push_back(messages_.front());
    bytes_ -= size_of(messages_.front().message);
    messages_.pop_front();
  }
  woken_ = !messages_.empty();
  return woken_;
}

void Inbox::wait(std::chrono::milliseconds at_most) {
  std::unique_lock lock(mutex_);
  came_.wait_for(lock, at_most, [this] { return closed_ || !messages_.empty(); });
}

std::uint64_t Inbox::dropped() {
  const std::lock_guard lock(mutex_);
  return std::exchange(dropped_, 0);
}

void Inbox::close() {
  std::deque<Came> left;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    left.swap(messages_);
    bytes_ = 0;
    came_.notify_all();
  }
  for (const Came& came : left) natsMsg_Destroy(came.message);
}

}  // namespace weir::nats
