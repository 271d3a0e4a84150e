// The way back: events of channels become messages of pub/sub or entries of streams. Over a connection of its own, as
// one that is subscribed can't publish, pipelined: the n-th reply is that of the n-th event that is kept. What was
// taken is kept until the server has answered; after a break all that is kept goes out again, oldest first, before
// anything else. At most 1,024 events and 4 MiB are kept; while there is no room, or no connection, nothing is taken.
// Threads: [strand].
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "config.hpp"
#include "connection.hpp"
#include "weir/sdk/host.hpp"
#include "weir/sdk/sink.hpp"

namespace weir::redis {

class Publisher {
 public:
  struct Counts {
    std::uint64_t published = 0, again = 0, lost = 0;  // `lost`: the log says each
  };
  // `away`: told why there is no connection, empty when there is one.
  Publisher(const sdk::Host& host, const Config& config, std::function<void(const std::string& why)> away);

  void open();  // deliver() does, too
  // See sdk::Sink. Throws Failure when the first one can never be published.
  std::size_t deliver(std::span<const sdk::Outgoing> events);
  // Waits until all is published, for so long at most, and counts what is not.
  void finish(std::int64_t ms);
  void tick();  // now and then
  const Counts& counts() const { return counts_; }
  std::size_t kept() const { return kept_.size(); }
  std::uint64_t reconnects() const { return connection_.reconnects(); }

 private:
  static constexpr std::size_t kEventsMax = 1'024, kBytesMax = 4 * 1024 * 1024;
  struct Kept {
    std::vector<std::string> command;
    std::size_t bytes;
  };
  Kept keep(const sdk::Outgoing& event) const;
  bool room() const { return kept_.empty() || (kept_.size() < kEventsMax && bytes_ < kBytesMax); }
  void ready();
  void go_on();
  void answered(const redisReply& reply);

  sdk::Host host_;
  const PublishConfig config_;
  const std::int64_t ping_ms_;
  std::function<void(const std::string&)> away_;
  std::deque<Kept> kept_;  // all of them were sent over this connection, if there is one
  std::size_t bytes_ = 0;  // of kept_
  bool opened_ = false;
  bool up_ = false;            // there is a connection, and the server takes commands
  bool short_ = false;         // the hub waits for room
  std::int64_t asked_ms_ = 0;  // since when an answer is awaited
  Counts counts_;
  Connection connection_;
};

}  // namespace weir::redis
