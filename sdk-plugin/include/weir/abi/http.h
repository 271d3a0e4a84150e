/* The interface of a plugin that answers HTTP requests under an endpoint's path: get_interface(WEIR_HTTP_V1). C11 and
 * C++20. Since ABI 1.2. Everything on the strand. The hub has done the rest: parsing, sizes (limits.data_bytes), `auth`
 * and origins of the endpoint. */
#ifndef WEIR_ABI_HTTP_H
#define WEIR_ABI_HTTP_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_HTTP_V1 "weir.http/1"

typedef struct weir_http_request {
  uint32_t struct_size;
  uint32_t reserved;
  weir_str method;        /* "POST" */
  weir_str path;          /* what stands behind the endpoint's path, percent-decoded: "" or "/github" for "/hooks" */
  weir_str query_json;    /* {"name":"value"}, decoded */
  weir_str headers_json;  /* {"lower-case-name":"value"}; several of one name are joined by ", " */
  weir_str body;          /* as it came */
  weir_str peer;          /* an address without its port */
  weir_str identity_json; /* who asks: {"subject":...}; "null" where the endpoint asks nobody */
} weir_http_request;

typedef struct weir_http_v1 {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  weir_status (*create)(const weir_host* host, weir_str config_json, void** instance, weir_error* error);
  weir_status (*start)(void* instance, weir_error* error);
  /* Answers with host->done(token, WEIR_OK, result_json), before or after returning, and returns WEIR_PENDING; or
   * returns an error itself and never calls done(). result_json: {"status":200,"headers":{"name":"value"},"body":...},
   * each optional; a body that is a string is sent as it is (text/plain unless headers say otherwise), other JSON as
   * JSON. With an error: {"message":"..."} or empty; it is sent as the hub sends its own: WEIR_E_INVALID 400,
   * WEIR_E_UNAUTHORIZED 401, WEIR_E_FORBIDDEN 403, WEIR_E_NOT_FOUND 404, WEIR_E_FULL 503 with Retry-After,
   * WEIR_E_UNAVAILABLE 503, WEIR_E_TIMEOUT 504, everything else 500. */
  weir_status (*handle)(void* instance, const weir_http_request* request, uint64_t token, uint32_t deadline_ms);
  void (*cancel)(void* instance, uint64_t token); /* nobody waits for it any more; may be NULL */
  void (*stop)(void* instance);
  void (*destroy)(void* instance);
} weir_http_v1;

#ifdef __cplusplus
}
#endif
#endif
