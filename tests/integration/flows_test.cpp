// What goes from the hub to plugins: events to sinks, requests to responders, HTTP to its handlers, and to sources on
// demand what is watched. With a plugin that is all of these (plugin/loop.cpp), real sockets and two shards.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>

#include "base/log.hpp"
#include "integration/hub_fixture.hpp"
#include "support/fact.hpp"

namespace weir::test {
namespace {

class FlowsTest : public HubTest {
 protected:
  static std::string loop(const std::string& config = "{}") {
    return "[[plugin]]\nname = \"loop\"\nlibrary = \"loop\"\nconfig = " + config + "\n[[endpoint]]\npath = \"/ws\"\n" +
           "[[method]]\npattern = \"loop.*\"\nplugin = \"loop\"\nsubject = \"rpc.{method}\"\ntimeout = \"300ms\"\n";
  }
  static Json request(Client& c, const std::string& method, const Json& params = nullptr) {
    static int ids = 1000;
    const int id = ++ids;
    c.say({{"type", "request"}, {"id", id}, {"method", method}, {"params", params}});
    for (;;) {
      Json answer = c.next();
      if (answer.is_null() || answer.value("id", Json()) == id) return answer;
    }
  }
  static Json subscribe(Client& c, const std::string& channel, const Json& replay = "none") {
    static int ids = 5000;
    return c.ask({{"type", "subscribe"}, {"id", ++ids}, {"channel", channel}, {"replay", replay}});
  }
  static Json publish(Client& c, const std::string& channel, const std::string& event, const Json& data) {
    static int ids = 8000;
    return c.ask({{"type", "publish"}, {"id", ++ids}, {"channel", channel}, {"event", event}, {"data", data}});
  }
  // The plugin answers the first that it was asked.
  static void answer(const Instance& plugin, const std::string& json) {
    plugin.host()->done(plugin.host()->ctx, std::uint64_t{1} << 32, WEIR_OK, {json.data(), json.size()});
  }
  // Lets the plugin emit an event without data.
  static weir_status emit(const Instance& plugin, const std::string& subject) {
    weir_event event{};
    event.struct_size = sizeof event;
    event.subject = {subject.data(), subject.size()};
    event.event = {"e", 1};
    std::uint32_t accepted = 0;
    return plugin.host()->emit(plugin.host()->ctx, &event, sizeof event, 1, &accepted);
  }
  // The hub's log from within: the number of its last line, and the lines after one that begin so.
  static std::uint64_t last_line() {
    const auto lines = log::lines(0, log::kLinesKept);
    return lines.empty() ? 0 : lines.back().number;
  }
  static std::vector<std::string> lines_after(std::uint64_t number, const std::string& begin) {
    std::vector<std::string> out;
    for (const log::Line& line : log::lines(number, log::kLinesKept)) {
      std::string text = line.component + ": " + line.message + " " + line.fields_json;
      if (text.starts_with(begin)) out.push_back(std::move(text));
    }
    return out;
  }
  // Until the plugin's subjects are these.
  bool active_are(Client& c, const Json& subjects) {
    return wait_until([&] { return request(c, "loop.active")["data"] == subjects; });
  }
};

const char* const kOut =
    "[[channel]]\npattern = \"out/{id}\"\nto = [{ plugin = \"loop\", subject = \"commands.{id}\" }]\n"
    "[[channel]]\npattern = \"back/{subject}\"\nfrom = [{ plugin = \"loop\", subject = \"back.commands.{subject}\" "
    "}]\n";

// ---------------------------------------------------------------- sinks

TEST_F(FlowsTest, EventsOfAChannelGoToItsSinkInOrder) {
  start(loop() + kOut);
  Client reader = connect(), writer = connect();
  subscribe(reader, "back/7");
  for (int i = 0; i < 500; ++i) publish(writer, "out/7", "e" + std::to_string(i % 3), i);
  for (int i = 0; i < 500; ++i) {
    const Json e = reader.next("event");
    ASSERT_EQ(e["data"], i);
    ASSERT_EQ(e["event"], "e" + std::to_string(i % 3));
    ASSERT_FALSE(e["id"].get<std::string>().empty());
  }
  const Json plugin = http("GET", "/stats").json()["plugins"][0];
  EXPECT_EQ(plugin["sent"], 500);
  EXPECT_EQ(plugin["lost"], 0);
}

TEST_F(FlowsTest, ASinkWithoutRoomGetsTheRestFromHistory) {
  start(loop("{ room = 10 }") + kOut);
  Client reader = connect(), writer = connect();
  for (const char* id : {"a", "b", "c"}) subscribe(reader, std::string("back/") + id);
  // More than the sink's queue holds, so that most of it is read from history, of three channels at once.
  constexpr int kEach = 4000;
  for (int i = 0; i < kEach; ++i)
    for (const char* id : {"a", "b", "c"})
      writer.say({{"type", "publish"}, {"channel", std::string("out/") + id}, {"event", "e"}, {"data", i}});
  publish(writer, "out/a", "e", kEach);
  EXPECT_LE(http("GET", "/stats").json()["plugins"][0]["sent"], 10);
  EXPECT_EQ(request(writer, "loop.room", {{"room", -1}})["data"], true);
  std::map<std::string, int> next;
  for (int i = 0; i < 3 * kEach + 1; ++i) {
    const Json e = reader.next("event");
    ASSERT_EQ(e["data"], next[e["channel"]]++) << e["channel"];
  }
  EXPECT_EQ(http("GET", "/stats").json()["plugins"][0]["lost"], 0);
}

TEST_F(FlowsTest, WhatHistoryDoesNotHoldIsCountedAsLost) {
  start(loop("{ room = 0 }") +
        "[[channel]]\npattern = \"out/{id}\"\nto = [{ plugin = \"loop\", subject = \"commands.{id}\" }]\n"
        "history = { count = 100 }\n[limits]\nsink_events = 16\n"
        "[[channel]]\npattern = \"back/{subject}\"\nfrom = [{ plugin = \"loop\", subject = \"back.commands.{subject}\" "
        "}]\n");
  Client reader = connect(), writer = connect();
  subscribe(reader, "back/a");
  constexpr int kAll = 1000;
  for (int i = 0; i < kAll; ++i) publish(writer, "out/a", "e", i);
  request(writer, "loop.room", {{"room", -1}});
  int last = -1, seen = 0;
  while (last != kAll - 1) {
    const Json e = reader.next("event");
    ASSERT_GT(e["data"], last);
    last = e["data"];
    ++seen;
  }
  ASSERT_TRUE(wait_until([&] { return http("GET", "/stats").json()["plugins"][0]["lost"] == kAll - seen; }));
  EXPECT_GE(seen, 100);
  EXPECT_LE(seen, 100 + 16);
}

TEST_F(FlowsTest, AnEventThatCanNeverBeSentIsLeftOut) {
  start(loop() + kOut);
  Client reader = connect(), writer = connect();
  subscribe(reader, "back/7");
  publish(writer, "out/7", "good", 1);
  publish(writer, "out/7", "bad", 2);
  publish(writer, "out/7", "good", 3);
  EXPECT_EQ(reader.next("event")["data"], 1);
  EXPECT_EQ(reader.next("event")["data"], 3);
  EXPECT_EQ(http("GET", "/stats").json()["plugins"][0]["undeliverable"], 1);
}

TEST_F(FlowsTest, ANameFromAClientNeverLeadsToAnotherSubject) {
  start(loop() + kOut);
  Client reader = connect(), writer = connect();
  subscribe(reader, "back/*");
  int n = 0;
  for (const char* id : {"a.b", ">", "a%2Eb"}) publish(writer, std::string("out/") + id, "e", n++);
  std::map<int, std::string> channels;
  for (int i = 0; i < n; ++i) {
    const Json e = reader.next("event");
    channels[e["data"]] = e["channel"];
  }
  // Each is one part of a subject, and one of its own.
  EXPECT_EQ(channels[0], "back/a%2Eb");
  EXPECT_EQ(channels[1], "back/%3E");
  EXPECT_EQ(channels[2], "back/a%252Eb");
}

TEST_F(FlowsTest, AMethodsNameFromAClientIsNoWildcard) {
  start(loop() + "[[channel]]\npattern = \"none\"\n");
  Client c = connect();
  for (const char* name : {"loop.>", "loop.*", "loop.x y", "loop.x\r\nPUB evil 1", "loop.?"})
    EXPECT_EQ(request(c, name)["data"]["code"], "no_such_method") << name;
}

// A plugin that is no source ended the hub when that was told to go.
TEST_F(FlowsTest, AHubEndsWellWithASinkThatIsNoSource) {
  start(
      "[[plugin]]\nname = \"out\"\nlibrary = \"out\"\n[[endpoint]]\npath = \"/ws\"\n[[endpoint]]\npath = "
      "\"/out\"\nplugin = \"out\"\n[[channel]]\npattern = \"c/{x}\"\nto = [{ plugin = \"out\", subject = \"s/{x}\" "
      "}]\n");
  {
    Client c = connect();
    publish(c, "c/1", "e", 1);
    publish(c, "c/2", "e", 2);
  }
  ASSERT_TRUE(wait_until([&] { return http("GET", "/out").body.size() == 11; }));
  EXPECT_EQ(http("GET", "/out/no-content").status, 204);
  EXPECT_EQ(http("GET", "/out/no-content").body, "");
  EXPECT_EQ(http("GET", "/out/long").status, 500);
  EXPECT_TRUE(hub().drain([] { return false; }));
}

TEST_F(FlowsTest, ASinkThatComesWithAReloadGetsEventsFromThenOnAndOneThatGoesLosesWhatItHad) {
  const auto manifest = [](const std::string& plugins, const std::string& to) {
    return plugins + "[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"c\"\n" + to;
  };
  const std::string out =
                        "[[plugin]]\nname = \"out\"\nlibrary = \"out\"\nconfig = { room = ROOM }\n[[endpoint]]\npath = "
                        "\"/out\"\nplugin = \"out\"\n",
                    to = "to = [{ plugin = \"out\", subject = \"s\" }]\n";
  const auto with_room = [&](const std::string& room) {
    std::string text = out;
    return text.replace(text.find("ROOM"), 4, room);
  };
  start(manifest("", ""));
  Client c = connect();
  publish(c, "c", "e", 1);
  ASSERT_TRUE(reload(manifest(with_room("1"), to)).problems.empty());
  for (int n = 2; n < 6; ++n) publish(c, "c", "e", n);
  ASSERT_TRUE(wait_until([&] { return http("GET", "/out").body == "s=2"; })) << http("GET", "/out").body;
  // Another instance goes on where the one before had no more room, and not before it has started.
  ASSERT_TRUE(reload(manifest(with_room("2"), to)).problems.empty());
  ASSERT_TRUE(wait_until([&] { return http("GET", "/out").body == "s=3 s=4"; })) << http("GET", "/out").body;
  // One of that name that is no sink can't.
  ASSERT_TRUE(reload(manifest("[[plugin]]\nname = \"out\"\nlibrary = \"ticker\"\n", "")).problems.empty());
  EXPECT_TRUE(wait_until([&] { return http("GET", "/health").json()["plugins"][0]["state"] == "running"; }));
}

TEST_F(FlowsTest, ARulesPublicationGoesOutAsWell) {
  write("fork.lua",
        "return { transform = function(ev) hub.publish('out/' .. ev.data.id, 'command', { id = ev.data.id }) return ev "
        "end }");
  start(loop() + kOut + "[[channel]]\npattern = \"in\"\nrules = [\"fork.lua\"]\n");
  Client reader = connect(), writer = connect();
  subscribe(reader, "back/x");
  publish(writer, "in", "e", {{"id", "x"}});
  const Json e = reader.next("event");
  EXPECT_EQ(e["event"], "command");
  EXPECT_EQ(e["data"], Json({{"id", "x"}}));
}

TEST_F(FlowsTest, AReloadThatMakesTheSinkAnewLosesNothing) {
  const auto manifest = [](int room) { return loop("{ room = " + std::to_string(room) + " }") + kOut; };
  start(manifest(5));
  Client reader = connect(), writer = connect();
  subscribe(reader, "back/7");
  constexpr int kAll = 9000;
  for (int i = 0; i < kAll; ++i) writer.say({{"type", "publish"}, {"channel", "out/7"}, {"event", "e"}, {"data", i}});
  publish(writer, "out/7", "e", kAll);
  const auto report = reload(manifest(-1));
  ASSERT_TRUE(report.problems.empty()) << report.problems[0];
  for (int i = 0; i <= kAll; ++i) ASSERT_EQ(reader.next("event")["data"], i);
}

TEST_F(FlowsTest, WhatWouldGoRoundForEverIsAMistake) {
  EXPECT_NE(
      problems(loop() + "[[channel]]\npattern = \"a/{id}\"\nfrom = [{ plugin = \"loop\", subject = \"x.{id}\" }]\n"
                        "to = [{ plugin = \"loop\", subject = \"x.{id}\" }]\n")
          .find("go round for ever"),
      std::string::npos);
  EXPECT_NE(problems(loop() + "[[channel]]\npattern = \"a/{id}\"\nto = [{ plugin = \"loop\", subject = \"x.{no}\" }]\n")
                .find("has {no}, which the channel's pattern has not"),
            std::string::npos);
  EXPECT_NE(problems(loop() + "[[plugin]]\nname = \"t\"\nlibrary = \"ticker\"\n[[channel]]\npattern = \"a\"\nto = [{ "
                              "plugin = \"t\", subject = \"x\" }]\n")
                .find("is no sink"),
            std::string::npos);
}

// ---------------------------------------------------------------- responders

TEST_F(FlowsTest, AResponderAnswersAMethod) {
  start(loop() + "[[channel]]\npattern = \"none\"\n");
  Client c = connect();
  const Json answer = request(c, "loop.echo", {{"a", 1}});
  EXPECT_EQ(answer["type"], "response");
  EXPECT_EQ(
      answer["data"],
      Json({{"method", "loop.echo"}, {"subject", "rpc.loop.echo"}, {"params", {{"a", 1}}}, {"identity", nullptr}}));
}

TEST_F(FlowsTest, ARespondersErrorsReachTheClient) {
  start(loop() + "[[channel]]\npattern = \"none\"\n");
  Client c = connect();
  EXPECT_EQ(request(c, "loop.nobody")["data"]["code"], "unavailable");
  EXPECT_EQ(request(c, "loop.nobody")["data"]["message"], "nobody answers");
  EXPECT_EQ(request(c, "loop.coded")["data"]["code"], "not_found");
  EXPECT_EQ(request(c, "loop.broken")["data"]["code"], "internal");
  EXPECT_EQ(request(c, "loop.dropped")["data"]["code"], "internal");
  EXPECT_EQ(request(c, "loop.never")["data"]["code"], "timeout");
  EXPECT_EQ(request(c, "loop.echo")["type"], "response");
}

// ---------------------------------------------------------------- HTTP

TEST_F(FlowsTest, APluginAnswersAtAndBelowItsPath) {
  start(loop() + "[[endpoint]]\npath = \"/hooks\"\nplugin = \"loop\"\n[[channel]]\npattern = \"none\"\n");
  const HttpAnswer a = http("POST", "/hooks/a%20b?q=1&q=2", "body\n", "X-Thing: one\r\nX-Thing: two\r\n");
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.json(), Json({{"method", "POST"},
                            {"path", "/a b"},
                            {"body", "body\n"},
                            {"x", "one, two"},
                            {"q", "2"},
                            {"identity", nullptr}}));
  EXPECT_EQ(http("GET", "/hooks").json()["path"], "");
  EXPECT_EQ(http("GET", "/hooksmore").status, 404);
  EXPECT_EQ(http("GET", "/hooks/teapot").status, 418);
  EXPECT_EQ(http("GET", "/hooks/teapot").body, "short and stout");
  EXPECT_EQ(http("GET", "/hooks/headers").status, 201);
  EXPECT_NE(http("GET", "/hooks/headers").head.find("x-one: 1"), std::string::npos);
  const HttpAnswer full = http("GET", "/hooks/full");
  EXPECT_EQ(full.status, 503);
  EXPECT_NE(full.head.find("retry-after: 1"), std::string::npos);
  EXPECT_EQ(http("GET", "/hooks/split").status, 500);
  EXPECT_EQ(http("POST", "/hooks", "x", "Origin: https://evil.example\r\n").status, 403);
  EXPECT_EQ(http("GET", "/ws").status, 426);
}

// One that only answers runs beside its successor; what a source or sink is asked meanwhile waits for the next.
class ReloadedFlowsTest : public FlowsTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(ReloadedFlowsTest, WhoAsksDoesNotHearOfAReload) {
  const auto manifest = [](int backlog) {
    return loop("{ backlog = " + std::to_string(backlog) + " }") +
           "[[endpoint]]\npath = \"/hook\"\nplugin = \"loop\"\n[[channel]]\npattern = \"c\"\n" + GetParam();
  };
  start(manifest(0));
  constexpr int kReloads = 10;
  std::atomic<bool> done{false};
  std::atomic<int> requests{0}, calls{0};
  std::thread by_socket([&] {
    Client c = connect();
    for (; !done; ++requests) {
      const Json answer = request(c, "loop.echo", requests.load());
      ASSERT_EQ(answer["data"]["params"], requests.load()) << answer;
    }
  });
  std::thread by_http([&] {
    for (; !done; ++calls) ASSERT_EQ(http("GET", "/hook").status, 200);
  });
  for (int i = 1; i <= kReloads; ++i) {
    const int seen = requests, called = calls;
    EXPECT_TRUE(reload(manifest(i)).problems.empty());
    EXPECT_TRUE(wait_until([&] { return requests > seen && calls > called; }));
  }
  done = true;
  by_socket.join();
  by_http.join();
}

INSTANTIATE_TEST_SUITE_P(, ReloadedFlowsTest,
                         ::testing::Values("", "from = [{ plugin = \"loop\", subject = \"s\" }]\n",
                                           "to = [{ plugin = \"loop\", subject = \"s\" }]\n"));

TEST_F(FlowsTest, WhatWasAskedBeforeAReloadIsAnsweredByThePluginThatWasAsked) {
  const auto manifest = [](const std::string& backlog) {
    return loop("{ backlog = " + backlog + " }") + "[[channel]]\npattern = \"none\"\n";
  };
  start(manifest("1"));
  Client c = connect();
  c.say({{"type", "request"}, {"id", 1}, {"method", "loop.later"}, {"params", nullptr}});
  EXPECT_EQ(request(c, "loop.echo")["type"], "response");  // the one before has been asked
  ASSERT_TRUE(reload(manifest("2")).problems.empty());
  EXPECT_EQ(c.next()["data"], 1);  // the backlog of the one that was asked
  c.say({{"type", "request"}, {"id", 2}, {"method", "loop.never"}, {"params", nullptr}});
  EXPECT_EQ(request(c, "loop.echo")["type"], "response");
  ASSERT_TRUE(reload(manifest("3")).problems.empty());
  EXPECT_EQ(c.next()["data"]["code"], "timeout");  // one that doesn't answer keeps no reload waiting for long
  EXPECT_EQ(request(c, "loop.echo")["type"], "response");
}

constexpr const char* kPatient =
    "[[method]]\npattern = \"wait.*\"\nplugin = \"loop\"\nsubject = \"rpc.{method}\"\ntimeout = \"1h\"\n";

// Symptom: five seconds into a reload whoever waited for a plugin that was exchanged was told that it is stopped.
TEST_F(FlowsTest, WhoWaitsForOneThatOnlyAnswersIsAnsweredHoweverLongAfterTheReload) {
  start(loop("{ backlog = 1 }") + kPatient + "[[channel]]\npattern = \"none\"\n");
  Client c = connect();
  const auto before = instance("loop");
  c.say({{"type", "request"}, {"id", 1}, {"method", "wait.never"}, {"params", nullptr}});
  ASSERT_TRUE(wait_until([&] { return !before->idle(); }));
  ASSERT_TRUE(reload(loop("{ backlog = 2 }") + kPatient +
                     "[[channel]]\npattern = \"c\"\nfrom = [{ plugin = \"loop\", subject = \"s\" }]\n")
                  .problems.empty());
  EXPECT_EQ(request(c, "loop.echo")["type"], "response");
  // What it emits beside its successor, which feeds a channel, is none of that channel's.
  EXPECT_EQ(emit(*before, "s"), WEIR_E_CLOSED);
  EXPECT_EQ(before->status().state, InstanceState::running);
  answer(*before, "7");
  EXPECT_EQ(c.next("response")["data"], 7);
  EXPECT_TRUE(wait_until([&] { return before->status().state == InstanceState::stopped; }));
}

TEST_F(FlowsTest, AHubThatEndsDoesNotWaitForAnswersOfThoseThatItHasReplaced) {
  start(loop("{ backlog = 1 }") + kPatient + "[[channel]]\npattern = \"none\"\n");
  Client c = connect();
  const auto before = instance("loop");
  c.say({{"type", "request"}, {"id", 1}, {"method", "wait.never"}, {"params", nullptr}});
  ASSERT_TRUE(wait_until([&] { return !before->idle(); }));
  ASSERT_TRUE(reload(loop("{ backlog = 2 }") + kPatient + "[[channel]]\npattern = \"none\"\n").problems.empty());
  auto clean = std::async(std::launch::async, [&] { return hub().drain([] { return false; }); });
  EXPECT_EQ(c.end().code, 1001);
  EXPECT_TRUE(clean.get());
  EXPECT_EQ(before->status().state, InstanceState::stopped);
}

// Symptom: a hub that was asked to end during a reload went on waiting for half a minute.
TEST_F(FlowsTest, AHubThatIsToEndGivesWhatAReloadExchangesNoLongerThanItsDrainTakes) {
  const std::string channel = "[[channel]]\npattern = \"c\"\nfrom = [{ plugin = \"loop\", subject = \"s\" }]\n";
  const std::string drain = "[drain]\ntimeout = \"100ms\"\n";
  start(drain + loop("{ backlog = 1 }") + kPatient + channel);
  Client c = connect();
  const auto before = instance("loop");
  c.say({{"type", "request"}, {"id", 1}, {"method", "wait.never"}, {"params", nullptr}});
  ASSERT_TRUE(wait_until([&] { return !before->idle(); }));
  int looked = 0;
  const ReloadReport report =
      hub().reload(load(drain + loop("{ backlog = 2 }") + kPatient + channel), [&] { return ++looked == 3; });
  EXPECT_TRUE(report.done);
  EXPECT_EQ(looked, 3) << "it would look on for as long as it waits";
  EXPECT_EQ(before->status().state, InstanceState::stopped);
  EXPECT_EQ(c.next("error")["data"]["code"], "unavailable");
}

// Symptom: what a source that ran on emitted while a reload waited for another plugin went to the channels before it,
// which were gone already: it was lost, and acknowledged.
TEST_F(FlowsTest, ASourceThatRunsOnFeedsItsNewChannelsWhileAnotherPluginIsExchanged) {
  const auto manifest = [](const std::string& channel, const std::string& backlog) {
    return "[[plugin]]\nname = \"other\"\nlibrary = \"loop\"\nconfig = { backlog = " + backlog +
           " }\n[[method]]\npattern = \"wait.*\"\nplugin = \"other\"\ntimeout = \"1h\"\n" + loop() +
           "[[channel]]\npattern = \"" + channel +
           "/{x}\"\nfrom = [{ plugin = \"loop\", subject = \"s.{x}\" }]\n"
           "[[channel]]\npattern = \"o\"\nfrom = [{ plugin = \"other\", subject = \"o\" }]\n";
  };
  start(manifest("before", "1"));
  Client c = connect();
  const auto other = instance("other");
  request(c, "loop.say", {{"subject", "s.x"}, {"text", "before"}});
  ASSERT_TRUE(wait_until([&] { return http("GET", "/health").json()["channels"] == 1; }));
  c.say({{"type", "request"}, {"id", 1}, {"method", "wait.never"}, {"params", nullptr}});
  ASSERT_TRUE(wait_until([&] { return !other->idle(); }));
  auto report = std::async(std::launch::async, [&] { return reload(manifest("after", "2")); });
  ASSERT_TRUE(wait_until([&] { return http("GET", "/health").json()["channels"] == 0; }));  // owners have the new ones
  Client meanwhile = connect();
  EXPECT_EQ(request(meanwhile, "loop.say", {{"subject", "s.x"}, {"text", "meanwhile"}})["type"], "response");
  answer(*other, "7");
  EXPECT_EQ(c.next("response")["data"], 7);
  EXPECT_TRUE(report.get().problems.empty());
  EXPECT_EQ(subscribe(c, "after/x", 10)["data"]["replayed"], 1);
  EXPECT_EQ(c.next("event")["data"], "meanwhile");
}

// The same between the first shard that takes the new channels and the last.
TEST_F(FlowsTest, NothingIsTakenOfASourceWhileItsChannelsChangeTheirNames) {
  const auto manifest = [](const std::string& channel) {
    return loop() + "[[channel]]\npattern = \"" + channel +
           "/{x}\"\nfrom = [{ plugin = \"loop\", subject = \"s.{x}\" }]\n";
  };
  start(manifest("before"));
  const auto plugin = instance("loop");
  std::string x = "x";
  while (hub().shards()[0]->owner("before/" + x) != 0) x += "x";
  Fact<bool> held, go_on;
  hub().shards()[1]->loop().post([&] {
    held.set(true);
    go_on.wait_for(true);
  });
  ASSERT_TRUE(held.wait_for(true));
  auto report = std::async(std::launch::async, [&] { return reload(manifest("after")); });
  EXPECT_TRUE(wait_until(
      [&] { return hub().ingress().counters("loop").in_flight == 0 && emit(*plugin, "s." + x) == WEIR_E_FULL; }));
  go_on.set(true);
  EXPECT_TRUE(report.get().problems.empty());
  EXPECT_EQ(emit(*plugin, "s." + x), WEIR_OK);
  EXPECT_TRUE(wait_until([&] { return hub().ingress().counters("loop").in_flight == 0; }));
  EXPECT_EQ(hub().ingress().counters("loop").refused, 0U);
}

// Symptom: one that somebody still looked at when its reload was over was told a gap by each later one.
TEST_F(FlowsTest, AReloadTellsAGapForWhatItExchangesAndForNothingElse) {
  const auto manifest = [](const std::string& backlog, const std::string& more) {
    return loop("{ backlog = " + backlog + " }") +
           "[[channel]]\npattern = \"c/{x}\"\nfrom = [{ plugin = \"loop\", subject = \"s.{x}\" }]\n" + more;
  };
  start(manifest("1", ""));
  Client c = connect(), writer = connect();
  subscribe(c, "c/x");
  const auto looked_at = instance("loop");
  ASSERT_TRUE(reload(manifest("2", "")).problems.empty());
  EXPECT_EQ(c.next()["type"], "gap");
  ASSERT_TRUE(reload(manifest("2", "[[channel]]\npattern = \"more\"\n")).problems.empty());
  publish(writer, "c/x", "e", 1);
  EXPECT_EQ(c.next()["type"], "event");
}

// Symptom: a plugin that told of gaps in a loop filled the mailboxes of all shards.
TEST_F(FlowsTest, GapsThatComeFasterThanTheyAreToldAreAddedUp) {
  start(loop() + "[[channel]]\npattern = \"c/{x}\"\nfrom = [{ plugin = \"loop\", subject = \"s.{x}\" }]\n");
  Client c = connect();
  for (const char* channel : {"c/x", "c/y"}) subscribe(c, channel);
  const auto plugin = instance("loop");
  const auto gap = [&](const std::string& subject, std::uint64_t count) {
    plugin->host()->gap(plugin->host()->ctx, {subject.data(), subject.size()}, count, {"lost", 4});
  };
  Fact<int> held;
  Fact<bool> go_on;
  for (const auto& shard : hub().shards())
    shard->loop().post([&] {
      held.add(1);
      go_on.wait_for(true);
    });
  ASSERT_TRUE(held.wait_for(2));
  for (int i = 0; i < 1000; ++i) gap("s.x", 3);
  gap("s.y", 5);
  gap("s.y", 0);  // it does not know how many
  for (int i = 0; i < 1000; ++i) gap("s.other" + std::to_string(i), 1);
  go_on.set(true);
  EXPECT_EQ(c.next("gap")["data"]["count"], 3);
  std::map<std::string, std::vector<Json>> counts;
  for (int i = 0; i < 4; ++i) {  // those two, and what had no room by its subject is all channels'
    const Json told = c.next("gap");
    counts[told["data"]["channel"]].push_back(told["data"]["count"]);
  }
  for (const char* channel : {"c/x", "c/y"}) ASSERT_EQ(counts[channel].size(), 2U);
  EXPECT_NE(std::find(counts["c/x"].begin(), counts["c/x"].end(), 2997), counts["c/x"].end());
  EXPECT_NE(std::find(counts["c/y"].begin(), counts["c/y"].end(), nullptr), counts["c/y"].end());
  gap("s.x", 1);  // and it goes on
  EXPECT_EQ(c.next("gap")["data"]["count"], 1);
}

TEST_F(FlowsTest, APluginsPathAsksWhoItIs) {
  write("keys.json", R"({"keys":[]})");
  start(loop() +
        "[[plugin]]\nname = \"dev\"\nlibrary = \"dev\"\n[[endpoint]]\npath = \"/hooks\"\nplugin = "
        "\"loop\"\nauth = [\"dev\"]\n[[channel]]\npattern = \"none\"\n");
  EXPECT_EQ(http("POST", "/hooks", "x", "Authorization: Bearer ci\r\n").status, 200);
  EXPECT_FALSE(http("POST", "/hooks", "x", "Authorization: Bearer ci\r\n").json()["identity"].is_null());
}

TEST_F(FlowsTest, TheHubTellsAPluginItsFiguresAndItsLog) {
  start(loop() + "[[endpoint]]\npath = \"/hooks\"\nplugin = \"loop\"\n[[channel]]\npattern = \"none\"\n");
  EXPECT_EQ(http("GET", "/hooks/figures").json()["shards"].size(), 2U);
  EXPECT_NE(http("GET", "/hooks/log").body.find("hub: ready {\"address\":"), std::string::npos);
}

// Symptom: what a plugin's fields say was a JSON text in a JSON string.
TEST_F(FlowsTest, APluginsFieldsAreFieldsOfItsLogLines) {
  start(loop() + "[[channel]]\npattern = \"none\"\n");
  const auto plugin = instance("loop");
  const std::uint64_t before = last_line();
  const auto say = [&](const std::string& message, const std::string& fields) {
    plugin->host()->log(plugin->host()->ctx, WEIR_LOG_WARN, {message.data(), message.size()},
                        {fields.data(), fields.size()});
  };
  say("plain", R"({"n":12,"peer":"1.2.3.4","twice":1,"twice":2,"level":"none","list":[1,
{"a":null}]})");
  say("no object", "[1]");
  say("cut", "{\"a\":\"" + std::string(5000, 'x') + "\"}");
  EXPECT_EQ(lines_after(before, "loop: plain "),
            std::vector<std::string>{
                R"(loop: plain {"n":12,"peer":"1.2.3.4","twice":2,"plugin_level":"none","list":[1, {"a":null}]})"});
  EXPECT_EQ(lines_after(before, "loop: no object "), std::vector<std::string>{R"(loop: no object {"fields":"[1]"})"});
  const auto cut = lines_after(before, "loop: cut ");
  ASSERT_EQ(cut.size(), 1U);
  EXPECT_LT(cut[0].size(), 4200U);
}

