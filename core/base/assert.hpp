// WEIR_ASSERT: for our own mistakes only, never for what clients, plugins, scripts or manifests send.
// Kept in release builds: a hub that is wrong about itself must stop, not guess.
#pragma once
#include <cstdio>
#include <cstdlib>

#define WEIR_ASSERT(condition)                                                                    \
  do {                                                                                            \
    if (!(condition)) {                                                                           \
      std::fprintf(stderr, "weir: internal error: %s (%s:%d)\n", #condition, __FILE__, __LINE__); \
      std::abort();                                                                               \
    }                                                                                             \
  } while (false)
