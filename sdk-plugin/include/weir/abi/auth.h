/* The interface of an auth provider: get_interface(WEIR_AUTH_V1). C11 and C++20. Since ABI 1.0. Everything on the
 * strand. */
#ifndef WEIR_ABI_AUTH_H
#define WEIR_ABI_AUTH_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_AUTH_V1 "weir.auth/1"

typedef struct weir_auth_v1 {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  weir_status (*create)(const weir_host* host, weir_str config_json, void** instance, weir_error* error);
  weir_status (*start)(void* instance, weir_error* error);
  /* Who is this? request_json:
   *   {"path":"/ws","peer":"127.0.0.1","query":{"k":"v"},"headers":{"lower-case-name":"v"},"subprotocols":["weir.v1"],
   *    "token":"..."}      token: from an in-band `auth` frame; then query and headers are those of the handshake
   * Answers with host->done(token, status, result_json), before or after returning, and returns WEIR_PENDING; or
   * returns WEIR_E_NO_CREDENTIAL, WEIR_E_UNAUTHORIZED, WEIR_E_FORBIDDEN, WEIR_E_UNAVAILABLE itself and never calls
   * done(). After deadline_ms without an answer the hub refuses the client. result_json with WEIR_OK is the identity:
   *   {"subject":"ci","scopes":["events:read"],"attributes":{"instances":["i1"]},"key":"k1","expires_at":1790000000000,
   *    "connections_max":10}
   * subject: 1..255 bytes, required. scopes: "*" stands for every scope. key: what revoke() and connections_max count
   * by, the subject when absent. expires_at: milliseconds since 1970-01-01 UTC; then the connection is closed with
   * 4401. Otherwise {"message":"..."} for the client. */
  weir_status (*authenticate)(void* instance, weir_str request_json, uint64_t token, uint32_t deadline_ms);
  void (*cancel)(void* instance, uint64_t token); /* nobody waits for it any more; may be NULL */
  void (*stop)(void* instance);
  void (*destroy)(void* instance);
} weir_auth_v1;

/* host->get_extension(ctx, WEIR_AUTH_HOST_V1) */
#define WEIR_AUTH_HOST_V1 "weir.auth-host/1"
typedef struct weir_auth_host_v1 {
  uint32_t struct_size;
  uint32_t reserved;
  /* Closes every connection whose identity came from this instance and has this key, with 4401. [any] */
  void (*revoke)(void* ctx, weir_str key, weir_str reason);
} weir_auth_host_v1;

#ifdef __cplusplus
}
#endif
#endif
