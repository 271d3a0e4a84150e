#include <filesystem>

#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

using SourceTest = HubTest;

TEST_F(SourceTest, ATickerGoesThroughARuleToASubscriber) {
  write("double.lua",
        "local rule = {}\nfunction rule.filter(ev) return ev.data.n % 2 == 0, 'odd' end\nfunction rule.transform(ev) "
        "ev.data.twice = ev.data.n * 2 return ev end\nreturn rule\n");
  start(R"(
[[plugin]]
name = "clock"
library = "ticker"
config = { interval = "5ms", subject = "t", event = "tick", data = { n = "{n}" } }
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "ticks"
from = [{ plugin = "clock", subject = "t" }]
rules = ["double.lua"]
)");
  Client c = connect();
  c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "ticks"}});
  std::int64_t last = -1;
  for (int i = 0; i < 20; ++i) {
    const Json e = c.next("event");
    const std::int64_t n = e["data"]["n"];
    EXPECT_EQ(n % 2, 0);
    EXPECT_EQ(e["data"]["twice"], n * 2);
    if (last >= 0) {
      EXPECT_EQ(n, last + 2);
    }
    last = n;
  }
}

TEST_F(SourceTest, ALineOfALogFileArrivesAndABurstArrivesWholeAndInOrder) {
  write("app.log", "before\n");
  start("[[plugin]]\nname = \"logs\"\nlibrary = \"log-tail\"\nconfig = { files = [\"" + folder() + "/*.log\"] }\n" + R"(
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "logs/{file}"
from = [{ plugin = "logs", subject = "{file}" }]
history = { count = 100000 }
)");
  Client c = connect();
  ASSERT_TRUE(wait_until([&] { return http("GET", "/health").json()["channels"] == 1; }));
  const Json ack = c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "logs/app.log"}, {"replay", 100}});
  EXPECT_EQ(ack["data"]["replayed"], 1);
  EXPECT_EQ(c.next("event")["data"]["line"], "before");
  write("app.log", "after\n", true);
  const Json e = c.next("event");
  EXPECT_EQ(e["event"], "line");
  EXPECT_EQ(e["data"], (Json{{"line", "after"}, {"file", "app.log"}}));
  std::string burst;
  for (int i = 0; i < 20000; ++i) burst += "line " + std::to_string(i) + "\n";
  write("app.log", burst, true);
  for (int i = 0; i < 20000; ++i) {
    const Json l = c.next("event");
    ASSERT_EQ(l["data"]["line"], "line " + std::to_string(i));
  }
}

TEST_F(SourceTest, WrongPluginConfigsAreNamedWithTheirPlace) {
  const std::string all = problems(R"(
[[plugin]]
name = "logs"
library = "log-tail"
config = { files = "x", backlog = 5000 }
[[plugin]]
name = "gone"
library = "log-tial"
[[endpoint]]
path = "/ws"
auth = ["logs"]
[[channel]]
pattern = "logs/{file}"
from = [{ plugin = "logs", subject = "{file}" }]
rules = ["broken.lua"]
)");
  EXPECT_NE(all.find("hub.toml:7:"), std::string::npos) << all;
  EXPECT_NE(all.find("files"), std::string::npos) << all;
  EXPECT_NE(all.find("backlog"), std::string::npos) << all;
  EXPECT_NE(all.find("log-tial"), std::string::npos) << all;
  EXPECT_NE(all.find("broken.lua"), std::string::npos) << all;
}

TEST_F(SourceTest, ARuleThatDoesNotCompileIsNamedWithScriptAndLine) {
  write("broken.lua", "local rule = {}\nfunction rule.filter(ev)\n  return ev.data.x ==\nend\nreturn rule\n");
  const std::string all =
      problems("[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"**\"\nrules = [\"broken.lua\"]\n");
  EXPECT_NE(all.find("broken.lua:4"), std::string::npos) << all;
}

}  // namespace
}  // namespace weir::test
