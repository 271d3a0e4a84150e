// Which subjects of a source that works on demand are active, because somebody watches them. Several channels may be
// fed by one subject; it is activated for the first who wants it and stays for a while after the last has left, so
// that a page that is loaded again does not begin anew. The table is the strand's; what the rest of the hub wishes
// waits for it, of each only the last wish. Limits: kWishesMax wait before more is refused, whatever clients do while a
// strand is stuck.
// Threads: want(), unwant(), answered() [any]; callbacks on the strand.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace weir {

class Demand {
 public:
  // What became of an activation: the source is at work for it; `late`: after an attempt that had failed. Errors:
  // not_found, forbidden, bad_request - there is no such thing, says the source; unavailable - it can't now, and is
  // asked again after kAgainMinMs, then after twice that and so on, as long as anybody wants it.
  using Awake = std::function<void(const Result<void>&, bool late)>;
  static constexpr std::int64_t kAgainMinMs = 1'000, kAgainMaxMs = 30'000;
  static constexpr std::size_t kWishesMax = 65536;  // as many as a strand has tasks
  struct Ports {
    // Call the plugin's. The answer to the former comes by answered().
    std::function<void(const std::string& subject, std::uint32_t activation)> activate;
    std::function<void(const std::string& subject)> deactivate;
    std::function<void(std::function<void()>)> post;  // to the strand, in order
    std::function<std::uint64_t(std::int64_t ms, std::function<void()>)> timer_start;
    std::function<void(std::uint64_t)> timer_cancel;
  };
  Demand(std::int64_t linger_ms, Ports ports) : linger_ms_(linger_ms), ports_(std::move(ports)) {}

  void linger(std::int64_t ms) { linger_ms_ = ms; }  // for what comes after
  // `who`, the name of a channel or a pattern, watches the subject. `awake` is told what the source answers, until it
  // is at work or `who` wishes something else; `asleep` when the subject has been let go of, some time after nobody
  // wanted it any more. Both are told in the order in which they came to be. False: too many wishes wait; `awake` has
  // been told unavailable, and there is nothing to unwant.
  bool want(std::string subject, std::string who, Awake awake, std::function<void()> asleep);
  void unwant(std::string subject, std::string who);
  // The source's answer, however late. One that nobody waits for does nothing but count. [any]
  void answered(std::uint32_t activation, Result<void> how);
  std::uint64_t late() const { return late_; }  // [any]

 private:
  struct Wish {
    bool wanted = false;
    Awake awake{};
    std::function<void()> asleep{};  // also of a wish that was taken back before the strand saw it
  };
  struct Interest {
    bool wanted = false;
    Awake awake{};                   // until it is at work, or is of no interest any more
    std::function<void()> asleep{};  // who left waits for this, too
  };
  struct Entry {
    std::map<std::string, Interest> of;
    std::size_t wanted = 0;  // of them
    bool at_work = false;
    std::uint32_t activation = 0;  // 0: the last one failed, and `timer` is until the next
    std::uint32_t failed = 0;      // in a row
    std::uint64_t timer = 0;       // of the lingering, where nobody wants it
  };
  bool wish(std::string subject, std::string who, Wish& wish);
  void look();
  void want_now(const std::string& subject, const std::string& who, Wish wish);
  void unwant_now(const std::string& subject, const std::string& who, Wish wish);
  void activate(const std::string& subject);
  void awake(const std::string& subject, std::uint32_t activation, const Result<void>& how);
  void let_go(const std::string& subject);
  void forget(std::map<std::string, Entry>::iterator it);

  std::atomic<std::int64_t> linger_ms_;
  const Ports ports_;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Wish> wishes_;  // guarded by mutex_: subject, who
  std::map<std::uint32_t, std::string> asked_;  // guarded by mutex_: activations without an answer, their subjects
  std::atomic<std::uint64_t> late_{0};
  std::uint32_t activations_ = 0;  // [strand] down to here
  std::map<std::string, Entry> entries_;
};

}  // namespace weir