// Symptom: events of a source that no channel has in `from` were a number in /stats and nothing else.
TEST_F(FlowsTest, WhatNoChannelIsForIsToldOnceWithAWayOut) {
  start(loop() + "[[channel]]\npattern = \"c/{x}\"\nfrom = [{ plugin = \"loop\", subject = \"s.{x}\" }]\n");
  const auto plugin = instance("loop");
  const std::uint64_t before = last_line();
  EXPECT_EQ(emit(*plugin, "s.x"), WEIR_OK);
  EXPECT_EQ(lines_after(before, "ingress: "), std::vector<std::string>{});
  EXPECT_EQ(emit(*plugin, "orders.\"new\""), WEIR_OK);
  EXPECT_EQ(emit(*plugin, "s.x"), WEIR_OK);
  EXPECT_EQ(emit(*plugin, "orders.old"), WEIR_OK);
  EXPECT_EQ(
      lines_after(before, "ingress: "),
      std::vector<std::string>{
          R"(ingress: no channel is for what plugin "loop" sends of "orders.\"new\"", so it is left out; )"
          R"(a [[channel]] with from = [{ plugin = "loop", subject = "orders.\"new\"" }] would take it {"count":1})"});
  EXPECT_EQ(http("GET", "/stats").json()["plugins"][0]["unrouted"], 2);
}

