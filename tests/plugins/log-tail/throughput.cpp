// How many lines a second the plugin reads, encodes and hands over: log_tail_bench [lines] [bytes per line].
// The hub is the tests' fake one, which parses each event's JSON, so the plugin itself is faster than what is printed.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "log_files.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

int main(int argc, char** argv) {
  using namespace weir;
  const std::size_t lines = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000;
  const std::size_t bytes = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100;
  const log_tail::test::LogFolder folder;
  folder.append("a.log", "");
  sdk::testing::FakeHost hub;
  sdk::testing::SourceRig source(hub, weir_plugin_entry, "{\"files\":[" + sdk::json::quoted(folder.at("a.log")) + "]}");
  source.start();
  hub.run_ready();
  std::string text;
  for (std::size_t i = 0; i < lines; ++i) {
    std::string line = std::to_string(i) + " ";
    line.resize(bytes, 'x');
    text += line + "\n";
  }
  folder.append("a.log", text);
  const auto begin = std::chrono::steady_clock::now();
  const std::clock_t cpu_begin = std::clock();
  std::size_t seen = 0;
  const bool all = hub.run_until(
      [&] {
        seen += hub.events.size();
        hub.events.clear();
        return seen >= lines;
      },
      600'000);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double cpu = static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC;
  std::printf("%zu of %zu lines of %zu bytes in %.2f s (%.2f s of CPU): %.0f lines/s, %.0f MB/s\n", seen, lines, bytes,
              seconds, cpu, static_cast<double>(seen) / seconds,
              static_cast<double>(seen * (bytes + 1)) / seconds / 1e6);
  return all ? 0 : 1;
}
