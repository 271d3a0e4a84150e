#include "routing/subscribers.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>

#include "hub.hpp"

namespace weir {
namespace {

using testing::at;
using testing::Client;
using testing::Hub;
using testing::person;
using testing::route;

// The data of the events among these frames, in order.
std::vector<std::string> data(const std::vector<std::string>& frames) {
  std::vector<std::string> found;
  for (const std::string& f : frames)
    if (at(f, "type") == "event") found.push_back(at(f, "data"));
  return found;
}
using Texts = std::vector<std::string>;

std::string subscribe(std::string_view channel, std::string_view more = {}) {
  return R"({"type":"subscribe","id":1,"channel":)" + json::quoted(channel) + std::string(more) + "}";
}
std::string unsubscribe(std::string_view channel) {
  return R"({"type":"unsubscribe","id":2,"channel":)" + json::quoted(channel) + "}";
}

// Regression: after an auth frame a client went on to receive what only its former identity was allowed to see.
TEST(SubscribersTest, ANewIdentityEndsWhatItMayNotSeeAndFiltersTheRestAnew) {
  ChannelRoute secret = route("secret/{n}"), mine = route("mine/{n}");
  secret.subscribe.scope = "secret";
  mine.subscribe.where_json = R"({"data":"{identity.subject}"})";
  Hub hub({secret, mine, route("open/{n}")});
  EndpointRule endpoint;
  endpoint.auth = {"keys"};
  endpoint.auth_by_frame = true;
  Client& c = hub.connect(person("u1", {"secret"}), 0, endpoint);
  for (const char* channel : {"secret/a", "secret/*", "mine/a", "open/a"})
    EXPECT_EQ(at(c.ask(subscribe(channel)), "type"), "ack") << channel;
  const auto publish_all = [&] {
    for (const char* channel : {"secret/a", "secret/b", "open/a"}) hub.publish(channel, json::quoted(channel));
    hub.publish("mine/a", "\"u1\"");
    hub.publish("mine/a", "\"u2\"");
    return data(hub.read_all(c));
  };
  EXPECT_EQ(publish_all(), (Texts{"secret/a", "secret/b", "open/a", "u1"}));

  c.say(R"({"type":"auth","id":9,"token":"t"})");
  hub.shard().authenticated(c.connection->id, "9", person("u2"));
  int ended = 0, acknowledged = 0;
  for (const std::string& f : c.take()) {
    if (at(f, "type") == "error") {
      ++ended;
      EXPECT_EQ(at(f, "data.code"), "forbidden");
      EXPECT_NE(at(f, "data.message").find("secret/a"), std::string::npos);
    }
    acknowledged += at(f, "id") == "9" ? 1 : 0;
  }
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(acknowledged, 1);
  EXPECT_EQ(publish_all(), (Texts{"open/a", "u2"}));
  hub.publish("secret/c", "\"a channel that is new since\"");
  EXPECT_TRUE(c.take().empty());
}

// Regression: owners that had answered a pattern before the identity changed were not asked again.
TEST(SubscribersTest, APatternThatIsNotAnsweredYetIsLookedAtForTheNewIdentity) {
  ChannelRoute secret = route("secret/{n}");
  secret.subscribe.scope = "secret";
  Hub hub({secret}, 3);
  for (char n = 'a'; n <= 'f'; ++n) hub.publish(std::string("secret/") + n);
  EndpointRule endpoint;
  endpoint.auth = {"keys"};
  endpoint.auth_by_frame = true;
  Client& c = hub.connect(person("u1"), 0, endpoint);
  c.say(subscribe("**"));  // its own shard's channels are looked at at once
  c.say(R"({"type":"auth","id":9,"token":"t"})");
  hub.shard().authenticated(c.connection->id, "9", person("u2", {"secret"}));
  hub.read_all(c);
  for (char n = 'a'; n <= 'f'; ++n) hub.publish(std::string("secret/") + n, json::quoted(std::string(1, n)));
  Texts seen = data(hub.read_all(c));
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (Texts{"a", "b", "c", "d", "e", "f"}));
}

// Regression: a subscription by pattern heard nothing of a channel whose Detach was under way while the Watch was
// answered.
TEST(SubscribersTest, ADetachThatCrossesAWatchLosesNothing) {
  for (const bool detach_first : {true, false}) {
    Hub hub({route("open/{n}")}, 2);
    const std::string channel = hub.name_on(0, "open/");
    Client& c = hub.connect(Identity(), 1);
    c.say(subscribe(channel));
    EXPECT_EQ(hub.read_all(c).size(), 1U);

    c.say(subscribe("open/*"));
    hub.deliver(1, 0);  // the Watch is answered, the answer is under way
    hub.publish(channel, "1");
    c.say(unsubscribe(channel));
    if (detach_first) hub.deliver(1, 0);
    hub.publish(channel, "2");
    hub.deliver(0, 1);
    hub.publish(channel, "3");
    Texts got = data(hub.read_all(c));
    hub.publish(channel, "4");
    for (const std::string& d : data(hub.read_all(c))) got.push_back(d);
    // The first may have come by before its subscription ended.
    EXPECT_EQ(got, (Texts{"1", "2", "3", "4"}))
        << "the Detach came " << (detach_first ? "before" : "after") << " the answer";
  }
}

// Regression: a list of channels that ran into limits.channels freed attachments while they were being walked over.
TEST(SubscribersTest, AFrameThatHitsTheLimitOfChannelsIsRefusedAsAWhole) {
  Limits limits;
  limits.channels = 3;  // and one more, for each shard's share is rounded up
  Hub hub({route("open/{n}")}, 1, limits);
  Client& first = hub.connect();
  for (const char* channel : {"open/1", "open/2", "open/3"})
    EXPECT_EQ(at(first.ask(subscribe(channel)), "type"), "ack");
  Client& second = hub.connect();
  EXPECT_EQ(at(second.ask(subscribe("open/*")), "type"), "ack");
  const std::string refused =
      second.ask(R"({"type":"subscribe","id":5,"channels":["open/1","open/4","open/5","open/2","open/6"],"replay":3})");
  EXPECT_EQ(at(refused, "id"), "5");
  EXPECT_EQ(at(refused, "data.code"), "limit_exceeded");
  EXPECT_EQ(second.connection->subscriptions.size(), 1U) << "only the pattern";
  EXPECT_EQ(second.connection->in_flight, 0U);
  for (const char* channel : {"open/1", "open/2", "open/3"}) hub.publish(channel, json::quoted(channel));
  EXPECT_EQ(data(hub.read_all(first)), (Texts{"open/1", "open/2", "open/3"}));
  EXPECT_EQ(data(hub.read_all(second)), (Texts{"open/1", "open/2", "open/3"}));
}

TEST(SubscribersTest, AfterTheLimitOfChannelsThereIsRoomOnceOneIsLetGo) {
  Limits limits;
  limits.channels = 1;
  Hub hub({route("open/{n}")}, 1, limits);
  Client& c = hub.connect();
  for (const char* channel : {"open/1", "open/2"}) EXPECT_EQ(at(c.ask(subscribe(channel)), "type"), "ack");
  EXPECT_EQ(at(c.ask(subscribe("open/3")), "data.code"), "limit_exceeded");
  EXPECT_EQ(at(c.ask(unsubscribe("open/1")), "type"), "ack");
  hub.advance(1'000);
  EXPECT_EQ(at(c.ask(subscribe("open/3")), "type"), "ack");
  hub.publish("open/3", "3");
  EXPECT_EQ(data(c.take()), Texts{"3"});
}

// Regression: a hub full of channels that nobody wanted any more refused new ones for ever.
TEST(SubscribersTest, QuietChannelsMakeRoomAndComeBackWithANewEpoch) {
  Limits limits;
  limits.channels = 3;
  Hub hub({route("open/{n}")}, 1, limits);
  Client& c = hub.connect();
  const std::string ack = c.ask(subscribe("open/wanted"));
  for (const char* channel : {"open/1", "open/2", "open/3"}) hub.publish(channel);
  const std::string before = c.ask(subscribe("open/1"));
  EXPECT_EQ(at(before, "data.sequenceId"), "1");
  (void)c.ask(unsubscribe("open/1"));
  hub.publish("open/1");
  for (const char* channel : {"open/4", "open/5", "open/6"})
    hub.publish(channel);  // open/2 was quiet longest, then open/3, open/1
  EXPECT_EQ(hub.shard().channels().size(), 4U);
  EXPECT_EQ(hub.shard().channels().counters().refused, 0U);

  c.say(subscribe("open/1", R"(,"replay":{"epoch":)" + json::quoted(at(before, "data.epoch")) + R"(,"sequenceId":1})"));
  const auto back = hub.read_all(c);
  ASSERT_EQ(back.size(), 2U);
  EXPECT_NE(at(back[0], "data.epoch"), at(before, "data.epoch"));
  EXPECT_EQ(at(back[0], "data.recovered"), "false");
  EXPECT_EQ(at(back[1], "type"), "gap");
  EXPECT_EQ(at(back[1], "data.reason"), "epoch_changed");
  hub.publish("open/wanted", "\"still there\"");
  EXPECT_EQ(data(c.take()), Texts{"still there"});
}

// Regression: events that were held back from a shard with a full mailbox were lost for its subscribers.
TEST(SubscribersTest, AShardThatWasTooBusyReadsOnFromHistory) {
  Hub hub({route("open/{n}")}, 2);
  const std::string channel = hub.name_on(0, "open/");
  Client& busy = hub.connect(Identity(), 1);
  Client& beside = hub.connect(Identity(), 0);
  for (Client* c : {&busy, &beside}) {
    c->say(subscribe(channel));
    EXPECT_EQ(hub.read_all(*c).size(), 1U);
  }
  hub.publish(channel, "1");
  hub.full.insert(1);
  for (const char* d : {"2", "3", "4"}) hub.publish(channel, d);
  EXPECT_TRUE(hub.shard(0).tell_those_behind());
  EXPECT_EQ(data(hub.read_all(busy)), Texts{"1"});
  EXPECT_EQ(data(hub.read_all(beside)), (Texts{"1", "2", "3", "4"}));
  hub.full.clear();
  EXPECT_FALSE(hub.shard(0).tell_those_behind());
  hub.publish(channel, "5");
  const auto late = hub.read_all(busy);
  EXPECT_EQ(data(late), (Texts{"2", "3", "4", "5"}));
  for (const std::string& f : late) EXPECT_EQ(at(f, "isReplay"), "false") << f;
}

// Regression: a client with a thousand subscriptions pinned a thousand chunks of history.
TEST(SubscribersTest, AThousandReplaysHoldFewChunksAndAllArrive) {
  Limits limits;
  limits.outbox_bytes = 65'536;
  limits.subscriptions_per_connection = 1000;
  Hub hub({route("open/{n}")}, 2, limits);
  const auto name = [](int i) { return "open/" + std::to_string(i); };
  for (const char* d : {"1", "2", "3"})
    for (int i = 0; i < 1000; ++i) hub.publish(name(i), d);
  hub.run();
  Client& c = hub.connect(Identity(), 1);
  std::uint32_t most = 0;
  const auto look = [&] {
    most = std::max(most, c.connection->fetching);
    std::uint32_t holding = 0;
    for (const auto& [feed, a] : c.connection->attachments) holding += !a->chunk.empty() || a->read != 0 ? 1 : 0;
    ASSERT_LE(holding, 4U);
    ASSERT_LE(c.connection->fetching, 4U);
  };
  for (int i = 0; i < 1000; ++i) c.say(subscribe(name(i), R"(,"replay":3)"));
  hub.run(look);
  std::map<std::string, std::string> replayed;
  std::size_t acks = 0;
  while (!c.connection->outbox.empty()) {
    for (const std::string& f : c.take()) {
      if (at(f, "type") == "ack") {
        ++acks;
        continue;
      }
      EXPECT_EQ(at(f, "isReplay"), "true");
      replayed[at(f, "channel")] += at(f, "data");
    }
    look();
    hub.run(look);
  }
  EXPECT_EQ(most, 4U);
  EXPECT_EQ(acks, 1000U);
  EXPECT_EQ(replayed.size(), 1000U);
  for (const auto& [channel, got] : replayed) EXPECT_EQ(got, "123") << channel;
  EXPECT_EQ(c.connection->fetching, 0U);
}

// Regression: the gap of a subscription by name was never said when a pattern that had asked for "last" ended before
// the frame was answered.
TEST(SubscribersTest, EndingAPatternTakesNoGapFromASubscriptionByName) {
  ChannelRoute short_history = route("open/{n}");
  short_history.history.events_max = 3;
  Hub hub({short_history, route("other/{n}")}, 3);
  const std::string channel = hub.name_on(0, "open/"), slow = hub.name_on(2, "other/");
  Client& c = hub.connect(Identity(), 1);
  c.say(subscribe(channel));
  const std::string epoch = at(hub.read_all(c).at(0), "data.epoch");
  ASSERT_FALSE(epoch.empty());
  c.say(unsubscribe(channel));
  hub.read_all(c);
  for (int i = 1; i <= 10; ++i) hub.publish(channel, std::to_string(i));

  const auto answered_by_owner = [&] { hub.deliver(1, 0), hub.deliver(0, 1); };
  c.say(R"({"type":"subscribe","id":3,"channels":[)" + json::quoted(channel) + "," + json::quoted(slow) +
        R"(],"replay":{"epoch":")" + epoch + R"(","sequenceId":2}})");
  answered_by_owner();
  c.say(subscribe("open/*", R"(,"replay":"last")"));
  answered_by_owner();
  c.say(unsubscribe("open/*"));
  const auto frames = hub.read_all(c);
  Texts gaps;
  for (const std::string& f : frames)
    if (at(f, "type") == "gap" && at(f, "data.channel") == channel)
      gaps.push_back(at(f, "data.from") + "-" + at(f, "data.to"));
  EXPECT_EQ(gaps, Texts{"3-7"});
  EXPECT_EQ(data(frames), (Texts{"8", "9", "10"}));
}

// Regression: one subscriber to everything kept every channel for ever, and a hub that was full took no new ones.
TEST(SubscribersTest, APatternKeepsNoChannelAndLosesNothing) {
  Limits limits;
  limits.channels = 3;
  for (const unsigned shards : {1U, 3U}) {
    Hub hub({route("open/{n}")}, shards, limits);
    Client& all = hub.connect();
    Client& named = hub.connect();
    all.say(subscribe("**"));
    named.say(subscribe("open/named"));
    hub.read_all(all), hub.read_all(named);
    Texts published, got;
    std::size_t by_name = 0;
    for (int i = 0; i < 200; ++i) {
      published.push_back(std::to_string(i));
      hub.publish(i % 5 == 0 ? "open/named" : "open/" + std::to_string(i % 50), published.back());
      for (const std::string& f : hub.read_all(all)) {
        EXPECT_EQ(at(f, "type"), "event") << f;
        got.push_back(at(f, "data"));
      }
      by_name += hub.read_all(named).size();
    }
    EXPECT_EQ(got, published);
    EXPECT_EQ(by_name, 40U);
    for (unsigned i = 0; i < shards; ++i) EXPECT_EQ(hub.shard(i).channels().counters().refused, 0U);
    EXPECT_LE(hub.shard().channels().size(), 4U);
  }
}

TEST(SubscribersTest, AReaderThatIsOwedSomethingOfAChannelThatIsLetGoIsTold) {
  Limits limits;
  limits.channels = 1;  // and one more
  limits.outbox_bytes = 2'000;
  Hub hub({route("open/{n}")}, 1, limits);
  Client& slow = hub.connect();
  EXPECT_EQ(at(slow.ask(subscribe("open/*")), "type"), "ack");
  for (int i = 0; i < 50; ++i) hub.publish("open/1", std::to_string(i));
  for (const char* channel : {"open/2", "open/3"}) hub.publish(channel, "9");
  hub.publish("open/1", "100");
  std::size_t gaps = 0, of_the_first_life = 0;
  std::string last;
  for (const std::string& f : hub.read_all(slow)) {
    if (at(f, "type") == "gap" && at(f, "data.channel") == "open/1") {
      ++gaps;
      EXPECT_EQ(at(f, "data.reason"), "epoch_changed");
    }
    if (at(f, "type") == "event" && at(f, "channel") == "open/1") {
      last = at(f, "data");
      of_the_first_life += gaps == 0 ? 1 : 0;
    }
  }
  EXPECT_EQ(gaps, 1U);
  EXPECT_GT(of_the_first_life, 0U);
  EXPECT_LT(of_the_first_life, 50U);
  EXPECT_EQ(last, "100") << "it goes on with the next life";
}

TEST(SubscribersTest, AChannelIsKeptByNameOnlyAsLongAsItIsSubscribedTo) {
  Limits limits;
  limits.channels = 1;  // and one more
  Hub hub({route("open/{n}")}, 1, limits);
  Client& c = hub.connect();
  EXPECT_EQ(at(c.ask(subscribe("open/*")), "type"), "ack");
  for (const char* channel : {"open/1", "open/2"}) EXPECT_EQ(at(c.ask(subscribe(channel)), "type"), "ack");
  EXPECT_EQ(at(c.ask(subscribe("open/3")), "data.code"), "limit_exceeded");
  (void)c.ask(unsubscribe("open/1"));
  hub.advance(1'000);
  hub.publish("open/3", "3");
  EXPECT_EQ(data(c.take()), Texts{"3"});
  hub.publish("open/1", "1");
  hub.publish("open/2", "2");
  EXPECT_EQ(data(c.take()), (Texts{"1", "2"}));
}

// Regression: a subscribe that was refused as a whole still said the hole in its replay, on behalf of a pattern that
// covers the same channel.
TEST(SubscribersTest, ARefusedSubscribeSaysNoGap) {
  ChannelRoute short_history = route("open/{n}");
  short_history.history.events_max = 3;
  Limits limits;
  limits.channels = 2;  // one and a bit for each of three shards
  Hub hub({short_history, route("other/{n}")}, 3, limits);
  const std::string channel = hub.name_on(0, "open/"), taken = hub.name_on(2, "other/"),
                    refused = hub.name_on(2, "other/x");
  Client& c = hub.connect(Identity(), 1);
  Client& holder = hub.connect(Identity(), 2);
  holder.say(subscribe(taken));
  hub.read_all(holder);
  c.say(subscribe("open/*"));
  hub.read_all(c);
  for (int i = 1; i <= 10; ++i) hub.publish(channel, std::to_string(i));
  std::string epoch;
  for (const std::string& f : hub.read_all(c))
    if (at(f, "type") == "event") epoch = at(f, "epoch");

  c.say(R"({"type":"subscribe","id":3,"channels":[)" + json::quoted(channel) + "," + json::quoted(refused) +
        R"(],"replay":{"epoch":")" + epoch + R"(","sequenceId":2}})");
  const auto frames = hub.read_all(c);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(at(frames[0], "data.code"), "limit_exceeded");
  hub.publish(channel, "11");
  EXPECT_EQ(data(hub.read_all(c)), Texts{"11"});
}

// What a client got and was told, in order: "3" an event, "4-6x2 overflow" a gap.
Texts story(const std::vector<std::string>& frames) {
  Texts out;
  for (const std::string& f : frames) {
    if (at(f, "type") == "event") out.push_back(at(f, "sequenceId"));
    if (at(f, "type") == "gap")
      out.push_back(at(f, "data.from") + "-" + at(f, "data.to") + "x" + at(f, "data.count") + " " +
                    at(f, "data.reason"));
  }
  return out;
}

// A channel with that policy and a client that has read nothing of its 40 events; outboxes hold twenty of them.
struct SlowReader {
  explicit SlowReader(OverflowPolicy policy, std::string_view more = {}, std::size_t keys = 4) {
    ChannelRoute r = route("open/{n}");
    r.overflow = policy;
    Limits limits;
    limits.outbox_bytes = 6000;
    hub = std::make_unique<Hub>(std::vector<ChannelRoute>{r}, 1, limits);
    client = &hub->connect();
    EXPECT_EQ(at(client->ask(subscribe("open/a", more)), "type"), "ack");
    for (std::size_t i = 1; i <= 40; ++i) publish(i, keys);
  }
  void publish(std::size_t i, std::size_t keys = 4) const {
    Draft d;
    d.event = "e";
    d.key = "k" + std::to_string(i % keys);
    d.data = "{\"n\":" + std::to_string(i) + ",\"pad\":\"" + std::string(60, 'x') + "\"}";
    hub->shard().publish("open/a", std::move(d), {});
  }
  std::unique_ptr<Hub> hub;
  Client* client = nullptr;
};

// Everything from 1 to `last` is there exactly once, as an event or inside a gap whose count fits.
void expect_accounted_for(const Texts& story, std::size_t last) {
  std::size_t next = 1;
  for (const std::string& one : story) {
    std::size_t from = 0, to = 0, count = 1;
    if (std::sscanf(one.c_str(), "%zu-%zux%zu", &from, &to, &count) != 3) to = from = std::stoul(one);
    EXPECT_EQ(from, next) << one;
    EXPECT_EQ(to - from + 1, count) << one;
    next = to + 1;
  }
  EXPECT_EQ(next, last + 1);
}

TEST(OverflowTest, DropNewestSaysTheStretchThatWasMissedAndGoesOn) {
  SlowReader slow(OverflowPolicy::drop_newest);
  Texts got = story(slow.hub->read_all(*slow.client));
  ASSERT_GT(got.size(), 5U);
  EXPECT_TRUE(got.back().ends_with("-40x" + std::to_string(40 - got.size() + 1) + " overflow")) << got.back();
  slow.publish(41);
  for (const std::string& one : story(slow.hub->read_all(*slow.client))) got.push_back(one);
  EXPECT_EQ(got.back(), "41");
  expect_accounted_for(got, 41);
}

TEST(OverflowTest, DropOldestKeepsTheNewestAndSaysWhatWentBeforeThem) {
  SlowReader slow(OverflowPolicy::drop_oldest);
  const Texts got = story(slow.hub->read_all(*slow.client));
  EXPECT_EQ(got.back(), "40");
  EXPECT_EQ(std::count_if(got.begin(), got.end(), [](const auto& one) { return one.ends_with(" overflow"); }), 1);
  expect_accounted_for(got, 40);
  EXPECT_EQ(slow.hub->shard().subscribers().counters().overflows, 1U);
  EXPECT_GT(slow.hub->shard().subscribers().counters().missed, 0U);
}

TEST(OverflowTest, LatestKeepsTheNewestOfEachKey) {
  SlowReader slow(OverflowPolicy::latest, {}, 2);
  const Texts got = story(slow.hub->read_all(*slow.client));
  ASSERT_GT(got.size(), 3U);
  EXPECT_EQ(Texts(got.end() - 2, got.end()), (Texts{"39", "40"}));
  EXPECT_TRUE(got.at(got.size() - 3).ends_with(" conflated")) << got.at(got.size() - 3);
  expect_accounted_for(got, 40);
}

TEST(OverflowTest, AGapCountsOnlyWhatTheFilterWants) {
  SlowReader slow(OverflowPolicy::drop_newest, R"(,"filter":{"key":["k0","k1","k2"]})");
  const Texts got = story(slow.hub->read_all(*slow.client));
  const std::size_t events = got.size() - 1;  // three of four are wanted: 30 of the 40
  EXPECT_TRUE(got.back().ends_with("-40x" + std::to_string(30 - events) + " overflow")) << got.back();
}

// A lagging subscriber whose identity changes must not get what was kept for the one it was.
TEST(OverflowTest, ANewFilterEndsWhatWasKeptForTheOldOne) {
  SlowReader slow(OverflowPolicy::drop_oldest);
  slow.client->say(subscribe("open/a", R"(,"filter":{"key":"k3"})"));
  const auto frames = slow.hub->read_all(*slow.client);
  bool acknowledged = false;
  for (const std::string& f : frames) {
    acknowledged = acknowledged || at(f, "type") == "ack";
    if (acknowledged && at(f, "type") == "event") {
      EXPECT_EQ(at(f, "key"), "k3");
    }
  }
  EXPECT_TRUE(acknowledged);
  EXPECT_EQ(slow.client->connection->lagging, 0U);
  EXPECT_EQ(slow.client->connection->lag_bytes, 0U);
}

TEST(OverflowTest, UnsubscribingAndClosingWhileItLagsLeavesNothing) {
  for (const bool close : {false, true}) {
    SlowReader slow(OverflowPolicy::drop_oldest);
    EXPECT_EQ(slow.client->connection->lagging, 1U);
    if (close) {
      slow.hub->shard().closed(*slow.client->connection);
    } else {
      slow.client->say(unsubscribe("open/a"));
      EXPECT_EQ(slow.client->connection->lagging, 0U);
      EXPECT_EQ(slow.client->connection->lag_bytes, 0U);
      EXPECT_TRUE(slow.client->connection->waiting.empty());
    }
    EXPECT_EQ(slow.hub->shard().subscribers().attachments(), 0U);
    slow.publish(41);
  }
}

TEST(OverflowTest, DisconnectClosesAndSendsNothingBehindTheHole) {
  SlowReader slow(OverflowPolicy::disconnect);
  EXPECT_EQ(slow.client->closed_with, CloseCode::too_slow);
  EXPECT_EQ(slow.hub->shard().subscribers().counters().disconnected_slow, 1U);
}

// All outboxes together are bounded by what their frames hold; a reader that keeps up is not the one who pays.
TEST(OverflowTest, OutboxesShrinkAsTheirCommonRoomRunsOutAndNobodyStarves) {
  Limits limits;
  limits.outboxes_bytes = 40'000;
  Hub hub({route("{group}/{n}")}, 1, limits);
  std::vector<Client*> stalled;
  for (int i = 0; i < 10; ++i) {
    stalled.push_back(&hub.connect());
    stalled.back()->ask(subscribe("s/" + std::to_string(i)));
  }
  Client& reader = hub.connect();
  reader.ask(subscribe("r/1"));
  const std::string large = json::quoted(std::string(400, 'x'));
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 10; ++i) hub.publish("s/" + std::to_string(i), large);
    hub.publish("r/1", std::to_string(round));
    EXPECT_EQ(data(reader.take()), Texts{std::to_string(round)});
  }
  EXPECT_LT(Frame::alive(), 40'000U + 1000);
  for (Client* c : stalled) EXPECT_EQ(data(hub.read_all(*c)).size(), 100U);  // catch-up: all of it comes
}

}  // namespace
}  // namespace weir
