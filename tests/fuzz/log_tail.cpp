// What log-tail reads that others may have changed: its checkpoint, and files that gzip packed.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint.hpp"
#include "gzip_reader.hpp"

namespace {

using namespace weir::log_tail;

void must(bool holds) {
  if (!holds) std::abort();
}

void checkpoint(std::string_view text) {
  Checkpoint read, again;
  std::string why;
  if (parse_checkpoint(text, read, why) != Reading::fine) {
    must(read.files.empty() && !why.empty());
    return;
  }
  std::vector<TrackPtr> tracks;
  for (const Track& file : read.files) tracks.push_back(std::make_shared<Track>(file));
  must(parse_checkpoint(to_text(read.saved_ns, tracks), again, why) == Reading::fine);
  must(again.files.size() == read.files.size());
  for (std::size_t i = 0; i < read.files.size(); ++i) {
    must(again.files[i].path == read.files[i].path && again.files[i].accepted == read.files[i].accepted);
    must(again.files[i].birth == read.files[i].birth && again.files[i].head == read.files[i].head);
    must(again.files[i].finished == read.files[i].finished);
  }
}

// Its lines, behind a sum that fits: no fuzzer finds that by itself.
void checkpoint_lines(std::string_view text) {
  std::string whole = "weir-log-tail 1 1\n" + std::string(text);
  if (whole.back() != '\n') whole += '\n';
  const auto lines = std::count(whole.begin(), whole.end(), '\n') - 1;
  char sum[24];
  std::snprintf(sum, sizeof sum, "%llx", static_cast<unsigned long long>(hash_of(whole)));
  whole += "end " + std::to_string(lines) + " " + sum + "\n";
  checkpoint(whole);
}

std::string unpacked(int fd, std::size_t piece, std::string& problem) {
  constexpr std::size_t kEnough = 1 << 20;
  GzipReader reader(fd);
  std::string out, buffer(piece, '\0');
  while (out.size() < kEnough) {
    const std::size_t n = reader.read(buffer.data(), std::min(piece, kEnough - out.size()));
    if (reader.done() && n == 0) break;
    out.append(buffer, 0, n);
    must(reader.offset() == out.size());
  }
  problem = reader.problem();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  checkpoint(text);
  checkpoint_lines(text);
  static const int fd = ::memfd_create("packed", MFD_CLOEXEC);
  must(fd >= 0 && ::ftruncate(fd, 0) == 0 && ::pwrite(fd, data, size, 0) == static_cast<ssize_t>(size));
  std::string problem, again;
  const std::string whole = unpacked(fd, 65536, problem);
  must(unpacked(fd, 997, again) == whole && again == problem);
  return 0;
}
