// What happens on the sockets themselves: peers that break the rules, that do not read, that are told to go.
#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

using SocketTest = HubTest;

constexpr const char* kManifest = "[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\n";

// Symptom: a client that sent pings and never read let the hub's memory grow by as much as it sent.
TEST_F(SocketTest, AFloodOfPingsFillsTheOutboxToItsLimitAndNoFurther) {
  start(std::string(kManifest) + "[limits]\noutbox_bytes = \"64KiB\"\nsocket_send_bytes = \"16KiB\"\n");
  RawSocket peer(port(), 4096);
  ASSERT_NE(peer.upgrade().find(" 101 "), std::string::npos);
  std::string pings;
  for (int i = 0; i < 100; ++i) pings += RawSocket::frame(0x9, std::string(120, 'p'));
  const auto owed = [&] {
    return http("GET", "/subscriptions").json()["connections"][0]["outboxBytes"].get<std::size_t>();
  };
  std::size_t sent = 0, at = 0, most = 0;
  for (int refused = 0; sent < 64U * 1024 * 1024 && refused < 20;) {
    const std::size_t n = peer.say(std::string_view(pings).substr(at));
    sent += n;
    at = (at + n) % pings.size();
    if (n != 0) continue;
    most = std::max(most, owed());
    if (most >= 64U * 1024) ++refused;
  }
  EXPECT_LT(sent, 64U * 1024 * 1024);
  EXPECT_GE(most, 64U * 1024);
  EXPECT_LT(most, 64U * 1024 + 1000);
  ASSERT_TRUE(wait_until([&] {  // it is read from again as soon as it reads
    peer.read_until("pppp", 100);
    return peer.say(std::string_view(pings).substr(at, 1)) != 0;
  }));
}

// Symptom: a client that broke a rule while the hub still had much to send it saw the connection end with 1006.
TEST_F(SocketTest, TheReasonOfAProtocolErrorComesBehindEverythingThatWasOwed) {
  start(std::string(kManifest) + "[limits]\nframe_bytes = \"4KiB\"\nsocket_send_bytes = \"16KiB\"\n");
  Client slow = connect("/ws", {}, 4096), w = connect();
  slow.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "c"}});
  constexpr int kEvents = 200;
  for (int i = 1; i <= kEvents; ++i)
    w.ask({{"type", "publish"}, {"id", i}, {"channel", "c"}, {"event", "e"}, {"data", std::string(3000, 'f')}});
  ASSERT_TRUE(slow.socket().send(std::string(5000, 'x')));
  int seen = 0;
  while (auto text = slow.socket().receive(kPatienceMs)) ++seen;
  EXPECT_GT(seen, 0);
  ASSERT_TRUE(slow.socket().closed());
  EXPECT_EQ(slow.socket().closed()->code, 1009);
}

// The same for a peer that closes of its own accord and reads what comes.
TEST_F(SocketTest, TheAnswerToACloseComesBehindEverythingThatWasOwed) {
  start(std::string(kManifest) + "[limits]\nsocket_send_bytes = \"16KiB\"\n");
  RawSocket slow(port(), 4096);
  ASSERT_NE(slow.upgrade().find(" 101 "), std::string::npos);
  ASSERT_TRUE(slow.say_all(RawSocket::frame(0x1, R"({"type":"subscribe","id":1,"channel":"c"})")));
  slow.read_until("\"ack\"");
  Client w = connect();
  for (int i = 1; i <= 200; ++i)
    w.ask({{"type", "publish"}, {"id", i}, {"channel", "c"}, {"event", "e"}, {"data", std::string(3000, 'f')}});
  ASSERT_TRUE(slow.say_all(RawSocket::frame(0x8, "\x03\xe8")));
  const std::string all = slow.read_all();
  EXPECT_TRUE(slow.ended());
  ASSERT_GE(all.size(), 4U);
  EXPECT_EQ(all.substr(all.size() - 4), "\x88\x02\x03\xe8");
}

// A peer that neither reads nor goes can't hold its connection for longer than the deadline of a close.
TEST_F(SocketTest, APeerThatBreaksARuleAndNeverReadsIsLetGoOfAllTheSame) {
  start(std::string(kManifest) + "[limits]\nsocket_send_bytes = \"16KiB\"\n");
  RawSocket stuck(port(), 4096);
  ASSERT_NE(stuck.upgrade().find(" 101 "), std::string::npos);
  ASSERT_TRUE(stuck.say_all(RawSocket::frame(0x1, R"({"type":"subscribe","id":1,"channel":"c"})")));
  stuck.read_until("\"ack\"");
  {
    Client w = connect();
    for (int i = 1; i <= 200; ++i)
      w.ask({{"type", "publish"}, {"id", i}, {"channel", "c"}, {"event", "e"}, {"data", std::string(3000, 'f')}});
  }
  ASSERT_TRUE(stuck.say_all(RawSocket::frame(0x3, "no such opcode")));
  EXPECT_TRUE(wait_until([&] { return http("GET", "/health").json()["connections"] == 0; }));
}

}  // namespace
}  // namespace weir::test
