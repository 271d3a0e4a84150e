// The plugin as the reader of an outbox in a database of the test's own.
#pragma once
#include <chrono>
#include <string>
#include <thread>

#include "postgres_rig.hpp"

namespace weir::test {

struct OutboxTest : PostgresTest {
  // `more`: of outbox.
  std::string outbox(const std::string& more = "\"keep\":0", const std::string& user = "weir") const {
    return config(R"("outbox":{"poll":"20ms",)" + more + "}", user);
  }
  std::string insert(const std::string& topic, const std::string& data) const {
    return "insert into weir.outbox (topic, data) values ('" + topic + "', '" + data + "');";
  }
  void insert_many(int from, int to) {
    sql.say("insert into weir.outbox (topic, data) select 'a', g::text::json from generate_series(" +
            std::to_string(from) + "," + std::to_string(to) + ") g");
  }
  bool stored(std::int64_t top) {
    return until([&] { return sql.number("select top_id from weir.outbox_reader where reader = 'hub'") == top; });
  }
  std::string data() const {
    std::string out;
    for (const auto& event : hub.events) (out += out.empty() ? "" : " ") += event.data;
    return out;
  }
  // No session reads any more.
  bool wait_until_gone() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
    while (sql.number("select count(*) from pg_stat_activity where application_name = 'weir' and datname = '" +
                      db.name() + "'") != 0) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }
  void accept_all(SourceRig& rig) { rig.accepted(hub.events.back().cursor); }
};

}  // namespace weir::test
