#include "support/postgres_server.hpp"

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "init_sql.hpp"

namespace weir::test {
namespace {

namespace fs = std::filesystem;
constexpr auto kPatience = std::chrono::seconds(60);

// Debian has the server's programs in a folder for each version; the newest one counts.
std::string program(const std::string& name) {
  std::string found;
  std::error_code ec;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", ec)) {
    const auto path = version.path() / "bin" / name;
    if (fs::exists(path) && path.string() > found) found = path.string();
  }
  return found.empty() ? name : found;
}

// The server refuses to run as root.
std::vector<std::string> as_ordinary_user(std::vector<std::string> command) {
  if (::geteuid() != 0) return command;
  std::vector<std::string> all = {"setpriv",        "--reuid=postgres", "--regid=postgres",
                                  "--clear-groups", "--pdeathsig",      "KILL"};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

// Its parent and whether it still runs, from /proc.
bool look_at(int pid, int& parent) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string all((std::istreambuf_iterator<char>(file)), {});
  const auto close = all.rfind(')');
  if (close == std::string::npos) return false;
  char state = 0;
  return std::sscanf(all.c_str() + close + 1, " %c %d", &state, &parent) == 2 && state != 'Z' && state != 'X';
}

}  // namespace

PostgresServer& PostgresServer::shared() {
  static PostgresServer server(
      {"initdb", "-A", "trust", "-U", "weir", "-E", "UTF8", "--locale=C", "-N", "--wal-segsize=1"});
  return server;
}

std::unique_ptr<PostgresServer> PostgresServer::standby_of(const PostgresServer& primary) {
  std::unique_ptr<PostgresServer> standby(
      new PostgresServer({"pg_basebackup", "-h", primary.folder_, "-p", std::to_string(primary.port_), "-U", "weir",
                          "-R", "-N", "-c", "fast"}));
  return standby;
}

// `make`: what makes its data, but for where.
PostgresServer::PostgresServer(std::vector<std::string> make) : port_(free_port()) {
  std::string folder = (fs::temp_directory_path() / "weir-pg-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
  folder_ = folder;
  if (::geteuid() == 0) {
    const passwd* user = ::getpwnam("postgres");
    if (user == nullptr || ::chown(folder_.c_str(), user->pw_uid, user->pw_gid) != 0)
      ADD_FAILURE() << "no user postgres";
  }
  make[0] = program(make[0]);
  make.insert(make.end(), {"-D", folder_ + "/data"});
  ServerProcess maker;
  maker.run(as_ordinary_user(std::move(make)), folder_ + "/make.log");
  maker.wait();
  start();
}

PostgresServer::~PostgresServer() {
  if (process_.running()) kill();
  std::error_code ec;
  fs::remove_all(folder_, ec);
}

void PostgresServer::start() {
  process_.run(as_ordinary_user({program("postgres"), "-D", folder_ + "/data", "-k", folder_, "-p",
                                 std::to_string(port_), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c",
                                 "shared_buffers=32MB", "-c", "max_prepared_transactions=5", "-c", "autovacuum=off"}),
               folder_ + "/log");
  const std::string conninfo = "host=" + folder_ + " port=" + std::to_string(port_) + " user=weir dbname=postgres";
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (PQping(conninfo.c_str()) != PQPING_OK) {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "PostgreSQL does not answer; see " << folder_ << "/log";
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

// Each has a process group of its own.
std::vector<int> PostgresServer::children() const {
  std::vector<int> out;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const int pid = std::atoi(entry.path().filename().c_str());
    int parent = 0;
    if (pid > 0 && look_at(pid, parent) && parent == process_.pid()) out.push_back(pid);
  }
  return out;
}

void PostgresServer::freeze() {
  process_.freeze();  // first, or it makes new ones
  for (const int pid : children()) ::kill(pid, SIGSTOP);
}

void PostgresServer::thaw() {
  for (const int pid : children()) ::kill(pid, SIGCONT);
  process_.thaw();
}

void PostgresServer::kill() {
  freeze();
  const std::vector<int> all = children();
  for (const int pid : all) ::kill(pid, SIGKILL);
  process_.end(SIGKILL);
  // One that is still there has the shared memory, and the server would not start beside it.
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (const int pid : all)
    for (int parent = 0; look_at(pid, parent) && std::chrono::steady_clock::now() < until;) std::this_thread::yield();
}

PostgresClient::PostgresClient(std::string conninfo) : conninfo_(std::move(conninfo)) {}
PostgresClient::~PostgresClient() { PQfinish(raw_); }

bool PostgresClient::try_say(const std::string& sql, std::string& value, std::string& error) {
  value.clear();
  error.clear();
  if (raw_ == nullptr || PQstatus(raw_) != CONNECTION_OK) {
    PQfinish(raw_);
    raw_ = PQconnectdb((conninfo_ + " connect_timeout=2").c_str());
    if (PQstatus(raw_) != CONNECTION_OK) return false;
    PQsetNoticeProcessor(
        raw_, [](void*, const char*) {}, nullptr);
  }
  PGresult* result = PQexec(raw_, sql.c_str());
  const auto status = PQresultStatus(result);
  if (status == PGRES_TUPLES_OK && PQntuples(result) > 0) value = PQgetvalue(result, 0, 0);
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) error = PQresultErrorMessage(result);
  PQclear(result);
  return PQstatus(raw_) == CONNECTION_OK;
}

std::string PostgresClient::say(const std::string& sql) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  std::string value, error;
  while (!try_say(sql, value, error)) {
    if (std::chrono::steady_clock::now() > until) {
      ADD_FAILURE() << sql << ": no answer from the server";
      return {};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(error, "") << sql;
  return value;
}

int PostgresClient::notifications() {
  say("select 1");  // before its answer a session is told of all that was committed
  int count = 0;
  while (pgNotify* one = PQnotifies(raw_)) {
    PQfreemem(one);
    ++count;
  }
  return count;
}

std::int64_t PostgresClient::number(const std::string& sql) { return std::atoll(say(sql).c_str()); }

std::string PostgresClient::error(const std::string& sql) {
  std::string value, error;
  (void)try_say(sql, value, error);
  return error;
}

PostgresDatabase::PostgresDatabase(bool outbox, bool notify, const std::string& encoding) {
  static int count = 0;
  name_ = "test" + std::to_string(++count);
  PostgresClient admin("host=" + server().socket_folder() + " port=" + std::to_string(server().port()) +
                       " user=weir dbname=postgres");
  admin.say("create database " + name_ + " template template0 encoding '" + encoding + "'");
  if (!outbox) return;
  postgres::InitOptions options;
  options.notify = notify;
  PostgresClient(conninfo()).say("begin;" + postgres::init_sql(options) + ";commit");
}

std::string PostgresDatabase::conninfo(const std::string& user) const {
  auto& server = PostgresServer::shared();
  return "host=" + server.socket_folder() + " port=" + std::to_string(server.port()) + " user=" + user +
         " dbname=" + name_;
}

std::string PostgresDatabase::url(std::uint16_t port, const std::string& user) const {
  return "postgres://" + user + "@127.0.0.1:" + std::to_string(port) + "/" + name_;
}

}  // namespace weir::test
