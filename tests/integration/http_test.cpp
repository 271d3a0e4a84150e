#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

class HttpTest : public HubTest {
 protected:
  void begin(const std::string& more = {}) {
    start("[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"agents/{id}\"\n" + more);
  }
};

TEST_F(HttpTest, APostIsPublishedAndAnsweredWithItsPlace) {
  begin();
  Client c = connect();
  c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "agents/ä b"}});
  Client c2 = connect();
  c2.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "agents/7"}});
  const HttpAnswer a =
      http("POST", "/api/v1/channels/agents%2F7/events", R"({"event":"x","data":{"n":1},"id":"mine","key":"k"})");
  EXPECT_EQ(a.status, 200);
  EXPECT_EQ(a.json()["channel"], "agents/7");
  EXPECT_EQ(a.json()["sequenceId"], 1);
  const Json e = c2.next("event");
  EXPECT_EQ(e["id"], "mine");
  EXPECT_EQ(e["key"], "k");
  EXPECT_EQ(e["data"]["n"], 1);
  EXPECT_EQ(http("POST", "/api/v1/channels/agents/7/events", R"({"event":"x","data":1})").json()["sequenceId"], 2);
}

TEST_F(HttpTest, WrongPostsAreAnsweredInWords) {
  begin("[limits]\ndata_bytes = 1000\n");
  const auto code = [](const HttpAnswer& a) { return a.json()["error"]["code"].get<std::string>(); };
  HttpAnswer a = http("POST", "/api/v1/channels/agents/7/events", "{nonsense");
  EXPECT_EQ(a.status, 400);
  EXPECT_EQ(code(a), "bad_request");
  a = http("POST", "/api/v1/channels/nobody/events", R"({"event":"x","data":1})");
  EXPECT_EQ(a.status, 404);
  EXPECT_EQ(code(a), "no_such_channel");
  a = http("POST", "/api/v1/channels/agents/7/events", R"({"data":1})");
  EXPECT_EQ(a.status, 400);
  a = http("POST", "/api/v1/channels/agents/7/events", R"({"event":"x","data":")" + std::string(2000, 'x') + "\"}");
  EXPECT_EQ(a.status, 413);
  a = http("POST", "/api/v1/channels/agents/7/events", std::string(100000, 'x'));
  EXPECT_EQ(a.status, 413);
  EXPECT_EQ(http("GET", "/api/v1/channels/agents/7/events").status, 405);
  EXPECT_EQ(http("GET", "/nothing").status, 404);
  EXPECT_EQ(http("POST", "/api/v1/channels/%zz/events", "{}").status, 400);
}

TEST_F(HttpTest, HealthReadyStatsAndSubscriptionsTell) {
  begin();
  Client c = connect();
  c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "agents/7"}, {"filter", {{"event", "x"}}}});
  EXPECT_TRUE(wait_until([&] { return http("GET", "/health").json()["subscriptions"] == 1; }));
  const Json health = http("GET", "/health").json();
  EXPECT_EQ(health["status"], "ok");
  EXPECT_EQ(health["connections"], 1);
  EXPECT_EQ(health["channels"], 1);
  EXPECT_EQ(http("GET", "/ready").status, 200);
  EXPECT_EQ(http("GET", "/stats").json()["shards"].size(), 2U);
  const Json list = http("GET", "/subscriptions").json()["connections"];
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0]["subscriptions"][0]["channel"], "agents/7");
  EXPECT_EQ(list[0]["subscriptions"][0]["filter"]["event"], "x");
}

TEST_F(HttpTest, TheBuiltInPageKnowsTheFirstEndpoint) {
  begin();
  const HttpAnswer a = http("GET", "/");
  EXPECT_EQ(a.status, 200);
  EXPECT_NE(a.head.find("content-security-policy"), std::string::npos) << a.head;
  EXPECT_NE(a.body.find("content=\"/ws\""), std::string::npos);
  EXPECT_EQ(a.body.find("{{endpoint}}"), std::string::npos);
  EXPECT_TRUE(http("HEAD", "/").body.empty());
}

