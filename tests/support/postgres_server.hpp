// A real PostgreSQL of a test's own: a cluster in a temporary folder, on a free port and a Unix socket; and a client to
// drive it with. One for all tests of a process, with a database each (PostgresDatabase): making a cluster takes a
// second. Works as root, too: the server then runs as the user postgres. Threads: those of the test, one at a time.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/server_process.hpp"

struct pg_conn;

namespace weir::test {

class PostgresServer {
 public:
  static PostgresServer& shared();  // running
  // A copy of `primary`, running, that follows it until it is promoted.
  static std::unique_ptr<PostgresServer> standby_of(const PostgresServer& primary);
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  void start();   // on the same port, with what is on disk
  void kill();    // all of its processes, as a machine that loses power would
  void freeze();  // all of its processes
  void thaw();
  std::uint16_t port() const { return port_; }
  const std::string& socket_folder() const { return folder_; }

 private:
  explicit PostgresServer(std::vector<std::string> make);
  std::vector<int> children() const;
  std::string folder_;
  const std::uint16_t port_;
  ServerProcess process_;
};

// A client as anybody would write it with libpq. It connects anew when the server was away.
class PostgresClient {
 public:
  explicit PostgresClient(std::string conninfo);
  PostgresClient(const PostgresClient&) = delete;
  PostgresClient& operator=(const PostgresClient&) = delete;
  ~PostgresClient();
  // The first value of the last result, "" for none. What fails is a failure of the test; a lost connection is tried
  // again, so what `sql` does must bear that.
  std::string say(const std::string& sql);
  std::int64_t number(const std::string& sql);
  std::string error(const std::string& sql);  // of the server; empty: it was done
  int notifications();                        // that have come since it was asked last, of what it listens to
  // Once; false: the connection was lost, and nobody knows whether it was done.
  bool try_say(const std::string& sql, std::string& value, std::string& error);

 private:
  const std::string conninfo_;
  pg_conn* raw_ = nullptr;
};

// A new database on the shared server, with an outbox if wanted.
class PostgresDatabase {
 public:
  explicit PostgresDatabase(bool outbox = true, bool notify = true, const std::string& encoding = "UTF8");
  const std::string& name() const { return name_; }
  // Over the socket, or over TCP (of a proxy, say).
  std::string conninfo(const std::string& user = "weir") const;
  std::string url(std::uint16_t port, const std::string& user = "weir") const;
  PostgresServer& server() { return PostgresServer::shared(); }

 private:
  std::string name_;
};

}  // namespace weir::test
