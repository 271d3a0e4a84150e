#include "routing/flush_list.hpp"

#include "hub.hpp"

namespace weir {
namespace {

using testing::at;
using testing::Client;
using testing::Hub;
using testing::route;

EndpointRule every(std::int64_t ms) {
  EndpointRule e;
  e.tick_ms = ms;
  return e;
}
// Those to be flushed now; what waits for them counts as sent.
std::vector<Connection*> flushed(Hub& hub) {
  std::vector<Connection*> out;
  hub.shard().take_flushes(out);
  for (Connection* c : out) c->outbox.sent(c->outbox.bytes());
  return out;
}
using Connections = std::vector<Connection*>;

TEST(FlushListTest, WithoutATickEverythingIsDueAtOnceAndOnce) {
  Hub hub({route("c")});
  Client& c = hub.connect();
  c.ask(R"({"type":"subscribe","id":1,"channel":"c"})");
  flushed(hub);
  for (int i = 0; i < 3; ++i) hub.publish("c");
  EXPECT_EQ(flushed(hub), Connections{c.connection});
  EXPECT_EQ(flushed(hub), Connections{});
  EXPECT_EQ(hub.shard().flushes_due(), std::nullopt);
}

TEST(FlushListTest, ATickLetsTheFirstLeaveAtOnceAndTheNextTogetherAtItsEnd) {
  Hub hub({route("c")});
  hub.clock.advance(1000);
  Client& c = hub.connect(Identity(), 0, every(20));
  c.ask(R"({"type":"subscribe","id":1,"channel":"c"})");
  flushed(hub);
  hub.clock.advance(20);
  const SteadyMs start = hub.clock.steady_ms();
  hub.publish("c");
  EXPECT_EQ(flushed(hub), Connections{c.connection});
  for (int i = 0; i < 19; ++i) {
    hub.publish("c");
    EXPECT_EQ(flushed(hub), Connections{});
    EXPECT_EQ(hub.shard().flushes_due(), start + 20);
    hub.clock.advance(1);
  }
  hub.clock.advance(1);
  EXPECT_EQ(c.connection->outbox.frames(), 19U);
  EXPECT_EQ(flushed(hub), Connections{c.connection});
  EXPECT_EQ(hub.shard().flushes_due(), std::nullopt);
  hub.clock.advance(500);
  hub.publish("c");
  EXPECT_EQ(flushed(hub), Connections{c.connection});
}

TEST(FlushListTest, EachEndpointHasItsOwnTickAndThoseWithoutDoNotWait) {
  Hub hub({route("c")});
  hub.clock.advance(1000);
  Client& slow = hub.connect(Identity(), 0, every(500));
  Client& quick = hub.connect(Identity(), 0, every(50));
  Client& at_once = hub.connect();
  for (Client* c : {&slow, &quick, &at_once}) c->ask(R"({"type":"subscribe","id":1,"channel":"c"})");
  flushed(hub);
  hub.publish("c");
  EXPECT_EQ(flushed(hub), Connections{at_once.connection});
  const auto due = hub.shard().flushes_due();
  ASSERT_TRUE(due);
  hub.clock.advance(*due - hub.clock.steady_ms());
  EXPECT_EQ(flushed(hub), Connections{quick.connection});
  hub.clock.advance(500);
  EXPECT_EQ(flushed(hub), Connections{slow.connection});
}

TEST(FlushListTest, AConnectionThatGoesWhileItIsHeldIsForgotten) {
  Hub hub({route("c")});
  hub.clock.advance(1000);
  Client& c = hub.connect(Identity(), 0, every(500));
  c.ask(R"({"type":"subscribe","id":1,"channel":"c"})");
  flushed(hub);
  hub.publish("c");
  EXPECT_EQ(flushed(hub), Connections{});
  hub.shard().closed(*c.connection);
  EXPECT_EQ(hub.shard().flushes_due(), std::nullopt);
  hub.clock.advance(1000);
  EXPECT_EQ(flushed(hub), Connections{});
}

}  // namespace
}  // namespace weir
