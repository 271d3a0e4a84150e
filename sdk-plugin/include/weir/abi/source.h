/* The interface of a source of events: get_interface(WEIR_SOURCE_V1). C11 and C++20. Since ABI 1.0.
 *
 * Life of an instance: create -> start -> (pause <-> resume, accepted)* -> stop -> destroy. Everything on its strand.
 */
#ifndef WEIR_ABI_SOURCE_H
#define WEIR_ABI_SOURCE_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_SOURCE_V1 "weir.source/1"

typedef struct weir_source_v1 {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  /* Makes an instance from its config, an object that the hub has checked against the schema and filled with its
   * defaults. Parses, and may read files that the config names, so that `weir check`, which calls it too, finds what is
   * wrong in them; keeps nothing open, connects to nothing. `host` lives as long as the process. */
  weir_status (*create)(const weir_host* host, weir_str config_json, void** instance, weir_error* error);
  /* Begins to work and returns at once; connecting goes on in the background and is told by host->state().
   * Who never calls that counts as running once start() returned WEIR_OK. */
  weir_status (*start)(void* instance, weir_error* error);
  /* The hub is full: stop emitting until resume(). May be NULL in a source that only reacts to emit's result. */
  void (*pause)(void* instance);
  void (*resume)(void* instance);
  /* Every event up to and including the one with this cursor has its place in the hub: it may be acknowledged upstream.
   * In the order of emission. May be NULL in a source without cursors. */
  void (*accepted)(void* instance, weir_str cursor);
  /* Ends all work, joins all threads. After it returns the instance calls nothing but host->log(). */
  void (*stop)(void* instance);
  void (*destroy)(void* instance);
} weir_source_v1;

#ifdef __cplusplus
}
#endif
#endif
