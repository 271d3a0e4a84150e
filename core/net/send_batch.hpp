// What one round of flushes gives to its sockets. Entering the kernel, its way back and what it does there for each
// call are a third of the cost of a small send, so the messages of up to 256 connections go in one system call
// (io_uring), where the kernel lets us have it: containers often don't, and then each is sent by its own call. Frames
// that several connections have waiting in the same order, as all the subscribers of a busy channel do, are put
// together once for all of them: one piece of memory costs the kernel half of what 64 pieces do. docs/benchmarks.md has
// the figures ("Many sends in one call"). Threads: [shard].
#pragma once
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "routing/outbox.hpp"

namespace weir::net {

class SendBatch {
 public:
  static constexpr std::size_t kPartsMax = 256;  // of one message

  class Sender {
   public:
    virtual ~Sender() = default;
    // So many bytes of what was added have left, or -errno. Must not call the batch, nor end a sender.
    // True: flushed() is to be called as well, ...
    virtual bool left(ssize_t bytes) = 0;
    // ... once all have been sent to. May end this sender, and put into the outboxes of others.
    virtual void flushed() = 0;
  };

  explicit SendBatch(bool with_ring = true);
  ~SendBatch();
  SendBatch(const SendBatch&) = delete;
  SendBatch& operator=(const SendBatch&) = delete;

  // The first kPartsMax frames of the outbox, which is not empty and stays as it is until left() is called: by
  // finish(), or by an add() for which there is no room. The descriptor is of a stream socket.
  void add(Sender& sender, int descriptor, const Outbox& outbox);
  // Has nothing to send, but flushed() is to be called.
  void add(Sender& sender) { to_call_.push_back(&sender); }
  void finish();
  bool has_ring() const { return ring_ != nullptr; }  // once it has sent anything

 private:
  struct Ring;
  struct Message {
    Sender* sender;
    ssize_t left;    // what came of it: bytes, or -errno
    iovec one;       // all of it, if it is in one piece, ...
    iovec* parts;    // ... or where the pieces stand
    unsigned count;  // of pieces
    int descriptor;
  };
  void gather(Message& message, const Outbox& outbox);
  bool put_together();
  void send();
  void send_by_ring();
  static ssize_t send_one(const Message& message);
  iovec* room() { return parts_.get() + parts_used_; }

  bool ring_wanted_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Message[]> messages_;
  std::size_t count_ = 0;
  std::vector<Sender*> to_call_;
  std::unique_ptr<iovec[]> parts_;  // of all messages
  std::size_t parts_used_ = 0;
  std::span<iovec> run_;           // what the last message with several parts had to send
  iovec whole_{};                  // the same in one piece, once a second message has it
  std::unique_ptr<char[]> bytes_;  // of runs in one piece
  std::size_t bytes_used_ = 0;
};

}  // namespace weir::net
