#include "net/send_batch.hpp"

#include <liburing.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/log.hpp"

namespace weir::net {
namespace {
constexpr std::size_t kMessagesMax = 256;         // more in one call were not cheaper
constexpr std::size_t kRingFrom = 4;              // below that the ring costs what it saves
constexpr std::size_t kParts = 8192;              // 128 KiB of iovecs
constexpr std::size_t kBytes = 256 * 1024;        // of runs in one piece
constexpr std::size_t kRunBytesMax = 128 * 1024;  // of one of them
constexpr std::size_t kPartBytesMax = 2 * 1024;   // larger ones are as cheap apart, on average over a run
constexpr int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
constexpr ssize_t kNoResult = std::numeric_limits<ssize_t>::min();
}  // namespace

struct SendBatch::Ring {
  io_uring ring{};
  std::array<msghdr, kMessagesMax> headers{};
  bool open = false;

  Ring() {
    // Completions only when we ask for them, and by one thread only: both are true here and let the kernel take short
    // cuts, since 6.1. An older one is asked without.
    for (const unsigned flags : {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0U}) {
      open = ::io_uring_queue_init(kMessagesMax, &ring, flags) == 0;
      if (open) return;
    }
  }
  ~Ring() {
    if (open) ::io_uring_queue_exit(&ring);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
};

SendBatch::SendBatch(bool with_ring) : ring_wanted_(with_ring) {}
SendBatch::~SendBatch() = default;

void SendBatch::add(Sender& sender, int descriptor, const Outbox& outbox) {
  if (messages_ == nullptr) {
    messages_ = std::make_unique_for_overwrite<Message[]>(kMessagesMax);
    parts_ = std::make_unique_for_overwrite<iovec[]>(kParts);
  }
  if (count_ == kMessagesMax || kParts - parts_used_ < kPartsMax) send();
  Message& message = messages_[count_++];
  message.sender = &sender;
  message.descriptor = descriptor;
  message.left = kNoResult;
  message.parts = nullptr;
  if (outbox.frames() == 1)
    message.one = outbox.front();
  else
    gather(message, outbox);
}

// Several frames: in one piece if the last message with several had the same.
void SendBatch::gather(Message& message, const Outbox& outbox) {
  const std::span<iovec> parts(room(), outbox.gather({room(), kPartsMax}));
  if (parts.size() != run_.size() || std::memcmp(parts.data(), run_.data(), parts.size_bytes()) != 0) {
    run_ = parts;
    whole_ = {};
  } else if (whole_.iov_base != nullptr || put_together()) {
    message.one = whole_;
    return;
  }
  message.parts = parts.data();
  message.count = static_cast<unsigned>(parts.size());
  parts_used_ += parts.size();
}

bool SendBatch::put_together() {
  std::size_t size = 0;
  for (const iovec& part : run_) size += part.iov_len;
  if (size > std::min(kRunBytesMax, kPartBytesMax * run_.size()) || size > kBytes - bytes_used_) return false;
  if (bytes_ == nullptr) bytes_ = std::make_unique_for_overwrite<char[]>(kBytes);
  whole_ = {bytes_.get() + bytes_used_, size};
  for (const iovec& part : run_) {
    std::memcpy(bytes_.get() + bytes_used_, part.iov_base, part.iov_len);
    bytes_used_ += part.iov_len;
  }
  return true;
}

ssize_t SendBatch::send_one(const Message& message) {
  msghdr header{};
  iovec one = message.one;
  header.msg_iov = message.parts != nullptr ? message.parts : &one;
  header.msg_iovlen = message.parts != nullptr ? message.count : 1;
  for (;;) {
    const ssize_t n = ::sendmsg(message.descriptor, &header, kSendFlags);
    if (n >= 0 || errno != EINTR) return n >= 0 ? n : -errno;
  }
}

void SendBatch::send() {
  if (count_ >= kRingFrom && ring_wanted_) {
    if (ring_ == nullptr) ring_ = std::make_unique<Ring>();
    ring_wanted_ = ring_->open;
    if (ring_->open)
      send_by_ring();
    else
      ring_.reset();
  }
  for (Message *message = messages_.get(), *end = message + count_; message != end; ++message) {
    if (message->left == kNoResult) message->left = send_one(*message);
    if (message->sender->left(message->left)) to_call_.push_back(message->sender);
  }
  count_ = parts_used_ = bytes_used_ = 0;
  run_ = {};
  whole_ = {};
}

void SendBatch::finish() {
  send();
  // Nothing is added while they are called: what they put into outboxes is of the next round.
  for (Sender* sender : to_call_) sender->flushed();
  to_call_.clear();
}

// Since no send may wait, each is done, or not, when the call returns. Should the kernel refuse the call, which can
// only be for want of memory, the ring is given up, and those without a result are sent one by one.
void SendBatch::send_by_ring() {
  io_uring& ring = ring_->ring;
  for (std::size_t i = 0; i < count_; ++i) {
    const Message& message = messages_[i];
    io_uring_sqe* const entry = ::io_uring_get_sqe(&ring);
    if (message.parts == nullptr) {
      ::io_uring_prep_send(entry, message.descriptor, message.one.iov_base, message.one.iov_len, kSendFlags);
    } else {
      msghdr& header = ring_->headers[i];
      header.msg_iov = message.parts;
      header.msg_iovlen = message.count;
      ::io_uring_prep_sendmsg(entry, message.descriptor, &header, kSendFlags);
    }
    ::io_uring_sqe_set_data64(entry, i);
  }
  for (std::size_t waiting = count_; waiting != 0;) {
    const int n = ::io_uring_submit_and_wait(&ring, static_cast<unsigned>(waiting));
    unsigned head, seen = 0;
    io_uring_cqe* done;
    io_uring_for_each_cqe(&ring, head, done) {
      if (done->res != -EINTR) messages_[done->user_data].left = done->res;
      ++seen;
    }
    ::io_uring_cq_advance(&ring, seen);
    waiting -= seen;
    if (waiting == 0 || (n < 0 && n == -EINTR)) continue;
    if (n < 0) {
      log::warn("net", "io_uring failed; messages are sent one by one from now on", {{"error", std::strerror(-n)}});
      ring_.reset();
      ring_wanted_ = false;
      return;
    }
  }
}

}  // namespace weir::net
