#include "cli/allocator.hpp"

#ifdef WEIR_TCMALLOC
#include <gperftools/malloc_extension.h>
#include <sys/mman.h>

#include <new>

namespace weir::cli {
namespace {

// tcmalloc asks for 1 MiB or more at a time. A page fault costs 0.1 to 0.5 us on bare metal and up to 15 us in a
// virtual machine; asked for together the pages cost half of that and less (docs/benchmarks.md, "Memory").
class Prefaulting final : public SysAllocator {
 public:
  explicit Prefaulting(SysAllocator* system) : system_(system) {}
  void* Alloc(std::size_t size, std::size_t* actual_size, std::size_t alignment) override {
    std::size_t got = size;
    void* const memory = system_->Alloc(size, &got, alignment);
    if (actual_size != nullptr) *actual_size = got;
    // Older kernels than 5.14 do not know it; then the pages come one by one, as ever. What is larger than that is an
    // application's buffer and may never be filled.
    if (memory != nullptr && got <= kMost) (void)::madvise(memory, got, MADV_POPULATE_WRITE);
    return memory;
  }

 private:
  static constexpr std::size_t kMost = 4 << 20;
  SysAllocator* const system_;
};

}  // namespace

void prepare_allocator() {
  // Never destroyed: memory is asked for until the very end of the process.
  alignas(Prefaulting) static char place[sizeof(Prefaulting)];
  MallocExtension* const malloc = MallocExtension::instance();
  malloc->SetSystemAllocator(new (place) Prefaulting(malloc->GetSystemAllocator()));
}

}  // namespace weir::cli
#else
namespace weir::cli {
void prepare_allocator() {}
}  // namespace weir::cli
#endif
