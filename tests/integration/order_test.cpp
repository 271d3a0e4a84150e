#include <thread>

#include "integration/hub_fixture.hpp"
#include "support/fact.hpp"

namespace weir::test {
namespace {

using OrderTest = HubTest;

TEST_F(OrderTest, ManyWritersAndReadersOnTwoShardsEachSeeEveryChannelWholeAndInOrder) {
  start("[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\nhistory = { count = 100000 }\n");
  constexpr int kChannels = 8, kWriters = 4, kEach = 250, kReaders = 6;
  std::vector<std::jthread> threads;
  Fact<int> ready;
  for (int r = 0; r < kReaders; ++r)
    threads.emplace_back([&, r] {
      Client c = connect();
      c.ask({{"type", "subscribe"},
             {"id", 1},
             {"channel", r % 2 == 0 ? "load/*" : "**"},
             {"replay", r % 3 == 0 ? Json("none") : Json(5)}});
      ready.add(1);
      std::map<std::string, std::int64_t> last;
      std::map<std::string, std::map<int, int>> per_writer;
      for (int left = kWriters * kEach * kChannels; left > 0; --left) {
        const Json e = c.next("event");
        ASSERT_FALSE(e.is_null());
        const std::string channel = e["channel"];
        ASSERT_EQ(e["sequenceId"], last[channel] + 1) << channel;
        last[channel] = e["sequenceId"];
        ASSERT_EQ(e["data"]["n"], per_writer[channel][e["data"]["w"]]++);
      }
    });
  ASSERT_TRUE(ready.wait_for(kReaders));
  for (int w = 0; w < kWriters; ++w)
    threads.emplace_back([&, w] {
      Client c = connect();
      for (int i = 0; i < kEach; ++i)
        for (int ch = 0; ch < kChannels; ++ch)
          c.say({{"type", "publish"},
                 {"channel", "load/" + std::to_string(ch)},
                 {"event", "e"},
                 {"data", {{"w", w}, {"n", i}}}});
      EXPECT_EQ(c.ask({{"type", "ping"}, {"id", 1}})["type"], "pong");
    });
}

TEST_F(OrderTest, ClientsThatComeAndGoUnderLoadAlwaysResumeWhereTheyWere) {
  start("[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\nhistory = { count = 100000 }\n");
  std::atomic<bool> over{false};
  std::jthread writer([&] {
    Client c = connect();
    for (int i = 1; !over; ++i) c.ask({{"type", "publish"}, {"id", i}, {"channel", "c"}, {"event", "e"}, {"data", i}});
  });
  std::string epoch;
  std::int64_t at = 0;
  for (int round = 0; round < 40; ++round) {
    Client c = connect();
    const Json ack = c.ask({{"type", "subscribe"},
                            {"id", 1},
                            {"channel", "c"},
                            {"replay", epoch.empty() ? Json(1000000) : Json{{"epoch", epoch}, {"sequenceId", at}}}});
    if (!epoch.empty()) {
      EXPECT_EQ(ack["data"]["recovered"], true);
    }
    epoch = ack["data"]["epoch"];
    for (int i = 0; i < 5 + round; ++i) {
      const Json e = c.next("event");
      ASSERT_EQ(e["sequenceId"], at + 1);
      at = e["sequenceId"];
    }
    if (round % 2 == 0) c.socket().cut();
  }
  over = true;
}

}  // namespace
}  // namespace weir::test
