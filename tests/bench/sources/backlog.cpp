// A hub that is full while much is put upstream: does its memory stay where it is, and does everything come when there
// is room again.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "bench/sources/run.hpp"
#include "bench/sources/subscribers.hpp"
#include "bench/sources/usage.hpp"

namespace weir::bench {
namespace {

using namespace std::chrono_literals;
constexpr std::uint64_t kAtOnce = 50;
// History and buffers are full before it begins; what comes in addition is what is under way between the upstream and
// the hub, 4 MiB in the SDK's Emitter and about as much in each client library, and what an allocator rounds up.
constexpr double kMoreMib = 32;
// Some ms of work for each event, within its budget.
constexpr const char* kSlowRule = "local x = 0; for i = 1, 200000 do x = x + i % 7 end; return x > 0";

// The largest resident size that a process comes to.
class Watch {
 public:
  explicit Watch(int pid)
      : pid_(pid), first_(resident_kib(pid)), most_(first_), thread_([this] {
          while (!over_) {
            most_ = std::max(most_.load(), resident_kib(pid_));
            std::this_thread::sleep_for(50ms);
          }
        }) {}
  ~Watch() {
    over_ = true;
    thread_.join();
  }
  double first_mib() const { return static_cast<double>(first_) / 1024; }
  double most_mib() const { return static_cast<double>(most_) / 1024; }

 private:
  const int pid_;
  const std::int64_t first_;
  std::atomic<std::int64_t> most_;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

double seconds_since(std::int64_t begin) { return static_cast<double>(steady_ns() - begin) / 1e9; }

}  // namespace

void run_backlog(const SourceKind& source, const Options& options) {
  const Folder folder;
  const auto upstream = source.make(folder.make("upstream"));
  const EventText text(upstream->kind(), options.bytes);
  write_rule(folder.path(), kQuickRule);
  const std::string small = manifest(options, *upstream, "{ bytes = \"64MiB\", count = 100000000 }");
  const HubProcess hub(options.hub, folder.path(), small);
  Subscribers subscriber(hub.port(), 1, "bench", text, 1);
  std::uint64_t published = 0;
  const auto publish = [&](std::uint64_t count) {
    std::vector<std::string> events;
    for (const std::uint64_t end = published + count; published < end;) {
      events.clear();
      while (events.size() < kAtOnce && published < end) events.push_back(text.make(++published));
      upstream->publish(Lane::hub, events);
    }
    upstream->settle();
  };

  // History and buffers as full as they get, so that nothing of that counts below.
  const std::uint64_t before = (96ULL << 20) / text.bytes(), count = options.backlog / text.bytes();
  publish(before);
  if (!subscriber.wait(before)) throw std::runtime_error("the first events did not come");
  write_rule(folder.path(), kSlowRule);
  hub.reload(small);

  std::printf("%s: %llu events of %zu bytes (%.2f GiB) for a hub that is full\n", source.name,
              static_cast<unsigned long long>(count), text.bytes(),
              static_cast<double>(count * text.bytes()) / (1ULL << 30));
  std::string wrong;
  {
    const Watch watch(hub.pid());
    const std::int64_t begin = steady_ns();
    const std::uint64_t had = hub.accepted();
    publish(count);
    const double seconds = seconds_since(begin);
    std::this_thread::sleep_for(5s);
    const std::uint64_t took = hub.accepted() - had;
    if (2 * took > count) wrong += "the hub took half of it meanwhile, so it was not full; ";
    if (watch.most_mib() > watch.first_mib() + kMoreMib) wrong += "the hub's memory grew by more than 32 MiB; ";
    std::printf("  put upstream in %.1f s; the hub took %.0f events/s; MiB of the hub: %.1f before, %.1f at most\n",
                seconds, static_cast<double>(took) / seconds_since(begin), watch.first_mib(), watch.most_mib());
    std::fflush(stdout);
  }
  const std::uint64_t left = published - subscriber.delivered();
  write_rule(folder.path(), kQuickRule);
  // All of it stays in history, so that what the subscriber sees does not depend on how fast it is.
  const std::string large = manifest(
      options, *upstream, "{ bytes = " + std::to_string(2 * options.backlog + (1ULL << 30)) + ", count = 100000000 }");
  const std::int64_t begin = steady_ns();
  hub.reload(large);
  const bool whole = subscriber.wait(published);
  const double seconds = seconds_since(begin);
  const std::uint64_t accepted = hub.accepted();
  const Tally& tally = subscriber.stop();
  std::string words;
  tally.add_to(words);
  std::printf("  let go: the other %llu in %.1f s (%.0f events/s, %.0f MiB/s)\n", static_cast<unsigned long long>(left),
              seconds, static_cast<double>(left) / seconds,
              static_cast<double>(left * text.bytes()) / (1ULL << 20) / seconds);
  std::printf("  published %llu, accepted by the hub %llu; %s: %s\n", static_cast<unsigned long long>(published),
              static_cast<unsigned long long>(accepted), whole ? "all came" : "NOT ALL CAME", words.c_str());
  if (!whole || !tally.well()) wrong += "events did not come once and in order: " + words;
  if (!wrong.empty()) throw std::runtime_error(wrong);
}

}  // namespace weir::bench