TEST_F(FlowsTest, ALongSubjectThatNoChannelIsForIsCut) {
  start(loop() + "[[channel]]\npattern = \"none\"\n");
  const std::uint64_t before = last_line();
  EXPECT_EQ(emit(*instance("loop"), std::string(1000, 'x')), WEIR_OK);
  const auto told = lines_after(before, "ingress: ");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_LT(told[0].size(), 500U);
  EXPECT_NE(told[0].find(R"(subject = "**")"), std::string::npos) << told[0];
}

// ---------------------------------------------------------------- sources on demand

const char* const kDemand =
    "[[channel]]\npattern = \"logs/{file}\"\nfrom = [{ plugin = \"loop\", subject = \"files.{file}\", on_demand = true "
    "}]\n[limits]\ndemand_linger_ms = 0\n";

TEST_F(FlowsTest, ASourceOnDemandBeginsWithTheFirstSubscriberAndEndsAfterTheLast) {
  start(loop() + kDemand);
  Client first = connect(), second = connect(), asker = connect();
  EXPECT_TRUE(active_are(asker, Json::array()));
  const Json ack = subscribe(first, "logs/a", 2);
  EXPECT_EQ(ack["data"]["replayed"], 2) << ack;
  EXPECT_EQ(ack["data"]["sequenceId"], 3) << "the past is there before the first subscriber is answered";
  EXPECT_EQ(first.next("event")["data"], 2);
  EXPECT_EQ(first.next("event")["data"], 3);
  const Json again = subscribe(second, "logs/a", 10);
  EXPECT_EQ(again["data"]["replayed"], 3);
  EXPECT_EQ(again["data"]["epoch"], ack["data"]["epoch"]);
  EXPECT_TRUE(active_are(asker, {"files.a"}));
  first.ask({{"type", "unsubscribe"}, {"id", 1}, {"channel", "logs/a"}});
  request(asker, "loop.say", {{"subject", "files.a"}, {"text", "live"}});
  for (int i = 0; i < 3; ++i) second.next("event");
  EXPECT_EQ(second.next("event")["data"], "live");
  second.ask({{"type", "unsubscribe"}, {"id", 2}, {"channel", "logs/a"}});
  EXPECT_TRUE(active_are(asker, Json::array()));
  // The next life is another one: nobody is told that they have missed nothing.
  ASSERT_TRUE(wait_until([&] { return http("GET", "/health").json()["channels"] == 0; }));
  const Json resumed = first.ask({{"type", "subscribe"},
                                  {"id", 3},
                                  {"channel", "logs/a"},
                                  {"replay", {{"epoch", ack["data"]["epoch"]}, {"sequenceId", 3}}}});
  EXPECT_NE(resumed["data"]["epoch"], ack["data"]["epoch"]);
  EXPECT_EQ(resumed["data"]["recovered"], false);
  EXPECT_EQ(resumed["data"]["replayed"], 3);
}

