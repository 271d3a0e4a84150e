#include "cli/allocator.hpp"

#ifdef WEIR_TCMALLOC
#include <gperftools/malloc_extension.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace weir::cli {
namespace {

constexpr std::size_t kHugePage = 2 << 20;  // x86-64 and arm64 with pages of 4 KiB

// tcmalloc asks for 1 MiB or more at a time and gets whole huge pages, present from the start: one page fault for 512
// pages, where each costs 0.1 to 0.5 us on bare metal and up to 15 us in a virtual machine (docs/benchmarks.md,
// "Memory").
class HugePages final : public SysAllocator {
 public:
  explicit HugePages(SysAllocator* system) : system_(system) {}

  void* Alloc(std::size_t size, std::size_t* actual_size, std::size_t alignment) override {
    const std::size_t whole = (size + kHugePage - 1) & ~(kHugePage - 1);
    if (actual_size == nullptr || alignment > kHugePage || whole < size) {
      return system_->Alloc(size, actual_size, alignment);
    }
    // Neighbours in memory most of the time: the kernel gives addresses from the top downwards.
    void* const got = ::mmap(nullptr, whole + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) return system_->Alloc(size, actual_size, alignment);
    const auto address = reinterpret_cast<std::uintptr_t>(got);
    const std::size_t before = -address & (kHugePage - 1), after = kHugePage - before;
    char* const memory = static_cast<char*>(got) + before;
    if (before != 0) (void)::munmap(got, before);
    if (after != 0) (void)::munmap(memory + whole, after);
    // Both are wishes. A kernel without huge pages, or older than 5.14, gives the pages one by one, as ever.
    (void)::madvise(memory, whole, MADV_HUGEPAGE);
    // What is larger than that is an application's buffer and may never be filled.
    if (whole <= kMostPresent) (void)::madvise(memory, whole, MADV_POPULATE_WRITE);
    *actual_size = whole;
    return memory;
  }

 private:
  static constexpr std::size_t kMostPresent = 4 << 20;
  SysAllocator* const system_;
};

}  // namespace

void prepare_allocator() {
  // Never destroyed: memory is asked for until the very end of the process.
  alignas(HugePages) static char place[sizeof(HugePages)];
  MallocExtension* const malloc = MallocExtension::instance();
  malloc->SetSystemAllocator(new (place) HugePages(malloc->GetSystemAllocator()));
}

}  // namespace weir::cli
#else
namespace weir::cli {
void prepare_allocator() {}
}  // namespace weir::cli
#endif
