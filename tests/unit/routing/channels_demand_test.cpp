// Channels whose sources work on demand: whom they keep waiting, when they end, and when they may go on in one life.
#include <gtest/gtest.h>

#include "hub.hpp"

namespace weir {
namespace {

using testing::at;
using testing::Client;
using testing::Hub;
using testing::route;

const mail::Subject kA{"bus", "l.a"}, kAll{"bus", "l.*"}, kFile{"tail", "a"}, kB{"bus", "b.a"};

// "logs/{x}" of a source that can be asked for patterns, as "shut/{x}", which takes a scope; "files/{x}" of one that
// can't; "both/{x}" of the two.
std::vector<ChannelRoute> routes() {
  std::vector<ChannelRoute> out;
  out.push_back(route("logs/{x}"));
  out.back().on_demand = "bus l.{x}";
  out.back().demands.push_back({"bus", *Pattern::parse_subject("l.{x}", '.'), true});
  out.back().demand_by_pattern = true;
  out.push_back(route("shut/{x}"));
  out.back().subscribe.scope = "ops";
  out.back().on_demand = "bus s.{x}";
  out.back().demands.push_back({"bus", *Pattern::parse_subject("s.{x}", '.'), true});
  out.back().demand_by_pattern = true;
  out.push_back(route("files/{x}"));
  out.back().on_demand = "tail {x}";
  out.back().demands.push_back({"tail", *Pattern::parse_subject("{x}", '/'), false});
  out.push_back(route("both/{x}"));
  out.back().on_demand = "bus b.{x} tail b/{x}";
  out.back().demands.push_back({"bus", *Pattern::parse_subject("b.{x}", '.'), false});
  out.back().demands.push_back({"tail", *Pattern::parse_subject("b/{x}", '/'), false});
  return out;
}

class ChannelsDemandTest : public ::testing::TestWithParam<unsigned> {
 protected:
  ChannelsDemandTest() : hub(routes(), GetParam()), c(hub.connect()) {}
  using Texts = std::vector<std::string>;

  // Nothing comes before the source has answered.
  void ask(Client& who, const std::string& channel, const std::string& more = "") {
    who.say(R"({"type":"subscribe","id":1,"channel":")" + channel + "\"" + more + "}");
    hub.run();
  }
  void leave(Client& who, const std::string& channel) {
    who.say(R"({"type":"unsubscribe","id":2,"channel":")" + channel + "\"}");
    hub.run();
    who.take();
  }
  // Subscribes; the source is at work. What is then there to be read.
  Texts subscribe(Client& who, const std::string& channel, const mail::Subject& subject, const std::string& more = "") {
    ask(who, channel, more);
    hub.awake(channel, subject);
    return hub.read_all(who);
  }
  void watch(Client& who, const std::string& pattern) {
    ask(who, pattern);
    who.take();
  }
  std::string epoch(const std::string& channel) {
    std::string out;
    hub.shard(hub.shard().owner(channel)).channels().each([&](const Channels::Info& info) {
      if (info.name == channel) out = info.epoch;
    });
    return out;
  }
  static std::string since(const std::string& epoch, int id) {
    return R"(,"replay":{"epoch":")" + epoch + R"(","sequenceId":)" + std::to_string(id) + "}";
  }

  Hub hub;
  Client& c;
};

TEST_P(ChannelsDemandTest, TheFirstWaitsAndFindsWhatWasThereBeforeTheAnswer) {
  ask(c, "logs/a", R"(,"replay":10)");
  EXPECT_TRUE(c.take().empty());
  EXPECT_EQ(hub.demands, Texts{"+logs/a"});
  hub.publish("logs/a");
  hub.awake("logs/a", kA);
  const Texts frames = hub.read_all(c);
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(at(frames[0], "data.replayed"), "1");
}

TEST_P(ChannelsDemandTest, WhoseSourceTakesItsTimeIsLetInAndTheAnswerCountsAllTheSame) {
  ask(c, "logs/a");
  hub.late("logs/a");
  EXPECT_EQ(at(hub.read_all(c).at(0), "type"), "ack");
  hub.tell("logs/a", mail::Awake{"logs/a", hub.asks["logs/a"], fail(Errc::unavailable, "no descriptors")});
  const Texts told = hub.read_all(c);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(at(told[0], "data.code"), "unavailable") << told[0];
  ask(c, "logs/a");
  hub.tell("logs/a", mail::Awake{"logs/a", hub.asks["logs/a"], fail(Errc::unavailable, "no descriptors")});
  EXPECT_EQ(at(hub.read_all(c).at(0), "data.message"), "no descriptors");
}