TEST_F(FlowsTest, WhatIsNotThereCanNotBeSubscribedTo) {
  start(loop() + kDemand);
  Client c = connect(), asker = connect();
  const Json answer = subscribe(c, "logs/missing");
  EXPECT_EQ(answer["type"], "error") << answer;
  EXPECT_EQ(answer["data"]["code"], "not_found");
  EXPECT_EQ(answer["data"]["message"], "there is no files.missing");
  EXPECT_EQ(subscribe(c, "logs/a.b")["data"]["code"], "not_found") << "that would be two parts of a subject";
  EXPECT_EQ(subscribe(c, "logs/>")["data"]["code"], "not_found") << "that would be all of them";
  EXPECT_EQ(subscribe(c, "logs/%61")["data"]["code"], "not_found") << "that would be called logs/a";
  EXPECT_EQ(subscribe(c, "logs/there")["type"], "ack");
  EXPECT_TRUE(active_are(asker, {"files.there"}));
}

TEST_F(FlowsTest, ASourceThatTakesItsTimeHoldsNobodyUpForLong) {
  start(loop() + kDemand);
  Client c = connect();
  const Json ack = subscribe(c, "logs/slow", 10);
  EXPECT_EQ(ack["type"], "ack");
  EXPECT_EQ(ack["data"]["replayed"], 3);
}

