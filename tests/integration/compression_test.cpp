// permessage-deflate on real sockets: what is agreed on, what is sent, and what is taken of what clients send.
#include "integration/hub_fixture.hpp"
#include "support/ws_decode.hpp"
#include "support/zlib_client.hpp"

namespace weir::test {
namespace {

using testing::decode_ws;
using testing::deflate_as_client;
using testing::inflate_as_client;

constexpr const char* kManifest =
    "[[endpoint]]\npath = \"/ws\"\ncompression = { threshold = \"300B\" }\n"
    "[[endpoint]]\npath = \"/plain\"\n[[channel]]\npattern = \"**\"\n[limits]\nframe_bytes = \"64KiB\"\n";
constexpr const char* kOffer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";
constexpr const char* kAgreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

class CompressionTest : public HubTest {
 protected:
  // What the answer to such an offer agrees on; empty: nothing.
  std::string agreed(const std::string& headers, const std::string& path = "/ws") {
    RawSocket peer(port());
    std::string head = peer.upgrade(path, headers);
    EXPECT_NE(head.find(" 101 "), std::string::npos) << head;
    for (char& c : head) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const std::string name = "sec-websocket-extensions: ";
    const auto at = head.find(name);
    if (at == std::string::npos) return {};
    return head.substr(at + name.size(), head.find("\r\n", at) - at - name.size());
  }
};

// A client that reads its frames one by one.
class Peer {
 public:
  explicit Peer(std::uint16_t port, const std::string& headers = kOffer, std::string_view path = "/ws")
      : socket_(port) {
    EXPECT_NE(socket_.upgrade(path, headers).find(" 101 "), std::string::npos);
    EXPECT_EQ(Json::parse(next().text)["type"], "connected");
  }
  struct Got {
    unsigned opcode = 0;
    bool compressed = false;
    std::string text;
    std::size_t bytes = 0;  // of the whole frame
  };
  void say(const std::string& bytes) { ASSERT_TRUE(socket_.say_all(bytes)); }
  Got next() {
    for (;;) {
      if (const auto frame = decode_ws(bytes_)) {
        Got got{frame->opcode, frame->compressed, std::string(frame->payload), frame->size};
        if (got.compressed) got.text = inflate_as_client(got.text);
        bytes_.erase(0, got.bytes);
        return got;
      }
      const std::string more = socket_.ended() ? std::string() : socket_.read_until({}, 5);
      bytes_ += more;
      if (more.empty() && (socket_.ended() || ++idle_ > 4000)) return {};
    }
  }
  // The next frame that is no control frame, as JSON.
  Json json() {
    for (;;) {
      const Got got = next();
      if (got.opcode < 8) return Json::parse(got.text, nullptr, false);
    }
  }
  // The code that it is closed with, behind whatever comes before; 0: none.
  unsigned close_code() {
    for (;;) {
      const Got got = next();
      if (got.opcode == 0) return 0;
      if (got.opcode == 8 && got.text.size() >= 2)
        return static_cast<unsigned char>(got.text[0]) * 256U + static_cast<unsigned char>(got.text[1]);
    }
  }

