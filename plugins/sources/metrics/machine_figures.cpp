#include "machine_figures.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <charconv>
#include <memory>
#include <numeric>
#include <optional>

namespace weir::metrics {
namespace {

constexpr std::size_t kFileBytesMax = 1024 * 1024;  // /proc/stat of a large machine has tens of KiB
constexpr std::size_t kFdsCounted = 100'000;        // more would hold up the strand

// The words of a line.
std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  while (true) {
    const auto from = line.find_first_not_of(" \t");
    if (from == std::string_view::npos) return out;
    line.remove_prefix(from);
    out.push_back(line.substr(0, line.find_first_of(" \t")));
    line.remove_prefix(out.back().size());
  }
}
std::optional<double> number(std::string_view text) {
  double out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}
template <class Each>
void each_line(std::string_view text, Each&& each) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    each(line);
  }
}

// Open descriptors; Linux tells their number since 6.2, before they must be counted. Nothing if there are too many.
std::optional<double> descriptors(const std::string& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) == 0 && info.st_size > 0) return static_cast<double>(info.st_size);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), &::closedir);
  if (!dir) return std::nullopt;
  std::size_t count = 0;
  while (const dirent* entry = ::readdir(dir.get())) {
    count += entry->d_name[0] != '.';
    if (count > kFdsCounted) return std::nullopt;
  }
  return static_cast<double>(count == 0 ? 0 : count - 1);  // without the one that looks
}

}  // namespace

