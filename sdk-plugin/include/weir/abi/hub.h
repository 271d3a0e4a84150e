/* What the hub tells about itself: host->get_extension(ctx, WEIR_HUB_V1). C11 and C++20. Since ABI 1.2. */
#ifndef WEIR_ABI_HUB_H
#define WEIR_ABI_HUB_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_HUB_V1 "weir.hub/1"

typedef struct weir_log_line {
  uint32_t struct_size;
  int32_t level; /* WEIR_LOG_* */
  int64_t time_ms;
  uint64_t number;    /* counts the hub's lines from 1 */
  weir_str component; /* "hub", or the name of a plugin's instance */
  weir_str message;
  weir_str fields_json; /* an object */
} weir_log_line;

typedef struct weir_hub_v1 {
  uint32_t struct_size;
  uint32_t reserved;
  /* Asks for the figures of GET /stats ("{}" where there is no hub behind this host). fn(arg, json) runs on the strand,
   * once, soon; never after stop(). WEIR_OK, WEIR_E_CLOSED, or WEIR_E_THREAD off the strand. [strand] */
  weir_status (*stats)(void* ctx, void (*fn)(void* arg, weir_str json), void* arg);
  /* Calls fn for each kept line of the hub's log whose number is above `after`, oldest first, at most `most`, before it
   * returns. The newest 4,096 lines (and 1 MiB) are kept. Returns the number of the last line that fn was given, or
   * `after`. Lines that are missing between were more than that. [any] */
  uint64_t (*log_lines)(void* ctx, uint64_t after, uint32_t most, void (*fn)(void* arg, const weir_log_line* line),
                        void* arg);
  /* What the manifest calls this instance; valid as long as the process. [any] */
  weir_str (*instance_name)(void* ctx);
  /* A clock for durations: milliseconds that never go back, whatever is done to the time of day. [any] */
  int64_t (*steady_ms)(void* ctx);
} weir_hub_v1;

#ifdef __cplusplus
}
#endif
#endif
