// Logs by name, through a hub to its clients: the last lines, new ones, rotation, and a file that is open only while
// somebody watches. And logs with a checkpoint, whose hub is killed and whose instance is exchanged meanwhile.
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "integration/hub_fixture.hpp"
#include "sources/hub_process.hpp"

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

// A pattern without a slash was given the manifest's folder and fitted nothing.
TEST_F(LogTailHubTest, WhatIsLeftOutByItsNameIsNotThereWhereverTheManifestLies) {
  log("a", 1, 1);
  write("logs/a/secret.log", "secret\n");
  write("logs/a/other.log", "other\n");
  start(R"(
[[plugin]]
name = "tail"
library = "log-tail"
config = { root = "logs", files = ["logs/a/*.log"], exclude = ["secret.*", "logs/a/other.log"] }
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "demand/{file}"
from    = [{ plugin = "tail", subject = "a/{file}", on_demand = true }]
[[channel]]
pattern = "logs/{file}"
from    = [{ plugin = "tail", subject = "{file}" }]
)");
  Client c = connect();
  int id = 0;
  for (const char* name : {"secret.log", "other.log"}) {
    const Json answer = c.ask({{"type", "subscribe"}, {"id", ++id}, {"channel", std::string("demand/") + name}});
    EXPECT_EQ(answer["data"]["code"], "not_found") << answer;
  }
  c.ask({{"type", "subscribe"}, {"id", ++id}, {"channel", "logs/*"}, {"replay", 100}});
  write("logs/a/secret.log", "more secret\n", true);
  write("logs/a/other.log", "more\n", true);
  write("logs/a/z.log", "last\n");
  for (Json event; event["data"]["line"] != "last";) {
    event = c.next("event");
    ASSERT_FALSE(event.is_null());
    EXPECT_NE(event["channel"], "logs/secret.log");
    EXPECT_NE(event["channel"], "logs/other.log");
  }
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

// Writes numbered lines and rotates its log all the time, never far ahead of who reads them.
class Program {
 public:
  explicit Program(std::string log) : log_(std::move(log)), thread_([this] { run(); }) {}
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() { end(); }
  void is_read(int line) { read_ = line; }
  int end() {  // returns the last line
    over_ = true;
    if (thread_.joinable()) thread_.join();
    return written_;
  }

 private:
  static constexpr int kAhead = 500, kLinesPerFile = 170, kFiles = 20;
  void run() {
    std::ofstream out(log_);
    while (!over_) {
      if (written_ - read_ >= kAhead) {
        std::this_thread::yield();
        continue;
      }
      out << "line " << ++written_ << std::endl;
      if (written_ % kLinesPerFile != 0) continue;
      const auto rotated = [this](int i) { return log_ + "." + std::to_string(i); };
      std::error_code none_yet;
      for (int i = kFiles; i >= 1; --i) std::filesystem::rename(rotated(i), rotated(i + 1), none_yet);
      std::filesystem::rename(log_, rotated(1));
      out = std::ofstream(log_);
    }
  }

  const std::string log_;
  std::atomic<int> read_ = 0;
  std::atomic<bool> over_ = false;
  int written_ = 0;
  std::thread thread_;
};

class LogTailPlacesTest : public HubTest {
 protected:
  LogTailPlacesTest() { std::filesystem::create_directories(folder() + "/logs"); }
  static std::string manifest(const std::string& config = "") {
    return "[[plugin]]\nname = \"tail\"\nlibrary = \"log-tail\"\n"
           "config = { files = [\"logs/*.log\"], poll = \"100ms\", checkpoint = \"places\"" +
           config + " }\n" + R"(
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "logs/{file}"
from    = [{ plugin = "tail", subject = "{file}" }]
)";
  }
  static void subscribe(Client& c) {
    c.ask({{"type", "subscribe"}, {"id", 1}, {"channel", "logs/app.log"}, {"replay", 100'000}});
  }
  // Takes one frame. Lines come one after the other; only a new beginning may go back.
  void take(const Json& frame) {
    ASSERT_NE(frame["type"], "gap") << frame;
    if (frame["type"] != "event" || frame["event"] != "line") return;
    const int n = std::stoi(frame["data"]["line"].get<std::string>().substr(5));
    ASSERT_LE(n, next_) << "lines are missing";
    if (n != before_ + 1) {
      ASSERT_LE(++times_back_, beginnings_) << n << " behind " << before_;
    }
    before_ = n;
    next_ = std::max(next_, n + 1);
    if (program_) program_->is_read(before_);
  }
  void read_until(Client& c, const std::function<bool()>& fact) {
    while (!fact()) {
      const Json frame = c.next();
      ASSERT_FALSE(frame.is_null());
      ASSERT_NO_FATAL_FAILURE(take(frame));
    }
  }
  void read_lines(Client& c, int count) {
    read_until(c, [this, end = next_ + count] { return next_ >= end; });
  }
  void read_the_rest(Client& c) {
    read_until(c, [this, last = program_->end()] { return next_ > last; });
    EXPECT_GT(next_, 1000);
  }
  void begin_program() { program_ = std::make_unique<Program>(folder() + "/logs/app.log"); }

  std::unique_ptr<Program> program_;
  int next_ = 1, before_ = 0, beginnings_ = 0, times_back_ = 0;
};

// A line has gone to the client's socket long before a checkpoint that tells of it is on the disk: what was in the
// history of the hub that died is in the client's hands or comes again.
TEST_F(LogTailPlacesTest, AHubThatIsKilledLosesNoLine) {
  HubProcess hub(folder(), manifest());
  constexpr int kKills = 5;
  for (int kill = 0; kill <= kKills; ++kill) {
    Client c = hub.start("logs/app.log");
    if (!program_) begin_program();
    if (kill == kKills) {
      read_the_rest(c);
      break;
    }
    ASSERT_NO_FATAL_FAILURE(read_lines(c, 1000));
    ASSERT_NO_FATAL_FAILURE(read_until(c, [&] { return std::filesystem::exists(folder() + "/places"); }));
    ++beginnings_;
    hub.kill();
    for (auto text = c.socket().receive(kPatienceMs); text; text = c.socket().receive(kPatienceMs))
      ASSERT_NO_FATAL_FAILURE(take(Json::parse(*text)));
  }
}

TEST_F(LogTailPlacesTest, AnInstanceThatIsExchangedLosesNoLine) {
  start(manifest());
  Client c = connect();
  subscribe(c);
  begin_program();
  for (int reloads = 1; reloads <= 6; ++reloads) {
    ASSERT_NO_FATAL_FAILURE(read_lines(c, 500));
    ++beginnings_;
    const ReloadReport report = reload(manifest(reloads % 2 != 0 ? ", batch_ms = 0" : ""));
    ASSERT_TRUE(report.problems.empty()) << report.json();
    ASSERT_FALSE(report.changed.empty());
  }
  read_the_rest(c);
}

}  // namespace
}  // namespace weir::test
