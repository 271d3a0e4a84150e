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

}  // namespace
}  // namespace weir
