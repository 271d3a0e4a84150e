// Whether a sanitizer is compiled in: then all takes longer, and memory and descriptors of its own.
#pragma once

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define WEIR_SLOW_BUILD true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define WEIR_SLOW_BUILD true
#endif
#endif
#ifndef WEIR_SLOW_BUILD
#define WEIR_SLOW_BUILD false
#endif
