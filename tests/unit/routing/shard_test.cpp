#include "routing/shard.hpp"

#include "hub.hpp"

namespace weir {
namespace {

using testing::at;
using testing::Client;
using testing::Hub;
using testing::person;
using testing::route;

EndpointRule beat(std::int64_t interval_ms, std::int64_t timeout_ms, PingStyle style = PingStyle::frame) {
  EndpointRule e;
  e.heartbeat_interval_ms = interval_ms;
  e.heartbeat_timeout_ms = timeout_ms;
  e.ping_style = style;
  return e;
}

EndpointRule by_frame() {
  EndpointRule e;
  e.auth = {"keys"};
  e.auth_by_frame = true;
  return e;
}

// ---------------------------------------------------------------- heartbeat

TEST(ShardHeartbeatTest, PingsAfterEachIntervalAndNotBefore) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(Identity(), 0, beat(30'000, 90'000));
  hub.advance(29'950);
  EXPECT_EQ(c.pings, 0);
  hub.advance(50);
  EXPECT_EQ(c.pings, 1);
  hub.advance(29'950);
  EXPECT_EQ(c.pings, 1);
  hub.advance(50);
  EXPECT_EQ(c.pings, 2);
  EXPECT_EQ(hub.shard().counters().pings, 2U);
}

TEST(ShardHeartbeatTest, AnIntervalOf200MsIsKept) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(Identity(), 0, beat(200, 600));
  const auto next = hub.shard().tick();
  ASSERT_TRUE(next);
  EXPECT_LE(*next, 200);
  for (int i = 1; i <= 10; ++i) {
    hub.advance(200);
    EXPECT_EQ(c.pings, i);
    hub.shard().heard(*c.connection);
  }
  EXPECT_FALSE(c.closed_with);
  hub.advance(550);
  EXPECT_FALSE(c.closed_with);
  hub.advance(50);
  EXPECT_EQ(c.closed_with, CloseCode::going_away);
}

TEST(ShardHeartbeatTest, SilenceForTheTimeoutClosesAndSaysSo) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(Identity(), 0, beat(30'000, 90'000));
  hub.advance(89'950);
  EXPECT_FALSE(c.closed_with);
  hub.advance(50);
  EXPECT_EQ(c.closed_with, CloseCode::going_away);
  const std::string closing = c.answer();
  EXPECT_EQ(at(closing, "type"), "closing");
  EXPECT_EQ(at(closing, "data.code"), "1001");
  EXPECT_EQ(hub.shard().counters().idle_closed, 1U);
  c.say(R"({"type":"ping"})");
  EXPECT_TRUE(c.take().empty()) << "a connection that is closing takes nothing more";
}

TEST(ShardHeartbeatTest, ThePongAndAnyFrameAreSignsOfLife) {
  Hub hub({route("open/{n}")});
  Client& ponging = hub.connect(Identity(), 0, beat(1'000, 3'000));
  Client& talking = hub.connect(Identity(), 0, beat(1'000, 3'000));
  Client& silent = hub.connect(Identity(), 0, beat(1'000, 3'000));
  for (int i = 0; i < 10; ++i) {
    hub.advance(2'000);
    hub.shard().heard(*ponging.connection);
    talking.say(R"({"type":"pong"})");
  }
  EXPECT_FALSE(ponging.closed_with);
  EXPECT_FALSE(talking.closed_with);
  EXPECT_EQ(silent.closed_with, CloseCode::going_away);
}

TEST(ShardHeartbeatTest, TheManifestMaySetAnotherCodeForSilence) {
  Hub hub({route("open/{n}")});
  EndpointRule e = beat(1'000, 2'000);
  e.idle_close = CloseCode::normal;
  Client& c = hub.connect(Identity(), 0, e);
  hub.advance(2'000);
  EXPECT_EQ(c.closed_with, CloseCode::normal);
}

TEST(ShardHeartbeatTest, StyleJsonSendsAFrameOfTheProtocol) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(Identity(), 0, beat(1'000, 3'000, PingStyle::json));
  hub.advance(1'000);
  EXPECT_EQ(c.answer(), R"({"type":"ping"})");
  EXPECT_EQ(c.pings, 0);
}

TEST(ShardHeartbeatTest, StyleClientJsonSendsNoneButStillListens) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(Identity(), 0, beat(1'000, 3'000, PingStyle::client_json));
  hub.advance(2'950);
  EXPECT_EQ(c.pings, 0);
  EXPECT_EQ(hub.shard().counters().pings, 0U);
  EXPECT_EQ(at(c.ask(R"({"type":"ping","id":4})"), "type"), "pong");
  hub.advance(2'950);
  EXPECT_FALSE(c.closed_with);
  hub.advance(50);
  EXPECT_EQ(c.closed_with, CloseCode::going_away);
}

TEST(ShardHeartbeatTest, AnIntervalBeyondOneRoundOfTheWheelIsKept) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(Identity(), 0, beat(300'000, 900'000));
  hub.advance(299'950);
  EXPECT_EQ(c.pings, 0);
  hub.advance(50);
  EXPECT_EQ(c.pings, 1);
}

// ---------------------------------------------------------------- who it is

TEST(ShardAuthTest, AnExpiredCredentialCloses4401) {
  Hub hub({route("open/{n}")});
  Identity who = person("u");
  who.expires_at = hub.clock.unix_ms() + 5'000;
  Client& c = hub.connect(who);
  Client& other = hub.connect(person("v"));
  hub.advance(4'950);
  EXPECT_FALSE(c.closed_with);
  hub.advance(50);
  EXPECT_EQ(c.closed_with, CloseCode::unauthorized);
  EXPECT_EQ(at(c.answer(), "data.code"), "4401");
  EXPECT_FALSE(other.closed_with);
}

TEST(ShardAuthTest, ACredentialThatHasExpiredAlreadyClosesAtOnce) {
  Hub hub({route("open/{n}")});
  Identity who = person("u");
  who.expires_at = hub.clock.unix_ms() - 1;
  Client& c = hub.connect(who);
  hub.advance(50);
  EXPECT_EQ(c.closed_with, CloseCode::unauthorized);
}

TEST(ShardAuthTest, BeforeTheAuthFrameEverythingButPingIsUnauthorized) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(std::nullopt, 0, by_frame());
  for (const char* frame :
       {R"({"type":"subscribe","id":1,"channel":"open/a"})",
        R"({"type":"publish","id":1,"channel":"open/a","event":"e","data":1})", R"({"type":"subscriptions","id":1})",
        R"({"type":"unsubscribe","id":1,"channel":"open/a"})"})
    EXPECT_EQ(at(c.ask(frame), "data.code"), "unauthorized") << frame;
  EXPECT_EQ(at(c.ask(R"({"type":"ping","id":1})"), "type"), "pong");
  EXPECT_FALSE(c.closed_with);
}

TEST(ShardAuthTest, ATokenThatIsGoodIsAcknowledgedWithTheIdentity) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(std::nullopt, 0, by_frame());
  c.say(R"({"type":"auth","id":"a","token":"t1"})");
  ASSERT_EQ(hub.auths.size(), 1U);
  EXPECT_EQ(hub.auths[0].token, "t1");
  EXPECT_EQ(at(c.ask(R"({"type":"auth","id":2,"token":"t2"})"), "data.code"), "bad_request") << "one at a time";
  hub.shard().authenticated(hub.auths[0].connection, hub.auths[0].id, person("u", {"s"}));
  const std::string ack = c.answer();
  EXPECT_EQ(at(ack, "type"), "ack");
  EXPECT_EQ(at(ack, "id"), "a");
  EXPECT_EQ(at(ack, "data.identity.subject"), "u");
  EXPECT_EQ(at(c.ask(R"({"type":"subscribe","id":3,"channel":"open/a"})"), "type"), "ack");
  hub.advance(hub.limits.auth_ms + 1'000);
  EXPECT_FALSE(c.closed_with);
}

TEST(ShardAuthTest, NoAuthFrameInTimeCloses4401) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(std::nullopt, 0, by_frame());
  hub.advance(hub.limits.auth_ms - 50);
  EXPECT_FALSE(c.closed_with);
  hub.advance(50);
  EXPECT_EQ(c.closed_with, CloseCode::unauthorized);
}

TEST(ShardAuthTest, ATokenThatIsBeingCheckedIsInTime) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(std::nullopt, 0, by_frame());
  c.say(R"({"type":"auth","id":1,"token":"t"})");
  hub.advance(hub.limits.auth_ms + 1'000);
  EXPECT_FALSE(c.closed_with);
}

TEST(ShardAuthTest, AWrongTokenCloses4401ButAProviderThatIsAwayDoesNot) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(std::nullopt, 0, by_frame());
  c.say(R"({"type":"auth","id":1,"token":"t"})");
  hub.shard().authenticated(c.connection->id, "1", fail(Errc::unavailable, "the key server is away"));
  EXPECT_EQ(at(c.answer(), "data.code"), "unavailable");
  EXPECT_FALSE(c.closed_with);
  c.say(R"({"type":"auth","id":2,"token":"t"})");
  hub.shard().authenticated(c.connection->id, "2", fail(Errc::unauthorized, "no such token"));
  const auto said = c.take();
  ASSERT_EQ(said.size(), 2U);
  EXPECT_EQ(at(said[0], "id"), "2");
  EXPECT_EQ(at(said[0], "data.code"), "unauthorized");
  EXPECT_EQ(at(said[1], "type"), "closing");
  EXPECT_EQ(c.closed_with, CloseCode::unauthorized);
}

// Symptom: a key that had as many connections as it may was closed with 4401, so its client asked for a new key.
TEST(ShardAuthTest, AKeyAtItsLimitCloses4429WithTheLimitInTheReason) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(std::nullopt, 0, by_frame());
  c.say(R"({"type":"auth","id":1,"token":"t"})");
  hub.shard().authenticated(c.connection->id, "1", fail(Errc::limit_exceeded, "connections_max: at most 1"));
  const auto said = c.take();
  ASSERT_EQ(said.size(), 2U);
  EXPECT_EQ(at(said[0], "data.code"), "limit_exceeded");
  EXPECT_EQ(at(said[1], "data.code"), "4429");
  EXPECT_EQ(at(said[1], "data.reason"), "connections_max: at most 1");
  EXPECT_EQ(c.closed_with, CloseCode::limit);
}

TEST(ShardAuthTest, AnEndpointWithoutAuthSaysThatItKnowsNone) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect();
  EXPECT_EQ(at(c.ask(R"({"type":"auth","id":1,"token":"t"})"), "data.code"), "bad_request");
  EXPECT_TRUE(hub.auths.empty());
}

TEST(ShardAuthTest, RevokingAKeyClosesItsConnectionsAndNoOthers) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(person("u"));
  Client& other = hub.connect(person("v"));
  hub.shard().revoke("keys", "u", "revoked");
  EXPECT_EQ(c.closed_with, CloseCode::unauthorized);
  EXPECT_FALSE(other.closed_with);
}

