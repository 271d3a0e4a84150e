// What scripts that misbehave cost the channels beside them: a hub with a channel for each trick of the hostile suite,
// each with that trick as its rule, and one ordinary channel whose deliveries are timed, without and with events for
// the others.
//   ./dev bench hostile [--seconds 20] [--rate 100]
// Prints latencies of the ordinary channel (publish frame out, event in, over loopback), what the rules came to, and
// the memory of the process.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/log.hpp"
#include "net/ws_client.hpp"
#include "server/hub.hpp"
#include "unit/rules/tricks.hpp"

namespace weir {
namespace {

using Steady = std::chrono::steady_clock;
using Json = nlohmann::json;
constexpr int kOrdinaryPerSecond = 500;

std::int64_t micros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Steady::now().time_since_epoch()).count();
}

std::int64_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::atoll(line.c_str() + 6);
  return 0;
}

std::unique_ptr<net::WsClient> connect(const Hub& hub) {
  net::WsClient::Settings settings;
  const std::string address = hub.address();
  settings.host = address.substr(0, address.rfind(':'));
  settings.port = static_cast<std::uint16_t>(std::atoi(address.c_str() + address.rfind(':') + 1));
  auto client = net::WsClient::connect(settings, 5000);
  if (!client) std::fprintf(stderr, "%s\n", client.error().message.c_str()), std::exit(1);
  return std::move(*client);
}

std::vector<std::int64_t> measure(const Hub& hub, double seconds) {
  auto reader = connect(hub), writer = connect(hub);
  (void)reader->send(R"({"type":"subscribe","id":1,"channel":"ordinary"})");
  while (true) {
    const auto text = reader->receive(20'000);
    if (!text || text->find("\"ack\"") != std::string::npos) break;
  }
  const int all = static_cast<int>(seconds * kOrdinaryPerSecond);
  std::vector<std::int64_t> latencies;
  std::thread reads([&] {
    while (latencies.size() < static_cast<std::size_t>(all)) {
      const auto text = reader->receive(20'000);
      if (!text) break;
      const Json frame = Json::parse(*text, nullptr, false);
      if (frame.value("type", "") == "event") latencies.push_back(micros() - frame["data"]["at"].get<std::int64_t>());
    }
  });
  const auto begin = Steady::now();
  for (int i = 1; i <= all; ++i) {
    (void)writer->send(R"({"type":"publish","channel":"ordinary","event":"e","data":{"at":)" +
                       std::to_string(micros()) + "}}");
    std::this_thread::sleep_until(begin + std::chrono::microseconds(1'000'000LL * i / kOrdinaryPerSecond));
  }
  reads.join();
  if (latencies.size() != static_cast<std::size_t>(all))
    std::printf("  %zu of %d events came\n", latencies.size(), all);
  std::sort(latencies.begin(), latencies.end());
  return latencies;
}

void print(const char* what, const std::vector<std::int64_t>& sorted) {
  const auto at = [&](double part) {
    return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
  };
  std::printf("  %-22s p50 %6lld us   p90 %6lld us   p99 %6lld us   most %6lld us   %lld KiB resident\n", what,
              static_cast<long long>(at(0.5)), static_cast<long long>(at(0.9)), static_cast<long long>(at(0.99)),
              static_cast<long long>(at(1.0)), static_cast<long long>(resident_kib()));
  std::fflush(stdout);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  using namespace weir;
  double seconds = 20;
  int rate = 100;
  std::size_t count = std::size(kTricks);
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::atof(argv[i + 1]);
    if (std::strcmp(argv[i], "--rate") == 0) rate = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--scripts") == 0)
      count = std::clamp<std::size_t>(std::strtoul(argv[i + 1], nullptr, 10), 1, std::size(kTricks));
  }
  log::set_level(log::Level::off);
  const auto folder = std::filesystem::temp_directory_path() / ("weir-hostile-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::string manifest =
      "listen = \"127.0.0.1:0\"\nthreads = 1\n[[endpoint]]\npath = \"/ws\"\n[[channel]]\npattern = "
      "\"ordinary\"\n[[channel]]\npattern = \"harmless/{name}\"\n";
  std::vector<Trick> tricks;  // spread over all kinds
  for (std::size_t i = 0; i < count; ++i) tricks.push_back(kTricks[i * std::size(kTricks) / count]);
  for (const Trick& trick : tricks) {
    std::ofstream(folder / (std::string(trick.name) + ".lua"))
        << "return { filter = function(ev) local ok = (function() " << trick.body << " end)() return ok and true end }";
    manifest +=
        "[[channel]]\npattern = \"hostile/" + std::string(trick.name) + "\"\nrules = [\"" + trick.name + ".lua\"]\n";
  }
  std::ofstream(folder / "hub.toml") << manifest;
  SetupResult loaded = set_up((folder / "hub.toml").string(), {});
  for (const auto& p : loaded.problems) std::fprintf(stderr, "%s\n", p.text().c_str());
  if (!loaded.setup) return 1;
  Hub hub(std::move(loaded.setup));
  if (auto ok = hub.start(); !ok) std::fprintf(stderr, "%s\n", ok.error().message.c_str()), std::exit(1);

  std::printf("%zu hostile scripts, %d events a second for them together; an ordinary channel with %d\n", count, rate,
              kOrdinaryPerSecond);
  // As many events for channels without rules make the quiet run: what is compared is the scripts, not the traffic.
  const auto with_traffic = [&](const char* prefix, const auto& measured) {
    std::atomic<bool> stop{false};
    std::thread sender([&] {
      auto client = connect(hub);
      const auto begin = Steady::now();
      for (int i = 0; !stop; ++i) {
        (void)client->send(std::string(R"({"type":"publish","channel":")") + prefix +
                           tricks[static_cast<std::size_t>(i) % count].name +
                           R"(","event":"evil","data":{"n":1,"list":[1,2,3]}})");
        std::this_thread::sleep_until(begin + std::chrono::microseconds(1'000'000LL * i / rate));
      }
    });
    measured();
    stop = true;
    sender.join();
  };
  with_traffic("harmless/", [&] { print("quiet", measure(hub, seconds)); });
  with_traffic("hostile/", [&] {
    print("their first seconds", measure(hub, seconds));
    print("once they are known", measure(hub, seconds));
  });
  with_traffic("harmless/", [&] { print("quiet again", measure(hub, seconds)); });
  std::uint64_t events = 0, stops = 0, errors = 0, skipped = 0, quarantined = 0, dropped = 0, kept = 0;
  for (const auto& shard : hub.shards())
    for (const RuleStatus& r : shard->rules().status()) {
      events += r.events, stops += r.budget_stops, errors += r.errors, skipped += r.skipped,
          quarantined += r.quarantined;
      dropped += r.dropped, kept += r.kept;
    }
  std::printf(
      "  %llu events reached the rules: %llu errors (%llu of them stopped by a budget), %llu skipped in quarantine, "
      "%llu "
      "kept, %llu dropped; %llu rules in quarantine\n",
      static_cast<unsigned long long>(events), static_cast<unsigned long long>(errors),
      static_cast<unsigned long long>(stops), static_cast<unsigned long long>(skipped),
      static_cast<unsigned long long>(kept), static_cast<unsigned long long>(dropped),
      static_cast<unsigned long long>(quarantined));
  std::filesystem::remove_all(folder);
  return events == errors + skipped + kept + dropped ? 0 : 1;
}
