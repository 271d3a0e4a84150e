#include "outbox.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <random>
#include <utility>

namespace weir::postgres {
namespace {

constexpr std::int64_t kStoreMs = 200;
// Under load rows come in batches: the server works for us a tenth of the time, as long as a batch is not made to wait
// for longer than `rest`. A batch of 20 rows costs it nearly as much as one of 200.
constexpr std::int64_t kRestTimes = 9;
// It rests longer and longer, up to this, when it finds nothing and can't sleep, as transactions are under way that
// have found it awake.
constexpr std::int64_t kAwakeMs = 100;
// How long it may go unnoticed that the one whose guest it is has gone.
constexpr std::int64_t kGuestMs = 1'000;
constexpr std::int64_t kPageBytes = 1024 * 1024;
constexpr std::int64_t kNamesBytes = 64 * 1024;  // topic, event, key and id of a row, far more than the hub takes
constexpr int kPageRowsFirst = 50, kPageRowsMost = 500;
constexpr int kOldestServer = 130000;  // xid8 and pg_snapshot

std::int64_t number(std::string_view text) {
  std::int64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

std::optional<std::string> top_xid(const Position& position) {
  return position.top_xid == 0 ? std::nullopt : std::optional(std::to_string(position.top_xid));
}

// No other process, now or later, has the same.
std::string name_of_ours() {
  std::random_device random;
  char out[40];
  std::snprintf(out, sizeof out, "%08x%08x%08x%08x", random(), random(), random(), random());
  return out;
}

}  // namespace

Outbox::Outbox(const sdk::Host& host, const Address& address, const OutboxConfig& config, std::int64_t ping_ms,
               Told told)
    : host_(host),
      config_(config),
      told_(std::move(told)),
      row_bytes_(config.data_bytes + kNamesBytes),
      sql_(config.schema, row_bytes_),
      holder_(name_of_ours()),
      page_rows_(kPageRowsFirst),
      connection_(host, address, ping_ms,
                  {[this] { ready(); }, [this](const std::string& why) { away(why); },
                   [this](std::string_view, std::string_view) {
                     woken_ = true;
                     go();
                   }}) {}

void Outbox::open() {
  const auto every = static_cast<std::uint64_t>(std::min<std::int64_t>(config_.poll_ms, 100));
  ticks_.start(host_, every, every, [this] {
    connection_.expect();
    go();
  });
  connection_.open();
}

void Outbox::away(const std::string& why) {
  if (pid_ != 0) pid_before_ = std::exchange(pid_, 0);  // attempts that fail have none
  leave();
  again_.cancel();
  told_.state(sdk::State::retrying, why);
}

void Outbox::later(std::uint64_t ms, std::function<void()> call) {
  again_.start(host_, ms, 0, [this, call = std::move(call)] {
    if (connection_.ready() && !connection_.busy()) return call();
    if (connection_.ready()) later(20, call);  // the server is being asked whether it is there
  });
}

// What was begun is read again from the last row that was handed over.
void Outbox::leave() {
  reading_ = bounded_ = false;
  page_.reset();
  unreadable_.clear();
}

// Something that only somebody else can mend; everything is tried again from the lock on. Not so on a standby: another
// server may be the one to write to.
void Outbox::failed(const Result& result) {
  if (result.failed("25006")) return connection_.end(result.error());
  std::string why = result.error();
  if (result.failed("42P01") || result.failed("3F000") || result.failed("42703"))
    why += "; `weir pg init` makes it";
  else if (result.failed("42501"))
    why += "; `weir pg init --role` grants what a reader needs";
  try_later(why);
}

void Outbox::try_later(const std::string& why) {
  leave();
  told_.state(sdk::State::retrying, why + "; tried again every 2 s");
  later(2'000, [this] { lock(); });
}

// --- After connecting -----------------------------------------------------------------------------------------------

void Outbox::ready() {
  sleep_ = Sleep::awake;  // another session
  guest_ = false;
  pid_ = connection_.server_pid();
  if (connection_.server_version() < kOldestServer)
    return connection_.end("the server is older than PostgreSQL 13, which an outbox needs");
  connection_.ask(sql_.setup, [this](const Result& result) {
    if (!result.ok()) return connection_.end(result.error());  // never read without it; a standby can't LISTEN
    lock();
  });
}

void Outbox::lock() {
  connection_.ask(sql_.lock, {config_.reader}, [this](const Result& result) {
    if (!result.ok()) return failed(result);
    if (result.text(0, 0) != "t") return wait_for_lock();
    prepare();
  });
}

void Outbox::prepare() {
  connection_.ask(sql_.prepare, [this](const Result& result) {
    if (!result.ok()) return failed(result);
    enter();
  });
}

// It may be our own session of before, of which the server does not know yet that nobody is there any more.
void Outbox::wait_for_lock() {
  connection_.ask(sql_.holder, {config_.reader, std::to_string(pid_before_)}, [this](const Result& result) {
    if (!result.ok()) return failed(result);
    const bool sent_away = result.rows() != 0 && result.text(0, 1) == "t";
    if (result.rows() != 0 && !sent_away)
      told_.state(sdk::State::degraded, "reader \"" + config_.reader + "\" is in use by another session (process " +
                                            std::string(result.text(0, 0)) +
                                            " of the server); this one takes over when that one is gone");
    if (!sent_away) connection_.well();  // else it had the lock, and was too slow for us
    later(sent_away || result.rows() == 0 ? 50 : 1'000, [this] { lock(); });
  });
}

void Outbox::enter() {
  connection_.ask(sql_.enter, {config_.reader, config_.from_now ? "t" : "f"}, [this](const Result& result) {
    if (!result.ok()) return failed(result);
    place();
  });
}

void Outbox::place() {
  connection_.ask(sql_.place, {config_.reader}, [this](const Result& result) {
    if (!result.ok()) return failed(result);
    if (result.rows() == 0) return lock();  // the row was removed this very moment
    now_ = result.text(0, 6);
    before_ = known_ ? cluster_ : std::string(result.text(0, 4));
    // A row without a holder was made just now: somebody had removed ours. What this instance knows still holds.
    const std::string_view holder = result.text(0, 5);
    if (!known_ || (!holder.empty() && holder != holder_)) {
      const auto batch =
          std::make_shared<const Batch>(Batch{std::string(result.text(0, 0)), std::string(result.text(0, 1))});
      progress_.reset({batch, number(result.text(0, 2)), number(result.text(0, 3)), number(result.text(0, 7))});
      before_ = result.text(0, 4);
    }
    survey();
  });
}

void Outbox::survey() {
  const Position& from = progress_.read();
  const std::string& reading = from.batch->reading;
  connection_.ask(
      sql_.survey,
      {from.batch->seen, reading.empty() ? std::nullopt : std::optional(reading), std::to_string(from.top),
       top_xid(from)},
      [this](const Result& result) {
        if (!result.ok()) return failed(result);
        const std::string sequence = "the sequence of " + config_.schema + ".outbox";
        if (number(result.text(0, 4)) != 1)
          return try_later(sequence + " has CACHE " + std::string(result.text(0, 4)) +
                           ", which costs the order; `alter sequence ... cache 1` mends it");
        if (result.null(0, 3))
          return try_later("no right to read " + sequence +
                           ", which shows whether commits were lost; `weir pg init --role` grants it");
        const std::int64_t given_out = number(result.text(0, 3));
        const Position& at = progress_.read();
        if ((!before_.empty() && before_ != now_) || given_out < at.top || result.text(0, 6) == "t")
          return begin_anew(given_out, result.text(0, 5) == "t");
        if (result.text(0, 0) == "t") {
          host_.info(
              "the server crashed and gives out numbers of transactions again; rows with such numbers are looked for");
          const bool in_batch = !at.batch->reading.empty();
          const auto batch = std::make_shared<const Batch>(
              Batch{std::string(result.text(0, 1)), in_batch ? std::string(result.text(0, 2)) : std::string()});
          progress_.renumber({batch, at.last, at.top, at.top_xid});
        }
        claim();
      });
}

// The database is another one than before, restored perhaps: transactions have other numbers. What has a greater id
// than everything that was read, and could be given out here, is new.
void Outbox::begin_anew(std::int64_t last_given_out, bool renumber) {
  const auto go_on = [this, last_given_out] {
    const std::int64_t from = std::min(progress_.read().top, last_given_out);
    told_.lost("", 0,
               "the database was restored or has lost transactions; its outbox is read on behind row " +
                   std::to_string(from) + ", others may be missing");
    progress_.reset({std::make_shared<const Batch>(Batch{"1:1:", {}}), from, from});
    claim();
  };
  if (!renumber) return go_on();
  connection_.ask(sql_.renumber, [this, go_on](const Result& result) {
    if (!result.ok()) return failed(result);
    go_on();
  });
}

Parameters Outbox::stored_as(const Position& position) const {
  const Batch& batch = *position.batch;
  return {config_.reader,
          batch.seen,
          batch.reading.empty() ? std::nullopt : std::optional(batch.reading),
          std::to_string(position.last),
          std::to_string(position.top),
          cluster_,
          holder_,
          top_xid(position)};
}

void Outbox::claim() {
  cluster_ = now_;
  known_ = true;
  store([this] {
    reading_ = true;
    woken_ = true;
    may_clean_ = true;
    told_.state(sdk::State::running, {});
    go();
  });
}

// --- Reading --------------------------------------------------------------------------------------------------------

void Outbox::go() {
  if (!reading_) return;
  hand_over();
  if (!reading_ || !connection_.ready() || connection_.busy()) return;
  if (woken_ && sleep_ != Sleep::awake) return wake();
  const std::int64_t now = host_.steady_ms();
  if (progress_.changed() && now - stored_ms_ >= kStoreMs) return store([this] { go(); });
  const std::int64_t clean_every = std::clamp<std::int64_t>(config_.keep_ms / 10, 1'000, 60'000);
  const bool clean_now = config_.keep_ms != 0 && may_clean_ && (more_to_clean_ || now - cleaned_ms_ >= clean_every);
  const bool room = !page_ && !told_.full();
  const std::int64_t poll_ms = guest_ ? std::min(kGuestMs, config_.poll_ms) : config_.poll_ms;
  const bool wanted = room && (bounded_ || sleep_ != Sleep::asleep || !progress_.read().batch->reading.empty() ||
                               now - looked_ms_ >= poll_ms);
  const bool read_now = wanted && (bounded_ || now >= rest_until_ms_);
  // There may be so much to remove that it takes minutes: then one is done after the other.
  if (clean_now && !(cleaned_last_ && read_now)) return clean();
  if (!wanted) return;
  if (read_now) return bounded_ ? fetch() : look();
  if (!rest_.running()) rest_.start(host_, static_cast<std::uint64_t>(rest_until_ms_ - now), 0, [this] { go(); });
}

void Outbox::hand_over() {
  while (page_ && !told_.full()) {
    if (row_ == page_->rows()) {
      page_.reset();
      if (last_page_) {
        connection_.well();  // not before: a server that is slow needs its time for each of the pages
        progress_.finish();
        bounded_ = false;
      }
      return;
    }
    const Result& page = *page_;
    const int r = row_++;
    const std::int64_t id = number(page.text(r, 0)), xid = number(page.text(r, 9));
    ++counts_.rows;
    std::string why;
    if (!page_unreadable_.empty())
      why = " can't be read: " + page_unreadable_;
    else if (number(page.text(r, 7)) > row_bytes_)
      why = " has " + std::string(page.text(r, 7)) + " bytes, more than outbox.data_bytes allows";
    if (!why.empty()) {
      progress_.skip(id, xid);
      told_.lost(page.text(r, 1), 1, "row " + std::to_string(id) + why);
      continue;
    }
    told_.row({page.text(r, 1), page.text(r, 2), page.text(r, 3), page.text(r, 4), page.text(r, 6),
               number(page.text(r, 5)), progress_.add(id, xid)});
  }
}

void Outbox::look() {
  cleaned_last_ = false;
  woken_ = false;
  looked_ms_ = asked_ms_ = host_.steady_ms();
  worked_ms_ = 0;
  const Batch& batch = *progress_.read().batch;
  connection_.ask_prepared(sql_.look, {batch.seen, batch.reading.empty() ? std::nullopt : std::optional(batch.reading)},
                           [this](const Result& result) {
                             if (!result.ok()) return failed(result);
                             rest();
                             progress_.begin(std::string(result.text(0, 0)));
                             smallest_.reset();
                             if (!result.null(0, 1)) smallest_ = result.text(0, 1);
                             running_ = result.text(0, 2);
                             bounded_ = smallest_ || running_ != "{}";
                             if (bounded_) awake_rest_ms_ = config_.rest_ms;
                             if (bounded_) return sleep_ == Sleep::awake ? go() : wake();
                             connection_.well();
                             progress_.finish();
                             if (sleep_ == Sleep::awake) return fall_asleep();
                             sleep_ = Sleep::asleep;
                             go();
                           });
}

void Outbox::fall_asleep() {
  connection_.ask(sql_.sleep, [this](const Result& result) {
    if (!result.ok()) return failed(result);
    guest_ = result.text(0, 0) == "guest";
    if (result.text(0, 0) == "no") {
      rest_until_ms_ = host_.steady_ms() + std::min(awake_rest_ms_, config_.poll_ms);
      awake_rest_ms_ = std::max(awake_rest_ms_, std::min(2 * awake_rest_ms_, kAwakeMs));
    } else {
      sleep_ = Sleep::dozing;
      rest_until_ms_ = 0;
    }
    go();
  });
}

void Outbox::wake() {
  woken_ = false;
  if (std::exchange(guest_, false)) {
    sleep_ = Sleep::awake;
    return go();
  }
  connection_.ask(sql_.wake, [this](const Result& result) {
    if (!result.ok()) return failed(result);
    sleep_ = Sleep::awake;
    go();
  });
}

// After each answer: how long the server worked for this batch so far.
void Outbox::rest() {
  const std::int64_t now = host_.steady_ms();
  worked_ms_ += std::max<std::int64_t>(1, now - asked_ms_);
  rest_until_ms_ = now + std::min(config_.rest_ms, kRestTimes * worked_ms_);
}

void Outbox::fetch() {
  cleaned_last_ = false;
  asked_ms_ = host_.steady_ms();
  const Position& at = progress_.read();
  const int asked = page_rows_;
  connection_.ask_prepared(sql_.page,
                           {at.batch->seen, at.batch->reading, std::to_string(at.last), smallest_, running_,
                            std::to_string(asked), std::to_string(kPageBytes), unreadable_.empty() ? "t" : "f"},
                           [this, asked](Result result) {
                             // A row that the server can't turn into text for us, as one with bytes that are no UTF-8:
                             // pages of one row lead to it, and then it comes without its texts.
                             if (result.state().substr(0, 2) == "22" && unreadable_.empty()) {
                               if (asked == 1) unreadable_ = result.error();
                               page_rows_ = 1;
                               return go();
                             }
                             if (!result.ok()) return failed(result);
                             page_unreadable_ = std::exchange(unreadable_, {});
                             rest();
                             ++counts_.pages;
                             const int rows = result.rows();
                             const auto total = rows == 0 ? 0 : static_cast<int>(number(result.text(0, 8)));
                             // Fewer than were found: they are large, and the server should not look at more in vain.
                             page_rows_ = rows < total ? std::max(1, rows) : std::min(kPageRowsMost, 2 * asked);
                             last_page_ = total < asked && rows == total;
                             page_.emplace(std::move(result));
                             row_ = 0;
                             go();
                           });
}

// --- Writing --------------------------------------------------------------------------------------------------------

void Outbox::store(std::function<void()> then) {
  stored_ms_ = host_.steady_ms();
  progress_.stored();
  connection_.ask(sql_.store, stored_as(progress_.done()), [this, then = std::move(then)](const Result& result) {
    if (!result.ok()) return failed(result);
    ++counts_.stored;
    then();
  });
}

// What this reader has had shows in its row, so that comes first.
void Outbox::clean() {
  store([this] {
    connection_.ask(sql_.clean, {std::to_string(config_.keep_ms), std::to_string(cleaned_id_)},
                    [this](const Result& result) {
                      cleaned_ms_ = host_.steady_ms();
                      cleaned_last_ = true;
                      if (result.failed("42501")) {
                        may_clean_ = false;
                        host_.warn("no right to delete rows of the outbox; they stay", {});
                      } else if (!result.ok()) {
                        return failed(result);
                      } else {
                        const std::int64_t removed = number(result.text(0, 0));
                        counts_.removed += static_cast<std::uint64_t>(removed);
                        more_to_clean_ = removed == kCleanRows;
                        cleaned_id_ = more_to_clean_ ? number(result.text(0, 1)) : 0;
                      }
                      go();
                    });
  });
}

void Outbox::accepted(std::uint64_t number) {
  progress_.accepted(number);
  go();
}

void Outbox::refused(std::uint64_t number) { progress_.refused(number); }

void Outbox::stop() {
  ticks_.cancel();
  again_.cancel();
  rest_.cancel();
  const bool write = reading_ && progress_.changed();
  reading_ = false;
  if (write) (void)connection_.ask_and_wait(sql_.store, stored_as(progress_.done()), 1'000);
}

}  // namespace weir::postgres