// Subjects that stood behind one another for longer than that were never activated, and counted as active.
TEST_F(FlowsTest, AnActivationThatCouldNotBeMadeInTimeIsStillMade) {
  const std::string fifo = folder() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  start(loop("{ fifo = \"" + fifo + "\" }") + kDemand);
  Client first = connect(), second = connect(), asker = connect();
  first.say({{"type", "subscribe"}, {"id", 1}, {"channel", "logs/stuck"}});
  int writer = -1;  // from then on the plugin waits for it
  ASSERT_TRUE(wait_until([&] { return (writer = ::open(fifo.c_str(), O_WRONLY | O_NONBLOCK)) >= 0; }));
  const Json ack = subscribe(second, "logs/a", 10);
  EXPECT_EQ(ack["type"], "ack");
  EXPECT_EQ(ack["data"]["replayed"], 0);
  ::close(writer);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(second.next("event")["data"], i);
  EXPECT_EQ(second.next("gap")["data"]["reason"], "the source was not at work yet");
  EXPECT_TRUE(active_are(asker, {"files.a", "files.stuck"}));
}

TEST_F(FlowsTest, WhatASourceCanNotDoNowIsRefusedAndCanBeAskedForAgain) {
  start(loop() + kDemand);
  Client c = connect(), asker = connect();
  const Json answer = subscribe(c, "logs/away");
  EXPECT_EQ(answer["data"]["code"], "unavailable") << answer;
  EXPECT_EQ(answer["data"]["message"], "not just now");
  EXPECT_EQ(subscribe(c, "logs/away", 10)["data"]["replayed"], 3);
  EXPECT_TRUE(active_are(asker, {"files.away"}));
}

