// What every source with a memory is asked for: through a hub to a client, everything once and in order, while the
// server and the link to it fail.
#pragma once
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "integration/hub_fixture.hpp"
#include "support/tcp_proxy.hpp"

namespace weir::test {

class SourceTest : public HubTest {
 protected:
  bool reaches(const std::string& wanted) {
    return wait_until([&] { return http("GET", "/health").json()["plugins"][0].value("state", "") == wanted; });
  }
  Client subscribed(const std::string& channel, int replay = 0) {
    Client c = connect();
    Json frame{{"type", "subscribe"}, {"id", 1}, {"channel", channel}};
    if (replay != 0) frame["replay"] = replay;
    c.ask(frame);
    return c;
  }
  // Event number n has the data {"n":n} and this id.
  virtual std::string id_of(int n) const = 0;
  // Reads `count` events more, each the successor of the one before.
  void expect_more(Client& c, int count) {
    for (const int end = next_ + count; next_ < end; ++next_) {
      const Json e = c.next();
      ASSERT_EQ(e["type"], "event") << e;  // no gap either
      ASSERT_EQ(e["data"]["n"], next_) << e;
      ASSERT_EQ(e["id"], id_of(next_));
    }
  }
  // Somebody writes 11, 4 or 2 times `each` events meanwhile.
  void ten_cuts(Client& c, TcpProxy& proxy, int each) {
    for (int cut = 0; cut < 10; ++cut) {
      ASSERT_NO_FATAL_FAILURE(expect_more(c, each));
      proxy.cut();
      ASSERT_TRUE(reaches("retrying"));  // nothing came back, and it was noticed
      proxy.heal();
    }
    expect_more(c, each);
  }
  template <class Server>
  void three_kills(Client& c, Server& server, int each) {
    for (int kill = 0; kill < 3; ++kill) {
      ASSERT_NO_FATAL_FAILURE(expect_more(c, each));
      server.kill();
      server.start();
    }
    expect_more(c, each);
  }
  // For WEIR_TEST_FREEZE_MS (tests/sources/faults.sh).
  static void stand_still() {
    if (const char* ms = std::getenv("WEIR_TEST_FREEZE_MS"))
      std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(ms)));
  }
  // Until it has been noticed, and as long as stand_still() says.
  template <class Server>
  void one_freeze(Client& c, Server& server, int each) {
    ASSERT_NO_FATAL_FAILURE(expect_more(c, each));
    server.freeze();
    ASSERT_TRUE(reaches("retrying"));
    stand_still();
    server.thaw();
    expect_more(c, each);
  }
  // Each of `manifests` makes the instance anew while events come. Somebody writes `each` for every one, and `each`
  // more.
  void reloads(Client& c, const std::vector<std::string>& manifests, int each) {
    for (const std::string& manifest : manifests) {
      ASSERT_NO_FATAL_FAILURE(expect_more(c, each / 2));
      const ReloadReport report = reload(manifest);
      ASSERT_TRUE(report.problems.empty()) << report.json();
      ASSERT_FALSE(report.changed.empty());
      ASSERT_NO_FATAL_FAILURE(expect_more(c, each / 2));
    }
    expect_more(c, each);
  }
  int next_ = 1;
};

}  // namespace weir::test
