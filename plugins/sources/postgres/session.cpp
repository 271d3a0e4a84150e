#include "session.hpp"

#include <string_view>
#include <utility>

#include "call_error.hpp"
#include "weir/sdk/json.hpp"

namespace weir::postgres {
namespace {

// Requests that did not wait have the same time left, most of them, and the server need not be told each time.
constexpr std::int64_t kLimitStepMs = 100;

// tcp_*: the server finds out when we are gone without a word.
constexpr std::string_view kSetup = R"(
set default_transaction_isolation = 'read committed';
set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; set tcp_user_timeout = 30000)";

constexpr std::string_view kTooLarge = "weir: the answer has ";

// The identity is set for this transaction, and before the function is called: its row comes from `who`. An answer that
// is too large for the hub is an error, so that nothing is committed that nobody hears of; in SQL alone only a value of
// the wrong form can be one. search_path is the role's, which functions may count on; so our own names are qualified.
std::string call_of(const std::string& function) {
  return "with who as materialized (select pg_catalog.set_config('weir.identity', $2, true)) "
         "select case when bytes > " +
         std::to_string(WEIR_ANSWER_BYTES_MAX) + " then pg_catalog.concat('" + std::string(kTooLarge) +
         "', bytes, ' bytes')::pg_catalog.int4::pg_catalog.text else answer end from (select answer, "
         "pg_catalog.octet_length(answer) as bytes from (select pg_catalog.to_json(" +
         function +
         "($1::pg_catalog.jsonb, $2::pg_catalog.jsonb))::pg_catalog.text as answer from who offset 0) a "
         "offset 0) answers";
}

bool too_large(const Result& result) {
  return result.failed("22P02") && !result.inside() && result.error().find(kTooLarge) != std::string::npos;
}

}  // namespace

Session::Session(const sdk::Host& host, const Address& address, std::string schema, std::int64_t ping_ms, Told told)
    : host_(host),
      schema_(std::move(schema)),
      told_(std::move(told)),
      connection_(host, address, ping_ms,
                  {[this] { ready_to_set_up(); }, [this](const std::string& why) { away(why); },
                   [](std::string_view, std::string_view) {}, [this] { offer(); }}) {}

void Session::ready_to_set_up() {
  limit_ms_ = 0;
  connection_.ask(std::string(kSetup), [this](const Result& result) {
    if (!result.ok()) return connection_.end(result.error());
    connection_.ask("select from pg_catalog.pg_namespace where nspname = $1", {schema_}, [this](const Result& found) {
      if (!found.ok()) return connection_.end(found.error());
      if (found.rows() == 0) return connection_.end("the database has no schema \"" + schema_ + "\" for functions");
      connection_.well();
      set_up_ = true;
    });
  });
}

void Session::away(const std::string& why) {
  set_up_ = false;
  canceller_.forget();
  if (auto call = std::exchange(call_, std::nullopt)) {
    if (std::exchange(sent_, false))
      call->reply.unavailable("the connection to the database broke; nobody knows whether the request was carried out");
    else
      call->reply.unavailable("the connection to the database broke; the request was not carried out");
  }
  told_.away(why);
}

void Session::offer() {
  if (free()) told_.free();
}

void Session::carry_out(Call call) {
  call_.emplace(std::move(call));
  limit();
}

void Session::limit() {
  const std::int64_t left_ms = call_->until_ms - host_.steady_ms();
  if (left_ms <= 0) call_->reply.timeout("the database had no time for it; the request was not carried out");
  if (call_->reply.given()) return call_.reset();
  const std::int64_t limit_ms = (left_ms + kLimitStepMs - 1) / kLimitStepMs * kLimitStepMs;
  if (limit_ms == limit_ms_) return send(limit_ms);
  connection_.ask("set statement_timeout = " + std::to_string(limit_ms), [this, limit_ms](const Result& result) {
    if (result.failed("57014")) return limit();  // that was for the call before
    if (!result.ok()) return connection_.end(result.error());
    limit_ms_ = limit_ms;
    if (call_->reply.given()) return call_.reset();  // cancelled meanwhile
    send(limit_ms);
  });
}

void Session::send(std::int64_t left_ms) {
  sent_ = true;
  connection_.ask(
      call_of(call_->function), {call_->params, call_->identity}, [this](const Result& result) { answered(result); },
      left_ms);
}

void Session::answered(const Result& result) {
  if (!result.ok() && result.state().empty()) return connection_.end(result.error());  // that was no server's word
  sent_ = false;
  connection_.well();
  Call call = std::move(*std::exchange(call_, std::nullopt));
  const auto refuse_answer = [&](const std::string& what) {
    host_.warn(call.function + " answered with " + what);
    call.reply.error(WEIR_E_INTERNAL, "internal", "the database's answer can't be used; the hub's log says why");
  };
  if (too_large(result)) {
    host_.warn(call.function + ": more than the " + std::to_string(WEIR_ANSWER_BYTES_MAX) +
               " bytes that an answer may have; it was rolled back: " + result.error());
    return call.reply.error(WEIR_E_INVALID, "too_large", "the answer would be too large; nothing was done");
  }
  if (!result.ok()) {
    const CallError error = call_error(result.state(), result.error(), result.inside());
    // The hub's log holds back what says the same: function and SQLSTATE tell the causes apart.
    const std::string what = call.function + " failed with SQLSTATE " + std::string(result.state());
    const std::string fields = "{\"error\":" + sdk::json::quoted(result.error()) + "}";
    if (error.expected)
      host_.debug(what, fields);
    else
      host_.warn(what, fields);
    return call.reply.error(error.status, error.code, error.message);
  }
  if (result.rows() == 1 && result.null(0, 0)) return call.reply.result("null");
  if (result.rows() != 1)
    return refuse_answer(std::to_string(result.rows()) + " rows; one is expected, and jsonb_agg() makes one of many");
  // In UTF-8 it may have grown.
  if (result.text(0, 0).size() > WEIR_ANSWER_BYTES_MAX)
    return refuse_answer(std::to_string(result.text(0, 0).size()) + " bytes, more than the hub takes");
  call.reply.result(result.text(0, 0));
}

bool Session::cancel(std::uint64_t token) {
  if (!call_ || call_->reply.given() || call_->reply.token() != token) return false;
  call_->reply.timeout(sent_ ? "the database was told to stop" : "the request was not carried out");
  if (sent_ && !canceller_.running())
    canceller_.start(host_, connection_.raw(), [this] {
      limit_ms_ = 0;  // the next thing to be asked is harmless, should the word come late
      offer();
    });
  return true;
}

void Session::stop() {
  if (call_) (void)cancel(call_->reply.token());
}

}  // namespace weir::postgres
