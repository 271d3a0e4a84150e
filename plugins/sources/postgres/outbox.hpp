// Reads an outbox table in the order of commits (position.hpp says which one, and why), one page at a time, while the
// hub has room; writes down how far the hub is; removes what all readers have had.
//
// One session per reader holds an advisory lock; a second hub with the same reader waits for it and takes over where
// the first one wrote it was. What this instance has read it remembers over breaks, so nothing comes twice while it
// lives: `holder` in the reader's row tells whether somebody else read meanwhile. Threads: [strand].
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "config.hpp"
#include "connection.hpp"
#include "outbox_sql.hpp"
#include "position.hpp"
#include "weir/sdk/host.hpp"

namespace weir::postgres {

class Outbox {
 public:
  struct Row {
    std::string_view topic, event, key, id, data;
    std::int64_t time_ms = 0;
    std::uint64_t number = 0;  // grows by one
  };
  struct Told {
    std::function<void(sdk::State state, const std::string& why)> state;
    std::function<void(const Row& row)> row;
    std::function<void(std::string_view topic, std::uint64_t count, const std::string& why)> lost;
    std::function<bool()> full;  // the hub takes no more rows now
  };
  struct Counts {
    std::uint64_t rows = 0, pages = 0, stored = 0, removed = 0;
  };
  // `address` and `config` outlive it.
  Outbox(const sdk::Host& host, const Address& address, const OutboxConfig& config, std::int64_t ping_ms, Told told);

  void open();
  void go();  // on, if there is room
  void accepted(std::uint64_t number);
  void refused(std::uint64_t number);
  void stop();  // writes down how far the hub is; waits for a second at most
  const Counts& counts() const { return counts_; }
  std::size_t in_flight() const { return progress_.in_flight(); }
  std::uint64_t reconnects() const { return connection_.reconnects(); }

 private:
  void ready();
  void away(const std::string& why);
  void failed(const Result& result);
  void try_later(const std::string& why);
  void leave();
  void later(std::uint64_t ms, std::function<void()> call);
  // In this order after every connect.
  void lock();
  void wait_for_lock();
  void prepare();
  void enter();
  void place();
  void survey();
  void begin_anew(std::int64_t last_given_out, bool renumber);
  void claim();
  // Then over and over.
  void hand_over();
  void look();
  void fetch();
  void rest();
  void fall_asleep();
  void wake();
  void store(std::function<void()> then);
  void clean();
  Parameters stored_as(const Position& position) const;

  sdk::Host host_;
  const OutboxConfig& config_;
  Told told_;
  const std::int64_t row_bytes_;  // what larger rows have is not fetched
  const OutboxSql sql_;
  const std::string holder_;  // who we are in the reader's row
  Progress progress_;
  bool known_ = false;        // progress_ is what was read by this instance
  std::string cluster_;       // the server's, whose numbers progress_ has
  std::string before_, now_;  // clusters: of the place that was found, and of this connection

  bool reading_ = false;  // all the steps after connecting are done
  bool bounded_ = false;  // a batch is being read, and these are its bounds
  std::optional<std::string> smallest_;
  std::string running_;         // transactions
  std::optional<Result> page_;  // what is left of it begins at row_
  // Why the next row can't be had, and is to come without its texts; and why that of page_ came so.
  std::string unreadable_, page_unreadable_;
  int row_ = 0;
  bool last_page_ = false;
  int page_rows_;  // how many to ask for
  // Awake it looks again and again. Dozing: whoever writes from now on wakes it, but it has to look once more for what
  // was committed before. Asleep: that look found nothing, and the next one is after `poll`.
  enum class Sleep : std::uint8_t { awake, dozing, asleep } sleep_ = Sleep::awake;
  bool guest_ = false;  // while a reader of another name sleeps, whose session may end without a word
  bool woken_ = false, may_clean_ = true;
  bool more_to_clean_ = true, cleaned_last_ = false;  // the latter: and nothing was read since
  std::int64_t cleaned_id_ = 0;                       // so far
  int pid_ = 0, pid_before_ = 0;                      // the server's processes for this session and the one before
  std::int64_t looked_ms_ = 0, stored_ms_ = 0, cleaned_ms_ = 0;
  std::int64_t asked_ms_ = 0, worked_ms_ = 0;     // for the batch: since when, and how long before that
  std::int64_t rest_until_ms_ = 0;                // before then no new batch is begun
  std::int64_t awake_rest_ms_ = config_.rest_ms;  // after a batch without rows
  Counts counts_;
  sdk::Timer ticks_, again_, rest_;
  Connection connection_;
};

}  // namespace weir::postgres
