/* The headers as C11; each one alone as well, in the order in which they depend on each other. */
#include "layout.h"
#include "weir/abi/host.h"
#include "weir/abi/types.h"
#include "weir/abi/version.h"

WEIR_PLUGIN_NOTE();
const void* weir_layout_c_note(void);
const void* weir_layout_c_note(void) { return &weir_plugin_note_; }
