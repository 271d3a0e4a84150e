// What one event costs in the sans-I/O core: the pieces, and a whole shard between a publish frame and a thousand
// outboxes.
//   ./dev bench                       all of them
//   ./dev bench --benchmark_filter=Fan
#include <benchmark/benchmark.h>

#include <array>

#include "base/json.hpp"
#include "routing/shard.hpp"

namespace weir {
namespace {

const std::string kData =
    R"({"instanceId":"i42","level":"error","size":1234,"tags":["a","b"],"text":")" + std::string(60, 'x') + "\"}";

Draft draft() {
  Draft d;
  d.event = "task.completed";
  d.data = kData;
  d.id = "01M7XXD1GBDSEVDADRD856Z3DJ";
  d.time_ms = 1'790'000'000'000;
  return d;
}

void JsonIndex(benchmark::State& state) {
  json::Doc doc;
  for (auto _ : state) benchmark::DoNotOptimize(doc.parse(kData).has_value());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kData.size()));
}
BENCHMARK(JsonIndex);

void PatternMatch(benchmark::State& state) {
  const Pattern pattern = *Pattern::parse("tenants/{tenant}/agents/{id}");
  for (auto _ : state) benchmark::DoNotOptimize(pattern.matches("tenants/acme/agents/a-1234567"));
}
BENCHMARK(PatternMatch);

void EncodeEvent(benchmark::State& state) {
  const Draft d = draft();
  for (auto _ : state) benchmark::DoNotOptimize(Event::make("agents/7", "k3f9a0c2b1d4", 42, d));
}
BENCHMARK(EncodeEvent);

void FilterOnData(benchmark::State& state) {
  const EventPtr event = Event::make("agents/7", "k3", 42, draft());
  const FilterPtr filter = *Filter::parse(R"({"event":["task.*"],"data.instanceId":"i42","data.size":{"$gte":10}})");
  for (auto _ : state) benchmark::DoNotOptimize(filter->matches(EventView(*event)));
}
BENCHMARK(FilterOnData);

void OutboxPushAndSend(benchmark::State& state) {
  const FramePtr frame(new Frame(Event::make("agents/7", "k3", 42, draft())));
  Outbox outbox;
  std::array<iovec, 64> parts;
  for (auto _ : state) {
    for (int i = 0; i < 16; ++i) outbox.push(frame);
    outbox.gather(parts);
    outbox.sent(outbox.bytes());
  }
  state.SetItemsProcessed(state.iterations() * 16);
}
BENCHMARK(OutboxPushAndSend);

class NoPort final : public ShardPort, public ConnectionPort {
 public:
  void mail(ShardId, Mail) override {}
  bool full(ShardId) const override { return false; }
  void authenticate(Connection&, std::string, std::string) override {}
  void close(CloseCode, std::string_view) override {}
  void read(bool) override {}
  void ping() override {}
};

// One publish frame to `range` subscribers, each with its own outbox that is emptied as a socket would.
void FanOut(benchmark::State& state) {
  NoPort port;
  Limits limits;
  std::vector<ChannelRoute> routes;
  routes.push_back({*Pattern::parse("**"), {}, {}, {}, {}, {}, {}});
  Shard::Settings settings;
  settings.routes = std::make_shared<const Routes>(std::move(routes));
  settings.limits = &limits;
  settings.clock = &system_clock();
  settings.seed = 1;
  Shard shard(settings, port);
  const EndpointRule endpoint;
  for (std::int64_t i = 0; i < state.range(0); ++i)
    shard.receive(shard.open(port, endpoint, Identity{}, "127.0.0.1"), R"({"type":"subscribe","id":1,"channel":"c"})");
  Connection& publisher = shard.open(port, endpoint, Identity{}, "127.0.0.1");
  const std::string frame = R"({"type":"publish","channel":"c","event":"bench","data":)" + kData + "}";
  const auto send_all = [&shard] {
    std::vector<Connection*> dirty;
    shard.take_flushes(dirty);
    for (Connection* c : dirty) {
      c->outbox.sent(c->outbox.bytes());
    }
  };
  send_all();
  for (auto _ : state) {
    shard.receive(publisher, frame);
    send_all();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(FanOut)->Arg(1)->Arg(100)->Arg(1000);

}  // namespace
}  // namespace weir
