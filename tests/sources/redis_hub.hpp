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
  RedisHubTest() : server_(folder()), proxy_(server_.port()) {}

  std::string manifest(const std::string& config) const {
    return "[[plugin]]\nname = \"cache\"\nlibrary = \"redis\"\nconfig = { url = \"redis://127.0.0.1:" +
           std::to_string(proxy_.port()) + "\", " +
           (config.find("ping") == std::string::npos ? "ping = \"200ms\", " : "") + config + " }\n" + R"(
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "session/{id}"
from = [{ plugin = "cache", subject = "session:{id}" }]
history = { count = 100000 }
)";
  }
  // Numbers, each once in a stream.
  std::function<void(int)> adding() const {
    return [client = std::make_shared<RedisClient>(server_.port())](int n) {
      client->add("session:7", n, "data", "{\"n\":" + std::to_string(n) + "}");
    };
  }
  // Numbers for whoever listens. A server that stands still is waited for: sent anew, one would come twice.
  std::function<void(int)> telling() const {
    return [client = std::make_shared<RedisClient>(server_.port(), "", 60)](int n) {
      client->say({"PUBLISH", "session:7", "{\"n\":" + std::to_string(n) + "}"});
    };
  }
  void start_hub(const std::string& config) { start(manifest(config)); }
  std::string id_of(int n) const override { return std::to_string(n) + "-0"; }
  RedisServer server_;
  TcpProxy proxy_;
};

class RedisDurableTest : public RedisHubTest {
 protected:
  Client began(const std::string& more = "") {
    start_hub(kRedisDurable + more);
    EXPECT_TRUE(reaches("running"));
    return subscribed("session/7");
  }
};

}  // namespace weir::test
