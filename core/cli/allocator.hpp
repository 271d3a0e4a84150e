// The memory allocator of the process: tcmalloc, in every build that no sanitizer watches (those bring their own).
#pragma once

namespace weir::cli {

// Lets the allocator take memory from the system in whole huge pages, present from the start: a history that grows
// costs one page fault for 2 MiB and not one for each 4 KiB. Call it once, before there are threads.
void prepare_allocator();

}  // namespace weir::cli
