// weir_sim: runs the simulator from one seed, or from many in a row. A failure names its seed and its last steps.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "sim/world.hpp"

namespace {

bool run(std::uint64_t seed, int steps, bool verbose, weir::sim::Totals& all) {
  weir::sim::World world(seed, verbose);
  try {
    world.run(steps);
  } catch (const weir::sim::Violation& v) {
    if (!verbose)
      for (const std::string& line : world.trace()) std::fprintf(stderr, "  %s\n", line.c_str());
    std::fprintf(stderr, "seed %llu, step %d: %s\nagain: weir_sim --seed %llu --steps %d --verbose\n",
                 static_cast<unsigned long long>(seed), world.step(), v.what(), static_cast<unsigned long long>(seed),
                 steps);
    return false;
  }
  const auto t = world.totals();
  all.events += t.events, all.replays += t.replays, all.gaps += t.gaps, all.published += t.published;
  all.overflows += t.overflows, all.slow_closed += t.slow_closed, all.sessions += t.sessions;
  all.losses += t.losses;
  all.snapshots += t.snapshots;
  all.compressed += t.compressed;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "The seeded simulator of the hub's core: shards, clients, slow sockets, time; checks what the hub promises.");
  std::uint64_t seed = 1, seeds = 200;
  int steps = 2000;
  bool verbose = false, keep_going = false;
  app.add_option("--seed", seed, "the first seed")->capture_default_str();
  auto* count = app.add_option("--seeds", seeds, "how many seeds, one after the other (1 when only --seed is given)")
                    ->capture_default_str();
  app.add_option("--steps", steps, "steps for each seed")->capture_default_str();
  app.add_flag("--verbose", verbose, "every step and every frame on standard error");
  app.add_flag("--keep-going", keep_going, "go on behind a failing seed");
  CLI11_PARSE(app, argc, argv);
  if (app.count("--seed") != 0 && count->count() == 0) seeds = 1;
  weir::sim::Totals all;
  std::uint64_t failed = 0;
  for (std::uint64_t i = 0; i < seeds; ++i) {
    if (run(seed + i, steps, verbose, all)) continue;
    ++failed;
    if (!keep_going) return 1;
  }
  std::printf(
      "%llu seeds of %d steps: %llu sessions, %llu events published, %llu delivered (%llu as replay), %llu frames "
      "compressed, %llu snapshots, %llu gaps, %llu overflows, %llu events lost by policy and told, %llu closed as too "
      "slow; %llu seeds "
      "failed\n",
      static_cast<unsigned long long>(seeds), steps, static_cast<unsigned long long>(all.sessions),
      static_cast<unsigned long long>(all.published), static_cast<unsigned long long>(all.events),
      static_cast<unsigned long long>(all.replays), static_cast<unsigned long long>(all.compressed),
      static_cast<unsigned long long>(all.snapshots), static_cast<unsigned long long>(all.gaps),
      static_cast<unsigned long long>(all.overflows), static_cast<unsigned long long>(all.losses),
      static_cast<unsigned long long>(all.slow_closed), static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}
