/* What the hub offers to an instance of a plugin. C11 and C++20. Since ABI 1.0.
 *
 * Every instance has a strand: the hub calls the instance's functions, timers, watches and posted functions on it, one
 * at a time, in order; which OS thread that is may change. [strand] means: only from there. [any] means: from every
 * thread, also from several at once, between create() and the end of stop(); later calls return WEIR_E_CLOSED and do
 * nothing. An instance must not hold up its strand for longer than 100 ms; the hub logs who does. No function here
 * blocks. */
#ifndef WEIR_ABI_HOST_H
#define WEIR_ABI_HOST_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { WEIR_LOG_DEBUG = 1, WEIR_LOG_INFO = 2, WEIR_LOG_WARN = 3, WEIR_LOG_ERROR = 4 };

/* What a person sees of the instance in /health. The hub itself sets stopped, and failed when create() or start()
 * fails. */
enum {
  WEIR_STATE_STARTING = 1,
  WEIR_STATE_RUNNING = 2,
  WEIR_STATE_DEGRADED = 3, /* works, but not all of it; the reason says what is missing */
  WEIR_STATE_RETRYING = 4, /* upstream is away; the reason says since what and when it is tried again */
  WEIR_STATE_FAILED = 5,   /* gave up; somebody must act */
  WEIR_STATE_STOPPED = 6
};

/* What an event's data is; one of them in weir_event.flags. A hub that does not know one answers WEIR_E_INVALID. JSON
 * that a hub does not take (nested deeper than 64 levels, half of a surrogate pair) is text to WEIR_DATA_ANY. The bound
 * on an event's size holds for the JSON that is made, which may be a third larger than bytes that are no text, and
 * larger still where there are control characters. */
enum {
  WEIR_DATA_JSON = 0, /* JSON text */
  WEIR_DATA_TEXT = 1, /* any bytes: the hub makes a JSON string of them, {"base64":"..."} if they are not UTF-8 (1.1) */
  WEIR_DATA_ANY = 2   /* JSON where it is JSON, else as WEIR_DATA_TEXT (1.1) */
};

typedef struct weir_event {
  uint32_t struct_size;
  uint32_t flags;   /* WEIR_DATA_* */
  weir_str subject; /* where it comes from, in the source's own terms; the manifest's `from` maps it to channels */
  weir_str event;   /* its name, e.g. "line"; 1..255 bytes of UTF-8 */
  weir_str data;    /* as flags say; empty JSON means null */
  weir_str id;      /* empty: the hub makes one */
  weir_str key;     /* for conflation and state; may be empty */
  weir_str cursor;  /* handed back by accepted(); empty: nothing to hand back */
  int64_t time_ms;  /* when it happened, milliseconds since 1970-01-01 UTC; 0: now */
} weir_event;

typedef void (*weir_task_fn)(void* arg);
typedef void (*weir_watch_fn)(void* arg, uint32_t events);
enum { WEIR_WATCH_READ = 1, WEIR_WATCH_WRITE = 2, WEIR_WATCH_ERROR = 4 };

#define WEIR_ANSWER_BYTES_MAX 1048576u

typedef struct weir_host {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  void* ctx;         /* first argument of every call; valid as long as the process, also after stop() */

  /* Hands over events, `stride` bytes apart; they are copied before this returns. *accepted says how many were taken,
   * from the front. [any] Returns WEIR_OK; WEIR_PAUSE: all taken, wait for resume() before the next; WEIR_E_FULL: the
   * first *accepted taken, keep the rest and offer it after resume(); WEIR_E_INVALID: event number *accepted is wrong
   * (the hub logs why): leave it out and go on behind it; WEIR_E_CLOSED. */
  weir_status (*emit)(void* ctx, const weir_event* events, uint32_t stride, uint32_t count, uint32_t* accepted);

  /* Says that events were lost upstream, on the channels of `subject` (empty: on all that this source feeds). count 0:
   * not known how many. Subscribers get a `gap` with the reason. [any] */
  void (*gap)(void* ctx, weir_str subject, uint64_t count, weir_str reason);

  /* A line in the hub's log, under the instance's name. fields_json: an object, whose members become fields of the
   * line, or empty; 4,096 bytes at most, as the message. No payloads, no secrets. [any] */
  void (*log)(void* ctx, int32_t level, weir_str message, weir_str fields_json);
  /* The instance's state for /health. [any] */
  void (*state)(void* ctx, int32_t state, weir_str reason);
  /* Sets a counter or gauge of the instance, shown in /stats. name: [a-z0-9_]{1,64}, at most 64 names. [any] */
  void (*metric)(void* ctx, weir_str name, double value);

  /* Runs fn(arg) on the strand, soon, in the order of the calls; what has not run when stop() returns never runs. [any]
   */
  weir_status (*post)(void* ctx, weir_task_fn fn, void* arg);
  /* Runs fn(arg) on the strand in delay_ms, then every period_ms (0: once). Returns an id, never 0, 0 when closed.
   * [strand] */
  uint64_t (*timer_start)(void* ctx, uint64_t delay_ms, uint64_t period_ms, weir_task_fn fn, void* arg);
  void (*timer_cancel)(void* ctx, uint64_t id); /* unknown ids are ignored [strand] */
  /* Calls fn on the strand while the descriptor is ready (level-triggered). Returns an id, 0 on error. The caller keeps
   * the descriptor open until unwatch_fd. [strand] */
  uint64_t (*watch_fd)(void* ctx, int32_t fd, uint32_t events, weir_watch_fn fn, void* arg);
  void (*unwatch_fd)(void* ctx, uint64_t id); /* [strand] */

  /* Answers a call that returned WEIR_PENDING; at most WEIR_ANSWER_BYTES_MAX of JSON, or it is answered with INTERNAL.
   * Late, repeated and unknown tokens are ignored and counted. [any] */
  void (*done)(void* ctx, uint64_t token, weir_status status, weir_str result_json);

  int64_t (*now_ms)(void* ctx); /* the hub's clock, milliseconds since 1970-01-01 UTC [any] */

  /* More of the hub, by id; NULL when this hub does not have it. [any] */
  const void* (*get_extension)(void* ctx, const char* id);
} weir_host;

#ifdef __cplusplus
}
#endif
#endif
