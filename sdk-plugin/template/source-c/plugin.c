/* The smallest source for Weir, in C: one event per second. Everything it may call is in weir/abi/host.h. */
#include <stdlib.h>
#include <string.h>

#include "weir/abi/plugin.h"
#include "weir/abi/source.h"

typedef struct source {
  const weir_host *host;
  uint64_t timer;
  int paused;
} source;

static weir_str str(const char *text) {
  weir_str out = {text, strlen(text)};
  return out;
}

static void tick(void *arg) {
  source *self = arg;
  if (self->paused) return;
  weir_event event = {.struct_size = sizeof event, .subject = str("@NAME@"), .event = str("tick"), .data = str("{}")};
  uint32_t accepted = 0;
  const weir_status status = self->host->emit(self->host->ctx, &event, sizeof event, 1, &accepted);
  if (status == WEIR_PAUSE || status == WEIR_E_FULL) self->paused = 1; /* a tick that finds no room is left out */
}

static weir_status create(const weir_host *host, weir_str config_json, void **instance, weir_error *error) {
  source *self = calloc(1, sizeof *self);
  (void)config_json;
  if (self == NULL) {
    error->status = WEIR_E_INTERNAL;
    strcpy(error->message, "out of memory");
    return WEIR_E_INTERNAL;
  }
  self->host = host;
  *instance = self;
  return WEIR_OK;
}

static weir_status start(void *instance, weir_error *error) {
  source *self = instance;
  (void)error;
  self->timer = self->host->timer_start(self->host->ctx, 1000, 1000, tick, self);
  self->host->state(self->host->ctx, WEIR_STATE_RUNNING, str(""));
  return WEIR_OK;
}

static void pause_(void *instance) { ((source *)instance)->paused = 1; }
static void resume(void *instance) { ((source *)instance)->paused = 0; }

static void stop(void *instance) {
  source *self = instance;
  self->host->timer_cancel(self->host->ctx, self->timer);
}

static void destroy(void *instance) { free(instance); }

static const weir_source_v1 table = {
    .struct_size = sizeof(weir_source_v1),
    .create = create,
    .start = start,
    .pause = pause_,
    .resume = resume,
    .stop = stop,
    .destroy = destroy,
};

static const void *get_interface(const char *id) { return strcmp(id, WEIR_SOURCE_V1) == 0 ? &table : NULL; }

WEIR_PLUGIN_NOTE();
WEIR_EXPORT extern const weir_plugin weir_plugin_entry;
const weir_plugin weir_plugin_entry = {
    WEIR_PLUGIN_MAGIC, sizeof(weir_plugin), WEIR_ABI_MAJOR, WEIR_ABI_MINOR, 0, "@NAME@", "0.1.0",
    "{\"kinds\":[\"source\"],\"summary\":\"One event per second.\",\"config_schema\":{\"type\":\"object\"}}", get_interface};
