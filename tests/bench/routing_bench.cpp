// What one event costs in the sans-I/O core: the pieces, and a whole shard between a publish frame and a thousand
// outboxes.
//   ./dev bench micro                            all of them
//   ./dev bench micro --benchmark_filter=Fan
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

// A shard without sockets, whose outboxes are emptied as sockets would.
class Rig {
 public:
  Rig() {
    std::vector<ChannelRoute> routes;
    routes.push_back({*Pattern::parse("**"), {}, {}, {}, {}, {}, {}});
    Shard::Settings settings;
    settings.routes = std::make_shared<const Routes>(std::move(routes));
    settings.limits = &limits_;
    settings.clock = &system_clock();
    settings.seed = 1;
    shard_ = std::make_unique<Shard>(settings, port_);
    publisher_ = &shard_->open(port_, endpoint_, Identity{}, "127.0.0.1");
    send_all();
  }
  void subscribe(const std::string& members) {
    shard_->receive(shard_->open(port_, endpoint_, Identity{}, "127.0.0.1"),
                    R"({"type":"subscribe","id":1,"channel":"c")" + members + "}");
    send_all();
  }
  void publish(const std::string& frame) {
    shard_->receive(*publisher_, frame);
    send_all();
  }

 private:
  void send_all() {
    shard_->take_flushes(dirty_);
    for (Connection* c : dirty_) c->outbox.sent(c->outbox.bytes());
    dirty_.clear();
  }
  NoPort port_;
  Limits limits_;
  const EndpointRule endpoint_;
  std::unique_ptr<Shard> shard_;
  Connection* publisher_;
  std::vector<Connection*> dirty_;
};

const std::string kPublish = R"({"type":"publish","channel":"c","event":"bench","data":)" + kData + "}";

// One publish frame to `range` subscribers.
void FanOut(benchmark::State& state) {
  Rig rig;
  for (std::int64_t i = 0; i < state.range(0); ++i) rig.subscribe("");
  for (auto _ : state) rig.publish(kPublish);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(FanOut)->Arg(1)->Arg(100)->Arg(1000);

// One publish frame that one of `range` subscribers wants: each has a filter on another data.instanceId.
void OneOfManyFilters(benchmark::State& state) {
  Rig rig;
  for (std::int64_t i = 0; i < state.range(0); ++i)
    rig.subscribe(R"(,"filter":{"data.instanceId":"i)" + std::to_string(42 + i) + "\"}");
  for (auto _ : state) rig.publish(kPublish);
}
BENCHMARK(OneOfManyFilters)->Arg(1)->Arg(10'000);

// Which [[channel]] of a manifest with `range` of them a name belongs to.
void RouteOfAName(benchmark::State& state) {
  std::vector<ChannelRoute> list;
  for (std::int64_t i = 0; i < state.range(0); ++i)
    list.push_back({*Pattern::parse("kind" + std::to_string(i) + "/{tenant}/{id}"), {}, {}, {}, {}, {}, {}});
  const Routes routes(std::move(list));
  const std::string name = "kind" + std::to_string(state.range(0) - 1) + "/acme/1234567";
  for (auto _ : state) benchmark::DoNotOptimize(routes.find(name));
}
BENCHMARK(RouteOfAName)->Arg(1)->Arg(1000);

// What compressing one message for all its subscribers costs, by the size of its data and the level, and what is left.
void CompressEvent(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  Draft d = draft();
  std::uint32_t number = 1;
  const auto next = [&number] { return std::to_string((number = number * 1664525 + 1013904223) >> 12); };
  for (d.data = "["; d.data.size() < size;) {
    if (d.data.size() > 1) d.data += ',';
    d.data += "{\"user\":\"u" + next() + "\",\"amount\":" + next() + ",\"state\":\"open\",\"ref\":\"" + next() +
              next() + "\"}";
  }
  d.data += "]";
  const EventPtr event = Event::make("agents/7", "k3f9a0c2b1d4", 42, d);
  Deflater deflater(static_cast<int>(state.range(1)));
  std::size_t left = 0;
  for (auto _ : state) left = deflater.deflate(Frame(event).payload()).size();
  state.counters["percent"] = 100.0 * static_cast<double>(left) / static_cast<double>(event->frame().size());
}
BENCHMARK(CompressEvent)->ArgNames({"bytes", "level"})->ArgsProduct({{128, 1024, 65536}, {1, 6}});

}  // namespace
}  // namespace weir