// ---------------------------------------------------------------- requests

TEST(ShardRequestsTest, TooManyInFlightStopReadingUntilAnswersHaveLeft) {
  Limits limits;
  limits.requests_in_flight = 2;
  Hub hub({route("open/{n}")}, 2, limits);
  Client& c = hub.connect();
  const std::string frame =
      R"({"type":"publish","id":1,"event":"e","data":1,"channel":")" + hub.name_on(1, "open/") + "\"}";
  c.say(frame);
  EXPECT_TRUE(c.reading);
  c.say(frame);
  EXPECT_FALSE(c.reading);
  hub.run();
  EXPECT_TRUE(c.reading);
  EXPECT_EQ(c.take().size(), 2U);
  EXPECT_EQ(c.connection->in_flight, 0U);
}

TEST(ShardRequestsTest, AClientThatDoesNotReadItsAnswersIsNotReadFrom) {
  Limits limits;
  limits.outbox_bytes = 65'536;
  Hub hub({route("open/{n}")}, 1, limits);
  Client& c = hub.connect();
  for (int i = 0; i < 10'000 && c.reading; ++i) c.say(R"({"type":"ping","id":1})");
  EXPECT_FALSE(c.reading);
  EXPECT_GE(c.connection->outbox.bytes(), 65'536U);
  EXPECT_LT(c.connection->outbox.bytes(), 66'000U);
  (void)c.take();
  EXPECT_TRUE(c.reading);
}

TEST(ShardRequestsTest, UnknownFramesAreAnsweredAndDoNoHarm) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect();
  for (const char* frame : {R"({"type":"nonsense","id":7})", R"({"id":7})", R"({"type":"subscribe","id":7})",
                            R"({"type":"publish","id":7,"channel":"open/a"})"}) {
    const std::string answer = c.ask(frame);
    EXPECT_EQ(at(answer, "type"), "error") << frame;
    EXPECT_EQ(at(answer, "id"), "7") << frame;
  }
  EXPECT_EQ(at(c.ask(R"({"type":"request","id":8,"method":"m"})"), "data.code"), "no_such_method");
  const std::string without_id = c.ask(R"({"type":"nonsense"})");
  EXPECT_EQ(at(without_id, "type"), "error");
  EXPECT_EQ(at(without_id, "id"), "");
  c.say(R"({"type":"ack","channel":"open/a","sequenceId":1})");
  EXPECT_TRUE(c.take().empty());
  EXPECT_FALSE(c.closed_with);
  EXPECT_EQ(hub.shard().counters().frames_refused, 5U);
}

TEST(ShardRequestsTest, WhatIsNoFrameAtAllCloses1008) {
  for (const char* frame : {"hello", "[]", "7", ""}) {
    Hub hub({route("open/{n}")});
    Client& c = hub.connect();
    EXPECT_EQ(at(c.ask(frame), "type"), "error") << frame;
    EXPECT_EQ(c.closed_with, CloseCode::policy) << frame;
  }
}

TEST(ShardRequestsTest, UnsubscribingAListWithAnUnknownChannelLeavesTheOthers) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect();
  EXPECT_EQ(at(c.ask(R"({"type":"subscribe","id":1,"channels":["open/a","open/b"]})"), "type"), "ack");
  EXPECT_EQ(at(c.ask(R"({"type":"unsubscribe","id":2,"channels":["open/a","open/x","open/b"]})"), "data.code"),
            "not_found");
  hub.publish("open/a");
  hub.publish("open/b");
  EXPECT_EQ(c.take().size(), 2U);
  EXPECT_EQ(at(c.ask(R"({"type":"unsubscribe","id":3,"channels":["open/a","open/b"]})"), "type"), "ack");
  hub.publish("open/a");
  EXPECT_TRUE(c.take().empty());
}

// ---------------------------------------------------------------- publishing

std::string publication(std::string_view channel, std::string_view data = "1", std::string_view dedupe = {}) {
  std::string out =
      R"({"type":"publish","id":1,"event":"e","channel":)" + json::quoted(channel) + ",\"data\":" + std::string(data);
  if (!dedupe.empty()) out += ",\"dedupe\":" + json::quoted(dedupe);
  return out + "}";
}

TEST(ShardPublishTest, TakesTheScopeOfTheChannel) {
  ChannelRoute scoped = route("scoped/{n}"), closed = route("closed/{n}");
  scoped.publish.scope = "write";
  closed.publish.nobody = true;
  Hub hub({scoped, closed, route("open/{n}")});
  Client& nobody = hub.connect();
  Client& reader = hub.connect(person("r", {"read"}));
  Client& writer = hub.connect(person("w", {"write"}));
  Client& all = hub.connect(person("a", {"*"}));
  EXPECT_EQ(at(nobody.ask(publication("scoped/x")), "data.code"), "unauthorized");
  EXPECT_EQ(at(reader.ask(publication("scoped/x")), "data.code"), "forbidden");
  EXPECT_EQ(at(writer.ask(publication("scoped/x")), "data.sequenceId"), "1");
  EXPECT_EQ(at(all.ask(publication("scoped/x")), "data.sequenceId"), "2");
  EXPECT_EQ(at(all.ask(publication("closed/x")), "data.code"), "forbidden");
  EXPECT_EQ(at(nobody.ask(publication("open/x")), "type"), "ack");
}

TEST(ShardPublishTest, AnOpenChannelIsRefusedInTheSameWords) {
  ChannelRoute scoped = route("scoped/{n}"), closed = route("closed/{n}");
  scoped.publish.scope = "write";
  closed.publish.nobody = true;
  Hub hub({scoped, closed});
  Client& nobody = hub.connect();
  Client& reader = hub.connect(person("r", {"read"}));
  std::vector<std::string> before, after;
  for (auto* answers : {&before, &after}) {
    for (Client* c : {&nobody, &reader})
      for (const char* channel : {"scoped/x", "closed/x"}) answers->push_back(c->ask(publication(channel)));
    hub.publish("scoped/x");
    hub.publish("closed/x");
  }
  EXPECT_EQ(before, after);
  EXPECT_EQ(at(before[0], "data.message"), "to publish to \"scoped/x\" takes the scope \"write\"; authenticate first");
  EXPECT_EQ(at(before[3], "data.message"), "nobody may publish to \"closed/x\" over the network");
}

TEST(ShardPublishTest, WithoutAnIdNothingIsAnsweredAndNothingStaysInFlight) {
  Limits limits;
  limits.requests_in_flight = 2;
  Hub hub({route("open/{n}")}, 2, limits);
  Client& c = hub.connect(person("u"));
  for (const ShardId owner : {0U, 1U}) {
    const std::string channel = hub.name_on(owner, "open/");
    const auto say = [&](const std::string& more) {
      c.say(R"({"type":"publish","event":"e","data":1,"channel":")" + channel + "\"" + more + "}");
    };
    say("");
    say(R"(,"dedupe":"d")");
    EXPECT_EQ(c.reading, owner == 0) << "another shard has yet to say that it is done";
    hub.run();
    EXPECT_TRUE(c.reading);
    say(R"(,"dedupe":"d")");
    hub.run();
    EXPECT_EQ(c.connection->in_flight, 0U);
    EXPECT_TRUE(c.take().empty());
    EXPECT_EQ(hub.shard(owner).channels().counters().published, 2U);
  }
}

