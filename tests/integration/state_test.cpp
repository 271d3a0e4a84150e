// Channels with a state, by real clients over real sockets.
#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

class StateTest : public HubTest {
 protected:
  void begin(const std::string& channel = {}, const std::string& top = {}) {
    write("sum.lua",
          "return { initial = function(ctx) return { sum = 0 } end,"
          " reduce = function(s, ev) s.sum = s.sum + ev.data.n return s end,"
          " snapshot = function(s, params)"
          " if params.fails then error('can not') end"
          " return { sum = s.sum * (params.times or 1) } end }");
    start(top + "[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\nrules = [\"sum.lua\"]\n" + channel);
  }
  static void publish(Client& c, int n, const std::string& channel = "c") {
    const Json ack = c.ask({{"type", "publish"},
                            {"id", "p" + std::to_string(n)},
                            {"channel", channel},
                            {"event", "e"},
                            {"data", {{"n", n}}}});
    ASSERT_EQ(ack["type"], "ack") << ack;
  }
  static Json subscribe(Client& c, Json more = Json::object()) {
    Json frame{{"type", "subscribe"}, {"id", "s"}, {"channel", "c"}};
    frame.update(more);
    return c.ask(frame);
  }
};

TEST_F(StateTest, ASubscriberGetsTheStateAndThenWhatComesBehindIt) {
  begin();
  Client writer = connect(), reader = connect();
  publish(writer, 1);
  publish(writer, 2);
  const Json ack = subscribe(reader);
  EXPECT_EQ(ack["data"]["snapshot"], true);
  const Json snapshot = reader.next();
  EXPECT_EQ(snapshot["type"], "snapshot");
  EXPECT_EQ(snapshot["channel"], "c");
  EXPECT_EQ(snapshot["epoch"], ack["data"]["epoch"]);
  EXPECT_EQ(snapshot["sequenceId"], 2);
  EXPECT_EQ(snapshot["data"], Json({{"sum", 3}}));
  publish(writer, 4);
  const Json event = reader.next();
  EXPECT_EQ(event["type"], "event");
  EXPECT_EQ(event["sequenceId"], 3);
}

TEST_F(StateTest, AnEmptyChannelHasItsInitialState) {
  begin();
  Client reader = connect();
  subscribe(reader);
  const Json snapshot = reader.next("snapshot");
  EXPECT_EQ(snapshot["sequenceId"], 0);
  EXPECT_EQ(snapshot["data"], Json({{"sum", 0}}));
}

TEST_F(StateTest, ParamsOfTheSubscriptionAreTheSnapshots) {
  begin();
  Client writer = connect(), reader = connect();
  publish(writer, 5);
  subscribe(reader, {{"params", {{"times", 10}}}});
  EXPECT_EQ(reader.next("snapshot")["data"]["sum"], 50);
  subscribe(reader, {{"params", {{"times", 100}}}});
  EXPECT_EQ(reader.next("snapshot")["data"]["sum"], 500);
  const Json refused = subscribe(reader, {{"params", {{"x", std::string(5000, 'x')}}}});
  EXPECT_EQ(refused["data"]["message"], "\"params\" has 5008 bytes; at most 4096 are allowed");
}

TEST_F(StateTest, WhoComesBackWithAPositionThatHistoryHoldsNeedsNone) {
  begin("history = { count = 2 }\n");
  Client writer = connect(), reader = connect();
  for (int n = 1; n <= 5; ++n) publish(writer, n);
  const Json first = subscribe(reader);
  reader.next("snapshot");
  const Json ack = subscribe(reader, {{"replay", {{"epoch", first["data"]["epoch"]}, {"sequenceId", 4}}}});
  EXPECT_EQ(ack["data"]["recovered"], true);
  EXPECT_FALSE(ack["data"].contains("snapshot"));
  EXPECT_EQ(reader.next()["type"], "event");
}

TEST_F(StateTest, BehindAGapTheStateComesAndWhatHistoryHoldsIsAReplay) {
  begin("history = { count = 2 }\n");
  Client writer = connect(), reader = connect();
  publish(writer, 1);
  const Json first = subscribe(reader);
  reader.next("snapshot");
  reader.ask({{"type", "unsubscribe"}, {"id", "u"}, {"channel", "c"}});
  for (int n = 2; n <= 5; ++n) publish(writer, n);
  const Json ack = subscribe(reader, {{"replay", {{"epoch", first["data"]["epoch"]}, {"sequenceId", 1}}}});
  EXPECT_EQ(ack["data"]["recovered"], false);
  const Json gap = reader.next();
  EXPECT_EQ(gap["type"], "gap");
  EXPECT_EQ(gap["data"]["from"], 2);
  EXPECT_EQ(gap["data"]["to"], 3);
  const Json snapshot = reader.next();
  EXPECT_EQ(snapshot["type"], "snapshot");
  EXPECT_EQ(snapshot["sequenceId"], 5);
  EXPECT_EQ(snapshot["data"]["sum"], 15);
  for (int id = 4; id <= 5; ++id) {
    const Json event = reader.next();
    EXPECT_EQ(event["sequenceId"], id);
    EXPECT_EQ(event["isReplay"], true);
  }
  publish(writer, 6);
  EXPECT_EQ(reader.next("event")["isReplay"], false);
}

