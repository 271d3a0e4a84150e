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

inline const char* const kOutbox = R"(outbox = { poll = "50ms", keep = "0s" })";

class PostgresHubTest : public SourceTest {
 protected:
  PostgresHubTest() : proxy_(PostgresServer::shared().port()), sql_(db_.conninfo()) {}

  // `ping`: short where a freeze has to be noticed, else long enough for a machine that is busy.
  void start_hub(const std::string& config, const std::string& ping = "500ms") { start(manifest(config, ping)); }
  std::string manifest(const std::string& config, const std::string& ping) const {
    return "[[plugin]]\nname = \"db\"\nlibrary = \"postgres\"\nconfig = { url = \"" + db_.url(proxy_.port()) +
           "\", ping = \"" + ping + "\", " + config + " }\n" + R"(
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "orders/{shop}"
from = [{ plugin = "db", subject = "orders/{shop}" }]
history = { count = 100000 }
)";
  }
  std::string id_of(int n) const override { return "m" + std::to_string(n); }
  static std::string insert(int n) {
    const std::string text = std::to_string(n);
    return "insert into weir.outbox (topic, event_id, data) select 'orders/7', 'm" + text + "', '{\"n\":" + text +
           "}' where not exists (select from weir.outbox where event_id = 'm" + text + "')";
  }
  std::function<void(int)> inserting() const {
    return [client = std::make_shared<PostgresClient>(db_.conninfo())](int n) { client->say(insert(n)); };
  }
  std::function<void(int)> notifying() const {
    return [client = std::make_shared<PostgresClient>(db_.conninfo())](int n) {
      client->say("notify \"orders/7\", '{\"n\":" + std::to_string(n) + "}'");
    };
  }
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
