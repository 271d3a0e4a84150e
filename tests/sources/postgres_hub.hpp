// A hub beside PostgreSQL, with a link between them that can be cut.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "sources/source_test.hpp"
#include "support/postgres_server.hpp"

namespace weir::test {

class PostgresHubTest : public SourceTest {
 protected:
  PostgresHubTest()
      : SourceTest({.library = "postgres",
                    .pattern = "orders/{shop}",
                    .subject = "orders/{shop}",
                    .channel = "orders/7",
                    .durable = R"(outbox = { poll = "50ms", keep = "0s" })",
                    .ping_ms = 500}),
        proxy_(PostgresServer::shared().port()),
        sql_(db_.conninfo()) {}

  std::string url() const override { return db_.url(proxy_.port()); }
  std::string insert(int n) const {
    return "insert into weir.outbox (topic, event_id, data) select 'orders/7', '" + id_of(n) + "', '" + data(n) +
           "' where not exists (select from weir.outbox where event_id = '" + id_of(n) + "')";
  }
  std::function<void(int)> storing() const override {
    return [this, client = std::make_shared<PostgresClient>(db_.conninfo())](int n) { client->say(insert(n)); };
  }
  std::function<void(int)> telling() const override {
    return [this, client = std::make_shared<PostgresClient>(db_.conninfo())](int n) {
      client->say("notify \"orders/7\", '" + data(n) + "'");
    };
  }
  std::string id_of(int n) const override { return "m" + std::to_string(n); }
  PostgresServer& server_ = PostgresServer::shared();
  PostgresDatabase db_;
  TcpProxy proxy_;
  PostgresClient sql_;
};

// Somebody beside the writers who is never done with what he writes into the outbox.
class Undecided {
 public:
  explicit Undecided(const std::string& conninfo)
      : thread_([conninfo, this] {
          PostgresClient client(conninfo);
          std::string value, error;
          while (!over_)
            (void)client.try_say(
                "begin; insert into weir.outbox (topic, data) values ('orders/7', '{\"n\":0}'); "
                "select pg_sleep(0.003); rollback",
                value, error);
        }) {}
  Undecided(const Undecided&) = delete;
  Undecided& operator=(const Undecided&) = delete;
  ~Undecided() {
    over_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

}  // namespace weir::test
