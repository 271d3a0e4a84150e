/* The one place that knows Weir's version and the version of its plugin ABI. C11 and C++20. */
#ifndef WEIR_ABI_VERSION_H
#define WEIR_ABI_VERSION_H

#define WEIR_VERSION "0.1.0"

/* A hub loads a plugin whose major number is its own and whose minor number is any: what a newer minor adds stands
 * at the end of structs or behind a new interface id, and both sides look before they use it. What else a minor added:
 * 1.1 the kinds of data in weir_event.flags (no hub of 1.0 was ever released). 1.2 sinks, responders, HTTP handlers,
 * sources that work on demand, weir.hub/1, WEIR_E_NOT_FOUND. */
#define WEIR_ABI_MAJOR 1
#define WEIR_ABI_MINOR 2

#endif
