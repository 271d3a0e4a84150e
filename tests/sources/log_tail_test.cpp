// Logs by name, through a hub to its clients: the last lines, new ones, rotation, and a file that is open only while
// somebody watches.
#include <sys/stat.h>

#include <filesystem>

#include "integration/hub_fixture.hpp"

namespace weir::test {
namespace {

class LogTailHubTest : public HubTest {
 protected:
  void start_hub(const std::string& config = "backlog = 100", int linger_ms = 0) {
    start("[[plugin]]\nname = \"tail\"\nlibrary = \"log-tail\"\nconfig = { root = \"logs\", " + config +
          " }\n[[endpoint]]\npath = \"/ws\"\n" + R"(
[[channel]]
pattern = "instances/{name}/logs"
from    = [{ plugin = "tail", subject = "{name}/out.log", on_demand = true }]
[limits]
demand_linger_ms = )" +
          std::to_string(linger_ms) + "\n");
  }
  std::string at(const std::string& name) const { return folder() + "/logs/" + name; }
  // Lines of the log of this instance.
  void log(const std::string& instance, int from, int to) const {
    std::filesystem::create_directories(at(instance));
    std::string text;
    for (int i = from; i <= to; ++i) text += "line " + std::to_string(i) + "\n";
    write("logs/" + instance + "/out.log", text, true);
  }
  static Json subscribe(Client& c, const std::string& instance, const Json& replay = "none") {
    static int ids = 0;
    return c.ask(
        {{"type", "subscribe"}, {"id", ++ids}, {"channel", "instances/" + instance + "/logs"}, {"replay", replay}});
  }
  static void expect_lines(Client& c, int from, int to) {
    for (int i = from; i <= to; ++i) ASSERT_EQ(c.next("event")["data"]["line"], "line " + std::to_string(i));
  }
  // How many descriptors of this process, in which the hub runs, lead to a log.
  std::size_t open_logs() const {
    std::size_t count = 0;
    const std::string logs = std::filesystem::canonical(folder() + "/logs").string() + "/";
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (std::filesystem::read_symlink(entry.path(), gone).string().starts_with(logs)) ++count;
    }
    return count;
  }
};

TEST_F(LogTailHubTest, ALogIsOpenedByNameReplaysItsLastLinesAndGoesOn) {
  log("a", 1, 500);
  start_hub();
  EXPECT_EQ(open_logs(), 0U);
  Client one = connect(), two = connect();
  EXPECT_EQ(subscribe(one, "a", 100)["data"]["replayed"], 100);
  expect_lines(one, 401, 500);
  EXPECT_EQ(subscribe(two, "a", 10)["data"]["replayed"], 10);
  expect_lines(two, 491, 500);
  EXPECT_EQ(open_logs(), 1U);
  log("a", 501, 700);
  expect_lines(one, 501, 700);
  expect_lines(two, 501, 700);
}

TEST_F(LogTailHubTest, ARotationIsToldBetweenTheLines) {
  log("a", 1, 3);
  start_hub();
  Client c = connect();
  subscribe(c, "a", 100);
  std::filesystem::rename(at("a/out.log"), at("a/out.log.1"));
  log("a", 4, 5);
  expect_lines(c, 1, 3);
  const Json rotated = c.next("event");
  EXPECT_EQ(rotated["event"], "rotated");
  EXPECT_EQ(rotated["data"]["reason"], "renamed");
  expect_lines(c, 4, 5);
}

TEST_F(LogTailHubTest, ALogThatIsNotThereIsNotFoundUntilItIs) {
  std::filesystem::create_directories(at("b"));
  write("secret/out.log", "");  // below the folder of the test, beside the root
  start_hub();
  Client c = connect();
  for (const char* name : {"a", "b", "..", ".", "%2E%2E", "..%2Fsecret", "a%00"}) {
    const Json answer = subscribe(c, name);
    EXPECT_EQ(answer["type"], "error") << name << answer;
    EXPECT_EQ(answer["data"]["code"], "not_found") << name << answer;
  }
  EXPECT_EQ(subscribe(c, "b")["data"]["message"], "there is no log \"b/out.log\"");
  log("b", 1, 2);
  EXPECT_EQ(subscribe(c, "b", 100)["data"]["replayed"], 2);
}

TEST_F(LogTailHubTest, AfterTheLastHasLeftTheFileIsClosedAndANewLifeBegins) {
  log("a", 1, 3);
  start_hub();
  std::string epoch;
  {
    Client one = connect();
    epoch = subscribe(one, "a")["data"]["epoch"];
    Client two = connect();
    EXPECT_EQ(subscribe(two, "a")["data"]["epoch"], epoch);
  }
  ASSERT_TRUE(wait_until([&] { return open_logs() == 0; }));
  log("a", 4, 200);
  Client c = connect();
  const Json answer = subscribe(c, "a", 1000);
  EXPECT_NE(answer["data"]["epoch"], epoch);
  EXPECT_EQ(answer["data"]["replayed"], 100) << "the last lines anew, and nothing of before";
  expect_lines(c, 101, 200);
  log("a", 201, 201);
  expect_lines(c, 201, 201);
}

TEST_F(LogTailHubTest, WhoComesBackSoonMissesNothing) {
  log("a", 1, 3);
  start_hub("backlog = 100", 600'000);
  Json position;
  {
    Client c = connect();
    position = subscribe(c, "a")["data"];
  }
  log("a", 4, 6);
  Client c = connect();
  const Json since = {{"epoch", position["epoch"]}, {"sequenceId", position["sequenceId"]}};
  const Json answer = subscribe(c, "a", since);
  EXPECT_EQ(answer["data"]["recovered"], true) << answer;
  expect_lines(c, 4, 6);
}

TEST_F(LogTailHubTest, ManyLogsComeAndGo) {
  constexpr int kLogs = 50;
  for (int i = 0; i < kLogs; ++i) log(std::to_string(i), 1, 150);
  start_hub();
  for (int round = 0; round < 3; ++round) {
    {
      Client c = connect();
      for (int i = 0; i < kLogs; ++i)
        ASSERT_EQ(subscribe(c, std::to_string(i), 100)["data"]["replayed"], 100) << round << " " << i;
      EXPECT_EQ(open_logs(), static_cast<std::size_t>(kLogs));
    }
    ASSERT_TRUE(wait_until([&] { return open_logs() == 0; }));
  }
}

}  // namespace
}  // namespace weir::test
