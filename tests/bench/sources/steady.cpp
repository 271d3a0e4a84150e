// A rate that is held: is anything lost, how long does it take, what does it cost beside a bare consumer.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bench/sources/run.hpp"
#include "bench/sources/subscribers.hpp"
#include "bench/sources/usage.hpp"

namespace weir::bench {
namespace {

constexpr int kSampleSeconds = 10;
// What a process with tcmalloc may take more in the second half of the long turn: a tenth, and 8 MiB.
constexpr double kGrowth = 1.1;
constexpr std::int64_t kGrowthMib = 8;

double median(std::vector<double> all) {
  if (all.empty()) return 0;
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

class Steady {
 public:
  Steady(const SourceKind& source, const Options& options)
      : source_(source),
        options_(options),
        upstream_(source.make(folder_.make("upstream"))),
        text_(upstream_->kind(), options.bytes) {
    write_rule(folder_.path(), kQuickRule);
    // Short enough to be full early, so that what grows behind that is not history.
    hub_ = std::make_unique<HubProcess>(options.hub, folder_.path(),
                                        manifest(options, *upstream_, "{ count = 50000, bytes = \"64MiB\" }"));
  }

  void run() {
    std::printf("%s: %d events/s of %zu bytes for %d s, %d subscribers\n", source_.name, options_.rate, text_.bytes(),
                options_.seconds, options_.subscribers);
    long_turn();
    if (options_.rounds != 0) short_turns();
    if (!wrong_.empty()) throw std::runtime_error(wrong_);
  }

 private:
  void short_turns() {
    std::printf("\nCPU us of the hub, in turns of %d s: for each event, and what each delivery adds\n", options_.turn);
    const std::vector<int> counts = {0, 1, options_.subscribers};
    std::vector<std::vector<double>> costs(counts.size()), ratios(counts.size());
    std::vector<double> bare_costs;
    for (int round = 0; round < options_.rounds; ++round) {
      const double bare = source_.consume != nullptr ? bare_turn() : NAN;
      if (source_.consume != nullptr) bare_costs.push_back(bare);
      for (std::size_t i = 0; i < counts.size(); ++i) {
        costs[i].push_back(hub_turn(counts[i]));
        ratios[i].push_back(costs[i].back() / bare);
      }
    }
    std::printf("medians of %d rounds\n", options_.rounds);
    if (source_.consume != nullptr) std::printf("  bare consumer         %8.2f us/event\n", median(bare_costs));
    for (std::size_t i = 0; i < counts.size(); ++i) {
      std::printf("  hub, %3d subscribers  %8.2f us/event", counts[i], median(costs[i]));
      if (source_.consume != nullptr) std::printf(" (%.2f of bare)", median(ratios[i]));
      if (counts[i] > 0) std::printf(", %.3f us/delivery", (median(costs[i]) - median(costs[0])) / counts[i]);
      std::printf("\n");
    }
  }

  void long_turn() {
    Subscribers subscribers(hub_->port(), options_.subscribers, "bench", text_, next_);
    const std::int64_t hub_before = cpu_ns(hub_->pid()), own_before = own_cpu_ns();
    const Machine before = Machine::now();
    std::vector<std::int64_t> mib = {resident_kib(hub_->pid()) / 1024};
    const Published published =
        publish_at(*upstream_, Lane::hub, text_, next_, options_.rate, options_.seconds, [&](int second) {
          if (second % kSampleSeconds == 0) mib.push_back(resident_kib(hub_->pid()) / 1024);
        });
    const bool whole = subscribers.wait(published.count * static_cast<std::uint64_t>(options_.subscribers));
    const Machine after = Machine::now();
    const double hub_s = static_cast<double>(cpu_ns(hub_->pid()) - hub_before) / 1e9;
    const double own_s = static_cast<double>(own_cpu_ns() - own_before) / 1e9;
    const Tally& tally = subscribers.stop();
    next_ += published.count;
    std::string words, memory;
    tally.add_to(words);
    for (const auto m : mib) memory += " " + std::to_string(m);
    if (!whole || !tally.well()) wrong("the long turn: " + words);
    const std::int64_t half = mib[mib.size() / 2];
    if (mib.size() > 3 && static_cast<double>(mib.back()) > kGrowth * static_cast<double>(half + kGrowthMib))
      wrong("the hub's memory grew in the second half, from " + std::to_string(half) + " to " +
            std::to_string(mib.back()) + " MiB");
    const auto& l = tally.latencies;
    std::printf("  published %llu in %.1f s; a burst was late by p50 %.2f p99 %.2f most %.2f ms\n",
                static_cast<unsigned long long>(published.count), published.seconds, published.late.at_ms(0.5),
                published.late.at_ms(0.99), published.late.most_ms());
    std::printf("  %s: %s\n", whole ? "all came" : "NOT ALL CAME", words.c_str());
    std::printf("  latency ms: p50 %.2f p99 %.2f p99.9 %.2f most %.2f\n", l.at_ms(0.5), l.at_ms(0.99), l.at_ms(0.999),
                l.most_ms());
    std::printf("  hub: %.2f us CPU an event, %.3f a delivery; MiB at the start and every %d s:%s\n",
                hub_s * 1e6 / static_cast<double>(published.count),
                hub_s * 1e6 / static_cast<double>(std::max<std::uint64_t>(1, tally.delivered)), kSampleSeconds,
                memory.c_str());
    const double wall = published.seconds, busy = after.busy_s - before.busy_s;
    std::printf(
        "  cores busy: hub %.2f, this program %.2f (subscribers %.2f), all others %.2f, stolen by the host %.2f\n",
        hub_s / wall, own_s / wall, static_cast<double>(tally.cpu_ns) / 1e9 / wall, (busy - hub_s - own_s) / wall,
        (after.stolen_s - before.stolen_s) / wall);
    std::fflush(stdout);
  }

  // CPU us of the hub for each event.
  double hub_turn(int count) {
    Subscribers subscribers(hub_->port(), count, "bench", text_, next_);
    const std::uint64_t accepted = hub_->accepted();
    const std::int64_t before = cpu_ns(hub_->pid());
    const Published published = publish_at(*upstream_, Lane::hub, text_, next_, options_.rate, options_.turn);
    const bool whole = hub_->wait_accepted(accepted + published.count) &&
                       subscribers.wait(published.count * static_cast<std::uint64_t>(count));
    const double us = static_cast<double>(cpu_ns(hub_->pid()) - before) / 1e3 / static_cast<double>(published.count);
    const Tally& tally = subscribers.stop();
    next_ += published.count;
    std::printf("  hub, %3d subscribers  %8.2f us/event", count, us);
    if (count > 0)
      std::printf(", latency ms p50 %.2f p99 %.2f", tally.latencies.at_ms(0.5), tally.latencies.at_ms(0.99));
    std::string words;
    tally.add_to(words);
    if (!whole || !tally.well()) {
      std::printf("; NOT WELL: %s", words.c_str());
      wrong("a turn with " + std::to_string(count) + " subscribers: " + words);
    }
    std::printf("\n");
    std::fflush(stdout);
    return us;
  }

  double bare_turn() {
    const auto count = static_cast<std::uint64_t>(options_.rate) * static_cast<std::uint64_t>(options_.turn);
    const std::string log = folder_.path() + "/bare" + std::to_string(++bare_turns_);
    test::ServerProcess process;
    process.run({"/proc/self/exe", "--bare", upstream_->address(), "--source", source_.name, "--bytes",
                 std::to_string(text_.bytes()), "--count", std::to_string(count)},
                log);
    (void)wait_for_line(log, "ready");
    const std::int64_t before = cpu_ns(process.pid());
    (void)publish_at(*upstream_, Lane::bare, text_, bare_next_, options_.rate, options_.turn);
    bare_next_ += count;
    const std::string done = wait_for_line(log, "done ");
    const double us = static_cast<double>(cpu_ns(process.pid()) - before) / 1e3 / static_cast<double>(count);
    std::printf("  bare consumer         %8.2f us/event, latency ms p50, p99, out of order: %s\n", us, done.c_str());
    std::fflush(stdout);
    return us;
  }

  void wrong(const std::string& what) { wrong_ += (wrong_.empty() ? "" : "; ") + what; }

  const SourceKind& source_;
  const Options& options_;
  std::string wrong_;  // what was not well so far
  const Folder folder_;
  const std::unique_ptr<Upstream> upstream_;
  const EventText text_;
  std::unique_ptr<HubProcess> hub_;
  std::uint64_t next_ = 1, bare_next_ = 1;
  int bare_turns_ = 0;
};

}  // namespace

void run_steady(const SourceKind& source, const Options& options) { Steady(source, options).run(); }

}  // namespace weir::bench
