// Servers that are none, or none of the usual ones: what they say, and what they never say.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <thread>

#include "fixture.hpp"

namespace weir::test {
namespace {

// Talks to one connection after the other, as `talk` says.
class StrangeServer {
 public:
  explicit StrangeServer(std::function<void(StrangeServer&, int connection)> talk)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this, talk = std::move(talk)] {
      while (readable(listener_)) {
        const int connection = ::accept(listener_, nullptr, nullptr);
        if (connection < 0) break;
        ++met_;
        talk(*this, connection);
        ::close(connection);
      }
    });
  }
  ~StrangeServer() {
    over_ = true;
    thread_.join();
    ::close(listener_);
  }
  StrangeServer(const StrangeServer&) = delete;
  StrangeServer& operator=(const StrangeServer&) = delete;

  std::uint16_t port() const { return port_; }
  int met() const { return met_; }
  static void say(int connection, std::string_view text) {
    (void)::send(connection, text.data(), text.size(), MSG_NOSIGNAL);
  }
  // False: it ended before.
  bool hears(int connection, std::string_view text) {
    std::string all;
    while (all.find(text) == std::string::npos) {
      char buffer[4096];
      const auto got = readable(connection) ? ::recv(connection, buffer, sizeof buffer, 0) : 0;
      if (got <= 0) return false;
      all.append(buffer, static_cast<std::size_t>(got));
    }
    return true;
  }

 private:
  bool readable(int fd) {
    pollfd one = {fd, POLLIN, 0};
    while (!over_)
      if (::poll(&one, 1, 10) > 0) return true;
    return false;
  }
  const int listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> over_ = false;
  std::atomic<int> met_ = 0;
  std::thread thread_;
};

constexpr const char* kInfo =
    "INFO {\"server_id\":\"x\",\"version\":\"2.9.0\",\"max_payload\":1048576,\"headers\":true,\"proto\":1}\r\n";

// What cnats called back with was freed by the first of these errors, and used by the second. To be seen with ASan.
TEST_F(NatsPluginTest, AnErrorBehindTheOneThatClosesDoesNoHarm) {
  StrangeServer server([](StrangeServer& self, int connection) {
    StrangeServer::say(connection, kInfo);
    for (int i = 0; i < 2; ++i) {  // of the connection, and of the subscription
      if (!self.hears(connection, "PING")) return;
      StrangeServer::say(connection, "PONG\r\n");
    }
    StrangeServer::say(connection,
                       "-ERR 'Maximum Connections Exceeded'\r\n-ERR 'Permissions Violation for Publish to \"a\"'\r\n" +
                           std::string(kInfo).insert(6, "\"connect_urls\":[\"127.0.0.1:1\"],"));
    (void)self.hears(connection, "more than it ever says");
  });
  SourceRig nats(hub, weir_plugin_entry, config(server.port(), R"("subjects":["a"])"));
  ASSERT_EQ(nats.start(), WEIR_OK);
  EXPECT_TRUE(hub.run_until([&] { return server.met() >= 10; }, 30'000));
}

// An attempt to connect can't be called off: the end waited for one server after the other, longer than the hub does.
TEST_F(NatsPluginTest, TheEndDoesNotWaitForAServerThatSaysNothing) {
  StrangeServer silent([&](StrangeServer& self, int connection) {
    if (!self.hears(connection, "more than it ever says")) return;
  });
  std::string urls;
  for (int i = 0; i < 4; ++i)
    urls += std::string(i == 0 ? "" : ",") + "\"nats://127.0.0.1:" + std::to_string(silent.port()) + "/" +
            std::to_string(i) + "\"";
  SourceRig nats(hub, weir_plugin_entry, "{\"url\":[" + urls + "]}");
  ASSERT_EQ(nats.start(), WEIR_OK);
  ASSERT_TRUE(hub.run_until([&] { return silent.met() == 1; }, 20'000));
  nats.stop();
  EXPECT_EQ(silent.met(), 1);
}

}  // namespace
}  // namespace weir::test