// What came upstream until then was missing without a word.
TEST_P(ChannelsDemandTest, WhoWasLetInBeforeTheSourceWasAtWorkHearsOfAGap) {
  ask(c, "logs/a");
  hub.late("logs/a");
  EXPECT_EQ(at(hub.read_all(c).at(0), "type"), "ack");
  hub.publish("logs/a");  // a client
  hub.read_all(c);
  // A position promises nothing as long as the source may have been missing something.
  Client& back = hub.connect();
  ask(back, "logs/a", since(epoch("logs/a"), 1));
  Texts frames = hub.read_all(back);
  EXPECT_EQ(at(frames.at(0), "data.recovered"), "false");
  EXPECT_EQ(at(frames.at(1), "data.reason"), "the source was not at work yet");
  hub.awake("logs/a", kA);
  for (Client* who : {&c, &back}) {
    frames = hub.read_all(*who);
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(at(frames[0], "data.reason"), "the source was not at work yet");
    EXPECT_EQ(at(frames[0], "data.count"), "null");
  }
  Client& after = hub.connect();
  ask(after, "logs/a", since(epoch("logs/a"), 1));
  frames = hub.read_all(after);
  EXPECT_EQ(at(frames.at(0), "data.recovered"), "false") << "that position is from before it";
  hub.publish("logs/a");
  hub.read_all(after);
  leave(after, "logs/a");
  ask(after, "logs/a", since(epoch("logs/a"), 2));
  frames = hub.read_all(after);
  EXPECT_EQ(frames.size(), 1U);
  EXPECT_EQ(at(frames.at(0), "data.recovered"), "true");
  hub.awake("logs/a", kA);  // again
  EXPECT_TRUE(hub.read_all(after).empty());
}

TEST_P(ChannelsDemandTest, WhoseChannelAPatternKeepsFedHearsOfNoGap) {
  watch(c, "logs/*");
  hub.awake("logs/*", kAll);
  Client& other = hub.connect();
  ask(other, "logs/a");
  hub.late("logs/a");
  hub.awake("logs/a", kA);
  const Texts frames = hub.read_all(other);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(at(frames[0], "type"), "ack");
}

// It never waits, so what is late is what comes after an attempt that failed.
TEST_P(ChannelsDemandTest, APatternThatFailedAtFirstHearsOfAGapOnceItIsAtWork) {
  watch(c, "logs/*");
  hub.publish("logs/a");
  subscribe(c, "logs/b", {"bus", "l.b"});
  hub.read_all(c);
  hub.tell("logs/*", mail::Awake{.what = "logs/*", .at_work = kAll, .late = true});
  const Texts frames = hub.read_all(c);
  ASSERT_EQ(frames.size(), 1U) << "logs/b is fed by its name";
  EXPECT_EQ(at(frames[0], "data.channel"), "logs/a");
  EXPECT_EQ(at(frames[0], "data.reason"), "the source was not at work yet");
}

TEST_P(ChannelsDemandTest, OneOfSeveralSourcesThatIsLateIsAGapAndOneThatSaysNoIsNone) {
  for (const bool comes : {true, false}) {
    const std::string channel = comes ? "both/a" : "both/b", file = comes ? "b/a" : "b/b";
    Client& who = hub.connect();
    ask(who, channel);
    const std::uint64_t asked = hub.asks[channel];
    const mail::Subject bus{"bus", comes ? "b.a" : "b.b"}, tail{"tail", file};
    hub.tell(channel, mail::Awake{.what = channel, .ask = asked, .at_work = bus, .more = true});
    hub.tell(channel, mail::Awake{.what = channel, .ask = asked, .late = comes});
    EXPECT_EQ(hub.read_all(who).size(), 1U);
    if (comes) {
      hub.tell(channel, mail::Awake{.what = channel, .ask = asked, .at_work = tail});
      EXPECT_EQ(at(hub.read_all(who).at(0), "data.reason"), "the source was not at work yet");
    }
    hub.publish(channel);
    hub.read_all(who);
    Client& back = hub.connect();
    ask(back, channel, since(epoch(channel), 1));
    EXPECT_EQ(at(hub.read_all(back).at(0), "data.recovered"), "true");
  }
}

