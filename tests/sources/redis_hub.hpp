// A hub beside a redis-server, with a link between them that can be cut.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "sources/source_test.hpp"
#include "support/redis_server.hpp"

namespace weir::test {

inline const char* const kRedisDurable = R"(stream = { keys = ["session:7"], field = "data", in_flight = 200 })";

class RedisHubTest : public SourceTest {
 protected:
  RedisHubTest()
      : SourceTest({.library = "redis",
                    .pattern = "session/{id}",
                    .subject = "session:{id}",
                    .channel = "session/7",
                    .durable = kRedisDurable,
                    .ping_ms = 200}),
        server_(folder()),
        proxy_(server_.port()) {}

  std::string url() const override { return "redis://127.0.0.1:" + std::to_string(proxy_.port()); }
  std::function<void(int)> storing() const override {
    return [this, client = std::make_shared<RedisClient>(server_.port())](int n) {
      client->add("session:7", n, "data", data(n));
    };
  }
  // A server that stands still is waited for: sent anew, one would come twice.
  std::function<void(int)> telling() const override {
    return [this, client = std::make_shared<RedisClient>(server_.port(), "", 60)](int n) {
      client->say({"PUBLISH", "session:7", data(n)});
    };
  }
  std::string id_of(int n) const override { return std::to_string(n) + "-0"; }
  RedisServer server_;
  TcpProxy proxy_;
};

}  // namespace weir::test
