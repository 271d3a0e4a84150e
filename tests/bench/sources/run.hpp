// What is measured, and what all measurements share. Errors: std::runtime_error. Threads: [main].
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "bench/sources/hub_process.hpp"
#include "bench/sources/latencies.hpp"
#include "bench/sources/upstream.hpp"

namespace weir::bench {

struct Options {
  std::string hub, source, config;
  int rate = 10'000, subscribers = 100, seconds = 60, rounds = 5, turn = 4, threads = 0;
  std::uint64_t bytes = 0, backlog = 0;
};

// A folder of a run's own, gone with it.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  std::string make(const std::string& name) const;  // one inside; its path

 private:
  std::string path_;
};

// One source, one channel "bench", one rule "rule.lua". Plugins are looked for beside the program.
std::string manifest(const Options& options, const Upstream& upstream, const std::string& history);
void write_rule(const std::string& folder, const std::string& filter_body);
// Reads one field and keeps.
inline constexpr const char* kQuickRule = "return ev.data.level ~= 'debug'";

struct Published {
  std::uint64_t count = 0;
  double seconds = 0;
  Latencies late;  // how much later than it was due a burst was made
};
// `rate` events a second in bursts of 1 ms, the first of them number `first`. on_second: called about once a second.
Published publish_at(Upstream& upstream, Lane lane, const EventText& text, std::uint64_t first, int rate,
                     double seconds, const std::function<void(int second)>& on_second = {});

// Throw at the end when not all was well.
void run_steady(const SourceKind& source, const Options& options);
void run_backlog(const SourceKind& source, const Options& options);
// The other process of run_steady: takes `count` events of its lane, says "ready", then "done" with latencies, and
// waits.
int run_bare(const SourceKind& source, const std::string& address, std::uint64_t bytes, std::uint64_t count);

}  // namespace weir::bench