TEST_P(ChannelsDemandTest, WhoComesBackWhileItLingersIsInTheSameLife) {
  subscribe(c, "logs/a", kA);
  hub.publish("logs/a");
  hub.read_all(c);
  const std::string life = epoch("logs/a");
  leave(c, "logs/a");
  const Texts frames = subscribe(c, "logs/a", kA, since(life, 1));
  EXPECT_EQ(at(frames.at(0), "data.recovered"), "true");
  leave(c, "logs/a");
  hub.asleep("logs/a", kA);
  EXPECT_EQ(epoch("logs/a"), "");
}

// The name lets go, and a pattern begins: what came in between nobody has seen.
TEST_P(ChannelsDemandTest, APatternThatIsOnlyWantedKeepsNoLife) {
  subscribe(c, "logs/a", kA);
  hub.publish("logs/a");
  const std::string life = epoch("logs/a");
  leave(c, "logs/a");
  watch(c, "logs/*");
  hub.asleep("logs/a", kA);  // behind the Watch, but the source has let go of it before
  hub.awake("logs/*", kAll);
  hub.publish("logs/a");
  EXPECT_NE(epoch("logs/a"), life);
}

TEST_P(ChannelsDemandTest, APatternThatIsAtWorkKeepsTheLifeOfAName) {
  subscribe(c, "logs/a", kA);
  hub.publish("logs/a");
  const std::string life = epoch("logs/a");
  watch(c, "logs/*");
  hub.awake("logs/*", kAll);
  leave(c, "logs/a");
  hub.asleep("logs/a", kA);
  EXPECT_EQ(epoch("logs/a"), life);
  hub.read_all(c);
  EXPECT_EQ(at(subscribe(c, "logs/a", kA, since(life, 1)).at(0), "data.recovered"), "true");
}

TEST_P(ChannelsDemandTest, ANameThatIsOnlyWantedKeepsNoLifeOfAPattern) {
  watch(c, "logs/*");
  hub.awake("logs/*", kAll);
  hub.publish("logs/a");
  const std::string life = epoch("logs/a");
  leave(c, "logs/*");
  Client& other = hub.connect();
  ask(other, "logs/a", since(life, 1));
  hub.asleep("logs/*", kAll);
  EXPECT_TRUE(other.take().empty());
  hub.awake("logs/a", kA);  // it has been asked for, so it is not asked for again
  EXPECT_EQ(hub.demands, (Texts{"+logs/*", "-logs/*", "+logs/a"}));
  const Texts frames = hub.read_all(other);
  EXPECT_EQ(at(frames.at(0), "data.recovered"), "false");
  EXPECT_NE(at(frames.at(0), "data.epoch"), life);
}

TEST_P(ChannelsDemandTest, ANameThatIsAtWorkKeepsTheLifeOfAPattern) {
  watch(c, "logs/*");
  hub.awake("logs/*", kAll);
  hub.publish("logs/a");
  const std::string life = epoch("logs/a");
  Client& other = hub.connect();
  EXPECT_EQ(at(subscribe(other, "logs/a", kA, since(life, 1)).at(0), "data.recovered"), "true");
  leave(c, "logs/*");
  hub.asleep("logs/*", kAll);
  EXPECT_EQ(epoch("logs/a"), life);
}

TEST_P(ChannelsDemandTest, OneOfTwoPatternsIsEnoughOnceItIsAtWork) {
  watch(c, "logs/*");
  hub.awake("logs/*", kAll);
  hub.publish("logs/a");
  const std::string life = epoch("logs/a");
  watch(c, "*/a");
  hub.awake("*/a", kA);
  leave(c, "logs/*");
  hub.asleep("logs/*", kAll);
  EXPECT_EQ(epoch("logs/a"), life);
  watch(c, "**");  // not answered
  leave(c, "*/a");
  hub.asleep("*/a", kA);
  EXPECT_EQ(epoch("logs/a"), "");
}

// A pattern that went took the channels with it that lingered by their name, and those that it never fed.
TEST_P(ChannelsDemandTest, APatternThatGoesEndsOnlyWhatItKept) {
  subscribe(c, "logs/a", kA);
  subscribe(c, "files/a", kFile);
  for (const char* name : {"logs/a", "files/a"}) hub.publish(name);
  const std::string log = epoch("logs/a"), file = epoch("files/a");
  watch(c, "**");
  hub.awake("**", kAll);
  for (const char* name : {"logs/a", "files/a", "**"}) leave(c, name);
  hub.asleep("**", kAll);
  EXPECT_EQ(epoch("logs/a"), log);
  EXPECT_EQ(epoch("files/a"), file);
}

