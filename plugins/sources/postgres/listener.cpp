#include "listener.hpp"

#include <algorithm>

#include "weir/sdk/json.hpp"

namespace weir::postgres {
namespace {

// In a form that every session reads alike, whatever its settings.
constexpr std::string_view kNow =
    "select pg_catalog.to_char(pg_catalog.clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

// For this transaction: a page has its time, and the transaction itself as long as the hub is full. Not every server
// has each of these settings.
std::string limits_of(std::int64_t timeout_ms) {
  return "select pg_catalog.set_config(name, case name when 'statement_timeout' then '" + std::to_string(timeout_ms) +
         "' else '0' end, true) from pg_catalog.pg_settings where name in ('statement_timeout', "
         "'idle_in_transaction_session_timeout', 'transaction_timeout');";
}

// That $1 is a timestamptz is what the first mention of it says, and it need not be mentioned again.
std::string cursor_of(const std::string& query) {
  const std::string most = std::to_string(Listener::kPayloadBytes);
  return "declare weir_catch_up no scroll cursor for with \"weir since\" as (select $1::pg_catalog.timestamptz) "
         "select pg_catalog.left(channel::pg_catalog.text, 64), "
         "case when bytes <= " +
         most + " then payload end, bytes > " + most +
         " from (select channel, payload::pg_catalog.text as payload, "
         "pg_catalog.octet_length(payload::pg_catalog.text) as bytes from (" +
         query + "\n) as missed) as sized";
}

std::string_view way_out(const Result& result) {
  if (result.failed("57014"))
    return "somebody cancelled it, or a page of its rows takes longer than catch_up_timeout (an index may help)";
  if (result.failed("42501")) return "grant the hub's role what it needs for it";
  if (result.failed("42703")) return "its columns have to be named channel and payload";
  return "psql shows what is wrong with it";
}

}  // namespace

std::string quoted_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

Listener::Listener(const sdk::Host& host, const Config& config, Told told)
    : host_(host),
      config_(config),
      told_(std::move(told)),
      connection_(host, config.address, config.ping_ms,
                  {[this] { ready(); }, [this](const std::string& why) { away(why); },
                   [this](std::string_view channel, std::string_view payload) { told_.notified(channel, payload); }}) {}

void Listener::away(const std::string& why) {
  if (away_since_ms_ == 0) away_since_ms_ = host_.steady_ms();
  live_ = page_waits_ = false;
  told_.state(sdk::State::retrying, why);
}

void Listener::pause(bool paused) {
  connection_.pause(paused);
  if (!paused && page_waits_) fetch();
}

void Listener::tick() {
  connection_.expect();
  if (!config_.catch_up.empty() && live_ && !connection_.paused() && !connection_.busy() &&
      host_.steady_ms() - marked_ms_ >= config_.ping_ms)
    mark();
}

// First LISTEN, then the gap: what is sent in between is not lost, and who catches up after the gap misses nothing.
void Listener::ready() {
  std::string sql = "begin;";
  for (const std::string& channel : config_.listen) sql += "listen " + quoted_name(channel) + ";";
  sql += "commit;";
  if (!config_.catch_up.empty()) ((sql += "begin;") += limits_of(config_.catch_up_timeout_ms)) += kNow;
  connection_.ask(sql, [this](const Result& result) {
    if (!result.ok()) return connection_.end(result.error());
    tell_lost();
    if (!config_.catch_up.empty()) {
      listened_at_ = result.text(0, 0);
      return catch_up();
    }
    connection_.well();
    told_.state(sdk::State::running, {});
  });
}

// The first time, too: who subscribed before then, or to the instance that was here until a reload, can't know.
void Listener::tell_lost() {
  const std::string what =
      config_.catch_up.empty() ? "did not come here" : "is caught up with as far as catch_up has it";
  if (!listened_) {
    told_.lost("the hub listens to PostgreSQL from now on; what was sent before " + what);
  } else {
    const std::int64_t away_ms = away_since_ms_ == 0 ? 0 : host_.steady_ms() - away_since_ms_;
    told_.lost("the connection to PostgreSQL was down for " + std::to_string((away_ms + 999) / 1000) +
               " s; what was sent meanwhile " + what);
  }
  listened_ = true;
  away_since_ms_ = 0;
}

// --- catch_up -------------------------------------------------------------------------------------------------------

void Listener::catch_up() {
  told_.state(sdk::State::starting, "catching up");
  connection_.ask(
      cursor_of(config_.catch_up), {whole_at_},
      [this](const Result& result) {
        if (!result.ok()) return failed(result);
        fetch();
      },
      config_.catch_up_timeout_ms);
}

void Listener::fetch() {
  page_waits_ = connection_.paused();
  if (page_waits_) return;
  connection_.ask(
      "fetch " + std::to_string(kPageRows) + " from weir_catch_up", {},
      [this](const Result& page) {
        if (!page.ok()) return failed(page);
        take(page);
        if (page.rows() == kPageRows) return fetch();
        finish({});
      },
      config_.catch_up_timeout_ms);
}

void Listener::take(const Result& page) {
  for (int row = 0; row < page.rows(); ++row) {
    const std::string_view channel = page.text(row, 0);
    if (std::find(config_.listen.begin(), config_.listen.end(), channel) == config_.listen.end()) {
      ++counts_.skipped;
      host_.warn("catch_up has rows of channels that are not listened to; they are skipped",
                 "{\"channel\":" + sdk::json::quoted(channel) + "}");
    } else if (page.text(row, 2) == "t") {
      told_.left_out(channel, "a row of catch_up has more than the " + std::to_string(kPayloadBytes) +
                                  " bytes that a notification may have");
    } else {
      ++counts_.caught_up;
      told_.notified(channel, page.text(row, 1));
    }
  }
}

void Listener::failed(const Result& result) {
  if (result.state().empty()) return connection_.end(result.error());  // that was no server's word
  finish("catch_up failed with SQLSTATE " + std::string(result.state()) + ": " + result.error() + "; " +
         std::string(way_out(result)) + ". What was missed stays missing, LISTEN goes on");
}

// A query that failed is not asked for the same again after the next break: there would be ever more of it.
void Listener::finish(const std::string& why) {
  connection_.ask(why.empty() ? "commit" : "rollback", [this, why](const Result& result) {
    if (!result.ok() && why.empty()) return failed(result);
    if (!result.ok()) return connection_.end(result.error());
    connection_.well();
    whole_at_ = listened_at_;
    marked_ms_ = host_.steady_ms();
    live_ = true;
    if (!why.empty()) told_.lost("catch_up failed, so what was missed stays missing");
    told_.state(why.empty() ? sdk::State::running : sdk::State::degraded, why);
  });
}

// Notifications of what was committed before then are here, but for those of the very last moment.
void Listener::mark() {
  connection_.ask(std::string(kNow), [this](const Result& result) {
    if (!result.ok()) return connection_.end(result.error());
    whole_at_ = result.text(0, 0);
    marked_ms_ = host_.steady_ms();
  });
}

}  // namespace weir::postgres
