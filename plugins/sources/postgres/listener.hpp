// LISTEN: what is sent to channels, while somebody listens. The server keeps nothing for who is away: before the first
// LISTEN, which may be late or follow another instance's, and after every break there is a gap, and behind it the rows
// of the query `catch_up`, if there is one. While the hub is full nothing is read, and what is sent waits in the
// server's queue.
//
//   begin; listen ...; commit; begin; declare a cursor; fetch, fetch, ...; commit
//
// The server sends no notification to a session in a transaction, and the second one begins in the same message that
// ends the first. So whatever is sent since LISTEN waits there, behind the rows, and nothing has to be kept here.
// Threads: [strand].
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "config.hpp"
#include "connection.hpp"
#include "weir/sdk/host.hpp"

namespace weir::postgres {

// A name or a text as SQL has it, in quotes.
std::string quoted_name(std::string_view name);

class Listener {
 public:
  struct Told {
    std::function<void(sdk::State state, const std::string& why)> state;
    // Or a row that stands for a notification: at most kPageRows more after pause(true).
    std::function<void(std::string_view channel, std::string_view payload)> notified;
    // What was sent before it listened, or while the connection was down.
    std::function<void(const std::string& why)> lost;
    std::function<void(std::string_view channel, const std::string& why)> left_out;  // a row
  };
  struct Counts {
    std::uint64_t caught_up = 0, skipped = 0;  // rows; skipped: of channels that are not listened to
  };
  // Of a notification: so a page has less than 1 MiB.
  static constexpr int kPayloadBytes = 7'999, kPageRows = 100;
  Listener(const sdk::Host& host, const Config& config, Told told);
  void open() { connection_.open(); }
  void pause(bool paused);
  void tick();
  std::uint64_t reconnects() const { return connection_.reconnects(); }
  const Counts& counts() const { return counts_; }

 private:
  void ready();
  void away(const std::string& why);
  void tell_lost();
  // The query's transaction, in this order; finish() may come at any time.
  void catch_up();
  void fetch();
  void take(const Result& page);
  void failed(const Result& result);
  void finish(const std::string& why);  // empty: all rows are there
  void mark();

  sdk::Host host_;
  const Config& config_;
  Told told_;
  bool listened_ = false;  // once at least
  std::int64_t away_since_ms_ = 0;
  // By the server's clock, for `catch_up`: when the link was last known to be whole; when this connection's LISTEN was
  // there, which is that once the rows are here.
  std::optional<std::string> whole_at_;
  std::string listened_at_;
  bool live_ = false;        // neither away nor catching up
  bool page_waits_ = false;  // for room in the hub, to be fetched
  std::int64_t marked_ms_ = 0;
  Counts counts_;
  Connection connection_;
};

}  // namespace weir::postgres
