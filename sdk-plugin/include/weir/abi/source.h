/* The interface of a source of events: get_interface(WEIR_SOURCE_V1). C11 and C++20. Since ABI 1.0.
 *
 * Life of an instance: create -> start -> (pause <-> resume, accepted, activate -> deactivate)* -> stop -> destroy.
 * Everything on its strand.
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
  /* --- since ABI 1.2: a source that works on demand (manifest_json, "on_demand"); both or neither --- */
  /* Somebody watches the channels that `subject` feeds: begin to emit what comes under it. With "on_demand":"patterns"
   * it may hold "*" for one part and, at the end, "**" for the rest. Answers with host->done(token, status, json),
   * before or after returning, and returns WEIR_PENDING; or returns the status itself and never calls done(). Whatever
   * was emitted before that answer is there for the first subscriber's replay. An upstream that is away is no error:
   * the source answers WEIR_OK and goes on trying. WEIR_E_NOT_FOUND: there is no such thing, and its subscribers are
   * refused with {"message":"..."}; WEIR_E_FORBIDDEN, WEIR_E_INVALID likewise. Any other error, WEIR_E_UNAVAILABLE say:
   * it can't now; they are refused as well and may ask again. After either the subject is not active. deadline_ms after
   * they asked the subscribers are let in without waiting longer; the answer counts however late it comes (a late no
   * ends their subscriptions), and a call that the strand could not make in time is still made. A subject is active
   * once, whatever the number of its channels, but active subjects may cover each other ("a.**" and "a.b"): an event
   * under several is emitted once. */
  weir_status (*activate)(void* instance, weir_str subject, uint64_t token, uint32_t deadline_ms);
  /* Nobody does any more (also while an activation is not answered, whose answer then does not matter): emit nothing
   * more under it. Its channels have ended, unless others of its subjects feed them; when it is activated again, they
   * begin anew. */
  void (*deactivate)(void* instance, weir_str subject);
  /* Just before accepted() of the same cursor: of the events since the one that accepted() told before, up to this one,
   * at least one was taken and then found no place after all (limits.channels; a reload took its channel away). May be
   * NULL: then they count as done with, as events that no channel wants. */
  void (*refused)(void* instance, weir_str cursor);
} weir_source_v1;

#ifdef __cplusplus
}
#endif
#endif
