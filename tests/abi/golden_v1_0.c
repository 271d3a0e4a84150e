/* A plugin as it was written and compiled against ABI 1.0. It has its own copy of every struct, taken when 1.0 was
 * agreed on and NEVER to be changed: a hub of any later 1.x must load it, run it, and find the same behaviour. If a
 * test with this file fails, it is the hub that broke its word. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char* ptr;
  uint64_t size;
} g_str;
typedef struct {
  uint32_t struct_size;
  int32_t status;
  char json_pointer[128];
  char message[512];
} g_error;
typedef struct {
  uint32_t struct_size, flags;
  g_str subject, event, data, id, key, cursor;
  int64_t time_ms;
} g_event;
typedef struct {
  uint32_t struct_size, reserved;
  void* ctx;
  int32_t (*emit)(void*, const g_event*, uint32_t, uint32_t, uint32_t*);
  void (*gap)(void*, g_str, uint64_t, g_str);
  void (*log)(void*, int32_t, g_str, g_str);
  void (*state)(void*, int32_t, g_str);
  void (*metric)(void*, g_str, double);
  int32_t (*post)(void*, void (*)(void*), void*);
  uint64_t (*timer_start)(void*, uint64_t, uint64_t, void (*)(void*), void*);
  void (*timer_cancel)(void*, uint64_t);
  uint64_t (*watch_fd)(void*, int32_t, uint32_t, void (*)(void*, uint32_t), void*);
  void (*unwatch_fd)(void*, uint64_t);
  void (*done)(void*, uint64_t, int32_t, g_str);
  int64_t (*now_ms)(void*);
  const void* (*get_extension)(void*, const char*);
} g_host;
typedef struct {
  uint32_t struct_size, flags;
  int32_t (*create)(const g_host*, g_str, void**, g_error*);
  int32_t (*start)(void*, g_error*);
  void (*pause)(void*);
  void (*resume)(void*);
  void (*accepted)(void*, g_str);
  void (*stop)(void*);
  void (*destroy)(void*);
} g_source;
typedef struct {
  uint32_t struct_size, flags;
  int32_t (*create)(const g_host*, g_str, void**, g_error*);
  int32_t (*start)(void*, g_error*);
  int32_t (*authenticate)(void*, g_str, uint64_t, uint32_t);
  void (*cancel)(void*, uint64_t);
  void (*stop)(void*);
  void (*destroy)(void*);
} g_auth;
typedef struct {
  uint32_t magic, struct_size;
  uint16_t abi_major, abi_minor;
  uint32_t flags;
  const char *name, *version, *manifest_json;
  const void* (*get_interface)(const char*);
} g_plugin;
typedef struct {
  uint32_t name_size, desc_size, type;
  char name[8];
  uint32_t magic;
  uint16_t abi_major, abi_minor;
} g_note;

__attribute__((section(".note.weir"), used, aligned(4))) static const g_note note = {5u,          8u, 1u, "weir",
                                                                                     0x52494557u, 1,  0};

typedef struct {
  const g_host* host;
  int next;
  uint64_t timer;
} g_instance;

static g_str str(const char* text) {
  g_str s = {text, strlen(text)};
  return s;
}

static int32_t create(const g_host* host, g_str config, void** out, g_error* error) {
  (void)config, (void)error;
  g_instance* self = calloc(1, sizeof *self);
  self->host = host;
  *out = self;
  return 0;
}

/* Three events at a time; what the hub does not take is offered again after resume(). */
static void offer(void* p) {
  g_instance* self = p;
  static const char* data[] = {"{\"n\":0}", "{\"n\":1}", "{\"n\":2}"};
  static const char* cursors[] = {"c0", "c1", "c2"};
  g_event events[3];
  memset(events, 0, sizeof events);
  uint32_t count = 0;
  for (int i = self->next; i < 3; ++i, ++count) {
    events[count].struct_size = sizeof(g_event);
    events[count].subject = str("golden");
    events[count].event = str("old");
    events[count].data = str(data[i]);
    events[count].cursor = str(cursors[i]);
  }
  uint32_t accepted = 0;
  const int32_t status = self->host->emit(self->host->ctx, events, sizeof(g_event), count, &accepted);
  self->next += (int)accepted;
  self->host->metric(self->host->ctx, str("status"), status);
}

static int32_t start(void* p, g_error* error) {
  g_instance* self = p;
  (void)error;
  self->host->log(self->host->ctx, 2, str("golden starts"), str(""));
  self->timer = self->host->timer_start(self->host->ctx, 1, 0, offer, self);
  self->host->state(self->host->ctx, 2, str("as in 1.0"));
  return self->timer != 0 && self->host->now_ms(self->host->ctx) > 0 ? 0 : -10;
}
static void pause_(void* p) { (void)p; }
static void resume(void* p) { offer(p); }
static void accepted(void* p, g_str cursor) {
  g_instance* self = p;
  if (cursor.size == 2) self->host->metric(self->host->ctx, str("acknowledged"), cursor.ptr[1] - '0');
}
static void stop(void* p) {
  g_instance* self = p;
  self->host->timer_cancel(self->host->ctx, self->timer);
}
static void destroy(void* p) { free(p); }

static int32_t authenticate(void* p, g_str request, uint64_t token, uint32_t deadline_ms) {
  g_instance* self = p;
  (void)deadline_ms;
  if (request.size < 2) return -9;
  self->host->done(self->host->ctx, token, 0, str("{\"subject\":\"golden\",\"scopes\":[\"x\"]}"));
  return 1;
}

static const g_source source_table = {sizeof(g_source), 0, create, start, pause_, resume, accepted, stop, destroy};
static const g_auth auth_table = {sizeof(g_auth), 0, create, start, authenticate, NULL, stop, destroy};
static const void* get_interface(const char* id) {
  if (strcmp(id, "weir.source/1") == 0) return &source_table;
  if (strcmp(id, "weir.auth/1") == 0) return &auth_table;
  return NULL;
}

__attribute__((visibility("default"))) extern const g_plugin weir_plugin_entry;
const g_plugin weir_plugin_entry = {0x52494557u,
                                    sizeof(g_plugin),
                                    1,
                                    0,
                                    0,
                                    "golden",
                                    "1.0.0",
                                    "{\"kinds\":[\"source\",\"auth\"],\"config_schema\":{\"type\":\"object\"}}",
                                    get_interface};