TEST_F(FlowsTest, WhatASourceCanNotDoNowForAPatternIsAskedForAgain) {
  start(loop() + kDemand);
  Client c = connect(), asker = connect();
  EXPECT_EQ(subscribe(c, "*/away")["type"], "ack");
  EXPECT_TRUE(active_are(asker, {"files.away"}));
}

TEST_F(FlowsTest, APluginThatCouldNotStartIsAskedNothing) {
  start(loop() + kDemand);
  EXPECT_FALSE(reload(loop("{ broken = true }") + kDemand).problems.empty());
  {
    Client c = connect();
    EXPECT_EQ(subscribe(c, "logs/a")["data"]["code"], "unavailable");
    EXPECT_EQ(request(c, "loop.echo")["data"]["code"], "unavailable");
    EXPECT_EQ(subscribe(c, "logs/*")["type"], "ack");
  }
  EXPECT_TRUE(reload(loop("{ backlog = 2 }") + kDemand).problems.empty());
  Client c = connect();
  EXPECT_EQ(subscribe(c, "logs/a", 10)["data"]["replayed"], 2);
}

TEST_F(FlowsTest, ALeavingConnectionEndsWhatItWatched) {
  start(loop() + kDemand);
  Client asker = connect();
  {
    Client c = connect();
    subscribe(c, "logs/a");
    c.say({{"type", "subscribe"}, {"id", 1}, {"channel", "logs/slow"}});
    ASSERT_TRUE(active_are(asker, {"files.a", "files.slow"}));
  }
  EXPECT_TRUE(active_are(asker, Json::array()));
}

