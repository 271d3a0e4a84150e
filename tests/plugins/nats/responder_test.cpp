// Methods that services on NATS answer.
#include <map>

#include "fixture.hpp"
#include "support/tcp_proxy.hpp"

namespace weir::test {
namespace {

struct NatsResponderTest : NatsPluginTest {
  weir_status status_of(std::uint64_t token) {
    EXPECT_TRUE(hub.run_until([&] { return hub.answers.contains(token); }, 20'000));
    return hub.answers[token].status;
  }
};

TEST_F(NatsResponderTest, AServiceAnswers) {
  NatsServer server(folder);
  NatsListener service(server.url(), "rpc.>", [](natsConnection* connection, natsMsg* message) {
    const std::string_view subject = natsMsg_GetSubject(message);
    if (subject == "rpc.text") return answer_with(connection, message, "plain \"text\"");
    if (subject == "rpc.bytes") return answer_with(connection, message, std::string("\xff\x00\x01\x02", 4));
    if (subject == "rpc.empty") return answer_with(connection, message, "");
    if (subject == "rpc.error")
      return answer_with(connection, message, "{}",
                         {{"Nats-Service-Error-Code", "404"}, {"Nats-Service-Error", "no such todo"}});
    if (subject == "rpc.broken") return answer_with(connection, message, "", {{"Nats-Service-Error", "it broke"}});
    answer_with(connection, message,
                "{\"params\":" + std::string(natsMsg_GetData(message)) + ",\"method\":\"" +
                    header_of(message, "Weir-Method") + "\",\"identity\":" + header_of(message, "Weir-Identity") + "}");
  });
  SourceRig nats(hub, weir_plugin_entry, config(server, ""));
  ResponderSide responder(hub, weir_plugin_entry, nats.instance());
  ASSERT_EQ(nats.start(), WEIR_OK);
  const auto early = responder.ask("a", "rpc.a", "{}");  // before there is a connection
  EXPECT_EQ(hub.answers[early].status, WEIR_E_UNAVAILABLE);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));