 private:
  RawSocket socket_;
  std::string bytes_;
  int idle_ = 0;
};

std::string ping_frame(int id) { return "{\"type\":\"ping\",\"id\":" + std::to_string(id) + "}"; }
std::string publication(int id, const std::string& data) {
  return Json{{"type", "publish"}, {"id", id}, {"channel", "c"}, {"event", "e"}, {"data", data}}.dump();
}
std::string compressed(std::string_view text) { return RawSocket::frame(0x41, deflate_as_client(text)); }

TEST_F(CompressionTest, AnOfferIsAcceptedWhereTheEndpointCompresses) {
  start(kManifest);
  const auto offer = [&](const std::string& value) { return agreed("Sec-WebSocket-Extensions: " + value + "\r\n"); };
  EXPECT_EQ(agreed(""), "");
  EXPECT_EQ(agreed(kOffer, "/plain"), "");
  EXPECT_EQ(offer("permessage-deflate; server_max_window_bits=7, Permessage-Deflate"), kAgreed);
  EXPECT_EQ(offer("permessage-deflate; server_max_window_bits=10"),
            std::string(kAgreed) + "; server_max_window_bits=10");
  EXPECT_EQ(offer("permessage-deflate; nonsense"), "");
  EXPECT_EQ(offer(std::string(10'000, ',')), "");
  EXPECT_EQ(agreed("sec-websocket-extensions: x-other\r\nsec-websocket-extensions: permessage-deflate\r\n"), kAgreed);
}

TEST_F(CompressionTest, EventsAreCompressedFromTheThresholdOnForThoseWhoAgreed) {
  start(kManifest);
  Peer with(port()), without(port(), ""), plain(port(), kOffer, "/plain");
  for (Peer* p : {&with, &without, &plain}) {
    p->say(RawSocket::frame(1, R"({"type":"subscribe","id":1,"channel":"c"})"));
    EXPECT_EQ(p->json()["type"], "ack");
  }
  Client w = connect("/plain");
  for (int size = 1; size <= 1001; size += 100)
    w.ask(Json::parse(publication(size, std::string(static_cast<std::size_t>(size), 'x'))));
  for (int size = 1; size <= 1001; size += 100) {
    const auto a = with.next(), b = without.next(), c = plain.next();
    EXPECT_EQ(a.text, b.text);
    EXPECT_EQ(a.text, c.text);
    EXPECT_FALSE(b.compressed || c.compressed);
    EXPECT_EQ(a.compressed, a.text.size() >= 300) << a.text.size();
    EXPECT_EQ(Json::parse(a.text)["data"].get<std::string>().size(), static_cast<std::size_t>(size));
  }
  const Json stats = http("GET", "/stats").json();
  std::size_t saved = 0;
  for (const Json& shard : stats["shards"]) saved += shard["deflateSavedBytes"].get<std::size_t>();
  EXPECT_GT(saved, 3000U);
}

// Of every length, since Beast's own way of inflating fails at some of them (docs/decisions/0003).
TEST_F(CompressionTest, WhatClientsCompressArrivesAsItWas) {
  start(kManifest);
  Peer writer(port());
  Client reader = connect("/plain");
  reader.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "c"}});
  int id = 0;
  for (std::size_t size = 0; size < 60'000; size += size < 1200 || (size > 2900 && size < 3200) ? 1 : 613) {
    const std::string data(size, 'a');
    writer.say(compressed(publication(++id, data)));
    if (id % 50 == 0) writer.say(RawSocket::frame(1, publication(++id, "plain")));
    if (id % 64 == 0)
      for (int i = 0; i < 64; ++i) writer.next();
  }
  for (int seen = 0; seen < id; ++seen) {
    const Json event = reader.next("event");
    ASSERT_EQ(event["sequenceId"], seen + 1);
    const std::string data = event["data"];
    ASSERT_TRUE(data == "plain" || data == std::string(data.size(), 'a'));
  }
}

TEST_F(CompressionTest, MessagesInPiecesWithControlFramesBetweenThem) {
  start(kManifest);
  for (const std::size_t step : {std::size_t{1}, std::size_t{5}, std::size_t{100'000}}) {
    Peer peer(port());
    const std::string payload = deflate_as_client(publication(7, std::string(3000, 'p')));
    const auto piece = [](unsigned first, std::string_view bytes) {
      std::string frame = RawSocket::frame(0, bytes);
      frame[0] = static_cast<char>(first);
      return frame;
    };
    const std::string bytes =
        piece(0x41, payload.substr(0, 3)) + RawSocket::frame(9, "between") + piece(0x00, "") +
        piece(0x00, payload.substr(3, 10)) + piece(0x80, payload.substr(13)) + compressed(ping_frame(8)) +
        piece(0x41, "") + piece(0x80, deflate_as_client(ping_frame(9))) +
        piece(0x41, deflate_as_client(ping_frame(10))) + piece(0x80, "") + RawSocket::frame(1, ping_frame(11));
    for (std::size_t i = 0; i < bytes.size(); i += step) peer.say(bytes.substr(i, step));
    int pongs = 0;
    std::vector<int> answers;
    while (answers.size() < 5) {
      const auto got = peer.next();
      ASSERT_NE(got.opcode, 0U) << step;
      if (got.opcode == 10) {
        EXPECT_EQ(got.text, "between");
        ++pongs;
      } else {
        answers.push_back(Json::parse(got.text)["id"]);
      }
    }
    std::sort(answers.begin(), answers.end());
    EXPECT_EQ(answers, (std::vector<int>{7, 8, 9, 10, 11}));
    EXPECT_EQ(pongs, 1);
  }
}

// Bytes that come right behind the handshake, before the hub has answered it.
TEST_F(CompressionTest, FramesThatComeWithTheHandshakeAreReadToo) {
  start(kManifest);
  RawSocket peer(port());
  peer.say_all(
      "GET /ws HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
      "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
      std::string(kOffer) + "\r\n" + compressed(ping_frame(1)) + RawSocket::frame(1, ping_frame(2)) +
      compressed(ping_frame(3)));
  EXPECT_NE(peer.read_until(R"({"type":"pong","id":3})").find(R"({"type":"pong","id":1})"), std::string::npos);
}

TEST_F(CompressionTest, WhatBreaksTheRulesIsClosedWithTheReason) {
  start(kManifest);
  const std::string huge("\xc1\xff\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00", 14);  // claims 64 TiB
  const auto bomb = [](std::size_t size) { return compressed("\"" + std::string(size, 'a') + "\""); };
  std::string continued = RawSocket::frame(0x01, "x") + RawSocket::frame(0x40, "y");
  continued[0] = 0x01;
  struct Case {
    const char* what;
    std::string bytes;
    unsigned code;
  };
  for (const Case& c : {
           Case{"a ping that is marked", RawSocket::frame(0x49, "x"), 1002},
           Case{"a close that is marked", RawSocket::frame(0x48, "\x03\xe8"), 1002},
           Case{"a continuation that is marked", continued, 1002},
           Case{"RSV2", RawSocket::frame(0x21, "x"), 1002},
           Case{"RSV1 and RSV3", RawSocket::frame(0x51, "x"), 1002},
           Case{"no deflate stream", RawSocket::frame(0x41, "no deflate stream"), 1007},
           Case{"breaks off", RawSocket::frame(0x41, deflate_as_client(publication(1, "some data")).substr(0, 20)),
                1007},
           Case{"no UTF-8", compressed("{\"type\":\"ping\",\"id\":\"\xff\xfe\"}"), 1007},
           Case{"a character that breaks off", compressed("\"\xe2\x82"), 1007},
           Case{"a bomb of 60 MB", bomb(60'000'000), 1009},
           Case{"one byte more than limits.frame_bytes", bomb(64 * 1024 - 1), 1009},
           Case{"more than limits.frame_bytes as it is sent", huge + std::string(100, 'x'), 1009},
           Case{"text that is no frame of ours, just small enough", bomb(64 * 1024 - 2), 1008},
           Case{"an empty message", RawSocket::frame(0x41, std::string(1, '\0')), 1008},
           Case{"an empty message without any bytes", RawSocket::frame(0x41, ""), 1008},
           Case{"binary", RawSocket::frame(0x42, deflate_as_client("{}")), 1008},
       }) {
    Peer peer(port());
    peer.say(c.bytes);
    EXPECT_EQ(peer.close_code(), c.code) << c.what;
  }
  for (const Case& c : {Case{"not agreed on", compressed(ping_frame(1)), 1002},
                        Case{"not agreed on, empty", RawSocket::frame(0x41, ""), 1002}}) {
    Peer without(port(), ""), plain(port(), kOffer, "/plain");
    for (Peer* peer : {&without, &plain}) {
      peer->say(c.bytes);
      EXPECT_EQ(peer->close_code(), c.code) << c.what;
    }
  }
  EXPECT_TRUE(wait_until([&] { return http("GET", "/health").json()["connections"] == 0; }));
}

// As for every other mistake of a client: the close frame stands behind what it was owed, and ends it.
TEST_F(CompressionTest, TheReasonComesBehindEverythingThatWasOwed) {
  start(kManifest);
  Peer peer(port());
  peer.say(RawSocket::frame(1, R"({"type":"subscribe","id":1,"channel":"c"})"));
  EXPECT_EQ(peer.json()["type"], "ack");
  Client w = connect("/plain");
  std::string long_text = "long";
  for (int i = 0; i < 200; ++i) long_text += " word " + std::to_string(i);
  for (int i = 1; i <= 100; ++i) w.ask(Json::parse(publication(i, i % 2 == 0 ? long_text : "short")));
  peer.say(RawSocket::frame(9, "still there?") + RawSocket::frame(0x41, "no deflate stream") +
           RawSocket::frame(9, "and now?"));
  int events = 0, compressed_events = 0, pongs = 0;
  for (;;) {
    const auto got = peer.next();
    ASSERT_NE(got.opcode, 0U);
    if (got.opcode == 8) {
      peer.say(RawSocket::frame(8, got.text));
      break;
    }
    if (got.opcode == 10) {
      ++pongs;
    } else {
      ++events;
      compressed_events += got.compressed ? 1 : 0;
      EXPECT_EQ(Json::parse(got.text)["sequenceId"], events);
    }
  }
  EXPECT_EQ(events, 100);
  EXPECT_EQ(compressed_events, 50);
  EXPECT_GE(pongs, 1);
  EXPECT_EQ(peer.next().opcode, 0U);  // nothing behind the close
}

TEST_F(CompressionTest, ABrokenReaderOfALiveChannelIsClosedAllTheSame) {
  start(kManifest);
  Peer peer(port());
  peer.say(RawSocket::frame(1, R"({"type":"subscribe","id":1,"channel":"c"})"));
  EXPECT_EQ(peer.json()["type"], "ack");
  Client w = connect("/plain");
  for (int i = 1; i <= 50; ++i) ASSERT_TRUE(w.socket().send(publication(i, "before")));
  peer.say(RawSocket::frame(0x41, "no deflate stream"));
  for (int i = 51; i <= 2000; ++i) ASSERT_TRUE(w.socket().send(publication(i, "after")));
  EXPECT_EQ(peer.close_code(), 1007U);
}

}  // namespace
}  // namespace weir::test
