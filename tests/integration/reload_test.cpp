// A hub whose manifest and scripts change while clients are connected.
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/json.hpp"
#include "integration/hub_fixture.hpp"
#include "support/slow_build.hpp"

namespace weir::test {
namespace {

std::string ticker(const std::string& name, const std::string& interval) {
  return "[[plugin]]\nname = \"" + name + "\"\nlibrary = \"ticker\"\nconfig = { interval = \"" + interval + "\" }\n";
}

class HubReloadTest : public HubTest {
 protected:
  static constexpr const char* kEndpoint = "[[endpoint]]\npath = \"/ws\"\n";
  static std::string channel(const std::string& pattern, const std::string& more = {}) {
    return "[[channel]]\npattern = \"" + pattern + "\"\n" + more;
  }
  // By a client of its own, so that nothing which comes to others is passed over.
  Json publish(const std::string& channel, const Json& data) {
    if (!writer_) writer_.emplace(connect());
    return writer_->ask({{"type", "publish"}, {"id", "p"}, {"channel", channel}, {"event", "e"}, {"data", data}});
  }
  static Json subscribe(Client& c, const std::string& channel, const Json& more = Json::object()) {
    Json frame{{"type", "subscribe"}, {"id", "s"}, {"channel", channel}};
    frame.update(more);
    return c.ask(frame);
  }
  static bool has(const std::vector<std::string>& list, const std::string& text) {
    return std::any_of(list.begin(), list.end(),
                       [&](const std::string& one) { return one.find(text) != std::string::npos; });
  }
  std::optional<Client> writer_;
};

TEST_F(HubReloadTest, ARuleChangesUnderALiveSubscription) {
  write("a.lua", "return { transform = function(ev) ev.data.v = 1 return ev end }");
  const std::string manifest = kEndpoint + channel("c/{x}", "rules = [\"a.lua\"]\n");
  start(manifest);
  Client c = connect();
  ASSERT_EQ(subscribe(c, "c/1")["type"], "ack");
  publish("c/1", {{"n", 1}});
  const Json first = c.next("event");
  EXPECT_EQ(first["data"], Json({{"n", 1}, {"v", 1}}));
  write("a.lua", "return { transform = function(ev) ev.data.v = 2 return ev end }");
  const ReloadReport report = reload(manifest);
  EXPECT_TRUE(report.done);
  EXPECT_EQ(report.changed, std::vector<std::string>{"rule a.lua has changed"});
  publish("c/1", {{"n", 2}});
  const Json second = c.next("event");
  EXPECT_EQ(second["data"], Json({{"n", 2}, {"v", 2}}));
  EXPECT_EQ(second["sequenceId"], 2);
  EXPECT_EQ(second["epoch"], first["epoch"]);
}

TEST_F(HubReloadTest, AScriptThatFailsItsOwnTestsKeepsTheOldOneRunning) {
  write("a.lua", "return { filter = function(ev) return true end }");
  const std::string manifest = kEndpoint + channel("c", "rules = [\"a.lua\"]\n");
  start(manifest);
  Client c = connect();
  subscribe(c, "c");
  write("a.lua",
        "return { filter = function(ev) return false end, tests = { { filter = { event = 'e', data = 1 }, expect = "
        "true } } }");
  const ReloadReport report = reload(manifest);
  EXPECT_FALSE(report.done);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_NE(report.problems[0].find("a.lua: test 1 (filter): "), std::string::npos) << report.problems[0];
  publish("c", 7);
  EXPECT_EQ(c.next("event")["data"], 7);
  const Json health = http("GET", "/health").json();
  EXPECT_EQ(health["status"], "degraded");
  EXPECT_NE(health["reasons"][0].get<std::string>().find("the last reload was refused: "), std::string::npos);
  write("a.lua", "return { filter = function(ev) return true end }");
  EXPECT_TRUE(reload(manifest).done);
  EXPECT_EQ(http("GET", "/health").json()["status"], "ok");
}

TEST_F(HubReloadTest, AManifestThatDoesNotLoadChangesNothing) {
  start(kEndpoint + channel("c"));
  Client c = connect();
  subscribe(c, "c");
  const ReloadReport report =
      reload(kEndpoint + channel("d", "histori = 3\n") + "[[plugin]]\nname = \"x\"\nlibrary = \"nope\"\n");
  EXPECT_FALSE(report.done);
  EXPECT_EQ(report.problems.size(), 2U);
  publish("c", 7);
  EXPECT_EQ(c.next("event")["data"], 7);
}

TEST_F(HubReloadTest, APluginThatRefusesItsConfigChangesNothing) {
  start(kEndpoint + channel("c"));
  // Well-formed by its schema; only the plugin itself says no.
  const ReloadReport report =
      reload(kEndpoint + channel("d") +
             "[[plugin]]\nname = \"k\"\nlibrary = \"misbehaving\"\nconfig = { mode = \"create: endless message\" }\n");
  EXPECT_FALSE(report.done);
  Client c = connect();
  EXPECT_EQ(subscribe(c, "c")["type"], "ack");
  EXPECT_EQ(subscribe(c, "d")["type"], "error");
}

#if !WEIR_SLOW_BUILD  // the sanitizers themselves need descriptors: without, they see mistakes where there are none
TEST_F(HubReloadTest, WithoutADescriptorForTheNewPluginTheOldOneRunsOn) {
  const auto manifest = [](const std::string& every) {
    return ticker("one", every) + kEndpoint + channel("t/{n}", "from = [{ plugin = \"one\", subject = \"{n}\" }]\n");
  };
  start(manifest("10ms"));
  Client c = connect();
  subscribe(c, "t/*");
  SetupResult next = load(manifest("20ms"));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int lowest = ::dup(0);
  ::close(lowest);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(lowest);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const ReloadReport report = hub().reload(std::move(next));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(report.done);
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_NE(report.problems[0].find("can't be made"), std::string::npos) << report.problems[0];
  c.next("event");
  EXPECT_TRUE(reload(manifest("20ms")).done);
  c.next("event");
}
#endif

TEST_F(HubReloadTest, ChannelsComeAndGo) {
  start(kEndpoint + channel("old/{x}") + channel("both/{x}"));
  Client c = connect();
  subscribe(c, "old/1");
  subscribe(c, "both/1");
  EXPECT_EQ(subscribe(c, "new/1")["data"]["code"], "no_such_channel");
  ASSERT_EQ(subscribe(c, "**")["type"], "ack");
  publish("old/1", 1);
  publish("both/1", 1);
  c.next("event");
  c.next("event");
  const ReloadReport report = reload(kEndpoint + channel("new/{x}") + channel("both/{x}", "history = { count = 5 }\n"));
  EXPECT_EQ(report.changed, (std::vector<std::string>{"channel new/{x} is new", "channel both/{x} has changed",
                                                      "channel old/{x} is gone"}));
  const Json ended = c.next("error");
  EXPECT_EQ(ended["data"]["code"], "no_such_channel");
  EXPECT_EQ(ended["data"]["message"],
            "no [[channel]] of the manifest matches \"old/1\" any more; that subscription has ended");
  EXPECT_EQ(publish("old/1", 2)["data"]["code"], "no_such_channel");
  EXPECT_EQ(subscribe(c, "new/1")["type"], "ack");
  // The pattern goes on, and takes in what is new; each event comes once.
  publish("new/2", 3);
  EXPECT_EQ(c.next("event")["channel"], "new/2");
  publish("both/1", 4);
  const Json both = c.next("event");
  EXPECT_EQ(both["channel"], "both/1");
  EXPECT_EQ(both["sequenceId"], 2);
  publish("new/1", 5);
  EXPECT_EQ(c.next("event")["channel"], "new/1");
}

TEST_F(HubReloadTest, WhoMayNotAnyMoreIsToldAndOthersSeeMore) {
  const std::string plugin =
      "[[plugin]]\nname = \"k\"\nlibrary = \"dev\"\nconfig = { scopes = [\"x\"], subject = \"ann\" }\n"
      "[[endpoint]]\npath = \"/ws\"\nauth = [\"k\"]\n";
  start(plugin + channel("open/{x}") + channel("closed/{x}", "subscribe = { scope = \"y\" }\n"));
  Client ann = connect();
  ASSERT_EQ(subscribe(ann, "open/1")["type"], "ack");
  ASSERT_EQ(subscribe(ann, "*/2")["type"], "ack");
  EXPECT_EQ(publish("closed/2", 1)["type"], "ack");  // it exists, and she does not see it
  EXPECT_EQ(subscribe(ann, "closed/1")["data"]["code"], "forbidden");
  ASSERT_TRUE(reload(plugin + channel("open/{x}", "subscribe = { scope = \"y\" }\n") + channel("closed/{x}")).done);
  const Json ended = ann.next("error");
  EXPECT_EQ(ended["data"]["code"], "forbidden");
  EXPECT_EQ(
      ended["data"]["message"],
      "after a reload of the manifest this connection may not subscribe to \"open/1\"; that subscription has ended");
  publish("open/1", 2);
  publish("closed/2", 3);
  const Json event = ann.next("event");
  EXPECT_EQ(event["channel"], "closed/2");
  EXPECT_EQ(event["data"], 3);
}

TEST_F(HubReloadTest, SourcesAreExchangedAndThoseThatAreTheSameRunOn) {
  const std::string channels = kEndpoint + channel("t/{n}", "from = [{ plugin = \"one\", subject = \"{n}\" }]\n");
  start(ticker("one", "10ms") + channels);
  Client c = connect();
  subscribe(c, "t/*");
  const std::string t = c.next("event")["channel"];
  const auto since = [this](std::size_t i) { return http("GET", "/health").json()["plugins"][i]["since"]; };
  const Json before = since(0);
  // Another one, and another channel for the first: it runs on.
  const ReloadReport more = reload(ticker("one", "10ms") + ticker("two", "10ms") + kEndpoint +
                                   channel("u/{n}", "from = [{ plugin = \"one\", subject = \"{n}\" }]\n"));
  ASSERT_TRUE(more.done);
  EXPECT_TRUE(has(more.changed, "plugin two is new"));
  EXPECT_FALSE(has(more.changed, "plugin one"));
  EXPECT_EQ(since(0), before);
  subscribe(c, "u/*");
  EXPECT_EQ(c.next("event")["channel"].get<std::string>().substr(0, 2), "u/");
  // With another config it is another instance.
  ASSERT_TRUE(
      reload(ticker("one", "20ms") + kEndpoint + channel("u/{n}", "from = [{ plugin = \"one\", subject = \"{n}\" }]\n"))
          .done);
  EXPECT_EQ(http("GET", "/health").json()["plugins"].size(), 1U);
  for (int i = 0; i < 3; ++i) c.next("event");
}

TEST_F(HubReloadTest, LimitsAndEndpointsHoldForWhatComesAfter) {
  start(kEndpoint + channel("c"));
  Client c = connect();
  EXPECT_EQ(publish("c", std::string(3000, 'x'))["type"], "ack");
  const ReloadReport report =
      reload("limits = { data_bytes = \"1KiB\" }\n[[endpoint]]\npath = \"/other\"\n" + channel("c"));
  ASSERT_TRUE(report.done) << report.problems[0];
  EXPECT_TRUE(has(report.changed, "limits.data_bytes is 1024, was "));
  EXPECT_TRUE(has(report.changed, "endpoint /other is new"));
  EXPECT_TRUE(has(report.changed, "endpoint /ws is gone"));
  EXPECT_EQ(publish("c", std::string(3000, 'x'))["data"]["code"], "too_large");  // who is connected stays so
  EXPECT_FALSE(try_connect("/ws"));
  Client other = connect("/other");
  EXPECT_EQ(subscribe(other, "c")["type"], "ack");
}

TEST_F(HubReloadTest, WhatTakesARestartIsSaid) {
  start(kEndpoint + channel("c"));
  const ReloadReport report = reload("log = { format = \"json\" }\n" + std::string(kEndpoint) + channel("c"), 1);
  ASSERT_TRUE(report.done);
  EXPECT_TRUE(has(report.restart, "threads has changed"));
  EXPECT_TRUE(has(report.restart, "log has changed"));
  EXPECT_FALSE(has(report.restart, "listen"));
}

TEST_F(HubReloadTest, StateAndMethodsChangeTogether) {
  write("a.lua",
        "return { version = 1, reduce = function(s, ev) s.n = (s.n or 0) + ev.data return s end, on_request = "
        "function() return 'one' end }");
  const std::string manifest =
      kEndpoint + channel("c", "rules = [\"a.lua\"]\n") + "[[method]]\npattern = \"m.*\"\nrule = \"a.lua\"\n";
  start(manifest);
  Client c = connect();
  publish("c", 5);
  write("a.lua",
        "return { version = 2, migrate = function(old) return { sum = old.n } end, reduce = function(s, ev) s.sum = "
        "s.sum + "
        "ev.data return s end, on_request = function() return 'two' end }");
  EXPECT_EQ(c.ask({{"type", "request"}, {"id", "r"}, {"method", "m.x"}})["data"], "one");
  ASSERT_TRUE(reload(manifest).done);
  EXPECT_EQ(c.ask({{"type", "request"}, {"id", "r"}, {"method", "m.x"}})["data"], "two");
  publish("c", 2);
  subscribe(c, "c");
  EXPECT_EQ(c.next("snapshot")["data"], Json({{"sum", 7}}));
  ASSERT_TRUE(reload(kEndpoint + channel("c", "rules = [\"a.lua\"]\n")).done);
  EXPECT_EQ(c.ask({{"type", "request"}, {"id", "r"}, {"method", "m.x"}})["data"]["code"], "no_such_method");
}

// Every event is run by one version of the rules as a whole: the two rules of the channel always say the same number.
TEST_F(HubReloadTest, UnderTrafficNothingIsLostDoubledOrRunByHalf) {
  const auto scripts = [this](int version) {
    for (const char* name : {"a", "b"})
      write(std::string(name) + ".lua",
            "return { version = 1, transform = function(ev) ev.data." + std::string(name) + " = " +
                std::to_string(version) + " return ev end" +
                (name[0] == 'b' ? ", reduce = function(s, ev) s.n = (s.n or 0) + 1 return s end }" : " }"));
  };
  scripts(0);
  const std::string manifest = kEndpoint + channel("c/{x}", "rules = [\"a.lua\", \"b.lua\"]\n");
  start(manifest);
  // The writer is no more than kAheadMax events ahead, so that it is not held up for longer than its socket waits where
  // the hub is slower than that rate.
  constexpr int kReloads = WEIR_SLOW_BUILD ? 50 : 1000, kEventsPerMs = 20, kAheadMax = 2'000;
  Client reader = connect(), writer = connect();
  subscribe(reader, "c/*");
  std::atomic<int> reloads{0}, written{0}, had{0};
  std::atomic<bool> all_written{false}, broken{false};
  std::thread writes([&] {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 1; reloads < kReloads && !broken; ++i) {
      if (!writer.socket().send("{\"type\":\"publish\",\"channel\":\"c/" + std::to_string(i % 3) +
                                "\",\"event\":\"e\",\"data\":{\"i\":" + std::to_string(i) + "}}"))
        break;
      written = i;
      if (i % kEventsPerMs == 0) std::this_thread::sleep_until(begin + std::chrono::milliseconds(i / kEventsPerMs));
      while (i - had > kAheadMax && !broken) std::this_thread::yield();
    }
    // The reader may wait for one more already: this one tells it that it is over.
    const int end = ++written;
    all_written = true;
    (void)writer.socket().send(
        "{\"type\":\"publish\",\"channel\":\"c/0\",\"event\":\"e\",\"data\":{\"i\":" + std::to_string(end) + "}}");
  });
  std::map<std::string, int> sequence, last;
  std::thread reads([&] {
    for (int n = 0; n < written || !all_written; ++n) {
      const Json event = reader.next("event");
      if (event.is_null()) break;
      const std::string name = event["channel"];
      const int i = event["data"]["i"];
      had = n + 1;
      EXPECT_EQ(event["sequenceId"], ++sequence[name]);
      EXPECT_GT(i, std::exchange(last[name], i));
      EXPECT_EQ(event["data"]["a"], event["data"]["b"]);
      if (::testing::Test::HasFailure()) break;
    }
    broken = true;
  });
  while (reloads < kReloads && !broken) {
    scripts(reloads + 1);
    EXPECT_TRUE(reload(manifest).done);
    ++reloads;
  }
  writes.join();
  reads.join();
  EXPECT_EQ(reloads, kReloads);
  int states = 0;
  for (const char* name : {"c/0", "c/1", "c/2"}) {
    Client c = connect();
    subscribe(c, name);
    states += c.next("snapshot")["data"]["n"].get<int>();
  }
  EXPECT_EQ(states, written);  // no reload lost one, or counted it twice
}

// --- on_subscribe ----------------------------------------------------------------------------------------------------

TEST_F(HubReloadTest, OnSubscribeSaysYesNoOrWhichPart) {
  write("who.lua",
        "return { on_subscribe = function(who, channel, params)\n"
        "  if params.pass == 'all' then return true end\n"
        "  if params.pass then return { where = { ['data.to'] = params.pass } } end\n"
        "  return false, 'say who you are' end }");
  start(kEndpoint + channel("c/{x}", "rules = [\"who.lua\"]\n"));
  Client nobody = connect(), all = connect(), part = connect(), pattern = connect();
  const Json refused = subscribe(nobody, "c/1");
  EXPECT_EQ(refused["data"]["code"], "forbidden");
  EXPECT_EQ(refused["data"]["message"], "say who you are");
  ASSERT_EQ(subscribe(all, "c/1", {{"params", {{"pass", "all"}}}})["type"], "ack");
  ASSERT_EQ(subscribe(part, "c/1", {{"params", {{"pass", "ann"}}}})["type"], "ack");
  ASSERT_EQ(subscribe(pattern, "c/*", {{"params", {{"pass", "bob"}}}})["type"], "ack");
  publish("c/1", {{"to", "bob"}});
  publish("c/1", {{"to", "ann"}});
  publish("c/2", {{"to", "ann"}});  // made after the pattern was subscribed to
  publish("c/2", {{"to", "bob"}});
  EXPECT_EQ(all.next("event")["data"]["to"], "bob");
  EXPECT_EQ(all.next("event")["data"]["to"], "ann");
  EXPECT_EQ(part.next("event")["data"]["to"], "ann");
  EXPECT_EQ(pattern.next("event")["channel"], "c/1");
  const Json second = pattern.next("event");
  EXPECT_EQ(second["channel"], "c/2");
  EXPECT_EQ(second["data"]["to"], "bob");
  // Replay shows no more than that.
  Client later = connect();
  const Json ack = subscribe(later, "c/1", {{"params", {{"pass", "ann"}}}, {"replay", 10}});
  EXPECT_EQ(ack["data"]["replayed"], 1);
  EXPECT_EQ(later.next("event")["data"]["to"], "ann");
  Client last = connect();
  subscribe(last, "c/*", {{"params", {{"pass", "ann"}}}, {"replay", "last"}});
  EXPECT_EQ(last.next("event")["data"]["to"], "ann");
  EXPECT_EQ(last.next("event")["data"]["to"], "ann");
  const Json stats = http("GET", "/stats").json();
  std::uint64_t refusals = 0;
  for (const Json& rule : stats["rules"]) refusals += rule["subscriptionsRefused"].get<std::uint64_t>();
  EXPECT_EQ(refusals, 1U);
}

TEST_F(HubReloadTest, OnSubscribeIsAskedAnewAfterAReload) {
  const auto script = [](const std::string& answer) {
    return "return { on_subscribe = function() return " + answer + " end }";
  };
  write("who.lua", script("true"));
  const std::string manifest = kEndpoint + channel("c/{x}", "rules = [\"who.lua\"]\n");
  start(manifest);
  Client c = connect();
  subscribe(c, "c/1");
  write("who.lua", script("{ where = { data = 7 } }"));
  ASSERT_TRUE(reload(manifest).done);
  publish("c/1", 1);
  publish("c/1", 7);
  EXPECT_EQ(c.next("event")["data"], 7);
  write("who.lua", script("false"));
  ASSERT_TRUE(reload(manifest).done);
  EXPECT_EQ(c.next("error")["data"]["code"], "forbidden");
}

// A state shows all of the channel, so who may see only a part does not get it.
TEST_F(HubReloadTest, WhoSeesAPartGetsNoSnapshot) {
  write("who.lua",
        "return { reduce = function(s, ev) s.last = ev.data return s end, on_subscribe = function(who, channel, "
        "params) if "
        "params.part then return { where = { data = params.part } } end return true end }");
  start(kEndpoint + channel("c/{x}", "rules = [\"who.lua\"]\n"));
  Client all = connect(), part = connect(), pattern = connect();
  publish("c/1", 1);
  EXPECT_EQ(subscribe(all, "c/1")["data"]["snapshot"], true);
  EXPECT_EQ(all.next()["type"], "snapshot");
  EXPECT_FALSE(subscribe(part, "c/1", {{"params", {{"part", 2}}}})["data"].contains("snapshot"));
  subscribe(pattern, "c/*", {{"params", {{"part", 2}}}});
  publish("c/1", 2);
  EXPECT_EQ(part.next()["type"], "event");
  EXPECT_EQ(pattern.next()["type"], "event");
}

TEST_F(HubReloadTest, ARuleThatFailsRefuses) {
  write("who.lua", "return { on_subscribe = function() error('no') end }");
  start(kEndpoint + channel("c/{x}", "rules = [\"who.lua\"]\n"));
  Client c = connect();
  const Json refused = subscribe(c, "c/1");
  EXPECT_EQ(refused["data"]["code"], "internal");
  EXPECT_EQ(refused["data"]["message"], "rule error: who.lua:1: no");
  ASSERT_EQ(subscribe(c, "c/*")["type"], "ack");
  publish("c/1", 1);
  EXPECT_EQ(c.ask({{"type", "ping"}, {"id", "1"}})["type"], "pong");  // and no event before it
}

}  // namespace
}  // namespace weir::test