std::string MachineFigures::file(const char* name) const {
  std::string out;
  const int fd = ::open((proc_ + name).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return out;
  char piece[16'384];
  ssize_t size = 0;
  while (out.size() < kFileBytesMax && (size = ::read(fd, piece, sizeof piece)) > 0)
    out.append(piece, static_cast<std::size_t>(size));
  ::close(fd);
  return out;
}

std::string MachineFigures::read(std::int64_t steady_ms) {
  Object out;
  load(out);
  cpu(out);
  memory(out);
  process(out, steady_ms);
  network(out, steady_ms);
  disks(out);
  return out.json();
}

void MachineFigures::load(Object& out) const {
  const std::string text = file("/loadavg");
  const auto words = words_of(text);
  const char* names[] = {"load1", "load5", "load15"};
  for (std::size_t i = 0; i < 3 && i < words.size(); ++i)
    if (const auto value = number(words[i])) out.add(names[i], *value);
}

// "cpu  user nice system idle iowait irq softirq steal guest guest_nice", in ticks of all processors together; guest
// ticks are in user already.
void MachineFigures::cpu(Object& out) {
  double processors = 0;
  std::vector<double> now;
  const std::string text = file("/stat");
  each_line(text, [&](std::string_view line) {
    if (!line.starts_with("cpu")) return;
    const auto words = words_of(line);
    if (words[0] != "cpu") return void(++processors);
    for (std::size_t i = 1; i < words.size() && i <= 8; ++i) now.push_back(number(words[i]).value_or(0));
  });
  if (now.size() < 4) return;
  if (processors > 0) out.add("cpus", processors);
  now.resize(8);
  if (cpu_before_.empty()) cpu_before_ = now;
  std::vector<double> spent(now.size());
  for (std::size_t i = 0; i < now.size(); ++i) spent[i] = std::max(0.0, now[i] - cpu_before_[i]);  // iowait may shrink
  cpu_before_ = now;
  const double all = std::accumulate(spent.begin(), spent.end(), 0.0);
  const auto share = [&](double ticks) { return all > 0 ? ticks * 100 / all : 0; };
  out.add("cpuPercent", share(all - spent[3] - spent[4]));
  out.add("cpuUserPercent", share(spent[0] + spent[1]));
  out.add("cpuSystemPercent", share(spent[2] + spent[5] + spent[6]));
  out.add("cpuWaitPercent", share(spent[4]));
  out.add("cpuStolenPercent", share(spent[7]));
}

void MachineFigures::memory(Object& out) const {
  std::optional<double> total, available, swap, swap_free;
  const std::string text = file("/meminfo");
  each_line(text, [&](std::string_view line) {
    const auto words = words_of(line);
    if (words.size() < 2) return;
    const auto kib = number(words[1]);
    if (!kib) return;
    if (words[0] == "MemTotal:") total = *kib * 1024;
    if (words[0] == "MemAvailable:") available = *kib * 1024;
    if (words[0] == "SwapTotal:") swap = *kib * 1024;
    if (words[0] == "SwapFree:") swap_free = *kib * 1024;
  });
  if (total) out.add("memoryBytes", *total);
  if (available) out.add("memoryAvailableBytes", *available);
  if (total && available && *total > 0) out.add("memoryUsedPercent", (*total - *available) * 100 / *total);
  if (swap) out.add("swapBytes", *swap);
  if (swap && swap_free) out.add("swapUsedBytes", *swap - *swap_free);
}

void MachineFigures::process(Object& out, std::int64_t steady_ms) {
  const std::string memory = file("/self/statm");
  const auto pages = words_of(memory);
  if (pages.size() > 1)
    if (const auto resident = number(pages[1]))
      out.add("processMemoryBytes", *resident * static_cast<double>(::sysconf(_SC_PAGESIZE)));
  // "pid (name) state ..."; the name may hold anything, so count from its last bracket: state is the first word.
  const std::string stat = file("/self/stat");
  if (const auto bracket = stat.rfind(')'); bracket != std::string::npos) {
    const auto words = words_of(std::string_view(stat).substr(bracket + 1));
    if (words.size() > 17) {
      const double ticks = number(words[11]).value_or(0) + number(words[12]).value_or(0);
      const double seconds = ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
      out.add("processCpuPercent", growth_.rate("cpu", seconds, steady_ms) * 100);
      if (const auto threads = number(words[17])) out.add("processThreads", *threads);
    }
  }
  if (const auto open = descriptors(proc_ + "/self/fd")) out.add("processDescriptors", *open);
}

// Two lines of headings, then "name: bytes packets errs drop fifo frame compressed multicast bytes ..." for each
// interface; what a machine sends to itself is not counted.
void MachineFigures::network(Object& out, std::int64_t steady_ms) {
  bool any = false;
  double received = 0, sent = 0;
  const std::string text = file("/net/dev");
  each_line(text, [&](std::string_view line) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const auto name = words_of(line.substr(0, colon));
    const auto words = words_of(line.substr(colon + 1));
    if (name.empty() || name[0] == "lo" || words.size() < 9) return;
    any = true;
    received += number(words[0]).value_or(0);
    sent += number(words[8]).value_or(0);
  });
  if (!any) return;
  out.add("networkReceivedBytes", received);
  out.add("networkReceivedBytesPerSecond", growth_.rate("received", received, steady_ms));
  out.add("networkSentBytes", sent);
  out.add("networkSentBytesPerSecond", growth_.rate("sent", sent, steady_ms));
}

void MachineFigures::disks(Object& out) const {
  std::string list;
  for (const std::string& path : disks_) {
    struct statvfs info {};
    if (::statvfs(path.c_str(), &info) != 0) continue;
    const auto unit = static_cast<double>(info.f_frsize);
    // As df: what only root may use counts as used.
    const double total = static_cast<double>(info.f_blocks) * unit, free = static_cast<double>(info.f_bavail) * unit;
    const double used = static_cast<double>(info.f_blocks - info.f_bfree) * unit;
    Object disk;
    disk.add_json("path", sdk::json::quoted(path));
    disk.add("bytes", total);
    disk.add("freeBytes", free);
    disk.add("usedPercent", used + free > 0 ? used * 100 / (used + free) : 0);
    (list += list.empty() ? "" : ",") += disk.json();
  }
  if (!list.empty()) out.add_json("disks", "[" + list + "]");
}

}  // namespace weir::metrics
