// A durable consumer of a JetStream stream, read in order, each message once.
// It asks for as many messages as the hub has room for, and acknowledges one when the hub has its event. In order
// means: the server sends a message again when its acknowledgement is missing for ack_wait, and new ones meanwhile. So
// where messages were lost on their way (the server had delivered more than came here), nothing is asked for until the
// server sends these again; they come first then. It sends them in the order in which their time was up, which is not
// theirs where somebody had told it of some that they are in progress: so they are held until all have come, and
// sorted. One that comes for the first time before that has overtaken them: it is left to come again, and they are
// waited for once more. What comes twice is known by its sequence number. Who else reads from the consumer is noticed
// when messages were lost: nobody asks for any here then. What never comes is told: without a filter by the numbers
// that are skipped, else by how many were owed. Threads: [strand].
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config.hpp"
#include "inbox.hpp"
#include "link.hpp"
#include "message.hpp"
#include "weir/sdk/host.hpp"

typedef struct __natsMsg natsMsg;

namespace weir::nats {

class Consumer {
 public:
  struct Told {
    std::function<void(sdk::State state, const std::string& why)> state;  // running, degraded or retrying
    // Messages of the stream that are gone before they came here; count 0: not known how many.
    std::function<void(std::uint64_t count, const std::string& why)> lost;
  };
  struct Counts {
    std::uint64_t messages = 0, again = 0, acknowledged = 0, recoveries = 0;
  };

  enum class Take : std::uint8_t {
    event,  // it is to become one, and stands at `place`
    none,   // it is no message, or one that came before, or that comes again later
    held    // it is the Consumer's now, until sorted()
  };
  static constexpr std::size_t kHeldBytesMax = 16 * 1024 * 1024;  // of what comes again; the rest once more, behind it

  Consumer(const sdk::Host& host, const StreamConfig& config, Link& link, std::shared_ptr<Inbox> inbox, Told told);
  ~Consumer() { drop_held(); }
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  void connected();  // also again
  void away();
  Take take(const Inbox::Came& came, Place& place);
  // Those that were held, once all have come, as the caller's, each to become an event before anything else does; to be
  // asked for behind each take().
  std::vector<natsMsg*> sorted();
  // Events are numbered from 1 in the order in which take() and sorted() gave them, over all streams of that name: the
  // sequence numbers of one that is made anew begin again.
  void accepted(std::uint64_t number);  // up to this one
  void refused(std::uint64_t number);   // the hub will never have this one
  // Asks for more, if there is room. To be called when something was taken and when the hub goes on.
  void ask();
  // The hub is full: nothing is taken, so nothing is missed either.
  void pause(bool paused);
  const Counts& counts() const { return counts_; }
  std::size_t in_flight() const { return in_flight_.size(); }

 private:
  enum class Phase : std::uint8_t {
    away,
    checking,  // how does the consumer stand?
    waiting,   // for the server to send again what was lost
    again,     // it does
    reading
  };
  struct Check;
  void check();
  void checked(const Check& check);
  void runs(const std::string& why);
  void recover(std::uint64_t count);
  void came_again(std::uint64_t sequence, const std::string& reply);
  bool given_up();
  void hold(const Inbox::Came& came, std::uint64_t sequence);
  void put_off();
  std::uint64_t skipped(std::uint64_t sequence) const;
  void tell_skipped(std::uint64_t count, std::uint64_t from, std::uint64_t to);
  void becomes_event(std::uint64_t sequence, const std::string& reply);
  void drop_held();
  void nothing_owed();
  void send_acknowledgements();
  void listen_anew();
  void settle();
  void request(std::int64_t count, bool bounded = true);
  void over(std::string_view status, std::string_view text, std::string_view request_number);
  void later(std::int64_t ms, std::function<void()> call);
  void tick();
  void acknowledge(const std::string& reply, std::string_view how = "+ACK");  // leaves with the next ask()

  struct InFlight {
    std::uint64_t number, sequence;
    std::string reply;     // empty: the consumer that there is now has not sent it yet
    std::int64_t told_ms;  // when the server last heard of it
    bool done = false;     // refused
  };
  struct Held {
    natsMsg* message;
    std::size_t bytes;
  };
  struct Request {
    std::uint64_t number;
    std::int64_t count, left, until_ms;
    bool bounded;
  };
  static constexpr std::int64_t kExpiresMs = 30'000, kHeartbeatMs = 2'000, kBytesMax = 4 * 1024 * 1024;

  sdk::Host host_;
  const StreamConfig config_;
  Link& link_;
  const std::shared_ptr<Inbox> box_;
  Told told_;
  std::string inbox_;               // the subject that the server answers on, without its last token
  std::uint32_t subscription_ = 0;  // to it
  Phase phase_ = Phase::away;
  bool paused_ = false;
  std::uint64_t checks_ = 0;        // an answer to an older one is of no use
  std::deque<InFlight> in_flight_;  // ascending
  std::deque<Request> requests_;
  std::uint64_t requests_made_ = 0;
  std::int64_t heard_ms_ = 0;  // when the server last sent something
  std::uint64_t last_ = 0;     // the highest sequence that became an event
  // Up to the higher one of last_ and known_ each message was an event, told to be lost, had by who read before us, or
  // is counted in missing_: owed, and told when it does not come. All behind is unread.
  std::uint64_t known_ = 0, missing_ = 0;
  std::int64_t stream_created_ = 0, consumer_created_ = 0;
  std::uint64_t expected_ = 0;   // the next of the consumer's own numbers; 0: not known
  bool owed_ = false;            // messages were lost on their way and have not come again yet
  bool waited_ = false;          // for as long as it takes the server to see that
  std::int64_t left_again_ = 0;  // phase again: how many are still to come
  std::int64_t stuck_ = std::numeric_limits<std::int64_t>::max();  // how many had not come when new ones overtook them
  std::set<std::uint64_t> counted_;                                // phase again: those that have come
  std::map<std::uint64_t, Held> held_;                             // by sequence
  std::size_t held_bytes_ = 0;
  std::set<std::uint64_t> put_off_;  // that there was no room for; above all of held_
  bool there_ = false;               // all of them have come
  std::int64_t ack_wait_ms_;         // what the consumer has
  std::vector<Link::Short> acknowledgements_;
  std::int64_t connected_ms_ = 0;
  std::optional<std::int64_t> others_ms_;  // when somebody else was last seen to read from the same consumer
  Counts counts_;
  sdk::Timer later_, ticks_;
};

}  // namespace weir::nats