TEST_F(FlowsTest, APatternNarrowsWhatIsAskedForUpstream) {
  start(loop("{ backlog = 0 }") +
        "[[channel]]\npattern = \"{tenant}/logs/{file}\"\nfrom = [{ plugin = \"loop\", subject = "
        "\"t.{tenant}.{file}.>\", on_demand = true }]\n[limits]\ndemand_linger_ms = 0\n");
  Client c = connect(), asker = connect();
  subscribe(c, "acme/logs/*");
  EXPECT_TRUE(active_are(asker, {"t.acme.*.**"}));
  request(asker, "loop.say", {{"subject", "t.acme.x.y"}, {"text", "hello"}});
  const Json e = c.next("event");
  EXPECT_EQ(e["channel"], "acme/logs/x");
  subscribe(c, "**");
  EXPECT_TRUE(active_are(asker, {"t.*.*.**", "t.acme.*.**"}));
  subscribe(c, "acme/logs/x");
  EXPECT_TRUE(active_are(asker, {"t.*.*.**", "t.acme.*.**", "t.acme.x.**"}));
  subscribe(c, "acme/other/*");
  for (const char* gone : {"**", "acme/logs/x"}) c.ask({{"type", "unsubscribe"}, {"id", gone}, {"channel", gone}});
  EXPECT_TRUE(active_are(asker, {"t.acme.*.**"}));
}

