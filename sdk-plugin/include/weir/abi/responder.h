/* The interface of a responder, who answers methods: get_interface(WEIR_RESPONDER_V1). C11 and C++20. Since ABI 1.2.
 * Everything on the strand. */
#ifndef WEIR_ABI_RESPONDER_H
#define WEIR_ABI_RESPONDER_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_RESPONDER_V1 "weir.responder/1"

typedef struct weir_request {
  uint32_t struct_size;
  uint32_t reserved;
  weir_str method;        /* as the client named it: "todos.get" */
  weir_str subject;       /* what the manifest's [[method]] makes of it: the method's name when it says nothing */
  weir_str params_json;   /* JSON, never empty */
  weir_str identity_json; /* who asks: {"subject":"ci","scopes":[...],"attributes":{...}}; "null": nobody is known */
} weir_request;

typedef struct weir_responder_v1 {
  uint32_t struct_size;
  uint32_t flags; /* 0 */
  weir_status (*create)(const weir_host* host, weir_str config_json, void** instance, weir_error* error);
  weir_status (*start)(void* instance, weir_error* error);
  /* Answers with host->done(token, status, result_json), before or after returning, and returns WEIR_PENDING; or
   * returns an error itself and never calls done(). After deadline_ms without an answer the client is told `timeout`.
   * result_json with WEIR_OK is the answer, any JSON. With an error it is {"message":"...","code":"..."} or empty: the
   * message is for the client, and so is the code, which is one of the protocol's and else follows from the status:
   * WEIR_E_UNAVAILABLE unavailable (nobody is there to answer), WEIR_E_TIMEOUT timeout, WEIR_E_INVALID bad_request,
   * WEIR_E_FORBIDDEN forbidden, WEIR_E_NOT_FOUND not_found, everything else internal. */
  weir_status (*request)(void* instance, const weir_request* request, uint64_t token, uint32_t deadline_ms);
  void (*cancel)(void* instance, uint64_t token); /* nobody waits for it any more; may be NULL */
  void (*stop)(void* instance);
  void (*destroy)(void* instance);
} weir_responder_v1;

#ifdef __cplusplus
}
#endif
#endif
