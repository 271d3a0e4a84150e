#include "connection.hpp"

#include <libpq-fe.h>
#include <openssl/ssl.h>
#include <sys/poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>

namespace weir::postgres {
namespace {

constexpr std::uint64_t kConnectMs = 5'000;
constexpr std::uint32_t kPatienceMost = 6;  // an answer gets 64 times `ping` at most

std::vector<const char*> pointers(const Parameters& parameters) {
  std::vector<const char*> values;
  for (const auto& p : parameters) values.push_back(p ? p->c_str() : nullptr);
  return values;
}

std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

// What came with TLS and libpq had no room for: the socket does not become readable for it.
bool more_in_tls(PGconn* raw) {
  auto* const ssl = static_cast<SSL*>(PQsslStruct(raw, "OpenSSL"));
  return ssl != nullptr && SSL_pending(ssl) > 0;
}

}  // namespace

void Result::Free::operator()(pg_result* raw) const { PQclear(raw); }

bool Result::ok() const {
  const auto status = PQresultStatus(raw_.get());
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;
}
std::string Result::error() const {
  const char* text = PQresultErrorField(raw_.get(), PG_DIAG_MESSAGE_PRIMARY);
  return first_line(text != nullptr ? text : PQresultErrorMessage(raw_.get()));
}
std::string_view Result::state() const {
  const char* state = PQresultErrorField(raw_.get(), PG_DIAG_SQLSTATE);
  return state == nullptr ? "" : state;
}
bool Result::inside() const { return PQresultErrorField(raw_.get(), PG_DIAG_CONTEXT) != nullptr; }
int Result::rows() const { return PQntuples(raw_.get()); }
bool Result::null(int row, int column) const { return PQgetisnull(raw_.get(), row, column) != 0; }
std::string_view Result::text(int row, int column) const {
  return {PQgetvalue(raw_.get(), row, column), static_cast<std::size_t>(PQgetlength(raw_.get(), row, column))};
}

Connection::Connection(const sdk::Host& host, const Address& address, std::int64_t ping_ms, Told told)
    : host_(host), address_(address), ping_ms_(ping_ms), told_(std::move(told)) {}

// --- Coming and going -----------------------------------------------------------------------------------------------

// libpq would look up the name itself, and wait for it; it is given an address instead. One address at a time: each of
// a name, and each server of a list, has its turn.
void Connection::open() {
  close();
  const std::uint64_t attempt = attempts_++;
  const std::size_t count = address_.servers.size();
  const Address::Server& server = address_.servers[attempt % count];
  timer_.start(host_, kConnectMs, 0, [this] { end("no answer within 5 s"); });
  if (!server.needs_lookup()) return connect(server, server.hostaddr);
  resolver_.start(host_, server.host, [this, &server, turn = attempt / count](const sdk::Resolver::Found& found) {
    if (found.addresses.empty()) return end("\"" + server.host + "\" can't be looked up: " + found.why);
    connect(server, found.addresses[turn % found.addresses.size()]);
  });
}

void Connection::connect(const Address::Server& server, const std::string& address) {
  const std::string user_timeout = std::to_string(2 * ping_ms_ + 1'000);
  // The first ones may be overridden by the url, the last ones not: later keys win.
  std::vector<std::pair<const char*, const char*>> options = {
      {"fallback_application_name", "weir"},
      {"keepalives_idle", "10"},
      {"keepalives_interval", "5"},
      {"keepalives_count", "3"},
      {"gssencmode", "disable"},  // asking for a ticket would wait
      {"tcp_user_timeout", user_timeout.c_str()}};
  for (const auto& [key, value] : address_.options) options.emplace_back(key.c_str(), value.c_str());
  options.emplace_back("client_encoding", "UTF8");
  if (!server.host.empty()) options.emplace_back("host", server.host.c_str());
  if (!address.empty()) options.emplace_back("hostaddr", address.c_str());
  if (!server.port.empty()) options.emplace_back("port", server.port.c_str());
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : options) keys.push_back(key), values.push_back(value);
  keys.push_back(nullptr);
  values.push_back(nullptr);
  raw_ = PQconnectStartParams(keys.data(), values.data(), 0);
  if (raw_ == nullptr) return end("not enough memory");
  if (PQstatus(raw_) == CONNECTION_BAD) return end(error());
  const auto notice = [](void* self, const char* text) {
    static_cast<Connection*>(self)->host_.debug("the server says: " + first_line(text));
  };
  PQsetNoticeProcessor(raw_, notice, this);
  watched_ = WEIR_WATCH_WRITE;
  if (!watch_.start(host_, PQsocket(raw_), watched_, [this](std::uint32_t) { poll(); }))
    end("the hub can't watch its socket");
}

void Connection::poll() {
  watch_.end();  // the socket may be another one afterwards
  const auto status = PQconnectPoll(raw_);
  if (status == PGRES_POLLING_FAILED) return end(error());
  if (status != PGRES_POLLING_OK) {
    watched_ = status == PGRES_POLLING_READING ? WEIR_WATCH_READ : WEIR_WATCH_WRITE;
    if (!watch_.start(host_, PQsocket(raw_), watched_, [this](std::uint32_t) { poll(); }))
      end("the hub can't watch its socket");
    return;
  }
  timer_.cancel();
  watched_ = 0;
  if (PQsetnonblocking(raw_, 1) != 0) return end(error());
  ready_ = true;
  ++openings_;
  heard_ms_ = host_.steady_ms();
  const auto life = life_;
  watch();
  if (life == life_) told_.ready();
}

void Connection::close() {
  ++life_;
  timer_.cancel();
  resolver_.forget();
  watch_.end();
  watched_ = 0;
  if (raw_ != nullptr) PQfinish(raw_);
  raw_ = nullptr;
  ready_ = flushing_ = false;
  answer_ = nullptr;
  result_.reset();
  said_.clear();
}

void Connection::end(const std::string& why) {
  const std::string reason = first_line(why);  // it may belong to what is being closed
  close();
  timer_.start(host_, backoff_.next_ms(), 0, [this] { open(); });
  told_.away("no connection to PostgreSQL at " + address_.text() + ": " + reason + "; it is tried again all the time");
}

std::string Connection::error() const {
  std::string text = PQerrorMessage(raw_);
  if (!said_.empty() && text.starts_with(said_)) text.erase(0, said_.size());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.empty() ? "the server has closed it" : text;
}

int Connection::server_pid() const { return raw_ == nullptr ? 0 : PQbackendPID(raw_); }

int Connection::server_version() const { return raw_ == nullptr ? 0 : PQserverVersion(raw_); }

void Connection::well() {
  backoff_.reset();
  patience_ = 0;
}

// --- Asking and reading ---------------------------------------------------------------------------------------------

void Connection::watch() {
  const std::uint32_t wanted =
      (paused_ ? 0U : std::uint32_t{WEIR_WATCH_READ}) | (flushing_ ? std::uint32_t{WEIR_WATCH_WRITE} : 0U);
  if (wanted == watched_) return;
  watch_.end();
  watched_ = wanted;
  if (wanted != 0 && !watch_.start(host_, PQsocket(raw_), wanted, [this](std::uint32_t events) { on_event(events); }))
    end("the hub can't watch its socket");
}

void Connection::ask(const std::string& sql, const Parameters& parameters, Answer answer, std::int64_t may_take_ms) {
  const auto values = pointers(parameters);
  sent(parameters.empty() ? PQsendQuery(raw_, sql.c_str())
                          : PQsendQueryParams(raw_, sql.c_str(), static_cast<int>(values.size()), nullptr,
                                              values.data(), nullptr, nullptr, 0),
       std::move(answer), may_take_ms);
}

void Connection::ask_prepared(const char* name, const Parameters& parameters, Answer answer) {
  const auto values = pointers(parameters);
  sent(PQsendQueryPrepared(raw_, name, static_cast<int>(values.size()), values.data(), nullptr, nullptr, 0),
       std::move(answer), 0);
}

void Connection::sent(int status, Answer answer, std::int64_t may_take_ms) {
  if (status != 1) return end(error());
  answer_ = std::move(answer);
  asked_ms_ = host_.steady_ms();
  may_take_ms_ = may_take_ms;
  const int left = PQflush(raw_);
  if (left < 0) return end(error());
  flushing_ = left > 0;
  watch();
}

void Connection::on_event(std::uint32_t events) {
  const auto life = life_;
  if ((events & (WEIR_WATCH_READ | WEIR_WATCH_ERROR)) != 0) read();
  if (life != life_ || (events & WEIR_WATCH_WRITE) == 0) return;
  const int left = PQflush(raw_);
  if (left < 0) return end(error());
  flushing_ = left > 0;
  watch();
}

void Connection::read() {
  do
    if (PQconsumeInput(raw_) != 1) return end(error());
  while (more_in_tls(raw_));
  heard_ms_ = host_.steady_ms();
  const auto life = life_;
  take_results();
  if (life == life_) take_notifications();
}

void Connection::take_results() {
  while (answer_ && PQisBusy(raw_) == 0) {
    if (pg_result* raw = PQgetResult(raw_); raw != nullptr) {
      Result result(raw);
      if (!result_ || result_->ok()) result_.emplace(std::move(result));
      continue;
    }
    if (!result_) return end(error());
    Result result = std::move(*result_);
    result_.reset();
    const Answer answer = std::exchange(answer_, nullptr);
    said_ = result.ok() ? "" : PQerrorMessage(raw_);
    const auto life = life_;
    answer(std::move(result));
    if (life == life_ && !answer_ && told_.free) told_.free();
    if (life != life_) return;
  }
}

void Connection::take_notifications() {
  const auto life = life_;
  while (!paused_) {
    PGnotify* raw = PQnotifies(raw_);
    if (raw == nullptr) return;
    struct Freed {
      PGnotify* one;
      ~Freed() { PQfreemem(one); }
    } const freed{raw};
    if (raw->be_pid == PQbackendPID(raw_)) continue;  // for others
    told_.notified(raw->relname, raw->extra);
    if (life != life_) return;
  }
}

void Connection::pause(bool paused) {
  paused_ = paused;
  if (!ready_) return;
  const auto life = life_;
  watch();
  if (life == life_ && !paused) {
    heard_ms_ = host_.steady_ms();  // while nothing is read nothing can be heard
    if (busy()) asked_ms_ = heard_ms_;
    take_notifications();
  }
}

void Connection::expect() {
  if (!ready_ || paused_) return;
  const std::int64_t now = host_.steady_ms();
  if (busy()) {
    const std::int64_t wait_ms = may_take_ms_ + (ping_ms_ << std::min(patience_, kPatienceMost));
    if (now - std::max(asked_ms_, heard_ms_) <= wait_ms) return;
    // Who was held up himself has not looked yet: timers come before sockets.
    pollfd one{PQsocket(raw_), POLLIN, 0};
    if (::poll(&one, 1, 0) > 0) return read();
    ++patience_;
    return end("it does not answer");
  }
  if (now - heard_ms_ > ping_ms_)
    ask("select 1", [this](const Result& result) {
      if (!result.ok()) end(result.error());
    });
}

bool Connection::ask_and_wait(const std::string& sql, const Parameters& parameters, int timeout_ms) {
  if (!ready_) return false;
  watch_.end();
  watched_ = 0;
  paused_ = true;                           // nobody wants to hear of notifications any more
  using Clock = std::chrono::steady_clock;  // the hub's stands still meanwhile
  const auto until = Clock::now() + std::chrono::milliseconds(timeout_ms);
  bool done = false;
  if (answer_) answer_ = [](const Result&) {};
  for (int round = 0; round < 2 && ready_; ++round) {
    if (round == 1) ask(sql, parameters, [&done](const Result& result) { done = result.ok(); });
    while (ready_ && answer_) {
      if (Clock::now() > until) return false;
      pollfd one{PQsocket(raw_), static_cast<short>(PQflush(raw_) > 0 ? POLLIN | POLLOUT : POLLIN), 0};
      if (::poll(&one, 1, 20) < 0 && errno != EINTR) return false;
      if (PQconsumeInput(raw_) != 1) return false;
      take_results();
    }
  }
  return done;
}

}  // namespace weir::postgres
