// What sources cost and hold, with the real server, the built hub and WebSocket subscribers (docs/benchmarks.md).
//   ./dev bench sources --source nats [--rate 10000] [--subscribers 100] [--seconds 60] [--bytes 200]
//   ./dev bench sources --source jetstream --backlog 1GiB
// It fails (1) when something was lost, doubled or out of order, or when the hub's memory grew; latencies and costs are
// printed, and judged by whoever reads them.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iterator>

#include "bench/sources/run.hpp"

int main(int argc, char** argv) {
  using namespace weir::bench;
  Options options;
  std::string bare;
  std::uint64_t count = 0;
  std::vector<std::string> names;
  for (const auto& source : kSources) names.emplace_back(source.name);

  CLI::App app("What sources cost and hold");
  app.add_option("--hub", options.hub, "the hub's program");
  app.add_option("--source", options.source, "where events come from")->required()->check(CLI::IsMember(names));
  app.add_option("--rate", options.rate, "events a second")->check(CLI::Range(1, 10'000'000))->capture_default_str();
  app.add_option("--subscribers", options.subscribers)->check(CLI::Range(1, 10'000))->capture_default_str();
  app.add_option("--seconds", options.seconds, "of the long turn")->check(CLI::Range(1, 86'400))->capture_default_str();
  app.add_option("--bytes", options.bytes, "of an event; default: 200, with a backlog 10 KiB")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--rounds", options.rounds, "of turns with and without the hub")
      ->check(CLI::Range(0, 1'000))
      ->capture_default_str();
  app.add_option("--turn", options.turn, "seconds of each of these turns")
      ->check(CLI::Range(1, 3'600))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "of the hub; default: its own")->check(CLI::Range(1, 256));
  app.add_option("--backlog", options.backlog, "instead: put so much upstream while the hub is full, such as 1GiB")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--config", options.config, "more for the plugin, such as outbox.rest=\"100ms\"");
  app.add_option("--bare", bare)->group("");  // this process is the bare consumer of another one
  app.add_option("--count", count)->group("");
  CLI11_PARSE(app, argc, argv);
  if (options.bytes == 0) options.bytes = options.backlog != 0 ? 10 * 1024 : 200;

  // The servers come from the tests' support, whose complaints are those of a test.
  GTEST_FLAG_SET(throw_on_failure, true);
  const auto source = std::find_if(std::begin(kSources), std::end(kSources),
                                   [&](const SourceKind& s) { return s.name == options.source; });
  try {
    if (!bare.empty()) return run_bare(*source, bare, options.bytes, count);
    if (options.hub.empty()) throw std::runtime_error("--hub is missing; ./dev bench sources gives it");
    if (options.backlog != 0 && !source->keeps)
      throw std::runtime_error("--backlog: " + options.source + " keeps nothing for a hub that is full");
    options.backlog != 0 ? run_backlog(*source, options) : run_steady(*source, options);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "weir_sources_bench: %s\n", e.what());
    return 1;
  }
  return 0;
}
