/* A plugin that breaks the rules on demand: config {"mode":"..."}; see the names below. In C, so that nothing between
 * it and the hub softens the blow. */
#define _DEFAULT_SOURCE
#include "weir/abi/auth.h"
#include "weir/abi/plugin.h"
#include "weir/abi/source.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

WEIR_PLUGIN_NOTE();

typedef struct instance {
  const weir_host* host;
  char mode[64];
  uint64_t first_token;
  double cursors; /* how many it was told of */
} instance;

static weir_str str(const char* text) {
  weir_str out = {text, strlen(text)};
  return out;
}

static int is(const instance* self, const char* mode) { return strcmp(self->mode, mode) == 0; }

static weir_status create(const weir_host* host, weir_str config, void** out, weir_error* error) {
  instance* self = calloc(1, sizeof *self);
  self->host = host;
  const char* key = "\"mode\":\"";
  for (uint64_t i = 0; i + 8 < config.size; ++i)
    if (memcmp(config.ptr + i, key, 8) == 0)
      for (uint64_t j = 0; i + 8 + j < config.size && config.ptr[i + 8 + j] != '"' && j < 63; ++j)
        self->mode[j] = config.ptr[i + 8 + j];
  if (is(self, "create: garbage status") || is(self, "create: no instance") || is(self, "create: endless message")) {
    const weir_status status = is(self, "create: garbage status") ? 77
                               : is(self, "create: no instance")  ? WEIR_OK
                                                                  : WEIR_E_CONFIG;
    memset(error->message, 'x', sizeof error->message);
    memset(error->json_pointer, '/', sizeof error->json_pointer);
    free(self);
    *out = NULL;
    return status;
  }
  *out = self;
  return WEIR_OK;
}

static weir_event event(const char* data) {
  weir_event out = {sizeof(weir_event), 0, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, 0};
  out.subject = str("s");
  out.event = str("e");
  out.data = str(data);
  return out;
}

/* What emit() said, as a metric that the test can see. */
static void emit(instance* self, const weir_event* events, uint32_t stride, uint32_t count) {
  uint32_t accepted = 12345;
  const weir_status status = self->host->emit(self->host->ctx, events, stride, count, &accepted);
  self->host->metric(self->host->ctx, str("accepted"), accepted);
  self->host->metric(self->host->ctx, str("status"), status);
}

static void nothing(void* arg) { (void)arg; }
static void* other_thread(void* arg) {
  instance* self = arg;
  const uint64_t id = self->host->timer_start(self->host->ctx, 1, 0, nothing, NULL);
  self->host->metric(self->host->ctx, str("timer"), (double)id);
  return NULL;
}

static weir_status start(void* p, weir_error* error) {
  instance* self = p;
  const weir_host* host = self->host;
  weir_event events[3] = {event("1"), event("{\"a\":2}"), event("3")};
  if (is(self, "start: fails")) {
    memcpy(error->message, "there is no tide today", 23);
    return WEIR_E_UNAVAILABLE;
  }
  if (is(self, "start: garbage status")) return 4711;
  if (is(self, "emit: stride 0")) emit(self, events, 0, 3);
  if (is(self, "emit: stride odd")) emit(self, events, sizeof(weir_event) + 1, 3);
  if (is(self, "emit: null")) emit(self, NULL, sizeof(weir_event), 3);
  if (is(self, "emit: struct size")) events[1].struct_size = 8, emit(self, events, sizeof(weir_event), 3);
  if (is(self, "emit: flags")) events[1].flags = 7, emit(self, events, sizeof(weir_event), 3);
  if (is(self, "emit: json")) events[1].data = str("{\"a\":"), emit(self, events, sizeof(weir_event), 3);
  if (is(self, "emit: utf8")) events[1].subject = str("\xff\xfe"), emit(self, events, sizeof(weir_event), 3);
  if (is(self, "emit: no name")) events[1].event = str(""), emit(self, events, sizeof(weir_event), 3);
  if (is(self, "emit: huge length")) events[1].key.size = UINT64_MAX, emit(self, events, sizeof(weir_event), 3);
  if (is(self, "emit: null text")) events[1].key.size = 10, emit(self, events, sizeof(weir_event), 3);
  if (is(self, "emit: no accepted")) host->emit(host->ctx, events, sizeof(weir_event), 3, NULL);
  if (is(self, "emit: too long as json")) {
    static char controls[400 * 1024];
    memset(controls, 1, sizeof controls);
    events[1].flags = WEIR_DATA_TEXT;
    events[1].data.ptr = controls, events[1].data.size = sizeof controls;
    emit(self, events, sizeof(weir_event), 3);
  }
  if (is(self, "emit: much as text")) {
    static char controls[100 * 1024];
    memset(controls, 1, sizeof controls);
    weir_event many[20];
    for (int i = 0; i < 20; ++i) {
      many[i] = event("1");
      many[i].flags = WEIR_DATA_TEXT;
      many[i].data.ptr = controls, many[i].data.size = sizeof controls - (size_t)i;
    }
    emit(self, many, sizeof(weir_event), 20);
  }
  if (is(self, "emit: any data")) {
    weir_event more[6] = {event("{\"a\":1}"), event("7"),          event("{\"a\":"),
                          event("\xff\xfe!"), event(" {\"b\":2}"), event("")};
    more[1].flags = WEIR_DATA_TEXT;
    for (int i = 2; i < 6; ++i) more[i].flags = WEIR_DATA_ANY;
    emit(self, more, sizeof(weir_event), 6);
  }
  if (is(self, "emit: good")) emit(self, events, sizeof(weir_event), 3);
  if (is(self, "state: garbage"))
    host->state(host->ctx, 99, str("?")), host->state(host->ctx, WEIR_STATE_STOPPED, str("?"));
  if (is(self, "metric: garbage")) host->metric(host->ctx, str("No Spaces Please"), 1);
  if (is(self, "done: from a source")) host->done(host->ctx, 1, WEIR_OK, str("{}"));
  if (is(self, "post: null")) host->post(host->ctx, NULL, NULL);
  if (is(self, "timer: other thread")) {
    pthread_t thread;
    pthread_create(&thread, NULL, other_thread, self);
    pthread_join(thread, NULL);
  }
  if (is(self, "state: good")) host->state(host->ctx, WEIR_STATE_RETRYING, str("the sea is away"));
  return WEIR_OK;
}

