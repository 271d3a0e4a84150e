// What processes and the machine use, out of /proc. Threads: [any].
#pragma once
#include <cstdint>
#include <string>

namespace weir::bench {

std::int64_t cpu_ns(int pid);        // of all threads that a process has now, user and system
std::int64_t own_cpu_ns();           // of this process
std::int64_t thread_cpu_ns();        // of the calling thread
std::int64_t resident_kib(int pid);  // VmRSS

// What all of the machine did between two of these.
struct Machine {
  double busy_s = 0, stolen_s = 0;  // core seconds; stolen: wanted, and given to somebody else by the host
  static Machine now();
};

}  // namespace weir::bench
