// The memory allocator of the process: tcmalloc, in every build that no sanitizer watches (those bring their own).
#pragma once

namespace weir::cli {

// Lets the allocator take memory from the system a megabyte at a time, present from the start: a history that grows
// costs one call for 256 pages and not one page fault for each. Call it once, before there are threads.
void prepare_allocator();

}  // namespace weir::cli
