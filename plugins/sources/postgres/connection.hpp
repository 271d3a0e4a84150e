// A connection to PostgreSQL on the strand: libpq with a socket that never blocks. It comes back by itself.
// One query at a time; its answer comes later. What is asked of the server must be answered in time (expect()).
// Threads: [strand]; looking up a name has one of its own (weir/sdk/resolver.hpp).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "address.hpp"
#include "weir/sdk/backoff.hpp"
#include "weir/sdk/host.hpp"
#include "weir/sdk/resolver.hpp"

struct pg_conn;
struct pg_result;

namespace weir::postgres {

// What the server answered. Texts live as long as it does.
class Result {
 public:
  explicit Result(pg_result* raw) : raw_(raw) {}
  bool ok() const;                 // rows, or a command that was done
  std::string error() const;       // its first line
  std::string_view state() const;  // SQLSTATE, e.g. "42P01"; empty when the server did not say it
  bool failed(std::string_view code) const { return code == state(); }
  bool inside() const;  // the error came from within a function
  int rows() const;
  bool null(int row, int column) const;
  std::string_view text(int row, int column) const;  // empty for null

 private:
  struct Free {
    void operator()(pg_result* raw) const;
  };
  std::unique_ptr<pg_result, Free> raw_;
};

using Parameters = std::vector<std::optional<std::string>>;

class Connection {
 public:
  struct Told {
    std::function<void()> ready;                       // logged in
    std::function<void(const std::string& why)> away;  // it is tried again; what was asked is not answered
    std::function<void(std::string_view channel, std::string_view payload)> notified;
    std::function<void()> free{};  // everything was answered that was asked; may be left out
  };
  using Answer = std::function<void(Result)>;
  // ping_ms: how long an answer may take; see expect(). `address` outlives the connection.
  Connection(const sdk::Host& host, const Address& address, std::int64_t ping_ms, Told told);
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void open();
  // Only while ready() and not busy(). Without parameters it may be several commands: the answer is that of the last
  // one, or of the first that failed.
  void ask(const std::string& sql, Answer answer) { ask(sql, {}, std::move(answer)); }
  // may_take_ms: how long the server may work on it, beside what expect() gives every answer.
  void ask(const std::string& sql, const Parameters& parameters, Answer answer, std::int64_t may_take_ms = 0);
  void ask_prepared(const char* name, const Parameters& parameters, Answer answer);  // of this session
  void end(const std::string& why);  // as if the server had; it is opened again
  // Waits until the server has done what it was asked for, and this after it; for the last word. False: not in time.
  bool ask_and_wait(const std::string& sql, const Parameters& parameters, int timeout_ms);
  // Reads nothing more: what the server says waits in its buffers.
  void pause(bool paused);

  // To be called every so often: ends the connection if an answer is late, and asks something if nothing was heard for
  // long. A server that is only slow gets twice the time with each attempt.
  void expect();
  void well();  // it does what it is there for
  bool ready() const { return ready_; }
  bool busy() const { return answer_ != nullptr; }
  pg_conn* raw() const { return raw_; }
  int server_pid() const;
  int server_version() const;  // 150018 is 15.18
  std::uint64_t reconnects() const { return openings_ == 0 ? 0 : openings_ - 1; }

 private:
  void close();
  void sent(int status, Answer answer, std::int64_t may_take_ms);
  void connect(const Address::Server& server, const std::string& address);
  void poll();
  void watch();
  void on_event(std::uint32_t events);
  void read();
  void take_results();
  void take_notifications();
  std::string error() const;

  sdk::Host host_;
  const Address& address_;
  const std::int64_t ping_ms_;
  Told told_;
  pg_conn* raw_ = nullptr;
  bool ready_ = false, paused_ = false, flushing_ = false;
  Answer answer_;                 // of what is being asked
  std::optional<Result> result_;  // so far
  std::string said_;              // what libpq said of the last answer; it goes on behind that
  std::int64_t asked_ms_ = 0, heard_ms_ = 0, may_take_ms_ = 0;
  std::uint32_t patience_ = 0;  // answers were late so many times running
  std::uint64_t openings_ = 0, attempts_ = 0;
  std::uint64_t life_ = 0;  // of the socket: an answer may end it under the loop that reads
  std::uint32_t watched_ = 0;
  sdk::Resolver resolver_;
  sdk::FdWatch watch_;
  sdk::Timer timer_;
  sdk::Backoff backoff_;
};

}  // namespace weir::postgres
