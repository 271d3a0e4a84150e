// The hub itself is killed, with -9 and under load, and started again: what a source with a memory promises to who
// comes back then. Events that had their place in the hub and were not told to the server yet come again, with the same
// id; nothing is passed over.
#include <optional>

#include "sources/hub_process.hpp"
#include "sources/nats_hub.hpp"
#include "sources/postgres_hub.hpp"
#include "sources/redis_hub.hpp"

namespace weir::test {
namespace {

// What a client has seen over all lives of the hub.
class Seen {
 public:
  void begin_life() {
    before_.reset();
    in_this_life_ = 0;
  }
  void take(const Json& frame, const std::function<std::string(int)>& id_of) {
    ASSERT_NE(frame["type"], "gap") << frame;
    if (frame["type"] != "event") return;
    const int n = frame["data"]["n"];
    ASSERT_EQ(frame["id"], id_of(n)) << "the same one each time it comes";
    if (before_) {
      ASSERT_EQ(n, *before_ + 1) << "in the order of one life";
    } else {
      ASSERT_LE(n, next_) << "events are missing between two lives";
      again_ += next_ - n;
    }
    before_ = n;
    ++in_this_life_;
    next_ = std::max(next_, n + 1);
  }
  int next() const { return next_; }
  int in_this_life() const { return in_this_life_; }
  int again() const { return again_; }

 private:
  int next_ = 1;  // below it each has come
  std::optional<int> before_;
  int in_this_life_ = 0, again_ = 0;
};

// Far more is written than seen before each kill, so that it comes in the midst. What had its place in the hub when the
// server was told so is in its memory only: it is in the client's hands before the hub is killed.
void expect_nothing_lost(HubProcess& hub, TcpProxy& proxy, const std::string& channel, Writer& writer, Seen& seen,
                         int each, const std::function<std::string(int)>& id_of) {
  constexpr int kKills = 5;
  for (int kill = 0; kill <= kKills; ++kill) {
    Client c = hub.start(channel);
    seen.begin_life();
    writer.go_on(5 * each);
    const auto read_until = [&](const std::function<bool()>& fact) {
      while (!fact()) {
        const Json frame = c.next();
        ASSERT_FALSE(frame.is_null());
        ASSERT_NO_FATAL_FAILURE(seen.take(frame, id_of));
      }
    };
    const int wanted = kill == kKills ? writer.end() : seen.next() + each;
    ASSERT_NO_FATAL_FAILURE(read_until([&] { return seen.next() >= wanted; }));
    if (kill == kKills) break;
    proxy.hold();
    writer.go_on(each);
    ASSERT_TRUE(writer.is_done());
    const int accepted = hub.figure("accepted");
    ASSERT_NO_FATAL_FAILURE(read_until([&] { return seen.in_this_life() >= accepted; }));
    ASSERT_LT(seen.next(), writer.end());
    hub.kill();
    for (auto text = c.socket().receive(kPatienceMs); text; text = c.socket().receive(kPatienceMs))
      ASSERT_NO_FATAL_FAILURE(seen.take(Json::parse(*text), id_of));
    proxy.heal();  // and what it had to tell the server is lost
  }
  EXPECT_EQ(seen.next(), writer.end());
}

TEST_F(NatsDurableTest, AHubThatIsKilledLosesNothing) {
  HubProcess hub(folder(), manifest(kind_.durable));
  Writer writer(storing());
  Seen seen;
  expect_nothing_lost(hub, proxy_, kind_.channel, writer, seen, 300, [this](int n) { return id_of(n); });
}

TEST_F(RedisHubTest, AHubThatIsKilledLosesNothing) {
  HubProcess hub(folder(), manifest(kind_.durable));
  Writer writer(storing());
  Seen seen;
  expect_nothing_lost(hub, proxy_, kind_.channel, writer, seen, 300, [this](int n) { return id_of(n); });
}

TEST_F(PostgresHubTest, AHubThatIsKilledLosesNothing) {
  HubProcess hub(folder(), manifest(kind_.durable, kRarelyMs));
  const Undecided undecided(db_.conninfo());
  Writer writer(storing());
  Seen seen;
  expect_nothing_lost(hub, proxy_, kind_.channel, writer, seen, 100, [this](int n) { return id_of(n); });
  EXPECT_GT(seen.again(), 0);  // the place is written down five times a second
}

}  // namespace
}  // namespace weir::test
