/* Plugins that must not get in: one for each -DREFUSED_... of CMakeLists.txt. Whatever is wrong, none of its code may
 * run. */
#include "weir/abi/plugin.h"
#include "weir/abi/source.h"

#include <stdlib.h>

#if defined(REFUSED_NOTE_MAJOR)
__attribute__((section(".note.weir"), used, aligned(4))) static const weir_plugin_note note_ = {
    5u, 8u, WEIR_NOTE_TYPE, "weir", WEIR_PLUGIN_MAGIC, 2, 0};
/* Would run at dlopen: proof that the hub looked at the note first. */
__attribute__((constructor)) static void must_not_run(void) { abort(); }
#elif defined(REFUSED_NOTE_GARBAGE)
__attribute__((section(".note.weir"), used, aligned(4))) static const weir_plugin_note note_ = {
    5u, 8u, WEIR_NOTE_TYPE, "weir", 0x12345678u, 1, 0};
__attribute__((constructor)) static void must_not_run(void) { abort(); }
#elif defined(REFUSED_NO_NOTE)
__attribute__((constructor)) static void must_not_run(void) { abort(); }
#else
WEIR_PLUGIN_NOTE();
#endif

static const weir_source_v1 table = {
#if defined(REFUSED_TABLE_GARBAGE)
    .struct_size = 4
#else
    .struct_size = sizeof(weir_source_v1)
#endif
};

static const void* get_interface(const char* id) {
  (void)id, (void)&table;
#if defined(REFUSED_NO_TABLE)
  return NULL;
#elif defined(REFUSED_TABLE_WILD)
  return (const void*)(uintptr_t)0x1234;
#else
  return &table; /* without any function: refused, too */
#endif
}

#if defined(REFUSED_NO_ENTRY)
extern const weir_plugin another_name;
const weir_plugin another_name
#else
WEIR_EXPORT extern const weir_plugin weir_plugin_entry;
const weir_plugin weir_plugin_entry
#endif
    = {
#if defined(REFUSED_MAGIC)
        0xdeadbeefu,
#else
        WEIR_PLUGIN_MAGIC,
#endif
#if defined(REFUSED_SIZE)
        8,
#else
        sizeof(weir_plugin),
#endif
#if defined(REFUSED_ENTRY_MAJOR)
        2,
#else
        WEIR_ABI_MAJOR,
#endif
        WEIR_ABI_MINOR,
        0,
#if defined(REFUSED_WILD_POINTER)
        (const char*)(uintptr_t)0x1234,
#else
        "refused",
#endif
        "1.0.0",
#if defined(REFUSED_MANIFEST)
        "{\"kinds\": [\"source\"",
#elif defined(REFUSED_KINDS)
        "{\"kinds\": [\"store\"], \"config_schema\": {}}",
#elif defined(REFUSED_SCHEMA)
    "{\"kinds\": [\"source\"]}",
#else
    "{\"kinds\": [\"source\"], \"config_schema\": {\"type\": \"object\"}}",
#endif
        get_interface};
