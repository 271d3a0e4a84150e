// What every source is asked for: through a hub to a client, while the server and the link to it fail. One with a
// memory: everything once and in order. One without: where something is missing a gap tells so.
//
// What makes these faults faults: at each of them the server has events that the source does not have yet.
#pragma once
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "integration/hub_fixture.hpp"
#include "sources/writer.hpp"
#include "support/tcp_proxy.hpp"

namespace weir::test {

// What a source is called in a manifest, and what its tests watch.
struct SourceKind {
  const char* library;
  const char* pattern;  // of its channels
  const char* subject;  // what feeds them
  const char* channel;  // the one that is watched
  const char* durable;  // the config that gives it a memory
  int ping_ms;          // soon enough for a freeze to be noticed
};

class SourceTest : public HubTest {
 protected:
  explicit SourceTest(const SourceKind& kind) : kind_(kind) {}
  virtual std::string url() const = 0;  // over the link that can be cut
  // What writes number n: into what the source remembers, once; or for whoever listens.
  virtual std::function<void(int n)> storing() const = 0;
  virtual std::function<void(int n)> telling() const = 0;
  virtual std::string id_of(int n) const = 0;  // of what was stored
  std::string data(int n) const {
    return "{\"n\":" + std::to_string(n) + (pad_.empty() ? "" : ",\"pad\":\"" + pad_ + "\"") + "}";
  }

  // `ping_ms`: where a freeze need not be noticed, long enough for a machine that is busy. 0: soon.
  std::string manifest(const std::string& config, int ping_ms = 0) const {
    return std::string("[[plugin]]\nname = \"source\"\nlibrary = \"") + kind_.library + "\"\nconfig = { url = \"" +
           url() + "\", ping = \"" + std::to_string(ping_ms != 0 ? ping_ms : kind_.ping_ms) + "ms\", " + config +
           " }\n[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"" + kind_.pattern +
           "\"\nfrom = [{ plugin = \"source\", subject = \"" + kind_.subject +
           "\" }]\nhistory = { count = 100000, bytes = \"128MiB\" }\n";
  }
  void start_hub(const std::string& config, int ping_ms = 0) { start(manifest(config, ping_ms)); }
  // And a client that hears it.
  Client began(const std::string& config, int ping_ms = 0) {
    start_hub(config, ping_ms);
    EXPECT_TRUE(reaches("running"));
    return subscribed(kind_.channel);
  }
  bool reaches(const std::string& wanted) {
    return wait_until([&] { return http("GET", "/health").json()["plugins"][0].value("state", "") == wanted; });
  }
  Json figures() { return http("GET", "/stats").json()["plugins"][0]; }
  int reconnects() { return figures()["metrics"].value("reconnects", 0); }
  // What was written and is not in the hub.
  int outstanding(const Writer& writer) {
    const int accepted = figures().value("accepted", 0);
    return writer.written() - accepted;
  }
  Client subscribed(const std::string& channel, int replay = 0) {
    Client c = connect();
    Json frame{{"type", "subscribe"}, {"id", 1}, {"channel", channel}};
    if (replay != 0) frame["replay"] = replay;
    c.ask(frame);
    return c;
  }