// A pattern is asked for by the first owner that hears of it. Here its source was at work before its Watch came, and
// what was there went on as if nothing had been missed.
TEST_P(ChannelsDemandTest, WhatSleptEndsAlsoWhereThePatternIsAtWorkBeforeItIsWatched) {
  hub.publish("logs/a");
  hub.run();
  const std::string life = epoch("logs/a");
  ASSERT_NE(life, "");
  hub.awake("logs/*", kAll);
  EXPECT_EQ(epoch("logs/a"), "");
  EXPECT_EQ(at(subscribe(c, "logs/a", kA, since(life, 1)).at(0), "data.recovered"), "false");
}

// It ended channels that had been let in to before their source was at work.
TEST_P(ChannelsDemandTest, APatternThatNeverWasAtWorkEndsNothing) {
  ask(c, "logs/a");
  hub.late("logs/a");
  hub.publish("logs/a");
  const std::string life = epoch("logs/a");
  Client& other = hub.connect();
  watch(other, "logs/*");
  leave(other, "logs/*");
  hub.asleep("logs/*", kAll);
  EXPECT_EQ(epoch("logs/a"), life);
}

TEST_P(ChannelsDemandTest, WhatAClientPublishedToASleepingChannelIsOfALifeBefore) {
  for (const char* name : {"logs/a", "files/a"}) hub.publish(name);
  hub.run();
  const std::string log = epoch("logs/a"), file = epoch("files/a");
  EXPECT_EQ(at(subscribe(c, "files/a", kFile, since(file, 1)).at(0), "data.recovered"), "false");
  EXPECT_EQ(at(subscribe(c, "logs/a", kA, since(log, 1)).at(0), "data.recovered"), "false");
  hub.publish("logs/b");
  hub.run();
  const std::string before = epoch("logs/b");
  watch(c, "logs/*");
  EXPECT_EQ(epoch("logs/b"), "");
  hub.awake("logs/*", kAll);
  EXPECT_EQ(at(subscribe(c, "logs/b", {"bus", "l.b"}, since(before, 1)).at(0), "data.recovered"), "false");
}

TEST_P(ChannelsDemandTest, ChannelsOfASourceThatIsMadeAnewBeginAnewHoweverTheyWereKept) {
  Client& waiting = hub.connect();
  subscribe(c, "logs/name", {"bus", "l.name"});
  subscribe(c, "logs/lingers", {"bus", "l.lingers"});
  leave(c, "logs/lingers");
  watch(c, "logs/*");
  hub.awake("logs/*", kAll);
  subscribe(c, "files/a", kFile);
  for (const char* name : {"logs/name", "logs/lingers", "logs/pattern", "files/a"}) hub.publish(name);
  hub.read_all(c);
  ask(waiting, "logs/waits");
  hub.demands.clear();
  const std::string file = epoch("files/a");
  hub.tell("**", mail::Anew{"bus", {}});
  Texts told = hub.read_all(c);
  EXPECT_TRUE(std::any_of(told.begin(), told.end(), [](const std::string& frame) {
    return at(frame, "type") == "error" && frame.find("logs/name") != std::string::npos;
  }));
  for (const char* name : {"logs/name", "logs/lingers", "logs/pattern"}) EXPECT_EQ(epoch(name), "") << name;
  EXPECT_EQ(epoch("files/a"), file);
  // Who waits does so on, and hears nothing of it.
  EXPECT_NE(std::find(hub.demands.begin(), hub.demands.end(), "+logs/waits"), hub.demands.end());
  EXPECT_TRUE(hub.read_all(waiting).empty());
  hub.awake("logs/waits", {"bus", "l.waits"});
  EXPECT_EQ(at(hub.read_all(waiting).at(0), "type"), "ack");
  // What the pattern was to the one before it is not to the next, until that has said so.
  hub.publish("logs/pattern");
  const std::string life = epoch("logs/pattern");
  Client& other = hub.connect();
  EXPECT_EQ(at(subscribe(other, "logs/pattern", {"bus", "l.pattern"}, since(life, 1)).at(0), "data.recovered"),
            "false");
}

