// The way back: events of channels become messages. What was taken is kept until the server has it.
//   core       the server has what it answered a PING behind; it answers one all the time while something is kept
//   JetStream  a stream has what it acknowledged; a refusal, or none within 5 s, and it is published again, later and
//              later. Meanwhile the next events of its subject wait, those of other subjects do not
// After a break all that is kept goes out again, oldest first, before anything else. At most 1,024 events and 4 MiB are
// kept; while there is no room, or no connection, nothing is taken. Threads: [strand].
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inbox.hpp"
#include "link.hpp"
#include "weir/sdk/host.hpp"
#include "weir/sdk/sink.hpp"

namespace weir::nats {

class Publisher {
 public:
  struct Counts {
    std::uint64_t published = 0, again = 0, lost = 0;  // `lost`: the log says each
  };
  // `trouble`: told why events can't get to where they shall, empty when they can.
  Publisher(const sdk::Host& host, bool jetstream, Link& link, std::function<void(const std::string& why)> trouble);
  ~Publisher();

  // See sdk::Sink. Throws Failure when the first one can never be published.
  std::size_t deliver(std::span<const sdk::Outgoing> events);
  void connected();
  void away();
  // Waits until all is published, for so long at most, and counts what is not.
  void finish(std::int64_t ms);
  // The server says that our user may not publish to this subject; `whole`: it is not only how the subject begins.
  void refused(std::string_view subject, bool whole);
  const Counts& counts() const { return counts_; }
  std::size_t kept() const { return kept_.size(); }

 private:
  static constexpr std::size_t kEventsMax = 1'024, kBytesMax = 4 * 1024 * 1024;
  static constexpr std::int64_t kAcknowledgeMs = 5'000;
  using Message = std::shared_ptr<natsMsg>;
  enum class Stands : std::uint8_t { waits, sent, failed };
  struct Kept {
    std::uint64_t number;
    Message message;
    std::string subject;
    std::size_t bytes;        // here, about
    std::int64_t wire_bytes;  // of its headers and data
    Stands stands = Stands::waits;
    std::int64_t sent_ms = 0;
  };
  struct Trouble {
    sdk::Backoff backoff;
    std::int64_t next_ms = 0;
    std::string why;
  };
  struct Progress;

  Kept keep(const sdk::Outgoing& event);
  bool room() const { return kept_.empty() || (kept_.size() < kEventsMax && bytes_ < kBytesMax); }
  void send(const std::vector<Kept*>& which);
  void confirm();
  void heard(const std::shared_ptr<Progress>& progress);
  void acknowledgements();
  void answered(Kept& kept, natsMsg* answer);
  void failed(Kept& kept, const std::string& why);
  void lose(const Kept& kept, const std::string& why);
  void let_go(const Kept& kept);
  void settle();
  void look_again();
  void say_trouble();
  Kept* find(std::uint64_t number);

  sdk::Host host_;
  const bool jetstream_;
  Link& link_;
  std::function<void(const std::string&)> trouble_;
  std::map<std::uint64_t, Kept> kept_;  // by number
  std::size_t bytes_ = 0;               // of kept_
  std::uint64_t number_ = 0;
  bool short_ = false;                  // the hub waits for room
  std::shared_ptr<Progress> progress_;  // over the connection that there is now
  bool confirming_ = false;
  // JetStream
  std::string inbox_;
  std::shared_ptr<Inbox> acknowledgements_;
  std::map<std::string, Trouble, std::less<>> troubles_;  // by subject
  std::string said_;
  sdk::Timer ticks_;
  Counts counts_;
};

}  // namespace weir::nats
