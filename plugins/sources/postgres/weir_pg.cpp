// `weir pg`: makes the table that the plugin reads as an outbox, or prints the SQL for it. Exit status: 0; 1 when it
// could not be done, and why.
#include <libpq-fe.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "init_sql.hpp"

namespace {

using weir::postgres::InitOptions;

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};

int fail(std::string why) {
  while (!why.empty() && why.back() == '\n') why.pop_back();
  std::fprintf(stderr, "weir pg: %s\n", why.c_str());
  return 1;
}

int run(const std::string& url, const InitOptions& options) {
  // An empty string is one, too: everything from the PG... environment.
  const std::unique_ptr<PGconn, Finish> connection(PQconnectdb(url.c_str()));
  if (!connection || PQstatus(connection.get()) != CONNECTION_OK) return fail(PQerrorMessage(connection.get()));
  PQsetNoticeProcessor(
      connection.get(), [](void*, const char*) {}, nullptr);  // "already exists, skipping"
  if (PQserverVersion(connection.get()) < 130000) return fail("the server is older than PostgreSQL 13");
  // search_path: whoever runs this is mighty, and nobody's functions may stand in for the server's. The advisory lock:
  // two of these at once would trip over each other's tables. lock_timeout: see the README, "Making the outbox".
  const std::string sql =
      "begin;\nset local search_path = pg_catalog, pg_temp;\n"
      "select pg_advisory_xact_lock(hashtextextended('weir pg init', 0::bigint));\nset local lock_timeout = '3s';\n" +
      weir::postgres::init_sql(options) + "\ncommit;";
  const std::unique_ptr<PGresult, Clear> result(PQexec(connection.get(), sql.c_str()));
  if (const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
      state != nullptr && std::string_view(state) == "55P03")
    return fail(
        "nothing was changed: a transaction that uses the outbox has been open for 3 s, and writers would have to wait "
        "as long as it; try again when it is over");
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) return fail(PQresultErrorMessage(result.get()));
  std::printf("the outbox %s.outbox of database %s is there%s%s; readers %s\n", options.schema.c_str(),
              PQdb(connection.get()), options.reader.empty() ? "" : ", rows are kept for reader ",
              options.reader.c_str(), options.notify ? "are woken by a trigger" : "look for rows by themselves");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"weir pg: the outbox in a PostgreSQL database (the plugin postgres reads it)"};
  app.name("weir pg");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  InitOptions options;
  std::string url, wake = "notify";
  bool print = false;
  auto* init =
      app.add_subcommand("init", "Make the outbox: table, index, readers, trigger. May be run again at any time");
  init->add_option("--url", url,
                   "postgres://user@host/database; what it leaves out comes from PGHOST, PGDATABASE, ...");
  const auto short_name = [](const std::string& name) {
    return name.empty() || name.size() > 55 ? std::string("a schema has 1 to 55 bytes: its name is part of a channel's")
                                            : std::string();
  };
  init->add_option("--schema", options.schema, "where it is to be")->check(short_name)->capture_default_str();
  init->add_option("--reader", options.reader,
                   "keep rows for this reader from now on, before it came for the first time");
  init->add_option("--wake", wake,
                   "notify: a trigger wakes the readers, writers commit one after the other; poll: readers look")
      ->check(CLI::IsMember({"notify", "poll"}))
      ->capture_default_str();
  init->add_option("--role", options.role, "a role that may read: what a hub needs and nothing else");
  init->add_option("--writer-role", options.writer_role, "a role that may write rows and nothing else");
  init->add_flag("--print", print, "Print the SQL and run nothing");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 1;
  }
  options.notify = wake == "notify";
  if (print) {
    std::fputs(weir::postgres::init_sql(options).c_str(), stdout);
    return 0;
  }
  return run(url, options);
}