// Whoever could connect made the hub fetch what nobody of them was allowed to see.
TEST_F(FlowsTest, APatternAsksUpstreamForNothingThatNoneWhoWatchesItMaySee) {
  const auto manifest = [](const char* subscribe) {
    return loop("{ backlog = 0 }") +
           "[[channel]]\npattern = \"open/{x}\"\nfrom = [{ plugin = \"loop\", subject = \"o.{x}\", on_demand = true "
           "}]\n"
           "[[channel]]\npattern = \"shut/{x}\"\nfrom = [{ plugin = \"loop\", subject = \"s.{x}\", on_demand = true "
           "}]\n" +
           subscribe;
  };
  start(manifest("subscribe = { scope = \"ops\" }\n"));
  Client c = connect(), asker = connect();
  subscribe(c, "**");
  subscribe(c, "*/x");
  EXPECT_TRUE(active_are(asker, {"o.*", "o.x"}));
  ASSERT_TRUE(reload(manifest("")).problems.empty());
  EXPECT_TRUE(active_are(asker, {"o.*", "o.x", "s.*", "s.x"}));
}

TEST_F(FlowsTest, AReloadThatMakesTheSourceAnewBeginsItsChannelsAnew) {
  const auto manifest = [](int backlog) { return loop("{ backlog = " + std::to_string(backlog) + " }") + kDemand; };
  start(manifest(3));
  Client c = connect(), asker = connect();
  subscribe(c, "logs/a");
  ASSERT_TRUE(reload(manifest(5)).problems.empty());
  const Json told = c.next("error");
  EXPECT_EQ(told["data"]["code"], "unavailable") << told;
  EXPECT_EQ(subscribe(c, "logs/a", 100)["data"]["replayed"], 5);
  EXPECT_TRUE(active_are(asker, {"files.a"}));
}

// Channels that only a pattern kept went on in the same epoch, as if nothing could have been missed.
TEST_F(FlowsTest, AReloadThatMakesTheSourceAnewBeginsAlsoAnewWhatAPatternKeeps) {
  const auto manifest = [](int backlog) { return loop("{ backlog = " + std::to_string(backlog) + " }") + kDemand; };
  start(manifest(0));
  Client c = connect(), asker = connect();
  subscribe(c, "logs/*");
  EXPECT_TRUE(active_are(asker, {"files.*"}));
  request(asker, "loop.say", {{"subject", "files.a"}, {"text", "before"}});
  const Json before = c.next("event");
  ASSERT_TRUE(reload(manifest(1)).problems.empty());
  EXPECT_TRUE(active_are(asker, {"files.*"}));
  request(asker, "loop.say", {{"subject", "files.a"}, {"text", "after"}});
  Json after = c.next("event");
  while (after["data"] != "after") after = c.next("event");  // "files.*" has a past as well
  EXPECT_NE(after["epoch"], before["epoch"]);
  const Json resumed = subscribe(asker, "logs/a", {{"epoch", before["epoch"]}, {"sequenceId", before["sequenceId"]}});
  EXPECT_EQ(resumed["data"]["recovered"], false);
}

// In the time between its channels and its plugins a reload told who asked that there was no such thing.
TEST_F(FlowsTest, WhoSubscribesDuringAReloadIsNeverToldThatThereIsNothing) {
  const auto manifest = [](int n) {
    const std::string demand = n % 2 == 0 ? "true" : "false";
    return loop("{ backlog = " + std::to_string(n) + " }") +
           "[[channel]]\npattern = \"logs/{file}\"\nfrom = [{ plugin = \"loop\", subject = \"files.{file}\", on_demand "
           "= " +
           demand + " }]\n";
  };
  start(manifest(1));
  std::atomic<bool> done{false};
  std::atomic<int> asked{0};
  std::thread asker([&] {
    Client c = connect();
    while (!done) {
      const Json answer = subscribe(c, "logs/a");
      if (answer["type"] != "ack") {
        ASSERT_EQ(answer["data"]["code"], "unavailable") << answer;
        continue;
      }
      ++asked;
      c.ask({{"type", "unsubscribe"}, {"id", 1}, {"channel", "logs/a"}});
    }
  });
  for (int n = 2; n < 30; ++n) {
    const int seen = asked;
    EXPECT_TRUE(reload(manifest(n)).problems.empty());
    EXPECT_TRUE(wait_until([&] { return asked > seen; }));
  }
  done = true;
  asker.join();
}

TEST_F(FlowsTest, OnDemandIsForSourcesThatCan) {
  EXPECT_NE(problems("[[plugin]]\nname = \"t\"\nlibrary = \"ticker\"\n[[endpoint]]\npath = \"/ws\"\n"
                     "[[channel]]\npattern = \"a\"\nfrom = [{ plugin = \"t\", on_demand = true }]\n")
                .find("is no source that can work on demand"),
            std::string::npos);
}

}  // namespace
}  // namespace weir::test
