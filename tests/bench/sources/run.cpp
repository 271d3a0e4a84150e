#include "bench/sources/run.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

namespace weir::bench {

Folder::Folder() : path_((std::filesystem::temp_directory_path() / "weir-sources-XXXXXX").string()) {
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no temporary folder");
}
Folder::~Folder() {
  std::error_code ec;
  std::filesystem::remove_all(path_, ec);
}
std::string Folder::make(const std::string& name) const {
  std::filesystem::create_directory(path_ + "/" + name);
  return path_ + "/" + name;
}

std::string manifest(const Options& options, const Upstream& upstream, const std::string& history) {
  std::string out = "listen = \"127.0.0.1:0\"\n";
  if (options.threads != 0) out += "threads = " + std::to_string(options.threads) + "\n";
  std::string config = upstream.config();
  if (!options.config.empty()) config.insert(config.rfind('}'), ", " + options.config + " ");
  return out + "[[plugin]]\nname = \"in\"\nlibrary = \"" + upstream.library() + "\"\nconfig = " + config +
         "\n[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = \"bench\"\nfrom = [{ plugin = \"in\", subject = "
         "\"hub\" }]\nrules = [{ script = \"rule.lua\", ops = 100000000, time = \"1s\" }]\nhistory = " +
         history + "\nsubscribe = {}\n[limits]\nhistory_bytes = \"64GiB\"\n";
}

void write_rule(const std::string& folder, const std::string& filter_body) {
  std::ofstream(folder + "/rule.lua") << "return { filter = function(ev) " << filter_body << " end }\n";
}

Published publish_at(Upstream& upstream, Lane lane, const EventText& text, std::uint64_t first, int rate,
                     double seconds, const std::function<void(int second)>& on_second) {
  constexpr std::int64_t kBurstNs = 1'000'000, kEventsAtOnce = 1'000;
  const auto all = static_cast<std::uint64_t>(rate * seconds);
  const double ns_each = 1e9 / rate;
  Published out;
  int second = 0;
  std::vector<std::string> burst;
  const std::int64_t begin = steady_ns();
  for (std::int64_t due = begin; out.count < all; due += kBurstNs) {
    std::int64_t now = steady_ns();
    if (now < due) {
      std::this_thread::sleep_for(std::chrono::nanoseconds(due - now));
      now = steady_ns();
    }
    out.late.add(now - due);
    const auto wanted =
        std::min(all, static_cast<std::uint64_t>(static_cast<double>(due - begin + kBurstNs) / ns_each));
    while (out.count < wanted) {
      burst.clear();
      for (; out.count < wanted && burst.size() < kEventsAtOnce; ++out.count)
        burst.push_back(text.make(first + out.count));
      upstream.publish(lane, burst);
    }
    if (on_second && now - begin >= (second + 1) * 1'000'000'000LL) on_second(++second);
  }
  upstream.settle();
  out.seconds = static_cast<double>(steady_ns() - begin) / 1e9;
  return out;
}

int run_bare(const SourceKind& source, const std::string& address, std::uint64_t bytes, std::uint64_t count) {
  const EventText text(EventText::Kind::json, bytes);
  Latencies latencies;
  std::uint64_t wrong = 0, next = 0;
  std::string copy;  // whoever takes an event keeps it for a moment
  source.consume(
      address,
      [] {
        std::puts("ready");
        std::fflush(stdout);
      },
      [&](std::string_view payload) {
        copy.assign(payload);
        const auto stamp = text.read(copy);
        if (!stamp || (next != 0 && stamp->number != next)) ++wrong;
        if (stamp) latencies.add(steady_ns() - stamp->made_ns), next = stamp->number + 1;
        return --count != 0;
      });
  std::printf("done %.2f %.2f %llu\n", latencies.at_ms(0.5), latencies.at_ms(0.99),
              static_cast<unsigned long long>(wrong));
  std::fflush(stdout);
  ::pause();  // so that its CPU time can be read
  return 0;
}

}  // namespace weir::bench
