// Messages on their way from cnats' threads to the strand. put() never waits: one thread of cnats serves all
// subscriptions of a process, and a hub that is full must not hold up answers and acknowledgements. What is too much is
// thrown away and counted. Threads: [any].
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

typedef struct __natsMsg natsMsg;

namespace weir::nats {

class Inbox {
 public:
  struct Came {
    natsMsg* message;            // the taker's to destroy
    std::uint32_t subscription;  // see Link::subscribe()
  };
  // Holds at most so many messages, and so many bytes of their data. `wake` is called when there are some where there
  // were none.
  Inbox(std::size_t messages_max, std::size_t bytes_max, std::function<void()> wake)
      : messages_max_(messages_max), bytes_max_(bytes_max), wake_(std::move(wake)) {}
  ~Inbox() { close(); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  void put(natsMsg* message, std::uint32_t subscription);
  // Moves the oldest ones to `out`, at most `count`. False: there are none left.
  bool take(std::vector<Came>& out, std::size_t count);
  // Waits until there is something, for so long at most.
  void wait(std::chrono::milliseconds at_most);
  std::uint64_t dropped();  // since the last call
  void close();             // throws away what is there; put() takes nothing any more

 private:
  const std::size_t messages_max_, bytes_max_;
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<Came> messages_;  // guarded by mutex_, as all below
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
  bool woken_ = false, closed_ = false;
};

}  // namespace weir::nats
