/* What a plugin exports: one constant, weir_plugin_entry, and one ELF note. C11 and C++20. Since ABI 1.0. */
#ifndef WEIR_ABI_PLUGIN_H
#define WEIR_ABI_PLUGIN_H

#include "types.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_PLUGIN_MAGIC 0x52494557u /* "WEIR" as bytes in memory on a little-endian machine */
#define WEIR_PLUGIN_SYMBOL "weir_plugin_entry"

/* The first 16 bytes never change, in no version: they are read before anything else is believed. */
typedef struct weir_plugin {
  uint32_t magic;       /* WEIR_PLUGIN_MAGIC */
  uint32_t struct_size; /* sizeof(weir_plugin) as the plugin was compiled */
  uint16_t abi_major;
  uint16_t abi_minor;
  uint32_t flags; /* 0 */
  /* --- end of the frozen part --- */
  const char* name;          /* as in libweir-NAME.so: lower-case letters, digits, '-' */
  const char* version;       /* the plugin's own */
  const char* manifest_json; /* see below */
  /* The table of an interface, or NULL if the plugin does not provide it. May be called at any time on any thread;
   * returns the same pointer each time; the table lives as long as the library. */
  const void* (*get_interface)(const char* id);
} weir_plugin;

/* manifest_json is an object:
 * - "kinds": some of "source", "sink", "responder", "http" (the last three since 1.2), and "auth"
 * - "summary": one sentence for people
 * - "config_schema": a JSON Schema (the subset of docs/plugins.md) of the instance's `config`; unknown keys are errors
 * - "subject_separator": of a source or sink, what divides the parts of a subject; "/" when absent
 * - "lossy": of a source, true: upstream can't wait while it is paused; false: a reload that exchanges it loses nothing
 * - "on_demand": of a source (1.2), "subjects" when it can be activated for one subject at a time, "patterns" when for
 *   wildcards as well
 *
 * An instance of a library that offers several of source, sink, responder and http is one for all of them: the hub
 * calls create, start, stop and destroy of the first of these, in this order, and hands what create() made to the other
 * tables as well. As an auth provider it is always an instance of its own. */

/* The note that the hub reads from the file before it loads it: section .note.weir, owner "weir", type 1,
 * and these 8 bytes. WEIR_PLUGIN_NOTE() puts it into a plugin, once. */
typedef struct weir_plugin_note {
  uint32_t name_size, desc_size, type;
  char name[8];
  uint32_t magic;
  uint16_t abi_major, abi_minor;
} weir_plugin_note;

#define WEIR_NOTE_TYPE 1u
#define WEIR_PLUGIN_NOTE()                                                                                     \
  __attribute__((section(".note.weir"), used, aligned(4))) static const weir_plugin_note weir_plugin_note_ = { \
      5u, 8u, WEIR_NOTE_TYPE, "weir", WEIR_PLUGIN_MAGIC, WEIR_ABI_MAJOR, WEIR_ABI_MINOR}

#if defined(__GNUC__)
#define WEIR_EXPORT __attribute__((visibility("default")))
#else
#define WEIR_EXPORT
#endif

#ifdef __cplusplus
}
#endif
#endif
