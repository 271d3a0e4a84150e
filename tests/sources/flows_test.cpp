// The other ways through a hub, with real servers: what channels have goes out to NATS and Redis, methods are answered
// by a service on NATS, and a subject is subscribed to while somebody watches it.
#include <algorithm>
#include <set>

#include "sources/nats_hub.hpp"
#include "sources/redis_hub.hpp"
#include "support/nats_listener.hpp"

namespace weir::test {
namespace {

class FlowsTest : public HubTest {
 protected:
  FlowsTest() : nats_(folder(), "http: 127.0.0.1:" + std::to_string(monitor_) + "\n"), redis_(folder()) {}
  static std::string plugin(const std::string& name, const std::string& library, const std::string& config) {
    return "[[plugin]]\nname = \"" + name + "\"\nlibrary = \"" + library + "\"\nconfig = { ping = \"200ms\", " +
           config + " }\n";
  }
  std::string bus(const TcpProxy& link, const std::string& more = "") const {
    return plugin("bus", "nats", "url = \"nats://127.0.0.1:" + std::to_string(link.port()) + "\"" + more);
  }
  std::string cache(const TcpProxy& link, const std::string& more = "") const {
    return plugin("cache", "redis", "url = \"redis://127.0.0.1:" + std::to_string(link.port()) + "\"" + more);
  }
  bool all_run() {
    return wait_until([&] {
      const Json plugins = http("GET", "/health").json()["plugins"];
      return std::all_of(plugins.begin(), plugins.end(), [](const Json& p) { return p["state"] == "running"; });
    });
  }
  bool state_is(const std::string& plugin, const std::string& wanted) {
    return wait_until([&] {
      const Json plugins = http("GET", "/health").json()["plugins"];
      for (const Json& p : plugins)
        if (p["name"] == plugin) return p["state"] == wanted;
      return false;
    });
  }
  // The numbers of `all`, each once, in the order in which they came first.
  static std::vector<int> numbers(const std::vector<std::string>& all) {
    std::vector<int> out;
    std::set<int> seen;
    for (const std::string& data : all)
      if (const int n = Json::parse(data)["n"]; seen.insert(n).second) out.push_back(n);
    return out;
  }
  static std::vector<int> from_1_to(int last) {
    std::vector<int> out;
    for (int n = 1; n <= last; ++n) out.push_back(n);
    return out;
  }
  // Publishes the numbers up to `last` on a channel that goes to a sink.
  void say_until(Client& c, const std::string& channel, int last) {
    for (; next_ <= last; ++next_)
      c.say({{"type", "publish"}, {"channel", channel}, {"event", "go"}, {"data", {{"n", next_}}}});
  }
  // The same while the server of the sink is held up, killed and started again: what it had not taken by then arrives
  // behind what it had.
  template <class Server>
  void say_over_a_kill(Client& c, const std::string& channel, const std::string& sink, TcpProxy& link, Server& server) {
    say_until(c, channel, 500);
    link.hold();
    say_until(c, channel, 1000);
    server.kill();
    link.let_go();
    ASSERT_TRUE(state_is(sink, "retrying"));
    say_until(c, channel, 1500);
    server.start();
    say_until(c, channel, 2000);
  }
  // How often NATS has this subject in its list of subscriptions.
  std::size_t subscribed_to(const std::string& subject) const {
    RawSocket socket(monitor_);
    socket.say_all("GET /subsz?subs=1 HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    const std::string answer = socket.read_all();
    std::size_t count = 0;
    const std::string wanted = "\"subject\": \"" + subject + "\"";
    for (std::size_t at = answer.find(wanted); at != std::string::npos; at = answer.find(wanted, at + 1)) ++count;
    return count;
  }

  const std::uint16_t monitor_ = free_port();
  NatsServer nats_;
  RedisServer redis_;
  TcpProxy to_nats_{nats_.port()}, to_redis_{redis_.port()};
  int next_ = 1;
};

const char* const kCommands = R"(
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "commands/{id}"
history = { count = 100000 }
)";

TEST_F(FlowsTest, WhatIsPublishedGoesToNatsInOrder) {
  start(bus(to_nats_) + kCommands + R"(to = [{ plugin = "bus", subject = "commands.{id}" }])");
  ASSERT_TRUE(all_run());
  NatsListener listener(nats_.url(), "commands.7");
  Client c = connect();
  say_until(c, "commands/7", 2000);
  ASSERT_TRUE(wait_until([&] { return listener.count() == 2000; })) << listener.count();
  std::vector<std::string> all;
  for (const Heard& heard : listener.heard()) all.push_back(heard.data);
  EXPECT_EQ(numbers(all), from_1_to(2000));
  EXPECT_EQ(listener.heard()[0].event, "go");
}

TEST_F(FlowsTest, WhatIsPublishedIsInAStreamOfNatsOnceAndInOrderWhateverTheServerDoes) {
  NatsClient client(nats_.url());
  client.add_stream("COMMANDS", "commands.>");
  start(bus(to_nats_, R"(, publish = "jetstream")") + kCommands +
        R"(to = [{ plugin = "bus", subject = "commands.{id}" }])");
  ASSERT_TRUE(all_run());
  Client c = connect();
  ASSERT_NO_FATAL_FAILURE(say_over_a_kill(c, "commands/7", "bus", to_nats_, nats_));
  std::vector<std::string> stored;
  ASSERT_TRUE(wait_until([&] { return numbers(stored = client.stored("COMMANDS")).size() == 2000; })) << stored.size();
  EXPECT_EQ(stored.size(), 2000U) << "the stream knows what it has, by its id";
  EXPECT_EQ(numbers(stored), from_1_to(2000));
}

TEST_F(FlowsTest, WhatIsPublishedIsInAStreamOfRedisInOrderWhateverTheServerDoes) {
  start(cache(to_redis_, R"(, publish = { to = "stream" })") + kCommands +
        R"(to = [{ plugin = "cache", subject = "commands:{id}" }])");
  Client c = connect();
  ASSERT_NO_FATAL_FAILURE(say_over_a_kill(c, "commands/7", "cache", to_redis_, redis_));
  RedisClient client(redis_.port());
  // What was not answered when the server died may be there twice, with the same id.
  std::vector<std::string> data;
  ASSERT_TRUE(wait_until([&] { return numbers(data = client.values("commands:7", "data")).size() == 2000; }))
      << data.size();
  EXPECT_EQ(numbers(data), from_1_to(2000));
  const std::vector<std::string> ids = client.values("commands:7", "id");
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 2000U);
}

// From one server through the hub to the other, while each of them dies.
TEST_F(FlowsTest, WhatASourceHasGoesToASinkOnceAndInOrderWhateverTheServersDo) {
  NatsClient client(nats_.url());
  client.add_stream("SESSIONS", "sessions.>");
  start(cache(to_redis_, std::string(", ") + kRedisDurable) + bus(to_nats_, R"(, publish = "jetstream")") + R"(
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "session/{id}"
from = [{ plugin = "cache", subject = "session:{id}" }]
to = [{ plugin = "bus", subject = "sessions.{id}" }]
history = { count = 100000 }
)");
  ASSERT_TRUE(all_run());
  Writer writer([client = std::make_shared<RedisClient>(redis_.port())](int n) {
    client->add("session:7", n, "data", "{\"n\":" + std::to_string(n) + "}");
  });
  writer.go_on(500);
  to_nats_.hold();
  ASSERT_TRUE(writer.is_done());
  nats_.kill();
  to_nats_.let_go();
  ASSERT_TRUE(state_is("bus", "retrying"));
  to_redis_.hold();
  writer.go_on(500);
  ASSERT_TRUE(writer.is_done());
  redis_.kill();
  to_redis_.let_go();
  ASSERT_TRUE(state_is("cache", "retrying"));
  writer.go_on(500);
  nats_.start();
  redis_.start();
  std::vector<std::string> stored;
  ASSERT_TRUE(wait_until([&] { return numbers(stored = client.stored("SESSIONS")).size() == 1500; })) << stored.size();
  EXPECT_EQ(stored.size(), 1500U);
  EXPECT_EQ(numbers(stored), from_1_to(1500));
}

TEST_F(FlowsTest, MethodsAreAnsweredByAServiceOrAtOnceWhenThereIsNone) {
  start(bus(to_nats_) + R"(
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "none"
[[method]]
pattern = "todos.*"
plugin = "bus"
subject = "rpc.todos"
timeout = "1h"
)");
  ASSERT_TRUE(all_run());
  Client c = connect();
  const Json request{{"type", "request"}, {"id", 1}, {"method", "todos.get"}, {"params", {{"id", 7}}}};
  {
    NatsListener service(nats_.url(), "rpc.todos", [](natsConnection* connection, natsMsg* message) {
      answer_with(connection, message,
                  "{\"asked\":" + std::string(natsMsg_GetData(message)) + ",\"method\":\"" +
                      header_of(message, "Weir-Method") + "\"}");
    });
    const Json answer = c.ask(request);
    EXPECT_EQ(answer["data"], (Json{{"asked", {{"id", 7}}}, {"method", "todos.get"}})) << answer;
  }
  ASSERT_TRUE(wait_until([&] { return subscribed_to("rpc.todos") == 0; }));
  Json answer = c.ask(request);  // long before an hour has gone
  EXPECT_EQ(answer["type"], "error") << answer;
  EXPECT_EQ(answer["data"]["code"], "unavailable") << answer;
  // And so it is while there is no server.
  nats_.kill();
  ASSERT_TRUE(state_is("bus", "retrying"));
  answer = c.ask(request);
  EXPECT_EQ(answer["data"]["code"], "unavailable") << answer;
}

TEST_F(FlowsTest, NatsIsAskedForASubjectWhileSomebodyWatchesIt) {
  start(bus(to_nats_) + R"(
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "logs/{host}"
from = [{ plugin = "bus", subject = "logs.{host}", on_demand = true }]
[limits]
demand_linger_ms = 0
)");
  ASSERT_TRUE(all_run());
  NatsClient client(nats_.url());
  const auto subscribe = [](Client& c, const char* channel) {
    c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", channel}});
  };
  EXPECT_EQ(subscribed_to("logs.a"), 0U);
  Client stays = connect();
  subscribe(stays, "logs/b");
  for (int round = 1; round <= 3; ++round) {
    Client one = connect();
    subscribe(one, "logs/a");
    EXPECT_EQ(subscribed_to("logs.a"), 1U) << "who is let in misses nothing from then on";
    {
      Client two = connect();
      subscribe(two, "logs/a");
      EXPECT_EQ(subscribed_to("logs.a"), 1U) << "once for both";
    }
    // The last one who watches is another one than the first.
    ASSERT_TRUE(wait_until([&] { return http("GET", "/health").json()["connections"] == 2; }));
    client.publish("logs.a", "{\"n\":" + std::to_string(round) + "}");
    EXPECT_EQ(one.next("event")["data"]["n"], round);
    EXPECT_EQ(subscribed_to("logs.a"), 1U);
    one.say({{"type", "unsubscribe"}, {"id", 2}, {"channel", "logs/a"}});
    EXPECT_TRUE(wait_until([&] { return subscribed_to("logs.a") == 0; }));
    EXPECT_EQ(subscribed_to("logs.b"), 1U);
  }
}

}  // namespace
}  // namespace weir::test
