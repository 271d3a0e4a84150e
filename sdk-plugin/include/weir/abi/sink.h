/* The interface of a sink, where events of channels go: get_interface(WEIR_SINK_V1). C11 and C++20. Since ABI 1.2.
 * Everything on the strand.
 *
 * The manifest's `to` names the instance and a subject for a channel. The events of one channel come in their order and
 * each once. One that was taken is the sink's: it sees to it that it arrives, or says what was lost in its state and
 * counters. What it does not take waits in the hub: first in a short queue, then in the channel's history, from where
 * the hub reads on once ready() was called. */
#ifndef WEIR_ABI_SINK_H
#define WEIR_ABI_SINK_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_SINK_V1 "weir.sink/1"

typedef struct weir_sink_v1 {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  weir_status (*create)(const weir_host* host, weir_str config_json, void** instance, weir_error* error);
  weir_status (*start)(void* instance, weir_error* error);
  /* Takes the first *taken of `count` events, `stride` bytes apart. Of a weir_event: subject is the one of the
   * manifest's `to` with its variables filled in; event, data (JSON, never empty), id (never empty), key and time_ms
   * are the channel's; cursor is empty. Never blocks.
   * WEIR_OK: all taken. WEIR_PAUSE: all taken, the next only after ready(). WEIR_E_FULL: the first *taken, the rest
   * comes again after ready(). WEIR_E_INVALID: event number *taken can't be delivered, ever (the sink logs why): the
   * hub leaves it out, counts it and goes on behind it. WEIR_E_UNAVAILABLE: as WEIR_E_FULL, and the hub tries again
   * every second by itself. */
  weir_status (*deliver)(void* instance, const weir_event* events, uint32_t stride, uint32_t count, uint32_t* taken);
  void (*stop)(void* instance); /* what it still holds it gets rid of within half a second or so, or counts as lost */
  void (*destroy)(void* instance);
} weir_sink_v1;

/* host->get_extension(ctx, WEIR_SINK_HOST_V1) */
#define WEIR_SINK_HOST_V1 "weir.sink-host/1"
typedef struct weir_sink_host_v1 {
  uint32_t struct_size;
  uint32_t reserved;
  /* There is room again after WEIR_PAUSE or WEIR_E_FULL. [any] */
  void (*ready)(void* ctx);
} weir_sink_host_v1;

#ifdef __cplusplus
}
#endif
#endif
