// What a source says that it lost upstream: who is told, now and when coming back.
#include "hub.hpp"

namespace weir {
namespace {

using testing::at;
using testing::Client;
using testing::Hub;
using testing::route;

ChannelRoute fed(std::string_view pattern, std::string_view subject) {
  ChannelRoute made = route(pattern);
  made.feeds.push_back({"bus", *Pattern::parse_subject(subject, '.')});
  return made;
}
std::string subscribe(std::string_view channel, std::string_view more = {}) {
  return R"({"type":"subscribe","id":1,"channel":)" + json::quoted(channel) + std::string(more) + "}";
}
void lose(Hub& hub, std::optional<Pattern> subject, std::uint64_t count, const std::string& why) {
  hub.shard().deliver(letter(mail::SourceGap{"bus", {}, std::move(subject), count, why}));
}

TEST(SourceGapTest, WhoComesBackFromBeforeItIsToldAndHasNotRecovered) {
  Hub hub({fed("c", "c")});
  Client& c = hub.connect();
  c.say(subscribe("c"));
  hub.read_all(c);
  hub.publish("c");
  hub.publish("c");
  const std::string epoch = at(hub.read_all(c).back(), "epoch");
  lose(hub, std::nullopt, 3, "the link was down");
  const auto live = hub.read_all(c);
  ASSERT_EQ(live.size(), 1U);
  EXPECT_EQ(at(live[0], "data.reason"), "the link was down");
  hub.publish("c");

  const auto back = [&](int from) {
    Client& other = hub.connect();
    other.say(subscribe("c", R"(,"replay":{"epoch":")" + epoch + R"(","sequenceId":)" + std::to_string(from) + "}"));
    return hub.read_all(other);
  };
  auto frames = back(1);
  EXPECT_EQ(at(frames[0], "data.recovered"), "false");
  EXPECT_EQ(at(frames[1], "data.reason"), "the link was down");
  EXPECT_EQ(at(frames[1], "data.count"), "3");
  EXPECT_EQ(frames.size(), 4U);                          // and 2 and 3 are replayed
  EXPECT_EQ(at(back(2)[0], "data.recovered"), "false");  // it may have heard of it, or not
  EXPECT_EQ(at(back(3)[0], "data.recovered"), "true");   // from behind it

  lose(hub, std::nullopt, 4, "again");
  frames = back(1);
  EXPECT_EQ(at(frames[1], "data.reason"), "again");
  EXPECT_EQ(at(frames[1], "data.count"), "null");  // of both nobody counted
}

TEST(SourceGapTest, ASubjectWithWildcardsMeansTheChannelsThatItFeeds) {
  Hub hub({fed("orders/{shop}", "orders.{shop}"), fed("logs/{id}", "logs.{id}"), route("own")});
  Client& orders = hub.connect();
  Client& logs = hub.connect();
  Client& own = hub.connect();
  orders.say(subscribe("orders/eu"));
  logs.say(subscribe("logs/7"));
  own.say(subscribe("own"));
  for (Client* c : {&orders, &logs, &own}) hub.read_all(*c);
  lose(hub, *Pattern::parse_subject("orders.*", '.'), 0, "moved");
  EXPECT_EQ(hub.read_all(orders).size(), 1U);
  EXPECT_TRUE(hub.read_all(logs).empty());
  EXPECT_TRUE(hub.read_all(own).empty());
  lose(hub, std::nullopt, 0, "all of it");
  EXPECT_EQ(hub.read_all(orders).size(), 1U);
  EXPECT_EQ(hub.read_all(logs).size(), 1U);
  EXPECT_TRUE(hub.read_all(own).empty());
}

// Each of a thousand subscriptions got a frame for each gap, whatever waited in the outbox.
TEST(SourceGapTest, OfAReaderThatStallsGapsTakeNoMoreRoomThanItHas) {
  for (const OverflowPolicy policy : {OverflowPolicy::catch_up, OverflowPolicy::latest, OverflowPolicy::disconnect}) {
    Limits limits;
    limits.outbox_bytes = 4096;
    ChannelRoute shops = fed("orders/{shop}", "orders.{shop}");
    shops.overflow = policy;
    Hub hub({shops}, 1, limits);
    Client& c = hub.connect();
    constexpr int kShops = 100;
    for (int i = 0; i < kShops; ++i) c.say(subscribe("orders/" + std::to_string(i)));
    hub.read_all(c);
    for (int round = 1; round <= 3; ++round) {
      lose(hub, std::nullopt, 2, "round " + std::to_string(round));
      hub.run();
    }
    for (int i = 0; i < kShops; ++i) hub.publish("orders/" + std::to_string(i));
    hub.run();
    EXPECT_LT(c.connection->outbox.bytes(), 4096U + 256U);
    std::map<std::string, std::vector<std::string>> said;  // of each channel: what, in order
    for (const std::string& frame : hub.read_all(c)) {
      const bool gap = at(frame, "type") == "gap";
      const std::string channel = gap ? at(frame, "data.channel") : at(frame, "channel");
      said[channel].push_back(gap ? at(frame, "data.count") + " " + at(frame, "data.reason") : "event");
    }
    EXPECT_EQ(said.size(), static_cast<std::size_t>(kShops));
    for (auto& [channel, texts] : said) {
      ASSERT_FALSE(texts.empty());
      EXPECT_EQ(texts.back(), "event") << channel;  // behind all gaps: it says that its reader has heard of them
      texts.pop_back();
      ASSERT_FALSE(texts.empty()) << channel;
      EXPECT_TRUE(texts == std::vector<std::string>{"6 round 3"} ||
                  texts == (std::vector<std::string>{"2 round 1", "4 round 3"}))
          << channel << ": " << ::testing::PrintToString(texts);
    }
  }
}

}  // namespace
}  // namespace weir