  // Of a source with a memory. Reads `count` events more, each the successor of the one before.
  void expect_more(Client& c, int count) {
    for (const int end = next_ + count; next_ < end; ++next_) {
      const Json e = c.next();
      ASSERT_EQ(e["type"], "event") << e;  // no gap either
      ASSERT_EQ(e["data"]["n"], next_) << e;
      ASSERT_EQ(e["id"], id_of(next_));
    }
  }
  void expect_the_rest(Client& c, const Writer& writer) { expect_more(c, writer.end() - next_); }
  // Every cut comes while events do, and as many more are written behind it as before it.
  void ten_cuts(Client& c, TcpProxy& proxy, Writer& writer, int each) {
    writer.go_on(each);
    for (int cut = 0; cut < 10; ++cut) {
      writer.go_on(each);
      ASSERT_NO_FATAL_FAILURE(expect_more(c, each));
      proxy.cut();
      writer.go_on(each);
      ASSERT_TRUE(reaches("retrying"));
      ASSERT_TRUE(writer.is_done());  // over a link of its own
      ASSERT_GT(outstanding(writer), 0) << cut;
      proxy.heal();
      ASSERT_TRUE(reaches("running"));
    }
    ASSERT_NO_FATAL_FAILURE(expect_the_rest(c, writer));
    EXPECT_TRUE(wait_until([&] { return reconnects() >= 10; })) << reconnects();
  }
  // The link holds back what the server sends, and `more` is written than the source asks for at once.
  void fall_behind(TcpProxy& proxy, Writer& writer, int more) {
    proxy.hold();
    writer.go_on(more);
    ASSERT_TRUE(writer.is_done());
  }
  template <class Server>
  void three_kills(Client& c, TcpProxy& proxy, Server& server, Writer& writer, int each) {
    for (int kill = 0; kill < 3; ++kill) {
      writer.go_on(each);
      ASSERT_NO_FATAL_FAILURE(expect_more(c, each / 2));
      ASSERT_NO_FATAL_FAILURE(fall_behind(proxy, writer, each));
      writer.go_on(each);  // in the midst of which it dies
      server.kill();
      proxy.let_go();
      ASSERT_TRUE(reaches("retrying"));
      ASSERT_GT(outstanding(writer), 0) << kill;
      server.start();
      ASSERT_TRUE(reaches("running"));
    }
    expect_the_rest(c, writer);
  }
  // For WEIR_TEST_FREEZE_MS, which is 20 s in tests/sources/faults.sh. Without it nobody stands still longer than the
  // test needs, which is no time at all where nothing has to be noticed.
  static void stand_still() {
    if (const char* ms = std::getenv("WEIR_TEST_FREEZE_MS"))
      std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(ms)));
  }
  // Until it has been noticed, and as long as stand_still() says; or `unnoticed`, which takes pings that are rare.
  template <class Server>
  void one_freeze(Client& c, TcpProxy& proxy, Server& server, Writer& writer, int each, bool unnoticed = false) {
    writer.go_on(each);
    ASSERT_NO_FATAL_FAILURE(expect_more(c, each / 2));
    ASSERT_NO_FATAL_FAILURE(fall_behind(proxy, writer, each));
    server.freeze();
    proxy.let_go();
    if (!unnoticed) {
      ASSERT_TRUE(reaches("retrying"));
    }
    ASSERT_GT(outstanding(writer), 0);
    writer.go_on(each);
    stand_still();
    server.thaw();
    ASSERT_NO_FATAL_FAILURE(expect_the_rest(c, writer));
    if (unnoticed)
      EXPECT_EQ(reconnects(), 0);
    else
      EXPECT_TRUE(wait_until([&] { return reconnects() > 0; }));
  }
  // Each of five makes the instance anew while events come.
  void reloads(Client& c, Writer& writer, int each) {
    for (int i = 0; i < 5; ++i) {
      writer.go_on(each);
      ASSERT_NO_FATAL_FAILURE(expect_more(c, each / 2));
      const ReloadReport report = reload(manifest(kind_.durable, kRarelyMs + 1 + i));
      ASSERT_TRUE(report.problems.empty()) << report.json();
      ASSERT_FALSE(report.changed.empty());
    }
    writer.go_on(each);
    expect_the_rest(c, writer);
  }

  // Of a source without a memory. Reads until number `n` or a later one has come: in order, none twice, and where
  // numbers are missing there was a gap.
  void expect_told_until(Client& c, Writer& writer, int n) {
    bool told = false;
    for (int more = 0; next_ <= n;) {
      const auto text = c.socket().receive(500);
      if (!text) {
        ASSERT_LT(++more, 40) << text.error().message;
        writer.go_on(1);  // the last one may have been lost as well
        continue;
      }
      const Json frame = Json::parse(*text);
      if (frame["type"] == "gap") told = true;
      if (frame["type"] != "event") continue;
      const int number = frame["data"]["n"];
      ASSERT_GE(number, next_) << "after " << next_ - 1 << (told ? " and a gap" : "");
      if (number != next_) {
        ASSERT_TRUE(told) << number << " after " << next_ - 1 << ", and no gap";
        ++holes_;
      }
      told = false;
      next_ = number + 1;
    }
  }
  // `fault` happens to the server while the link is cut, `over` when it has been noticed: `each` are lost for sure, and
  // more before and behind them are on their way.
  template <class Fault, class Over>
  void lose(Client& c, TcpProxy& proxy, Writer& writer, int each, Fault&& fault, Over&& over) {
    writer.go_on(each);
    ASSERT_NO_FATAL_FAILURE(expect_told_until(c, writer, next_ + each / 2));
    writer.go_on(each);
    proxy.cut();
    ASSERT_TRUE(writer.is_done());
    const int lost = writer.end();
    writer.go_on(each);
    ASSERT_TRUE(writer.is_done());
    fault();
    ASSERT_TRUE(reaches("retrying"));
    proxy.heal();
    writer.go_on(each);
    over();
    ASSERT_TRUE(reaches("running"));
    const int holes = holes_;
    writer.go_on(each);
    ASSERT_NO_FATAL_FAILURE(expect_told_until(c, writer, lost + each));
    EXPECT_GT(holes_, holes) << "nothing was lost, so nothing was shown";
  }
  template <class Server>
  void expect_losses_told(Client& c, TcpProxy& proxy, Server& server, Writer& writer, int each) {
    const auto nothing = [] {};
    for (int cut = 0; cut < 3; ++cut)
      ASSERT_NO_FATAL_FAILURE(lose(c, proxy, writer, each, nothing, nothing)) << "cut " << cut;
    ASSERT_NO_FATAL_FAILURE(lose(
        c, proxy, writer, each, [&] { server.kill(); }, [&] { server.start(); }));
    const auto thaw = [&] {
      stand_still();
      server.thaw();
    };
    ASSERT_NO_FATAL_FAILURE(lose(
        c, proxy, writer, each, [&] { server.freeze(); }, thaw));
  }

  static constexpr int kRarelyMs = 5'000;  // a ping that a machine that is busy answers in time
  const SourceKind kind_;
  std::string pad_;  // makes events larger
  int next_ = 1;     // the number that comes next
  int holes_ = 0;    // in what came
};

}  // namespace weir::test
