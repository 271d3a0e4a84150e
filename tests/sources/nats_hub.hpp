// A hub beside a nats-server, with a link between them that can be cut.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "sources/source_test.hpp"
#include "support/nats_server.hpp"

namespace weir::test {

class NatsHubTest : public SourceTest {
 protected:
  NatsHubTest()
      : SourceTest({.library = "nats",
                    .pattern = "orders/{shop}",
                    .subject = "orders.{shop}.>",
                    .channel = "orders/eu",
                    .durable = R"(stream = { name = "ORDERS", in_flight = 200, ack_wait = "500ms" })",
                    .ping_ms = 200}),
        server_(folder()),
        proxy_(server_.port()) {}

  std::string url() const override { return "nats://127.0.0.1:" + std::to_string(proxy_.port()); }
  std::function<void(int)> storing() const override {
    return [this, client = std::make_shared<NatsClient>(server_.url())](int n) {
      client->publish_stored("orders.eu.created." + std::to_string(n), data(n), "m" + std::to_string(n));
    };
  }
  std::function<void(int)> telling() const override {
    return [this, client = std::make_shared<NatsClient>(server_.url())](int n) {
      client->publish("orders.eu.told", data(n));
      client->flush();
    };
  }
  std::string id_of(int n) const override { return "ORDERS." + std::to_string(n); }
  NatsServer server_;
  TcpProxy proxy_;
};

class NatsDurableTest : public NatsHubTest {
 protected:
  NatsDurableTest() { NatsClient(server_.url()).add_stream("ORDERS", "orders.>"); }
};

}  // namespace weir::test
