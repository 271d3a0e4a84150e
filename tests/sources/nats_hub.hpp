// A hub beside a nats-server, with a link between them that can be cut.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "sources/source_test.hpp"
#include "support/nats_server.hpp"

namespace weir::test {

inline const char* const kNatsDurable = R"(stream = { name = "ORDERS", in_flight = 200, ack_wait = "500ms" })";

class NatsHubTest : public SourceTest {
 protected:
  NatsHubTest() : server_(folder()), proxy_(server_.port()) {}

  std::string manifest(const std::string& config) const {
    return "[[plugin]]\nname = \"bus\"\nlibrary = \"nats\"\nconfig = { url = \"nats://127.0.0.1:" +
           std::to_string(proxy_.port()) + "\", " +
           (config.find("ping") == std::string::npos ? "ping = \"200ms\", " : "") + config + " }\n" + R"(
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "orders/{shop}"
from = [{ plugin = "bus", subject = "orders.{shop}.>" }]
history = { count = 100000 }
)";
  }
  // Numbers, each stored once in a stream.
  std::function<void(int)> storing() const {
    return [client = std::make_shared<NatsClient>(server_.url())](int n) {
      const std::string text = std::to_string(n);
      client->publish_stored("orders.eu.created." + text, "{\"n\":" + text + "}", "m" + text);
    };
  }
  // Numbers that the server has, or had.
  std::function<void(int)> telling() const {
    return [client = std::make_shared<NatsClient>(server_.url())](int n) {
      client->publish("orders.eu.told", "{\"n\":" + std::to_string(n) + "}");
      client->flush();
    };
  }
  void start_hub(const std::string& config) { start(manifest(config)); }
  std::string id_of(int n) const override { return "ORDERS." + std::to_string(n + 1); }
  NatsServer server_;
  TcpProxy proxy_;
};

class NatsDurableTest : public NatsHubTest {
 protected:
  NatsDurableTest() {
    NatsClient(server_.url()).add_stream("ORDERS", "orders.>");
    next_ = 0;
  }
  Client began(const std::string& more = "") {
    start_hub(kNatsDurable + more);
    EXPECT_TRUE(reaches("running"));
    return subscribed("orders/eu");
  }
};

}  // namespace weir::test
