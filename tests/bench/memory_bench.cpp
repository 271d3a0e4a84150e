// What new memory costs, page by page and in huge pages: why core/cli/allocator.cpp asks for it as it does.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstdint>
#include <stdexcept>

namespace {

constexpr std::size_t kPage = 4096, kHugePage = 2 << 20, kSize = 64 << 20;
enum How : std::int64_t { touched, populated, huge };

void NewMemory(benchmark::State& state) {
  for (auto _ : state) {
    void* const all = ::mmap(nullptr, kSize + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) throw std::runtime_error("mmap failed");
    char* const memory = static_cast<char*>(all) + (-reinterpret_cast<std::uintptr_t>(all) & (kHugePage - 1));
    (void)::madvise(memory, kSize, state.range(0) == huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    for (std::size_t at = 0; at < kSize; at += kHugePage) {
      if (state.range(0) != touched) (void)::madvise(memory + at, kHugePage, MADV_POPULATE_WRITE);
      for (std::size_t page = 0; page < kHugePage; page += kPage) memory[at + page] = 1;
    }
    ::munmap(all, kSize + kHugePage);
  }
  state.counters["page"] =
      benchmark::Counter(static_cast<double>(state.iterations() * static_cast<std::int64_t>(kSize / kPage)),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(NewMemory)->ArgName("touched_populated_huge")->Arg(touched)->Arg(populated)->Arg(huge);

}  // namespace
