#include "inbox.hpp"

#include <nats/nats.h>

#include <cstdlib>
#include <string_view>
#include <utility>

namespace weir::nats {
namespace {

constexpr std::size_t kHeader = 64;               // what cnats keeps of one beside its texts
constexpr std::size_t kUnreadable = 1024 * 1024;  // headers that are none: as many bytes as a server lets through

// A publisher chooses what is in the headers and what in the data, so both count.
std::size_t headers_of(natsMsg* message) {
  const char** names = nullptr;
  int count = 0;
  const natsStatus status = natsMsgHeader_Keys(message, &names, &count);
  if (status == NATS_NOT_FOUND) return 0;
  if (status != NATS_OK) return kUnreadable;
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i) {
    const char** values = nullptr;
    int of = 0;
    if (natsMsgHeader_Values(message, names[i], &values, &of) != NATS_OK) continue;
    for (int k = 0; k < of; ++k)
      bytes += kHeader + std::string_view(names[i]).size() + std::string_view(values[k]).size();
    std::free(static_cast<void*>(values));
  }
  std::free(static_cast<void*>(names));
  return bytes;
}

std::size_t size_of(natsMsg* message) {
  return std::string_view(natsMsg_GetSubject(message)).size() + headers_of(message) +
         static_cast<std::size_t>(natsMsg_GetDataLength(message));
}

}  // namespace

void Inbox::put(natsMsg* message, std::uint32_t subscription, bool more) {
  const std::size_t bytes = size_of(message);
  {
    std::unique_lock lock(mutex_);
    // One is always taken, or a message larger than all of the room could never come.
    const bool fits = messages_.empty() || (messages_.size() < messages_max_ && bytes_ + bytes <= bytes_max_);
    if (closed_ || !fits) {
      if (!closed_) ++dropped_;
      lock.unlock();
      natsMsg_Destroy(message);
      return;
    }
    messages_.push_back({message, subscription, bytes});
    bytes_ += bytes;
    came_.notify_all();
    if (woken_ || (more && messages_.size() < kWakeAt)) return;
    woken_ = true;
  }
  wake_();
}

bool Inbox::take(std::vector<Came>& out, std::size_t count, std::size_t bytes, bool again) {
  const std::lock_guard lock(mutex_);
  woken_ = again && !messages_.empty();
  for (std::size_t taken = 0; count != 0 && taken <= bytes && !messages_.empty(); --count) {
    out.push_back(messages_.front());
    bytes_ -= messages_.front().bytes;
    taken += messages_.front().bytes;
    messages_.pop_front();
  }
  if (!messages_.empty()) woken_ = true;
  return !messages_.empty();
}

bool Inbox::unheard() {
  const std::lock_guard lock(mutex_);
  return !woken_ && !messages_.empty();
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