TEST(ShardPublishTest, DataStaysWhatItWasHoweverMuchComesBehind) {
  Limits limits;
  limits.outbox_bytes = limits.data_bytes = 1 << 20;
  Hub hub({route("open/{n}")}, 2, limits);
  Client& c = hub.connect();
  Client& reader = hub.connect();
  for (const ShardId owner : {0U, 1U}) {
    const std::string channel = hub.name_on(owner, "open/");
    std::vector<std::string> said;
    for (const std::size_t size : {10U, 5'000U, 3U, 100'000U, 1U, 40U}) {
      said.push_back(json::quoted(std::string(size, static_cast<char>('a' + said.size()))));
      c.say(publication(channel, said.back()));
    }
    EXPECT_EQ(hub.read_all(c).size(), said.size());
    reader.say(R"({"type":"subscribe","id":1,"replay":100,"channel":")" + channel + "\"}");
    const auto frames = hub.read_all(reader);
    ASSERT_EQ(frames.size(), 1 + said.size());
    for (std::size_t i = 0; i < said.size(); ++i) EXPECT_EQ(json::quoted(at(frames[i + 1], "data")), said[i]);
  }
}

TEST(ShardPublishTest, AChannelThatTheManifestDoesNotHaveIsNoSuchChannel) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect();
  EXPECT_EQ(at(c.ask(publication("other/x")), "data.code"), "no_such_channel");
  EXPECT_EQ(at(c.ask(publication("open/a b")), "data.code"), "bad_request");
  EXPECT_EQ(at(c.ask(publication("open/*")), "data.code"), "bad_request");
  EXPECT_EQ(hub.shard().channels().size(), 0U);
}

