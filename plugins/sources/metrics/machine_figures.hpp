// What Linux tells of the machine and of this process without being root: /proc and statvfs. What is not there, as in
// some containers, is left out. Reads a few small files, in well below a millisecond; statvfs of a network file system
// whose server is away would hold up the strand, so `disks` is for local ones.
// Threads: [strand].
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "figures.hpp"

namespace weir::metrics {

class MachineFigures {
 public:
  explicit MachineFigures(std::vector<std::string> disks, std::string proc = "/proc")
      : disks_(std::move(disks)), proc_(std::move(proc)) {}
  std::string read(std::int64_t steady_ms);

 private:
  std::string file(const char* name) const;  // empty if it can't be read
  void load(Object& out) const;
  void cpu(Object& out);
  void memory(Object& out) const;
  void process(Object& out, std::int64_t steady_ms);
  void network(Object& out, std::int64_t steady_ms);
  void disks(Object& out) const;

  const std::vector<std::string> disks_;
  const std::string proc_;
  Growth growth_;
  std::vector<double> cpu_before_;
};

}  // namespace weir::metrics
