// Requests and on_publish, by real clients over real sockets, with two shards.
#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

class MethodsTest : public HubTest {
 protected:
  void begin() {
    write("todos.lua",
          "local todos = {} return { on_request = function(who, method, params)"
          " if method == 'todos.list' then return hub.array(todos) end"
          " if method ~= 'todos.add' then return nil, { code = 'no_such_method', message = 'list or add' } end"
          " todos[#todos + 1] = params.text hub.publish('todos', 'added', params) return #todos end }");
    write("own.lua", "return { on_publish = function(who, ev) return ev.data ~= 'no', 'not that' end }");
    start(
        "[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\nrules = [\"own.lua\"]\n"
        "[[method]]\npattern = \"todos.*\"\nrule = \"todos.lua\"\n"
        "[[method]]\npattern = \"secret.**\"\nrule = \"todos.lua\"\nscope = \"admin\"\n");
  }
  static Json request(Client& c, int id, const std::string& method, const Json& params = Json::object()) {
    c.say({{"type", "request"}, {"id", id}, {"method", method}, {"params", params}});
    for (;;) {
      Json answer = c.next();
      if (answer.is_null() || answer.value("id", Json()) == id) return answer;
    }
  }
};

TEST_F(MethodsTest, WhatOneAddsAnotherLists) {
  begin();
  std::vector<Client> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(connect());  // on both shards
  clients[3].ask({{"type", "subscribe"}, {"id", "s"}, {"channel", "todos"}});
  for (int i = 0; i < 4; ++i) {
    const Json answer =
        request(clients[static_cast<std::size_t>(i)], i, "todos.add", {{"text", "t" + std::to_string(i)}});
    EXPECT_EQ(answer["type"], "response") << answer;
    EXPECT_EQ(answer["data"], i + 1);
  }
  EXPECT_EQ(request(clients[1], 9, "todos.list")["data"], Json({"t0", "t1", "t2", "t3"}));
}

TEST_F(MethodsTest, WhatARequestPublishesArrives) {
  begin();
  Client reader = connect(), asker = connect();
  reader.ask({{"type", "subscribe"}, {"id", "s"}, {"channel", "todos"}});
  request(asker, 1, "todos.add", {{"text", "x"}});
  EXPECT_EQ(reader.next("event")["data"], Json({{"text", "x"}}));
}

TEST_F(MethodsTest, ErrorsSayWhatIsMissing) {
  begin();
  Client c = connect();
  const auto error = [&](const std::string& method) {
    const Json answer = request(c, 5, method);
    return answer["type"] == "error"
               ? answer["data"]["code"].get<std::string>() + ": " + answer["data"]["message"].get<std::string>()
               : answer.dump();
  };
  EXPECT_EQ(error("nothing"), "no_such_method: no [[method]] of the manifest matches \"nothing\"");
  EXPECT_EQ(error("todos.remove"), "no_such_method: list or add");
  EXPECT_EQ(error("secret.a.b"),
            "unauthorized: to request \"secret.a.b\" takes the scope \"admin\"; authenticate first");
}

TEST_F(MethodsTest, StatsCountThem) {
  begin();
  Client c = connect();
  request(c, 1, "todos.add", {{"text", "x"}});
  request(c, 2, "todos.nothing");
  std::uint64_t requests = 0, operations = 0;
  const Json stats = http("GET", "/stats").json();
  for (const Json& rule : stats["rules"]) {
    if (rule["script"] != "todos.lua") continue;
    requests += rule["requests"].get<std::uint64_t>();
    operations += rule["operations"].get<std::uint64_t>();
  }
  EXPECT_EQ(requests, 2U);
  EXPECT_GT(operations, 0U);
  EXPECT_EQ(stats["kv"], Json({{"entries", 0}, {"bytes", 0}}));
}

TEST_F(MethodsTest, AThousandAtOnceAreAllAnswered) {
  begin();
  Client c = connect();
  for (int i = 1; i <= 1000; ++i)
    c.say({{"type", "request"}, {"id", i}, {"method", "todos.add"}, {"params", {{"text", "x"}}}});
  std::vector<bool> answered(1001);
  for (int n = 0; n < 1000;) {
    const Json answer = c.next("response");
    ASSERT_FALSE(answer.is_null());
    const auto id = answer["id"].get<std::size_t>();
    EXPECT_FALSE(answered[id]);
    answered[id] = true;
    ++n;
  }
}

TEST_F(MethodsTest, OnPublishForbidsBySocketAndByHttp) {
  begin();
  Client c = connect();
  const Json refused = c.ask({{"type", "publish"}, {"id", 1}, {"channel", "c"}, {"event", "e"}, {"data", "no"}});
  EXPECT_EQ(refused["data"]["code"], "forbidden");
  EXPECT_EQ(refused["data"]["message"], "not that");
  EXPECT_EQ(c.ask({{"type", "publish"}, {"id", 2}, {"channel", "c"}, {"event", "e"}, {"data", "yes"}})["type"], "ack");
  const HttpAnswer answer = http("POST", "/api/v1/channels/c/events", R"({"event":"e","data":"no"})");
  EXPECT_EQ(answer.status, 403) << answer.body;
  EXPECT_EQ(http("POST", "/api/v1/channels/c/events", R"({"event":"e","data":"yes"})").status, 200);
}

TEST_F(MethodsTest, TheManifestIsToldWhatARuleLacks) {
  write("f.lua", "return { filter = function() return true end }");
  write("t.lua", "return { on_timer = function() end }");
  const auto last = [this](const std::string& lines) {
    const std::string said = problems("[[channel]]\npattern = \"c\"\n" + lines);
    return said.substr(said.find(": ") + 2);
  };
  EXPECT_EQ(last("[[method]]\npattern = \"a.*\"\nrule = \"f.lua\"\n"),
            "method \"a.*\": the rule f.lua has no on_request to answer with\n");
  const std::string named = last("[[method]]\npattern = \"a.{x}\"\nrule = \"t.lua\"\n");
  EXPECT_NE(named.find("method \"a.{x}\": a method's pattern has no {names}; write * for a segment"), std::string::npos)
      << named;
  EXPECT_EQ(last("rules = [\"t.lua\"]\n"),
            "rule t.lua: on_timer needs to know how often; write { script = \"t.lua\", every = \"5s\" }\n");
  EXPECT_EQ(last("rules = [{ script = \"f.lua\", every = \"5s\" }]\n"),
            "rule f.lua: every is for a script with on_timer, which this one has not\n");
}

TEST_F(MethodsTest, TimersRunByThemselves) {
  write("tick.lua",
        "local n = 0 return { filter = function(ev, ctx) if ev.source == ctx.script then return true end n = n + 1 "
        "return false "
        "end, on_timer = function() hub.publish('c', 'tick', n) end }");
  start(
      "[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\nrules = [{ script = \"tick.lua\", every = \"20ms\" "
      "}]\n");
  Client c = connect();
  c.ask({{"type", "subscribe"}, {"id", "s"}, {"channel", "c"}});
  c.ask({{"type", "publish"}, {"id", "p"}, {"channel", "c"}, {"event", "e"}, {"data", 1}});
  for (int i = 0; i < 3; ++i) {
    const Json event = c.next("event");
    EXPECT_EQ(event["event"], "tick");
    EXPECT_EQ(event["data"], 1);
  }
}

}  // namespace
}  // namespace weir::test
