// Which subjects of a source that works on demand are active, because somebody watches them. Several channels may be
// fed by one subject; it is activated for the first who wants it and stays for a while after the last has left, so
// that a page that is loaded again does not begin anew. The table is the strand's; what the rest of the hub wishes
// waits for it, of each only the last wish, so a strand that is stuck lets nothing grow.
// Threads: want() and unwant() [any]; callbacks on the strand.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace weir {

class Demand {
 public:
  // What became of an activation. Errors: not_found, forbidden, bad_request - there is no such thing, says the source.
  using Awake = std::function<void(Result<void>)>;
  struct Ports {
    // Calls the plugin's activate() with a token. `answered` comes once, from any thread.
    std::function<void(const std::string& subject, Awake answered)> activate;
    std::function<void(const std::string& subject)> deactivate;
    std::function<void(std::function<void()>)> post;  // to the strand, in order
    std::function<std::uint64_t(std::int64_t ms, std::function<void()>)> timer_start;
    std::function<void(std::uint64_t)> timer_cancel;
  };
  Demand(std::int64_t linger_ms, Ports ports) : linger_ms_(linger_ms), ports_(std::move(ports)) {}

  void linger(std::int64_t ms) { linger_ms_ = ms; }  // for what comes after
  // `who`, the name of a channel or a pattern, watches the subject. `awake` is told once, unless `who` wishes something
  // else before; `asleep` when the subject has been let go of, some time after nobody wanted it any more.
  void want(std::string subject, std::string who, Awake awake, std::function<void()> asleep);
  void unwant(std::string subject, std::string who);

 private:
  struct Wish {
    bool wanted = false;
    Awake awake{};
    std::function<void()> asleep{};
  };
  struct Entry {
    std::set<std::string> wanted_by;
    std::map<std::string, std::function<void()>> asleep;  // those who left wait here too
    std::vector<Awake> waiting;
    bool answered = false;
    std::uint64_t life = 0;   // of the activation: an answer to an earlier one is none to this
    std::uint64_t timer = 0;  // of the lingering
  };
  void wish(std::string subject, std::string who, Wish wish);
  void look();
  void want_now(const std::string& subject, const std::string& who, Wish wish);
  void unwant_now(const std::string& subject, const std::string& who);
  void awake(const std::string& subject, std::uint64_t life, const Result<void>& how);
  void let_go(const std::string& subject);

  std::atomic<std::int64_t> linger_ms_;
  const Ports ports_;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Wish> wishes_;  // guarded by mutex_: subject, who
  std::uint64_t lives_ = 0;                                     // [strand]
  std::map<std::string, Entry> entries_;                        // [strand]
};

}  // namespace weir