// They were told to subscribe again, and then that there is no such channel.
TEST_P(ChannelsDemandTest, WhoWaitsForAChannelThatAReloadTakesAwayIsToldSo) {
  ask(c, "logs/a");
  ask(c, "files/a");
  std::vector<ChannelRoute> left = routes();
  std::erase_if(left, [](const ChannelRoute& r) { return r.on_demand == "bus l.{x}"; });
  for (ChannelRoute& r : left)
    if (r.on_demand == "tail {x}") r.on_demand = "tail new.{x}";
  const auto next = std::make_shared<const Routes>(std::move(left));
  for (ShardId id = 0; id < GetParam(); ++id) hub.shard(id).reroute_channels(next);
  std::map<std::string, std::string> told;
  for (const std::string& frame : hub.read_all(c))
    told[at(frame, "data.message").find("logs/a") != std::string::npos ? "logs/a" : "files/a"] = frame;
  EXPECT_EQ(at(told["logs/a"], "data.code"), "no_such_channel") << told["logs/a"];
  EXPECT_EQ(at(told["files/a"], "data.message"), "the source of \"files/a\" begins anew; subscribe to it again");
}

// A frame for several channels is answered when the last of them is; one that had ended until then stayed silent.
TEST_P(ChannelsDemandTest, AChannelThatEndsBeforeItsFrameIsAnsweredIsToldToHaveEnded) {
  c.say(R"({"type":"subscribe","id":1,"channels":["logs/a","files/a"]})");
  hub.run();
  hub.awake("logs/a", kA);
  hub.run();
  hub.tell("**", mail::Anew{"bus", {}});
  hub.run();
  hub.awake("files/a", kFile);
  const Texts frames = hub.read_all(c);
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(at(frames[0], "type"), "ack");
  EXPECT_EQ(at(frames[1], "data.code"), "unavailable");
  EXPECT_NE(at(frames[1], "data.message").find("logs/a"), std::string::npos);
}

// One that works for a wider pattern already answers before an owner has read that the narrower one is watched.
TEST_P(ChannelsDemandTest, AnAnswerThatIsThereBeforeTheQuestionCounts) {
  hub.awake("logs/*", kAll);
  watch(c, "logs/*");
  hub.publish("logs/a");
  Client& other = hub.connect();
  EXPECT_EQ(at(subscribe(other, "logs/a", kA, since(epoch("logs/a"), 1)).at(0), "data.recovered"), "true");
}

// Of several sources all are waited for.
TEST_P(ChannelsDemandTest, WhoSubscribesIsLetInWhenTheLastSourceHasAnswered) {
  ask(c, "both/a");
  hub.tell("both/a", mail::Awake{"both/a", hub.asks["both/a"], std::nullopt, kB, true});
  EXPECT_TRUE(hub.read_all(c).empty());
  hub.tell("both/a", mail::Awake{"both/a", hub.asks["both/a"], std::nullopt, mail::Subject{"tail", "b/a"}});
  EXPECT_EQ(at(hub.read_all(c).at(0), "type"), "ack");
}

// Who may see nothing of it makes no source work for it.
TEST_P(ChannelsDemandTest, APatternIsAskedForAsFarAsThoseWhoWatchMaySee) {
  hub.publish("shut/a");
  watch(c, "shut/*");
  EXPECT_EQ(hub.demands, Texts{"+shut/*"});  // with no scope
  const std::string life = epoch("shut/a");
  EXPECT_NE(life, "");
  Identity some, every;
  some.scopes = {"ops", "other"};
  every.scopes = {"*"};
  Client& ops = hub.connect(some);
  watch(ops, "shut/*");
  EXPECT_EQ(hub.demands, (Texts{"+shut/*", "+shut/* ops"}));
  EXPECT_EQ(epoch("shut/a"), "");  // what it had was of a time when nothing fed it
  Client& all = hub.connect(every);
  watch(all, "shut/*");
  leave(ops, "shut/*");
  EXPECT_EQ(hub.demands.size(), 2U);
  leave(c, "shut/*");
  leave(all, "shut/*");
  EXPECT_EQ(hub.demands.back(), "-shut/*");
  watch(c, "shut/*");
  EXPECT_EQ(hub.demands.back(), "+shut/*");  // those who had the scope are gone
  // Also where somebody else goes on watching.
  Client& far = hub.connect(every, static_cast<ShardId>(GetParam() - 1));
  watch(far, "shut/*");
  EXPECT_EQ(hub.demands.back(), "+shut/* ops");
  leave(far, "shut/*");
  EXPECT_EQ(hub.demands.back(), GetParam() == 1 ? "+shut/* ops" : "+shut/*");
}

INSTANTIATE_TEST_SUITE_P(Shards, ChannelsDemandTest, ::testing::Values(1U, 3U));

}  // namespace
}  // namespace weir