TEST(ShardPublishTest, DataIsBoundedToTheByte) {
  Limits limits;
  limits.data_bytes = 128;
  Hub hub({route("open/{n}")}, 1, limits);
  Client& c = hub.connect();
  EXPECT_EQ(at(c.ask(publication("open/a", "\"" + std::string(126, 'x') + "\"")), "type"), "ack");
  EXPECT_EQ(at(c.ask(publication("open/a", "\"" + std::string(127, 'x') + "\"")), "data.code"), "too_large");
}

TEST(ShardPublishTest, AFullMailboxIsAnsweredWithWhenToComeBack) {
  Hub hub({route("open/{n}")}, 2);
  Client& c = hub.connect();
  hub.full.insert(1);
  const std::string refused = c.ask(publication(hub.name_on(1, "open/")));
  EXPECT_EQ(at(refused, "data.code"), "rate_limited");
  EXPECT_EQ(at(refused, "data.retryAfterMs"), "100");
  EXPECT_EQ(at(c.ask(publication(hub.name_on(0, "open/"))), "type"), "ack");
}

TEST(ShardPublishTest, TheSameIdOfTheSameKeyIsADuplicateAndAddsNothing) {
  Hub hub({route("open/{n}")});
  Client& c = hub.connect(person("u"));
  Client& again = hub.connect(person("u"));
  Client& reader = hub.connect();
  EXPECT_EQ(at(reader.ask(R"({"type":"subscribe","id":1,"channel":"open/a"})"), "type"), "ack");
  const std::string first = c.ask(publication("open/a", "1", "d"));
  EXPECT_EQ(at(first, "data.sequenceId"), "1");
  EXPECT_EQ(at(first, "data.duplicate"), "");
  const std::string second = again.ask(publication("open/a", "2", "d"));
  EXPECT_EQ(at(second, "data.sequenceId"), "1");
  EXPECT_EQ(at(second, "data.epoch"), at(first, "data.epoch"));
  EXPECT_EQ(at(second, "data.duplicate"), "true");
  EXPECT_EQ(reader.take().size(), 1U);
  EXPECT_EQ(at(c.ask(publication("open/b", "1", "d")), "data.duplicate"), "") << "ids belong to one channel";
}

