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
    std::size_t bytes;           // of its subject, headers and data, about
  };
  static constexpr std::size_t kWakeAt = 64;
  // Holds at most so many messages, and so many bytes. `wake` is called once when messages have come, until take() has
  // seen the last of them and says so.
  Inbox(std::size_t messages_max, std::size_t bytes_max, std::function<void()> wake)
      : messages_max_(messages_max), bytes_max_(bytes_max), wake_(std::move(wake)) {}
  ~Inbox() { close(); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // `more`: others are about to be put, so that one wake will do for all of them, or for each kWakeAt. They may not
  // come after all (their connection has ended), so whoever takes asks unheard() now and then.
  void put(natsMsg* message, std::uint32_t subscription, bool more = false);
  // Moves the oldest ones to `out`: at most `count`, and no more than the first that goes beyond `bytes`. False: there
  // are none left. `again`: take() will be called soon in any case if it took some, so nobody is to be woken meanwhile.
  bool take(std::vector<Came>& out, std::size_t count, std::size_t bytes = std::size_t(-1), bool again = false);
  bool unheard();  // there are some, and nobody was woken for them
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