static void stop(void* p) {
  instance* self = p;
  if (is(self, "stop: hangs"))
    for (;;) pause();
}

static void cursor(void* p, weir_str text) {
  instance* self = p;
  (void)text;
  self->host->metric(self->host->ctx, str("cursors"), ++self->cursors);
}

static void destroy(void* p) {
  instance* self = p;
  if (is(self, "destroy: emits")) {
    const weir_event late = event("1");
    uint32_t accepted = 0;
    self->host->emit(self->host->ctx, &late, sizeof late, 1, &accepted);
  }
  free(self);
}

static const char identity[] =
    "{\"subject\":\"ann\",\"scopes\":[\"a:b\"],\"attributes\":{\"x\":[1]},\"connections_max\":3}";

static weir_status authenticate(void* p, weir_str request, uint64_t token, uint32_t deadline_ms) {
  instance* self = p;
  const weir_host* host = self->host;
  (void)request, (void)deadline_ms;
  if (is(self, "auth: garbage status")) return 99;
  if (is(self, "auth: ok without identity")) return WEIR_OK;
  if (is(self, "auth: unauthorized")) return WEIR_E_UNAUTHORIZED;
  if (is(self, "auth: no credential")) return WEIR_E_NO_CREDENTIAL;
  if (is(self, "auth: never")) return WEIR_PENDING;
  if (is(self, "auth: blocks"))
    for (;;) pause();
  if (is(self, "auth: late")) { /* answers the first when the second comes */
    if (self->first_token == 0) {
      self->first_token = token;
      return WEIR_PENDING;
    }
    host->done(host->ctx, self->first_token, WEIR_OK, str(identity));
  }
  if (is(self, "auth: unknown tokens")) {
    host->done(host->ctx, 0, WEIR_OK, str(identity));
    host->done(host->ctx, token + 1, WEIR_OK, str(identity));
    host->done(host->ctx, token ^ (UINT64_C(1) << 40), WEIR_OK, str(identity));
    host->done(host->ctx, UINT64_MAX, WEIR_OK, str(identity));
  }
  if (is(self, "auth: identity is no JSON"))
    return host->done(host->ctx, token, WEIR_OK, str("{\"subject\":")), WEIR_PENDING;
  if (is(self, "auth: identity without subject"))
    return host->done(host->ctx, token, WEIR_OK, str("{\"scopes\":[]}")), WEIR_PENDING;
  if (is(self, "auth: done with garbage")) return host->done(host->ctx, token, 1234, str("")), WEIR_PENDING;
  if (is(self, "auth: forbidden"))
    return host->done(host->ctx, token, WEIR_E_FORBIDDEN, str("{\"message\":\"not here\"}")), WEIR_PENDING;
  if (is(self, "auth: revokes")) {
    const weir_auth_host_v1* ext = host->get_extension(host->ctx, WEIR_AUTH_HOST_V1);
    ext->revoke(host->ctx, str("ann"), str("gone"));
  }
  host->done(host->ctx, token, WEIR_OK, str(identity));
  if (is(self, "auth: twice")) host->done(host->ctx, token, WEIR_OK, str(identity));
  if (is(self, "auth: done and status")) return WEIR_E_UNAUTHORIZED;
  return WEIR_PENDING;
}

static const weir_source_v1 source_table = {.struct_size = sizeof(weir_source_v1),
                                            .create = create,
                                            .start = start,
                                            .accepted = cursor,
                                            .stop = stop,
                                            .destroy = destroy,
                                            .refused = cursor};
static const weir_auth_v1 auth_table = {sizeof(weir_auth_v1), 0, create, start, authenticate, NULL, stop, destroy};

static const void* get_interface(const char* id) {
  if (strcmp(id, WEIR_SOURCE_V1) == 0) return &source_table;
  if (strcmp(id, WEIR_AUTH_V1) == 0) return &auth_table;
  return NULL;
}

WEIR_EXPORT extern const weir_plugin weir_plugin_entry;
const weir_plugin weir_plugin_entry = {WEIR_PLUGIN_MAGIC,
                                       sizeof(weir_plugin),
                                       WEIR_ABI_MAJOR,
                                       WEIR_ABI_MINOR,
                                       0,
                                       "misbehaving",
                                       "0.9",
                                       "{\"kinds\":[\"source\",\"auth\"],\"config_schema\":{\"type\":\"object\"}}",
                                       get_interface};
