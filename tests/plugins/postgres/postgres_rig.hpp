// The plugin beside a real PostgreSQL, without a hub: a database of the test's own, and the hub that is not there.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "support/postgres_server.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace weir::test {

using sdk::testing::FakeHost;
using sdk::testing::SourceRig;

inline constexpr int kPatienceMs = 30'000;

struct PostgresTest : testing::Test {
  PostgresTest() : sql(db.conninfo()) {}
  ~PostgresTest() override { EXPECT_TRUE(hub.mistakes.empty()) << hub.mistakes.front(); }

  std::string config(const std::string& more, const std::string& user = "weir") const {
    return "{\"url\":\"" + db.url(PostgresServer::shared().port(), user) + "\"," + more + "}";
  }
  template <class Fact>
  bool until(Fact&& fact) {
    return hub.run_until(std::forward<Fact>(fact), kPatienceMs);
  }
  bool reaches(std::int32_t state) {
    return until([&] { return hub.last_state() == state; });
  }
  // The same, but the pauses between attempts are not waited out: the clock goes ten times as fast as the real one.
  bool soon_reaches(std::int32_t state) {
    for (int waited_ms = 0; waited_ms < kPatienceMs; waited_ms += 100) {
      if (hub.run_until([&] { return hub.last_state() == state; }, 100)) return true;
      hub.advance(900);
    }
    return false;
  }
  std::string reason() const { return hub.states.empty() ? "" : hub.states.back().reason; }

  PostgresServer& server = PostgresServer::shared();
  PostgresDatabase db;
  PostgresClient sql;
  FakeHost hub;
};

}  // namespace weir::test
