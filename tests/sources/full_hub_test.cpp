// A hub that is full while far more waits upstream than it has room for: it stays as small as it was, and once it is
// quick again everything comes, in order.
#include <filesystem>
#include <fstream>

#include "sources/hub_process.hpp"
#include "sources/nats_hub.hpp"
#include "sources/postgres_hub.hpp"
#include "sources/redis_hub.hpp"
#include "support/slow_build.hpp"

namespace weir::test {
namespace {

constexpr int kEvents = 16 * 1024;
const std::string kPad(4 * 1024, 'x');  // in each of them, so that they are 64 MiB
// What is under way: 1 MiB in the hub, 4 MiB in the SDK's Emitter, about as much in a client library or a page.
constexpr int kMoreKib = 24 * 1024;

// `manifest` ends with its channel; `before` is what stands in a frame before the number of what `store` wrote.
void expect_held_up(const std::string& folder, const std::string& manifest, const std::string& channel,
                    const std::function<void(int from, int to)>& store, const std::string& before) {
  const auto write_rule = [&](const std::string& filter) {
    std::ofstream(folder + "/rule.lua") << "return { filter = function() " << filter << " end }\n";
  };
  write_rule("local x = 0 for i = 1, 100000 do x = x + i % 7 end return x > 0");  // some ms of work for each event
  HubProcess hub(folder, manifest + R"(rules = [{ script = "rule.lua", ops = 100000000, time = "10s" }]
[limits]
source_bytes_in_flight = "1MiB"
)");
  Client c = hub.start(channel);
  int next = 1;
  const auto read_until = [&](int end) {
    while (next < end) {
      const auto frame = c.socket().receive(kPatienceMs);  // as text: to take them all apart would take longest
      ASSERT_TRUE(frame) << frame.error().message;
      ASSERT_EQ(frame->find(R"("type":"gap")"), std::string::npos) << *frame;
      const auto at = frame->find(before);
      if (at == std::string::npos) continue;
      ASSERT_EQ(std::stoi(frame->substr(at + before.size(), 10)), next);
      ++next;
    }
  };
  store(1, 1);
  ASSERT_NO_FATAL_FAILURE(read_until(2));
  const int before_kib = hub.peak_kib();
  store(2, kEvents);
  // By then it has twice let in what there was room for.
  const int pauses = hub.figure("pauses");
  ASSERT_TRUE(wait_until([&] { return hub.figure("pauses") >= pauses + 2; }));
  ASSERT_LT(hub.figure("accepted"), kEvents / 2) << "it was not full";
#if !WEIR_SLOW_BUILD  // the sanitizers keep for a while what was freed
  EXPECT_LT(hub.peak_kib(), before_kib + kMoreKib);
#else
  (void)before_kib, (void)kMoreKib;
#endif
  write_rule("return true");
  hub.reload();
  ASSERT_NO_FATAL_FAILURE(read_until(kEvents + 1));
}

// One after the other.
std::function<void(int, int)> each(const std::function<void(int)>& store) {
  return [store](int from, int to) {
    for (int n = from; n <= to; ++n) store(n);
  };
}
const char* const kBeforeN = "{\"n\":";

TEST_F(NatsDurableTest, AFullHubLeavesABacklogInItsStream) {
  pad_ = kPad;
  expect_held_up(folder(), manifest(R"(stream = { name = "ORDERS" })"), kind_.channel, each(storing()), kBeforeN);
}

TEST_F(RedisHubTest, AFullHubLeavesABacklogInItsStream) {
  pad_ = kPad;
  const std::string config = R"(stream = { keys = ["session:7"], field = "data" })";
  expect_held_up(folder(), manifest(config), kind_.channel, each(storing()), kBeforeN);
}

TEST_F(PostgresHubTest, AFullHubLeavesABacklogInItsOutbox) {
  const auto store = [this](int from, int to) {
    sql_.say("insert into weir.outbox (topic, data) select 'orders/7', format('{\"n\":%s,\"pad\":\"" + kPad +
             "\"}', n)::json from generate_series(" + std::to_string(from) + ", " + std::to_string(to) + ") n");
  };
  expect_held_up(folder(), manifest("outbox = {}", kRarelyMs), kind_.channel, store, kBeforeN);
}

using FullHubTest = HubTest;

TEST_F(FullHubTest, ItLeavesABacklogInItsLog) {
  std::filesystem::create_directories(folder() + "/logs");
  std::ofstream log(folder() + "/logs/app.log");
  expect_held_up(folder(), R"(
[[plugin]]
name = "tail"
library = "log-tail"
config = { files = ["logs/*.log"], checkpoint = "places" }
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "logs/{file}"
from = [{ plugin = "tail", subject = "{file}" }]
history = { count = 100000, bytes = "128MiB" }
)",
                 "logs/app.log", each([&](int n) { log << n << ' ' << kPad << std::endl; }), R"("line":")");
}

}  // namespace
}  // namespace weir::test