TEST_F(StateTest, ReplaysComeBehindTheStateTheyAreIn) {
  begin();
  Client writer = connect(), reader = connect();
  for (int n = 1; n <= 3; ++n) publish(writer, n);
  subscribe(reader, {{"replay", 2}});
  EXPECT_EQ(reader.next()["type"], "snapshot");
  EXPECT_EQ(reader.next()["sequenceId"], 2);
  EXPECT_EQ(reader.next()["sequenceId"], 3);
}

TEST_F(StateTest, APatternGetsTheStateOfEachChannelThereIs) {
  begin();
  Client writer = connect(), reader = connect();
  publish(writer, 1, "a/1");
  publish(writer, 2, "a/2");
  const Json ack = reader.ask({{"type", "subscribe"}, {"id", "s"}, {"channel", "a/*"}});
  EXPECT_EQ(ack["data"]["channels"], 2);
  int sum = 0;
  for (int i = 0; i < 2; ++i) sum += reader.next("snapshot")["data"]["sum"].get<int>();
  EXPECT_EQ(sum, 3);
  publish(writer, 4, "a/3");  // comes to be: its first event is where it begins
  const Json event = reader.next();
  EXPECT_EQ(event["type"], "event");
  EXPECT_EQ(event["channel"], "a/3");
}

TEST_F(StateTest, AStateThatCanNotBeGivenIsSaidAndTheEventsComeAllTheSame) {
  begin();
  Client writer = connect(), reader = connect();
  subscribe(reader, {{"params", {{"fails", true}}}});
  const Json error = reader.next("error");
  EXPECT_EQ(error["data"]["code"], "unavailable");
  EXPECT_EQ(error["data"]["message"], "the state of \"c\" can't be given: rule error: sum.lua:1: can not");
  publish(writer, 1);
  EXPECT_EQ(reader.next("event")["sequenceId"], 1);
}

TEST_F(StateTest, WhereEachMaySeeOnlySomeOfItNobodyGetsTheState) {
  begin("subscribe = { where = { \"data.n\" = 1 } }\n");
  Client writer = connect(), reader = connect();
  publish(writer, 2);
  EXPECT_FALSE(subscribe(reader)["data"].contains("snapshot"));
  publish(writer, 1);
  const Json next = reader.next();
  EXPECT_EQ(next["type"], "event");
  EXPECT_EQ(next["sequenceId"], 2);
}

TEST_F(StateTest, TheManifestIsToldWhatDoesNotGoTogether) {
  write("sum.lua", "return { reduce = function(s) return s end }");
  write("also.lua", "return { snapshot = function(s) return s end }");
  write("f.lua", "return { filter = function() return true end }");
  const auto channel = [this](const std::string& lines) {
    const std::string said = problems("[[channel]]\npattern = \"c\"\n" + lines + "\n");
    const std::size_t at = said.find("channel \"c\"");
    return at == std::string::npos ? said : said.substr(at, said.size() - at - 1);
  };
  EXPECT_EQ(channel("rules = [\"sum.lua\", \"f.lua\"]"), "");
  EXPECT_EQ(
      channel("rules = [\"sum.lua\", \"also.lua\"]"),
      "channel \"c\": both sum.lua and also.lua keep a state (reduce, snapshot); a channel has one, so leave one of "
      "them out");
  EXPECT_EQ(channel("rules = [\"f.lua\"]\noverflow = \"snapshot\""),
            "channel \"c\": overflow = \"snapshot\" needs a rule with reduce or snapshot among its rules");
  EXPECT_EQ(
      channel("rules = [\"sum.lua\"]\noverflow = \"snapshot\"\nsubscribe = { where = { \"data.a\" = 1 } }"),
      "channel \"c\": overflow = \"snapshot\" does not go with subscribe.where: a snapshot shows all of the channel's "
      "state to everybody; give each a channel of their own, or choose catch-up");
}

}  // namespace
}  // namespace weir::test
