// What thousands of files cost: log_tail_many [files]. Start, a line in each of them, and a minute in which nothing
// happens.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "log_files.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace {

double cpu_s() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

long resident_kib() {
  std::ifstream statm("/proc/self/statm");
  long total = 0, resident = 0;
  statm >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE) / 1024;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace weir;
  const std::size_t files = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 5000;
  const log_tail::test::LogFolder folder;
  for (std::size_t i = 0; i < files; ++i) folder.append("app-" + std::to_string(i) + ".log", "begin\n");
  const long before_kib = resident_kib();
  sdk::testing::FakeHost hub;
  sdk::testing::SourceRig source(hub, weir_plugin_entry,
                                 "{\"files\":[" + sdk::json::quoted(folder.at("*.log")) +
                                     "],\"checkpoint\":" + sdk::json::quoted(folder.at("place")) + "}");
  auto cpu = cpu_s();
  auto clock = std::chrono::steady_clock::now();
  const auto told = [&](const char* what) {
    const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - clock).count();
    std::printf("%s: %.3f s, %.3f s of CPU, %ld KiB more than before, %.0f files open\n", what, wall, cpu_s() - cpu,
                resident_kib() - before_kib, hub.metrics["open_files"]);
    cpu = cpu_s();
    clock = std::chrono::steady_clock::now();
  };
  source.start();
  bool all = hub.run_until([&] { return hub.events.size() >= files; }, 600'000);
  told("start");
  source.accepted(hub.events.back().cursor);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  all = hub.run_until([&] { return std::chrono::steady_clock::now() >= end; }, 600'000) && all;
  told("10 s without news");
  hub.events.clear();
  for (std::size_t i = 0; i < files; ++i) folder.append("app-" + std::to_string(i) + ".log", "more\n");
  told("writing a line to each");
  all = hub.run_until([&] { return hub.events.size() >= files; }, 600'000) && all;
  told("reading them");
  return all ? 0 : 1;
}
