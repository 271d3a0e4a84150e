// Entries of streams, read as one consumer of a group: in order, each once, acknowledged when the hub has its event.
// Two connections: one waits for entries, the other one acknowledges meanwhile. After a break the server still has what
// it handed out and nobody acknowledged; that is read first, and then what is new. A reply is whole in memory before
// anybody sees it, so as many entries are asked for as make about 1 MiB, by what the last ones weighed, and 100 at
// most. Threads: [strand].
#pragma once
#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config.hpp"
#include "connection.hpp"
#include "weir/sdk/host.hpp"

namespace weir::redis {

// "1770724800000-3".
struct EntryId {
  std::uint64_t ms = 0, number = 0;
  auto operator<=>(const EntryId&) const = default;
  std::string text() const { return std::to_string(ms) + "-" + std::to_string(number); }
  // False: that is no id.
  static bool read(std::string_view text, EntryId& id);
};

// The data of an entry: the field of that name, else an object of all of them, where a value that is no UTF-8 is
// {"base64":...}, and a name that is none "base64:...". `fields`: names and values in turns.
std::string data_of(const redisReply& fields, const std::string& field, bool& as_it_is);

class Streams {
 public:
  struct Told {
    std::function<void(bool running, const std::string& why)> state;
    // An entry that is to become an event; `cursor` grows by one with each.
    std::function<void(const std::string& key, const EntryId& id, const redisReply& fields, std::uint64_t cursor)>
        entry;
    std::function<void(const std::string& key, const std::string& why)> lost;
    std::function<bool()> full;  // the hub takes no more entries now
  };
  struct Counts {
    std::uint64_t entries = 0, again = 0, acknowledged = 0, claimed = 0;
  };
  Streams(const sdk::Host& host, const Config& config, Told told);

  void open();
  void accepted(std::uint64_t cursor);  // up to this one
  void refused(std::uint64_t cursor);   // the hub will never have this one
  void pause(bool paused) { paused_ = paused; }
  void ask();  // for more, if there is room
  const Counts& counts() const { return counts_; }
  std::size_t in_flight() const { return in_flight_.size(); }
  std::uint64_t reconnects() const { return reader_.reconnects(); }

 private:
  static constexpr std::int64_t kWaitMs = 2'000;
  static constexpr std::int64_t kAtOnce = 100, kAtFirst = 8, kReplyBytes = 1024 * 1024;
  struct Asked {
    enum class What : std::uint8_t { info, group, acknowledge, claim, ping } what;
    std::size_t stream = 0;
  };
  using What = Asked::What;
  struct Stream {
    std::string key;
    EntryId last{};          // the newest entry that became an event
    bool pending = true;     // what was handed out before may still be there
    EntryId pending_from{};  // behind this one
    EntryId newest{};        // in the stream, when we looked; only if that is known
    bool newest_known = false;
    std::set<EntryId> held{};  // in flight, or acknowledged and the server has not said that it knows
    std::string claim_from = "0-0";
  };
  struct InFlight {
    std::uint64_t cursor;
    std::size_t stream;
    EntryId id;
    bool done = false;
  };
  struct Done {
    std::size_t stream;
    std::vector<EntryId> ids;
  };
  void ready();
  void away(const std::string& why, Connection& other);
  void make_groups();
  void answered(redisReply& reply);  // of the connection that acknowledges
  void read(redisReply& reply);      // of the one that reads
  void take(std::size_t stream, const redisReply& entries, bool claimed);
  void settle();
  void acknowledge(std::size_t stream, std::vector<EntryId> ids);
  void send(const Done& done);
  void made_group(std::size_t stream);
  void made_anew(std::size_t stream);
  void group(std::size_t stream, std::vector<std::string> command);
  void all_groups();
  std::int64_t room() const;
  void weigh(std::size_t entries, std::size_t bytes);
  void tick();

  sdk::Host host_;
  const Config config_;
  const StreamConfig& stream_;
  Told told_;
  std::vector<Stream> streams_;
  std::deque<InFlight> in_flight_;
  std::deque<Done> done_;    // sent, and the server has not said yet that it has them; also over a break
  std::deque<Asked> asked_;  // of the connection that acknowledges, in order
  std::size_t groups_left_ = 0;
  bool reading_ = false;             // the groups are there
  bool waiting_ = false;             // a read is under way
  std::size_t reading_pending_ = 0;  // of which stream that is, if pending entries are read
  bool pending_ = false;
  bool paused_ = false;
  bool ending_ = false;
  std::uint64_t cursor_ = 0;
  std::size_t done_ids_ = 0;         // of done_
  std::int64_t at_once_ = kAtFirst;  // how many entries to ask for
  std::string claim_failed_;         // why entries of others can't be claimed, until they can
  std::int64_t claimed_ms_ = 0;
  std::int64_t read_asked_ms_ = 0;  // when the read that is under way was asked for
  std::int64_t asked_ms_ = 0;       // when the oldest of asked_ was, about
  Counts counts_;
  sdk::Timer ticks_, again_;
  Connection reader_, writer_;
};

}  // namespace weir::redis