TEST(ShardPublishTest, IdsAreEachKeysOwn) {
  Hub hub({route("open/{n}")});
  EXPECT_EQ(at(hub.connect(person("u")).ask(publication("open/a", "1", "d")), "data.sequenceId"), "1");
  const std::string other = hub.connect(person("v")).ask(publication("open/a", "1", "d"));
  EXPECT_EQ(at(other, "data.sequenceId"), "2");
  EXPECT_EQ(at(other, "data.duplicate"), "");
}

TEST(ShardPublishTest, IdsAreForgottenAfterTheirTime) {
  Limits limits;
  limits.dedupe_ms = 1'000;
  Hub hub({route("open/{n}")}, 1, limits);
  Client& c = hub.connect(person("u"));
  (void)c.ask(publication("open/a", "1", "d"));
  hub.clock.advance(1'000);
  EXPECT_EQ(at(c.ask(publication("open/a", "1", "d")), "data.duplicate"), "true");
  hub.clock.advance(1);
  EXPECT_EQ(at(c.ask(publication("open/a", "1", "d")), "data.sequenceId"), "2");
}

TEST(ShardPublishTest, OnlySoManyIdsAreRemembered) {
  Limits limits;
  limits.dedupe_ids = 2;
  Hub hub({route("open/{n}")}, 1, limits);
  Client& c = hub.connect(person("u"));
  for (const char* id : {"1", "2", "3"}) (void)c.ask(publication("open/a", "1", id));
  EXPECT_EQ(at(c.ask(publication("open/a", "1", "2")), "data.duplicate"), "true");
  EXPECT_EQ(at(c.ask(publication("open/a", "1", "1")), "data.sequenceId"), "4");
}

}  // namespace
}  // namespace weir
