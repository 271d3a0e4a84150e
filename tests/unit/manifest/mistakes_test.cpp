// Ten mistakes in one manifest are told in one go, each with its place: in TOML and in JSON.
#include "unit/manifest/support.hpp"

namespace weir {
namespace {

using namespace testing;

TEST(MistakesTest, TenInTomlAreAllNamed) {
  const auto result = toml(R"(thread  = 4
listen  = "127.0.0.1:99999"
[[plugin]]
name    = "logs"
library = "log-tail"
[[plugin]]
name    = "logs"
library = "log-tail"
[[endpoint]]
path    = "/health"
auth    = ["lgos"]
dialect = "x.lua"
[[channel]]
pattern  = "agents/{id}"
histroy  = { count = 5 }
history  = { count = -1 }
overflow = "fast"
from     = [{ plugin = "logs", subject = "{file}" }]
)");
  EXPECT_FALSE(result.manifest);
  EXPECT_EQ(joined(result.problems),
            R"(hub.toml:1:1: unknown key "thread"; did you mean "threads"?
hub.toml:2:11: listen is "127.0.0.1:99999"; the port must be 0..65535; write address and port, such as "127.0.0.1:8080", "[::1]:8080" or "localhost:8080"
hub.toml:7:11: plugin "logs": the name is taken in line 4; give each instance its own
hub.toml:10:11: endpoint "/health": the hub itself answers "/health"; take another path, such as "/ws"
hub.toml:11:12: endpoint "/health": auth names plugin "lgos", which no [[plugin]] is; did you mean "logs"?
hub.toml:12:11: endpoint "/health": dialect is "x.lua"; this version has only "native"
hub.toml:15:1: channel "agents/{id}": unknown key "histroy"; did you mean "history"?
hub.toml:16:22: channel "agents/{id}": history.count is -1; expected 0..100000000
hub.toml:17:12: channel "agents/{id}": overflow is "fast"; expected one of "catch-up", "disconnect", "drop-oldest", "drop-newest", "latest", "snapshot"
hub.toml:18:42: channel "agents/{id}": from: subject "{file}" has no {id}, so nothing says what {id} of the channel's name is; put {id} into it
)");
}

TEST(MistakesTest, TheSameTenInJsonAreAllNamed) {
  const auto result = json(R"({"thread": 4,
 "listen": "127.0.0.1:99999",
 "plugin": [{"name": "logs", "library": "log-tail"},
            {"name": "logs", "library": "log-tail"}],
 "endpoint": [{
   "path": "/health",
   "auth": ["lgos"],
   "dialect": "x.lua"}],
 "channel": [{
   "pattern": "agents/{id}",
   "histroy": {"count": 5},
   "history": {"count": -1},
   "overflow": "fast",
   "from": [{"plugin": "logs", "subject": "{file}"}]
 }]})");
  EXPECT_FALSE(result.manifest);
  EXPECT_EQ(joined(result.problems),
            R"(hub.json:1:2: unknown key "thread"; did you mean "threads"?
hub.json:2:12: listen is "127.0.0.1:99999"; the port must be 0..65535; write address and port, such as "127.0.0.1:8080", "[::1]:8080" or "localhost:8080"
hub.json:4:22: plugin "logs": the name is taken in line 3; give each instance its own
hub.json:6:12: endpoint "/health": the hub itself answers "/health"; take another path, such as "/ws"
hub.json:7:13: endpoint "/health": auth names plugin "lgos", which no [[plugin]] is; did you mean "logs"?
hub.json:8:15: endpoint "/health": dialect is "x.lua"; this version has only "native"
hub.json:11:4: channel "agents/{id}": unknown key "histroy"; did you mean "history"?
hub.json:12:25: channel "agents/{id}": history.count is -1; expected 0..100000000
hub.json:13:16: channel "agents/{id}": overflow is "fast"; expected one of "catch-up", "disconnect", "drop-oldest", "drop-newest", "latest", "snapshot"
hub.json:14:43: channel "agents/{id}": from: subject "{file}" has no {id}, so nothing says what {id} of the channel's name is; put {id} into it
)");
}

TEST(MistakesTest, ASyntaxErrorIsTheOnlyProblem) {
  const auto result = toml("listen = \"a\"\n[[channel]\npattern = 1\n");
  ASSERT_EQ(result.problems.size(), 1U);
  EXPECT_EQ(result.problems[0].text().rfind("hub.toml:2:", 0), 0U) << joined(result.problems);
}

TEST(MistakesTest, WhatIsNotAvailableYetSaysSo) {
  const auto channel = [](const std::string& line) { return only_problem(kSmallest + line); };
  EXPECT_EQ(channel("store = \"sqlite\""),
            "hub.toml:5:9: channel \"**\": store is \"sqlite\"; this version has only \"memory\"");
  EXPECT_EQ(channel("delivery = { attempts = 3 }"),
            "hub.toml:5:12: channel \"**\": delivery is an object; this version has only \"at-most-once\"");
  EXPECT_EQ(channel("[[plugin]]\nname = \"a\"\nlibrary = \"b\"\nisolation = \"process\""),
            "hub.toml:8:13: plugin \"a\": isolation is \"process\"; this version has only \"thread\"");
}

TEST(MistakesTest, OfMethodsAreToldAtTheirPlace) {
  const auto method = [](const std::string& lines) { return only_problem(kSmallest + "[[method]]\n" + lines); };
  EXPECT_EQ(method("pattern = \"todos.*\""),
            "hub.toml:5:1: method \"todos.*\" has neither a rule nor a plugin to answer it; write rule = "
            "\"script.lua\", or plugin = \"NAME\" of a responder");
  EXPECT_EQ(method("pattern = \"todos.*\"\nrule = \"none.lua\"")
                .rfind("hub.toml:7:8: method \"todos.*\": rule: script \"none.lua\" is not there; looked for ", 0),
            0U);
}

TEST(MistakesTest, WrongTypesEverywhereAreProblemsAndNoHarm) {
  for (
      const char* text :
      {R"({"listen":1,"plugin":{},"endpoint":[5],"channel":"x","limits":[],"api":1,"drain":"x","log":null})", "[]", "5",
       "null", "\"x\"",
       R"({"plugin":[{"name":1,"library":[],"config":5}],"endpoint":[{"path":{},"auth":"x","heartbeat":1,"origins":[1]}]})",
       R"({"channel":[{"pattern":1,"from":[1,{"plugin":1,"subject":{}}],"rules":{},"history":1,"subscribe":[],"publish":"x"}]})"}) {
    const auto result = json(text);
    EXPECT_FALSE(result.manifest) << text;
    EXPECT_FALSE(result.problems.empty()) << text;
  }
}

}  // namespace
}  // namespace weir
