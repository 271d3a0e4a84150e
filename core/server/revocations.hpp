// What auth providers have revoked lately. A credential may be revoked between the moment a provider vouched for it and
// the moment its connection is open; whoever opens a connection looks here whether that has happened. Keeps each for
// `keep_ms`, which must be longer than that takes, and at most kRevocationsMax; the oldest leave first. Threads: [any].
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "routing/identity.hpp"

namespace weir {

inline constexpr std::size_t kRevocationsMax = 65'536;

class Revocations {
 public:
  using Mark = std::uint64_t;
  explicit Revocations(std::int64_t keep_ms, const Clock& clock = system_clock()) : keep_ms_(keep_ms), clock_(clock) {}
  void keep_for(std::int64_t keep_ms) { keep_ms_ = keep_ms; }
  // Take this before a provider is asked.
  Mark mark() const;
  void add(std::string_view provider, std::string_view key, std::string_view reason);
  // Why this identity is not valid any more, if it was revoked after `mark`.
  std::optional<std::string> since(Mark mark, const Identity& identity) const;
  std::size_t size() const;

 private:
  struct Entry {
    Mark number;
    SteadyMs at;
    std::string provider, key, reason;
  };
  std::atomic<std::int64_t> keep_ms_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  Mark last_ = 0;              // guarded by mutex_
  std::deque<Entry> entries_;  // guarded by mutex_; by number
};

}  // namespace weir
