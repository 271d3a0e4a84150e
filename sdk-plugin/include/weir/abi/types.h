/* What every call of the plugin ABI is made of: strings, statuses, errors. C11 and C++20. Since ABI 1.0.
 *
 * Rules that hold everywhere:
 * - A struct that crosses the border starts with struct_size, the bytes that its maker filled in. Fields are only ever
 *   added at the end; the reader uses a field when struct_size covers it (WEIR_HAS) and, for functions, when it is not
 * NULL.
 * - Arrays of structs carry a stride, because sizeof differs between versions.
 * - Nothing allocated on one side is freed on the other. Arguments live until the call returns, not longer.
 * - No exception and no longjmp crosses. */
#ifndef WEIR_ABI_TYPES_H
#define WEIR_ABI_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes with a length; UTF-8 where text is meant; not NUL-terminated. ptr may be NULL when size is 0. */
typedef struct weir_str {
  const char* ptr;
  uint64_t size;
} weir_str;

typedef int32_t weir_status;
enum {
  WEIR_OK = 0,
  WEIR_PENDING = 1,        /* the answer comes later, through host->done() */
  WEIR_PAUSE = 2,          /* all was taken; now wait for resume() */
  WEIR_E_FULL = -1,        /* not all was taken (see accepted); offer the rest after resume() */
  WEIR_E_CLOSED = -2,      /* the instance is stopped; nothing is taken any more */
  WEIR_E_INVALID = -3,     /* an argument is wrong: a size, a length, JSON that does not parse */
  WEIR_E_CONFIG = -4,      /* the configuration can't be used; see weir_error */
  WEIR_E_UNAVAILABLE = -5, /* upstream is not there now */
  WEIR_E_TIMEOUT = -6,
  WEIR_E_UNAUTHORIZED = -7,  /* auth: the credential is wrong, expired or revoked */
  WEIR_E_FORBIDDEN = -8,     /* auth: known, but not allowed here */
  WEIR_E_NO_CREDENTIAL = -9, /* auth: nothing in the request is for this provider; the next one is asked */
  WEIR_E_INTERNAL = -10,     /* a mistake of the side that returns it */
  WEIR_E_THREAD = -11,       /* called on a thread where it is not allowed */
  WEIR_E_NOT_FOUND = -12     /* there is no such thing (1.2) */
};

/* Allocated by the caller, filled in by the callee. Both texts end with a NUL; longer ones are cut. */
typedef struct weir_error {
  uint32_t struct_size;
  weir_status status;
  char json_pointer[128]; /* where in the configuration: "/files/0"; empty when it is not about one place */
  char message[512];      /* one sentence: the thing, the value, the way out */
} weir_error;

#define WEIR_HAS(object, type, field) ((object)->struct_size >= offsetof(type, field) + sizeof((object)->field))

#ifdef __cplusplus
}
#endif
#endif
