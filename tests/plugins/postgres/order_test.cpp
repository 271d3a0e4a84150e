// The order of the outbox, with writers that know what they saw: no row comes before one that its INSERT could see, and
// every row that was committed comes once. WEIR_PG_ROWS=100000 for a longer run.
#include <nlohmann/json.hpp>

#include <atomic>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "postgres_rig.hpp"

namespace weir::test {
namespace {

using OrderTest = PostgresTest;
using Json = nlohmann::json;

int rows_wanted() {
  const char* text = std::getenv("WEIR_PG_ROWS");
  return text == nullptr ? 4'000 : std::atoi(text);
}

// Transactions of random length, with savepoints; some are rolled back as a whole or in part, some sleep.
class Writer {
 public:
  Writer(const std::string& conninfo, int number, int rows)
      : thread_([this, conninfo, number, rows] {
          PostgresClient client(conninfo);
          std::minstd_rand random(static_cast<unsigned>(number));
          const auto one_of = [&random](int n) { return static_cast<int>(random() / 7 % static_cast<unsigned>(n)); };
          // Every row says which ones were there, and the newest in any order of commits are among these.
          const auto insert = [&] {
            client.say(
                "insert into weir.outbox (topic, data) select 'a', json_build_object('w', " + std::to_string(number) +
                ", 'seen', (select json_agg(id) from (select id from weir.outbox order by id desc limit 40) x))");
            return 1;
          };
          while (written_ < rows) {
            int count = 0;
            client.say(one_of(4) == 0 ? "begin isolation level repeatable read" : "begin");
            for (int steps = 1 + one_of(5); steps > 0; --steps) {
              if (one_of(3) != 0) {
                count += insert();
              } else {
                client.say("savepoint s");
                const int inside = insert() + (one_of(2) == 0 ? insert() : 0);
                const bool back = one_of(2) == 0;
                client.say(back ? "rollback to s" : "release s");
                if (!back) count += inside;
              }
              if (one_of(6) == 0) client.say("select pg_sleep(" + std::to_string(one_of(20)) + " / 1000.0)");
            }
            const bool back = one_of(6) == 0;
            client.say(back ? "rollback" : "commit");
            if (!back) written_ += count;
          }
        }) {}
  ~Writer() { thread_.join(); }

 private:
  std::atomic<int> written_ = 0;
  std::thread thread_;
};

TEST_F(OrderTest, NoRowComesBeforeOneThatItCouldSeeAndEachComesOnce) {
  const int wanted = rows_wanted();
  SourceRig rig(hub, weir_plugin_entry, config(R"("ping":"30s","outbox":{"poll":"20ms","keep":0})"));
  ASSERT_EQ(rig.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  std::atomic<bool> over = false;
  std::thread writers([&] {
    {
      std::vector<std::unique_ptr<Writer>> all;
      for (int i = 0; i < 8; ++i) all.push_back(std::make_unique<Writer>(db.conninfo(), i, wanted / 8));
    }
    over = true;
  });
  std::size_t accepted = 0;
  const bool wrote = hub.run_until([&] { return over.load() || hub.events.size() > accepted + 500; }, 600'000);
  while (wrote && !over) {
    accepted = hub.events.size();
    rig.accepted(hub.events.back().cursor);
    if (!hub.run_until([&] { return over.load() || hub.events.size() > accepted + 500; }, 600'000)) break;
  }
  writers.join();
  const auto committed = static_cast<std::size_t>(sql.number("select count(*) from weir.outbox"));
  ASSERT_GE(committed, static_cast<std::size_t>(wanted));
  EXPECT_TRUE(until([&] { return hub.events.size() >= committed; }));
  ASSERT_EQ(hub.events.size(), committed);

  std::map<std::int64_t, std::size_t> place;
  for (std::size_t i = 0; i < committed; ++i)
    ASSERT_TRUE(place.emplace(std::stoll(hub.events[i].id), i).second) << hub.events[i].id << " twice";
  std::size_t out_of_id_order = 0, looked_at = 0;
  std::int64_t highest = 0;
  for (std::size_t i = 0; i < committed; ++i) {
    const std::int64_t id = std::stoll(hub.events[i].id);
    out_of_id_order += id < highest ? 1 : 0;
    highest = std::max(highest, id);
    const Json seen = Json::parse(hub.events[i].data)["seen"];
    if (seen.is_null()) continue;
    for (const auto& other : seen) {
      // One that was rolled back afterwards (of its own transaction) is nowhere.
      const auto found = place.find(other.get<std::int64_t>());
      if (found == place.end()) continue;
      ++looked_at;
      ASSERT_LT(found->second, i) << "row " << id << " saw row " << found->first << ", which comes later";
    }
  }
  EXPECT_GT(out_of_id_order, 0u) << "no transaction committed late: this run shows nothing";
  EXPECT_GT(looked_at, committed);
  EXPECT_TRUE(hub.gaps.empty());
}

}  // namespace
}  // namespace weir::test