TEST_F(HttpTest, AnEndpointThatIsNotUpgradedSaysSo) {
  begin();
  EXPECT_EQ(http("GET", "/ws").status, 426);
}

TEST_F(HttpTest, PagesFromElsewhereMayNotUseAHubWithoutAuth) {
  begin();
  const auto refused = try_connect("/ws", {{"Origin", "https://evil.example"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::forbidden);
  EXPECT_TRUE(try_connect("/ws", {{"Origin", "http://localhost:5173"}}));
  EXPECT_FALSE(try_connect("/ws", {{"Origin", "http://evil.example"}, {"Host", "evil.example"}}));
  EXPECT_EQ(
      http("POST", "/api/v1/channels/agents/7/events", R"({"event":"x","data":1})", "origin: https://evil.example\r\n")
          .status,
      403);
}

TEST_F(HttpTest, GarbageOnThePortIsAnsweredOrClosedAndTheHubGoesOn) {
  begin();
  raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello over TLS\r\n\r\n");
  raw("GET / HTTP/9.9\r\n\r\n");
  EXPECT_NE(raw("GET /health HTTP/1.1\r\nhost: x\r\n" + std::string(20000, 'a') + ": b\r\n\r\n").find(" 431 "),
            std::string::npos);
  raw(std::string(1000, '\0'));
  EXPECT_NE(raw("GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade, "
                "close\r\nsec-websocket-version: 12\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
                .find("HTTP/1.1 4"),
            std::string::npos);
  EXPECT_EQ(http("GET", "/health").status, 200);
}

TEST_F(HttpTest, OneConnectionServesManyRequestsEvenWhenTheyComeTogether) {
  begin();
  const std::string one = "GET /ready HTTP/1.1\r\nhost: x\r\n\r\n";
  const std::string answer = raw(one + one + "GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  std::size_t count = 0;
  for (std::size_t at = answer.find("HTTP/1.1 200"); at != std::string::npos; at = answer.find("HTTP/1.1 200", at + 1))
    ++count;
  EXPECT_EQ(count, 3U) << answer;
}

// Symptom: a page of a domain that points to 127.0.0.1 could read /stats and publish, as one of the same host.
TEST_F(HttpTest, AHostThatIsNotTheHubsIsRefusedByAllButHealth) {
  begin();
  const auto with_host = [&](const std::string& method, const std::string& path, const std::string& host,
                             const std::string& body = {}) {
    return raw(method + " " + path + " HTTP/1.1\r\nhost: " + host +
               "\r\nconnection: close\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  const std::string event = R"({"event":"x","data":1})";
  for (const char* host :
       {"evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]", ""}) {
    const std::string refused = with_host("GET", "/stats", host);
    EXPECT_NE(refused.find(" 403 "), std::string::npos) << host;
    EXPECT_NE(refused.find("hosts = ["), std::string::npos) << refused;
    EXPECT_NE(with_host("GET", "/subscriptions", host).find(" 403 "), std::string::npos) << host;
    EXPECT_NE(with_host("POST", "/api/v1/channels/agents/7/events", host, event).find(" 403 "), std::string::npos)
        << host;
    EXPECT_NE(with_host("GET", "/health", host).find(" 200 "), std::string::npos) << host;
    EXPECT_NE(with_host("GET", "/ready", host).find(" 200 "), std::string::npos) << host;
  }
  for (const char* host : {"localhost", "hub.localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"})
    EXPECT_NE(with_host("GET", "/stats", host).find(" 200 "), std::string::npos) << host;
}

TEST_F(HttpTest, HostsOfTheManifestAreTheHubs) {
  start("hosts = [\"Hub.example.com\"]\n[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"agents/{id}\"\n");
  EXPECT_NE(raw("GET /stats HTTP/1.1\r\nhost: hub.EXAMPLE.com:443\r\nconnection: close\r\n\r\n").find(" 200 "),
            std::string::npos);
  EXPECT_NE(raw("GET /stats HTTP/1.1\r\nhost: other.example.com\r\nconnection: close\r\n\r\n").find(" 403 "),
            std::string::npos);
}

// Symptom: curl waited a second before it sent a body of more than a MiB.
TEST_F(HttpTest, AClientThatAsksWhetherToGoOnIsAnsweredBeforeItsBody) {
  begin("[limits]\ndata_bytes = 1000\n");
  RawSocket c(port());
  const std::string body = R"({"event":"x","data":1})";
  const auto head = [](std::size_t size) {
    return "POST /api/v1/channels/agents/7/events HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: "
           "100-Continue\r\ncontent-length: " +
           std::to_string(size) + "\r\n\r\n";
  };
  ASSERT_TRUE(c.say_all(head(body.size())));
  EXPECT_EQ(c.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(c.say_all(body));
  EXPECT_NE(c.read_until("\"sequenceId\":1").find("200 OK"), std::string::npos);
  ASSERT_TRUE(c.say_all(head(10'000'000)));
  EXPECT_NE(c.read_all().find("HTTP/1.1 413"), std::string::npos);
  EXPECT_TRUE(c.ended());
}

// Symptom: such handshakes were answered by the WebSocket library, without a word of ours, after auth and limits.
TEST_F(HttpTest, HandshakesThatAreWrongAreAnsweredInWords) {
  begin();
  const auto handshake = [&](const std::string& headers) {
    return raw("GET /ws HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade, close\r\n" + headers +
               "\r\n");
  };
  const std::string key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  for (const std::string& version : {std::string("sec-websocket-version: 12\r\n"), std::string()}) {
    const std::string answer = handshake(version + key);
    EXPECT_NE(answer.find("HTTP/1.1 426"), std::string::npos) << answer;
    EXPECT_NE(answer.find("sec-websocket-version: 13\r\n"), std::string::npos) << answer;
    EXPECT_NE(answer.find("{\"error\":{\"code\":\"bad_request\""), std::string::npos) << answer;
  }
  for (const char* wrong :
       {"", "sec-websocket-key: \r\n", "sec-websocket-key: short==\r\n",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=!\r\n", "sec-websocket-key: dGhl#HNhbXBsZSBub25jZQ==\r\n"}) {
    const std::string answer = handshake(std::string("sec-websocket-version: 13\r\n") + wrong);
    EXPECT_NE(answer.find("HTTP/1.1 400"), std::string::npos) << answer;
    EXPECT_NE(answer.find("sec-websocket-key"), std::string::npos) << answer;
  }
}

TEST_F(HttpTest, SubscriptionsSayThatThereAreMore) {
  begin();
  std::vector<Client> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(connect());
    clients.back().next();
  }
  Json all = http("GET", "/subscriptions").json();
  EXPECT_EQ(all["connections"].size(), 5U);
  EXPECT_EQ(all["truncated"], false);
  for (const std::size_t limit : {0U, 2U, 5U}) {
    const Json some = http("GET", "/subscriptions?limit=" + std::to_string(limit)).json();
    EXPECT_EQ(some["connections"].size(), limit);
    EXPECT_EQ(some["total"], 5);
    EXPECT_EQ(some["truncated"], limit != 5);
  }
  for (const char* wrong : {"x", "-1", "", "100001", "5x"})
    EXPECT_EQ(http("GET", std::string("/subscriptions?limit=") + wrong).status, 400) << wrong;
}

// Symptom: an address that only opened sockets, and never said anything, was not counted.
TEST_F(HttpTest, AnAddressIsCountedFromItsFirstSocketOn) {
  begin("[limits]\nconnections_per_address = 3\n");
  {
    Client client = connect();
    client.next();
    std::vector<std::unique_ptr<RawSocket>> silent;
    for (int i = 0; i < 3 + 15; ++i) silent.push_back(std::make_unique<RawSocket>(port()));
    ASSERT_TRUE(wait_until([&] {  // one more each time, as the request below may have taken the place of one
      silent.push_back(std::make_unique<RawSocket>(port()));
      const std::string answer = raw("GET /ready HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
      return answer.find("HTTP/1.1 429") != std::string::npos &&
             answer.find("connections_per_address") != std::string::npos;
    }));
  }
  EXPECT_TRUE(wait_until([&] { return http("GET", "/ready").status == 200; }));
}

// Symptom: with as many WebSockets as an address may have, its /health was answered 429 as well.
TEST_F(HttpTest, HealthIsAnsweredToAnAddressWithAllItsWebSockets) {
  begin("[limits]\nconnections_per_address = 2\n");
  {
    Client a = connect(), b = connect();
    EXPECT_EQ(http("GET", "/health").status, 200);
    EXPECT_EQ(http("GET", "/ready").status, 200);
    EXPECT_EQ(http("POST", "/api/v1/channels/agents/7/events", R"({"event":"x","data":1})").status, 200);
    EXPECT_EQ(RawSocket(port()).upgrade().substr(0, 12), "HTTP/1.1 429");
  }
  EXPECT_TRUE(wait_until([&] { return static_cast<bool>(try_connect("/ws")); }));
}

// Symptom: a proxy that asks with a whole URL got 404.
TEST_F(HttpTest, ATargetInAbsoluteFormIsTheSameAndItsHostCounts) {
  begin();
  const auto get = [&](const std::string& target, const std::string& host) {
    return raw("GET " + target + " HTTP/1.1\r\nhost: " + host + "\r\nconnection: close\r\n\r\n").substr(0, 12);
  };
  EXPECT_EQ(get("http://127.0.0.1:1/health?x=1", "127.0.0.1"), "HTTP/1.1 200");
  EXPECT_EQ(get("HTTP://127.0.0.1", "127.0.0.1"), "HTTP/1.1 200");
  EXPECT_EQ(get("http://127.0.0.1?x", "127.0.0.1"), "HTTP/1.1 200");
  EXPECT_EQ(get("http://evil.example/stats", "127.0.0.1"), "HTTP/1.1 403");
  EXPECT_EQ(get("http://127.0.0.1/stats", "evil.example"), "HTTP/1.1 200");
  EXPECT_EQ(get("http:///health", "127.0.0.1"), "HTTP/1.1 400");
  EXPECT_EQ(get("ftp://127.0.0.1/health", "127.0.0.1"), "HTTP/1.1 404");
}

// Symptom: what follows such a head was read as a request of its own, or as a body, depending on who looks.
TEST_F(HttpTest, AHeadThatCanBeReadInTwoWaysIsRefusedAndTheConnectionEnds) {
  begin();
  const std::string post = "POST /api/v1/channels/agents/7/events HTTP/1.1\r\n", host = "host: 127.0.0.1\r\n";
  const std::string next = "GET /ready HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
  const std::string chunked = "16\r\n{\"event\":\"x\",\"data\":1}\r\n0\r\n\r\n";
  const auto status = [&](const std::string& bytes) {
    const std::string answer = raw(bytes + next);
    EXPECT_EQ(answer.find("HTTP/1.1", 1), std::string::npos) << "two answers:\n" << answer;
    EXPECT_NE(answer.find("Connection: close"), std::string::npos) << answer;
    return answer.substr(9, 3);
  };
  EXPECT_EQ(status(post + host + "transfer-encoding: gzip, chunked\r\n\r\n" + chunked), "501");
  EXPECT_EQ(status(post + host + "transfer-encoding: chunked, gzip\r\n\r\n" + chunked), "501");
  EXPECT_EQ(status(post + host + "transfer-encoding: identity\r\n\r\n"), "501");
  EXPECT_EQ(status(post + host + "transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n\r\n" + chunked), "400");
  EXPECT_EQ(status(post + host + "transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n" + chunked), "400");
  EXPECT_EQ(status(post + host + "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n" + chunked), "400");
  EXPECT_EQ(status("GET /health HTTP/1.0\r\n" + host + "transfer-encoding: chunked\r\n\r\n" + chunked), "400");
  EXPECT_EQ(status("GET /health HTTP/1.1\r\n\r\n"), "400");
  EXPECT_EQ(status("GET /nowhere HTTP/1.1\r\n\r\n"), "400");
  EXPECT_EQ(status("GET /health HTTP/1.1\r\n" + host + host + "\r\n"), "400");
  EXPECT_EQ(status(post + host + "expect: foo\r\ncontent-length: 13\r\n\r\n"), "417");
  EXPECT_EQ(status("GET /ready HTTP/1.1\r\n" + host + "expect: foo\r\n\r\n"), "417");
  EXPECT_NE(raw(post + host + "connection: close\r\ntransfer-encoding: Chunked\r\n\r\n" + chunked).find(" 200 "),
            std::string::npos);
  EXPECT_NE(raw("GET /ready HTTP/1.0\r\n\r\n").find(" 200 "), std::string::npos);
}

// Symptom: a page of an allowed origin could not publish: its browser asked first and got 405.
TEST_F(HttpTest, APageThatMayPublishIsToldSoAndOthersAreNot) {
  start("[[endpoint]]\npath = \"/ws\"\norigins = [\"https://app.example\"]\n[[channel]]\npattern = \"agents/{id}\"\n");
  const std::string path = "/api/v1/channels/agents/7/events";
  const auto from = [](const std::string& origin) { return "origin: " + origin + "\r\n"; };
  const std::string asks = "access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n";
  for (const char* origin : {"https://app.example", "http://localhost:5173"}) {
    const std::string allowed = "access-control-allow-origin: " + std::string(origin) + "\r\n";
    const HttpAnswer before = http("OPTIONS", path, {}, from(origin) + asks);
    EXPECT_EQ(before.status, 204);
    EXPECT_NE((before.head + "\r\n").find(allowed), std::string::npos) << before.head;
    EXPECT_NE(before.head.find("vary: origin"), std::string::npos) << before.head;
    EXPECT_NE(before.head.find("access-control-allow-methods: POST"), std::string::npos) << before.head;
    EXPECT_NE(before.head.find("access-control-allow-headers: content-type, authorization, x-api-key"),
              std::string::npos)
        << before.head;
    EXPECT_NE(before.head.find("access-control-max-age: "), std::string::npos) << before.head;
    EXPECT_EQ(before.head.find("Content-"), std::string::npos) << before.head;
    const HttpAnswer done = http("POST", path, R"({"event":"x","data":1})", from(origin));
    EXPECT_EQ(done.status, 200);
    EXPECT_NE((done.head + "\r\n").find(allowed), std::string::npos) << done.head;
    const HttpAnswer wrong = http("POST", path, "nonsense", from(origin));
    EXPECT_EQ(wrong.status, 400);
    EXPECT_NE((wrong.head + "\r\n").find(allowed), std::string::npos) << wrong.head;
  }
  for (const char* origin : {"https://evil.example", "null"}) {
    for (const HttpAnswer& refused : {http("OPTIONS", path, {}, from(origin) + asks),
                                      http("POST", path, R"({"event":"x","data":1})", from(origin))}) {
      EXPECT_EQ(refused.status, 403);
      EXPECT_EQ(refused.head.find("access-control"), std::string::npos) << refused.head;
      EXPECT_NE(refused.head.find("vary: origin"), std::string::npos) << refused.head;
    }
  }
  EXPECT_EQ(http("GET", "/stats", {}, from("https://app.example")).status, 403);  // publishing is all that is meant
  EXPECT_EQ(http("OPTIONS", path).status, 405);
}

// An endpoint that asks who somebody is may let every page in; that says nothing of an API that asks nobody.
TEST_F(HttpTest, TheOriginsOfAnEndpointWithAuthDoNotOpenAnApiWithout) {
  start(
      "[[plugin]]\nname = \"local\"\nlibrary = \"dev\"\n[api]\nauth = []\n[[endpoint]]\npath = \"/ws\"\nauth = "
      "[\"local\"]\norigins = [\"*\"]\n[[channel]]\npattern = \"**\"\n");
  EXPECT_EQ(
      http("POST", "/api/v1/channels/a/events", R"({"event":"x","data":1})", "origin: https://evil.example\r\n").status,
      403);
}

}  // namespace
}  // namespace weir::test
