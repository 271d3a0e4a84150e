// PostgreSQL: notifications, or an outbox, with a database for each lane.
#include <libpq-fe.h>
#include <poll.h>

#include <chrono>

#include "bench/sources/upstream.hpp"
#include "support/postgres_server.hpp"

namespace weir::bench {
namespace {

struct Closer {
  void operator()(PGconn* p) const { PQfinish(p); }
  void operator()(PGresult* p) const { PQclear(p); }
};
using Result = std::unique_ptr<PGresult, Closer>;

Result ask(PGconn* connection, const char* sql, const std::vector<const char*>& values = {}) {
  Result out(
      PQexecParams(connection, sql, static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr, 0));
  if (const auto s = PQresultStatus(out.get()); s != PGRES_TUPLES_OK && s != PGRES_COMMAND_OK)
    throw std::runtime_error(std::string(sql) + ": " + PQresultErrorMessage(out.get()));
  return out;
}

class Outbox final : public Upstream {
 public:
  Outbox() : hub_(hub_database_.conninfo()), bare_(bare_database_.conninfo()) {
    bare_.say("create table place (id bigint); insert into place values (0)");
  }
  std::string library() const override { return "postgres"; }
  std::string config() const override {
    return "{ url = \"" + hub_database_.url(test::PostgresServer::shared().port()) + "\", outbox.reader = \"hub\" }";
  }
  std::string address() const override { return bare_database_.conninfo(); }
  void publish(Lane lane, const std::vector<std::string>& events) override {
    std::string sql = "insert into weir.outbox (topic, event, data) values ";
    for (const auto& event : events)  // that have nothing in them that would end a text
      sql += (&event == events.data() ? "('" : ",('") + name_of(lane) + "','message','" + event + "')";
    (lane == Lane::hub ? hub_ : bare_).say(sql);
  }

 private:
  test::PostgresDatabase hub_database_, bare_database_;
  test::PostgresClient hub_, bare_;
};

class Notifications final : public Upstream {
 public:
  std::string library() const override { return "postgres"; }
  std::string config() const override {
    return "{ url = \"" + database_.url(test::PostgresServer::shared().port()) + "\", listen = [\"hub\"] }";
  }
  std::string address() const override { return database_.conninfo(); }
  void publish(Lane lane, const std::vector<std::string>& events) override {
    std::string sql = "select ";
    for (const auto& event : events)
      sql += std::string(&event == events.data() ? "" : ",") + "pg_notify('" + name_of(lane) + "','" + event + "')";
    client_.say(sql);
  }

 private:
  test::PostgresDatabase database_;
  test::PostgresClient client_{database_.conninfo()};
};

}  // namespace

std::unique_ptr<Upstream> postgres_listen(const std::string&) { return std::make_unique<Notifications>(); }

void consume_postgres_listen(const std::string& address, const Ready& ready, const Take& take) {
  const std::unique_ptr<PGconn, Closer> held(PQconnectdb(address.c_str()));
  PGconn* const connection = held.get();
  if (PQstatus(connection) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection));
  (void)ask(connection, "listen bare");
  ready();
  for (bool more = true; more;) {
    pollfd p{PQsocket(connection), POLLIN, 0};
    ::poll(&p, 1, -1);
    if (PQconsumeInput(connection) != 1) throw std::runtime_error(PQerrorMessage(connection));
    while (PGnotify* notify = PQnotifies(connection)) {
      more = take(notify->extra) && more;
      PQfreemem(notify);
    }
  }
}

std::unique_ptr<Upstream> postgres_outbox(const std::string&) { return std::make_unique<Outbox>(); }

// By id alone, which is right for the one publisher that there is here. The place is written down as often as the hub
// does it. It looks every 10 ms: the trigger wakes a reader of the hub's that sleeps, and nobody else.
void consume_postgres_outbox(const std::string& address, const Ready& ready, const Take& take) {
  using Steady = std::chrono::steady_clock;
  const std::unique_ptr<PGconn, Closer> held(PQconnectdb(address.c_str()));
  PGconn* const connection = held.get();
  if (PQstatus(connection) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection));
  (void)ask(connection, "listen \"weir.outbox\"");
  std::string last = PQgetvalue(ask(connection, "select id from place").get(), 0, 0);
  const auto store = [&] { (void)ask(connection, "update place set id = $1::bigint", {last.c_str()}); };
  ready();
  auto stored = Steady::now();
  for (bool more = true; more;) {
    const Result rows =
        ask(connection, "select id, data from weir.outbox where id > $1::bigint order by id limit 500", {last.c_str()});
    const int count = PQntuples(rows.get());
    for (int i = 0; i < count; ++i)
      more = take({PQgetvalue(rows.get(), i, 1), static_cast<std::size_t>(PQgetlength(rows.get(), i, 1))}) && more;
    if (count > 0) last = PQgetvalue(rows.get(), count - 1, 0);
    if (const auto now = Steady::now(); now - stored > std::chrono::milliseconds(200)) store(), stored = now;
    if (count > 0) continue;
    pollfd p{PQsocket(connection), POLLIN, 0};
    ::poll(&p, 1, 10);
    PQconsumeInput(connection);
    while (PGnotify* notify = PQnotifies(connection)) PQfreemem(notify);
  }
  store();
}

}  // namespace weir::bench