  const auto asked = responder.ask("todos.get", "rpc.todos", R"({"id":7})", 5'000, "{\"subject\":\n\"\u00e4nn\"}");
  const auto by_method = responder.ask("rpc.direct", "", "[1]");
  EXPECT_EQ(status_of(asked), WEIR_OK);
  EXPECT_EQ(hub.answers[asked].json,
            "{\"params\":{\"id\":7},\"method\":\"todos.get\",\"identity\":{\"subject\": \"\u00e4nn\"}}");
  EXPECT_EQ(status_of(by_method), WEIR_OK);
  EXPECT_EQ(hub.answers[by_method].json, R"({"params":[1],"method":"rpc.direct","identity":null})");

  const auto answered = [&](const char* subject) {
    const auto token = responder.ask("m", subject, "null");
    (void)status_of(token);
    return hub.answers[token];
  };
  EXPECT_EQ(answered("rpc.text").json, R"("plain \"text\"")");
  EXPECT_EQ(answered("rpc.bytes").json, R"({"base64":"/wABAg=="})");
  EXPECT_EQ(answered("rpc.empty").json, "null");
  EXPECT_EQ(answered("rpc.error").status, WEIR_E_NOT_FOUND);
  EXPECT_EQ(answered("rpc.error").json, R"({"message":"no such todo"})");
  EXPECT_EQ(answered("rpc.broken").status, WEIR_E_INTERNAL);
  EXPECT_EQ(answered("rpc.broken").json, R"({"message":"it broke"})");
  const auto nobody = answered("elsewhere");
  EXPECT_EQ(nobody.status, WEIR_E_UNAVAILABLE);
  EXPECT_EQ(nobody.json, R"({"message":"nobody answers on elsewhere"})");
  const auto wrong = answered("a.*");
  EXPECT_EQ(wrong.status, WEIR_E_INVALID);
  EXPECT_NE(wrong.json.find("wildcard"), std::string::npos);
}

TEST_F(NatsResponderTest, AThousandAtOnceInAnyOrder) {
  NatsServer server(folder);
  constexpr std::size_t kAll = 1'000;
  // Answers when it has all of them, the last one first.
  std::vector<natsMsg*> kept;
  NatsListener service(server.url(), "rpc", [&](natsConnection* connection, natsMsg* message) {
    natsMsg* copy = nullptr;
    ASSERT_EQ(natsMsg_Create(&copy, "rpc", natsMsg_GetReply(message), natsMsg_GetData(message),
                             natsMsg_GetDataLength(message)),
              NATS_OK);
    kept.push_back(copy);
    if (kept.size() < kAll) return;
    for (auto it = kept.rbegin(); it != kept.rend(); ++it) {
      answer_with(connection, *it, natsMsg_GetData(*it));
      natsMsg_Destroy(*it);
    }
  });
  SourceRig nats(hub, weir_plugin_entry, config(server, ""));
  ResponderSide responder(hub, weir_plugin_entry, nats.instance());
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  std::map<std::uint64_t, std::string> asked;
  for (std::size_t i = 0; i < kAll; ++i) {
    const std::string params = "{\"n\":" + std::to_string(i) + "}";
    asked[responder.ask("m", "rpc", params, 30'000)] = params;
  }
  ASSERT_TRUE(hub.run_until([&] { return hub.answers.size() == kAll; }, 20'000)) << hub.answers.size();
  for (const auto& [token, params] : asked) {
    ASSERT_EQ(hub.answers[token].status, WEIR_OK) << hub.answers[token].json;
    ASSERT_EQ(hub.answers[token].json, params);
  }
  ASSERT_TRUE(hub.run_until([&] { return hub.metrics["requests"] == kAll; }));
  EXPECT_EQ(hub.metrics["requests_in_flight"], 0);
}

TEST_F(NatsResponderTest, NoAnswerInTimeAndNobodyWhoWaits) {
  NatsServer server(folder);
  NatsListener silent(server.url(), "rpc");
  SourceRig nats(hub, weir_plugin_entry, config(server, ""));
  ResponderSide responder(hub, weir_plugin_entry, nats.instance());
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  const auto late = responder.ask("m", "rpc", "1", 200);
  const auto cancelled = responder.ask("m", "rpc", "2", 60'000);
  EXPECT_EQ(status_of(late), WEIR_E_TIMEOUT);
  EXPECT_EQ(hub.answers[late].json, R"({"message":"no answer on rpc"})");
  responder.cancel(cancelled);
  EXPECT_TRUE(hub.run_until([&] { return hub.metrics["requests"] == 2 && hub.metrics["requests_in_flight"] == 0; }));
}

// The time of day is set: neither does everybody get a timeout at once, nor nobody any more.
TEST_F(NatsResponderTest, ADeadlineIsNoTimeOfDay) {
  NatsServer server(folder);
  NatsListener silent(server.url(), "rpc");
  SourceRig nats(hub, weir_plugin_entry, config(server, ""));
  ResponderSide responder(hub, weir_plugin_entry, nats.instance());
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  const auto waits = responder.ask("m", "rpc", "1", 60'000);
  hub.set_now_ms(hub.now_ms() + 3'600'000);
  const auto late = responder.ask("m", "rpc", "2", 100);
  EXPECT_EQ(status_of(late), WEIR_E_TIMEOUT);
  EXPECT_FALSE(hub.answers.contains(waits));
  const auto back = responder.ask("m", "rpc", "3", 100);
  hub.set_now_ms(hub.now_ms() - 7'200'000);
  EXPECT_EQ(status_of(back), WEIR_E_TIMEOUT);
}

TEST_F(NatsResponderTest, AnAnswerThatIsTooLargeIsAnErrorThatSaysSo) {
  NatsServer server(folder);
  NatsListener service(server.url(), "rpc.>", [](natsConnection* connection, natsMsg* message) {
    const bool fits = std::string_view(natsMsg_GetSubject(message)) == "rpc.fits";
    answer_with(connection, message, std::string(fits ? 1'000'000 : 600'000, fits ? 'x' : '"'));
  });
  SourceRig nats(hub, weir_plugin_entry, config(server, ""));
  ResponderSide responder(hub, weir_plugin_entry, nats.instance());
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  const auto fits = responder.ask("m", "rpc.fits", "1"), escaped = responder.ask("m", "rpc.escaped", "1");
  EXPECT_EQ(status_of(fits), WEIR_OK);
  EXPECT_EQ(status_of(escaped), WEIR_E_INTERNAL);
  EXPECT_NE(hub.answers[escaped].json.find("1200002 bytes of JSON; 1048576 are allowed"), std::string::npos)
      << hub.answers[escaped].json;
}

// It waited for its timeout, and was counted as an event that was lost.
TEST_F(NatsResponderTest, WhatOurUserMayNotAskIsForbiddenAtOnce) {
  NatsServer server(folder,
                    "authorization { users: [ {user: u, password: p, permissions: { publish: [\"ok\"] } } ] }\n");
  SourceRig nats(hub, weir_plugin_entry, config(server, R"("user":"u","password":"p")"));
  ResponderSide responder(hub, weir_plugin_entry, nats.instance());
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  const auto asked = responder.ask("m", "rpc.secret", "1", 60'000);
  EXPECT_EQ(status_of(asked), WEIR_E_FORBIDDEN);
  hub.advance(250);
  EXPECT_EQ(hub.metrics["publish_lost"], 0);
}

TEST_F(NatsResponderTest, ABreakIsToldToAllWhoWait) {
  NatsServer server(folder);
  NatsListener silent(server.url(), "rpc");
  TcpProxy proxy(server.port());
  SourceRig nats(hub, weir_plugin_entry, config(proxy.port(), ""));
  ResponderSide responder(hub, weir_plugin_entry, nats.instance());
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  std::vector<std::uint64_t> asked;
  for (int i = 0; i < 100; ++i) asked.push_back(responder.ask("m", "rpc", "1", 60'000));
  ASSERT_TRUE(hub.run_until([&] { return silent.count() == 100; }));
  proxy.cut();
  proxy.heal();
  for (const auto token : asked) EXPECT_EQ(status_of(token), WEIR_E_UNAVAILABLE);
  EXPECT_NE(hub.answers[asked[0]].json.find("broke"), std::string::npos);
  EXPECT_TRUE(reaches(WEIR_STATE_RUNNING));
}

TEST_F(NatsResponderTest, WhatIsTooMuchIsRefusedAtOnce) {
  NatsServer server(folder, "max_payload: 4096\n");
  NatsListener silent(server.url(), "rpc");
  SourceRig nats(hub, weir_plugin_entry, config(server, ""));
  ResponderSide responder(hub, weir_plugin_entry, nats.instance());
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(reaches(WEIR_STATE_RUNNING));
  const auto large = responder.ask("m", "rpc", "\"" + std::string(4'090, 'x') + "\"");
  EXPECT_EQ(hub.answers[large].status, WEIR_E_INVALID);
  EXPECT_NE(hub.answers[large].json.find("4096 at most"), std::string::npos) << hub.answers[large].json;
  for (int i = 0; i < 8'192; ++i) (void)responder.ask("m", "rpc", "1", 60'000);
  EXPECT_EQ(hub.answers.size(), 1u);
  const auto more = responder.ask("m", "rpc", "1", 60'000);
  EXPECT_EQ(hub.answers[more].status, WEIR_E_UNAVAILABLE);
  EXPECT_NE(hub.answers[more].json.find("too many"), std::string::npos);
  nats.stop();
  EXPECT_EQ(hub.answers.size(), 8'194u);  // nobody is left without an answer
}

}  // namespace
}  // namespace weir::test
