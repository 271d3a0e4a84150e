#include "bench/sources/usage.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace weir::bench {
namespace {

std::int64_t clock_ns(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

std::int64_t cpu_ns(int pid) {
  std::int64_t sum = 0;
  std::error_code ec;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", ec)) {
    std::int64_t ns = 0;
    if (std::ifstream(thread.path() / "schedstat") >> ns) sum += ns;
  }
  return sum;
}

std::int64_t own_cpu_ns() { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }
std::int64_t thread_cpu_ns() { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

std::int64_t resident_kib(int pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::atoll(line.c_str() + 6);
  return 0;
}

Machine Machine::now() {
  std::ifstream stat("/proc/stat");
  std::string word;
  stat >> word;
  std::array<double, 8> ticks{};  // user nice system idle iowait irq softirq steal
  for (double& t : ticks) stat >> t;
  const double second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  return {(ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) / second, ticks[7] / second};
}

}  // namespace weir::bench
