/* The sizes and offsets of ABI 1.0, pinned. A line here may be added when a struct grows at its end; none may change.
 * Included by layout_c.c (C11) and layout_cpp.cpp (C++20), which must agree. */
#include "weir/abi/auth.h"
#include "weir/abi/http.h"
#include "weir/abi/hub.h"
#include "weir/abi/plugin.h"
#include "weir/abi/responder.h"
#include "weir/abi/sink.h"
#include "weir/abi/source.h"

#ifdef __cplusplus
#define PIN(fact) static_assert(fact, #fact)
#else
#define PIN(fact) _Static_assert(fact, #fact)
#endif
#define PIN_AT(type, field, at) PIN(offsetof(type, field) == (at))

PIN(sizeof(void*) == 8);
PIN(WEIR_E_NOT_FOUND == -12);
PIN(sizeof(weir_str) == 16);
PIN_AT(weir_str, ptr, 0);
PIN_AT(weir_str, size, 8);

PIN(sizeof(weir_error) == 648);
PIN_AT(weir_error, struct_size, 0);
PIN_AT(weir_error, status, 4);
PIN_AT(weir_error, json_pointer, 8);
PIN_AT(weir_error, message, 136);

PIN(sizeof(weir_event) == 112);
PIN_AT(weir_event, struct_size, 0);
PIN_AT(weir_event, flags, 4);
PIN_AT(weir_event, subject, 8);
PIN_AT(weir_event, event, 24);
PIN_AT(weir_event, data, 40);
PIN_AT(weir_event, id, 56);
PIN_AT(weir_event, key, 72);
PIN_AT(weir_event, cursor, 88);
PIN_AT(weir_event, time_ms, 104);

PIN(sizeof(weir_host) == 120);
PIN_AT(weir_host, struct_size, 0);
PIN_AT(weir_host, reserved, 4);
PIN_AT(weir_host, ctx, 8);
PIN_AT(weir_host, emit, 16);
PIN_AT(weir_host, gap, 24);
PIN_AT(weir_host, log, 32);
PIN_AT(weir_host, state, 40);
PIN_AT(weir_host, metric, 48);
PIN_AT(weir_host, post, 56);
PIN_AT(weir_host, timer_start, 64);
PIN_AT(weir_host, timer_cancel, 72);
PIN_AT(weir_host, watch_fd, 80);
PIN_AT(weir_host, unwatch_fd, 88);
PIN_AT(weir_host, done, 96);
PIN_AT(weir_host, now_ms, 104);
PIN_AT(weir_host, get_extension, 112);

PIN(sizeof(weir_source_v1) == 88);
PIN_AT(weir_source_v1, create, 8);
PIN_AT(weir_source_v1, start, 16);
PIN_AT(weir_source_v1, pause, 24);
PIN_AT(weir_source_v1, resume, 32);
PIN_AT(weir_source_v1, accepted, 40);
PIN_AT(weir_source_v1, stop, 48);
PIN_AT(weir_source_v1, destroy, 56);
PIN_AT(weir_source_v1, activate, 64); /* 1.2 */
PIN_AT(weir_source_v1, deactivate, 72);
PIN_AT(weir_source_v1, refused, 80);

PIN(sizeof(weir_sink_v1) == 48);
PIN_AT(weir_sink_v1, create, 8);
PIN_AT(weir_sink_v1, start, 16);
PIN_AT(weir_sink_v1, deliver, 24);
PIN_AT(weir_sink_v1, stop, 32);
PIN_AT(weir_sink_v1, destroy, 40);
PIN(sizeof(weir_sink_host_v1) == 16);
PIN_AT(weir_sink_host_v1, ready, 8);

PIN(sizeof(weir_request) == 72);
PIN_AT(weir_request, method, 8);
PIN_AT(weir_request, subject, 24);
PIN_AT(weir_request, params_json, 40);
PIN_AT(weir_request, identity_json, 56);
PIN(sizeof(weir_responder_v1) == 56);
PIN_AT(weir_responder_v1, request, 24);
PIN_AT(weir_responder_v1, cancel, 32);
PIN_AT(weir_responder_v1, stop, 40);
PIN_AT(weir_responder_v1, destroy, 48);

PIN(sizeof(weir_http_request) == 120);
PIN_AT(weir_http_request, method, 8);
PIN_AT(weir_http_request, path, 24);
PIN_AT(weir_http_request, query_json, 40);
PIN_AT(weir_http_request, headers_json, 56);
PIN_AT(weir_http_request, body, 72);
PIN_AT(weir_http_request, peer, 88);
PIN_AT(weir_http_request, identity_json, 104);
PIN(sizeof(weir_http_v1) == 56);
PIN_AT(weir_http_v1, handle, 24);
PIN_AT(weir_http_v1, cancel, 32);
PIN_AT(weir_http_v1, stop, 40);
PIN_AT(weir_http_v1, destroy, 48);

PIN(sizeof(weir_log_line) == 72);
PIN_AT(weir_log_line, level, 4);
PIN_AT(weir_log_line, time_ms, 8);
PIN_AT(weir_log_line, number, 16);
PIN_AT(weir_log_line, component, 24);
PIN_AT(weir_log_line, message, 40);
PIN_AT(weir_log_line, fields_json, 56);
PIN(sizeof(weir_hub_v1) == 40);
PIN_AT(weir_hub_v1, stats, 8);
PIN_AT(weir_hub_v1, log_lines, 16);
PIN_AT(weir_hub_v1, instance_name, 24);
PIN_AT(weir_hub_v1, steady_ms, 32);

PIN(sizeof(weir_auth_v1) == 56);
PIN_AT(weir_auth_v1, create, 8);
PIN_AT(weir_auth_v1, start, 16);
PIN_AT(weir_auth_v1, authenticate, 24);
PIN_AT(weir_auth_v1, cancel, 32);
PIN_AT(weir_auth_v1, stop, 40);
PIN_AT(weir_auth_v1, destroy, 48);

PIN(sizeof(weir_auth_host_v1) == 16);
PIN_AT(weir_auth_host_v1, revoke, 8);

PIN(sizeof(weir_plugin) == 48);
PIN_AT(weir_plugin, magic, 0);
PIN_AT(weir_plugin, struct_size, 4);
PIN_AT(weir_plugin, abi_major, 8);
PIN_AT(weir_plugin, abi_minor, 10);
PIN_AT(weir_plugin, flags, 12);
PIN_AT(weir_plugin, name, 16);
PIN_AT(weir_plugin, version, 24);
PIN_AT(weir_plugin, manifest_json, 32);
PIN_AT(weir_plugin, get_interface, 40);

PIN(sizeof(weir_plugin_note) == 28);
PIN_AT(weir_plugin_note, name, 12);
PIN_AT(weir_plugin_note, magic, 20);
PIN_AT(weir_plugin_note, abi_major, 24);
PIN_AT(weir_plugin_note, abi_minor, 26);

/* The values, too: they are compiled into plugins. */
PIN(WEIR_OK == 0 && WEIR_PENDING == 1 && WEIR_PAUSE == 2 && WEIR_E_FULL == -1 && WEIR_E_CLOSED == -2 &&
    WEIR_E_INVALID == -3);
PIN(WEIR_E_CONFIG == -4 && WEIR_E_UNAVAILABLE == -5 && WEIR_E_TIMEOUT == -6 && WEIR_E_UNAUTHORIZED == -7);
PIN(WEIR_E_FORBIDDEN == -8 && WEIR_E_NO_CREDENTIAL == -9 && WEIR_E_INTERNAL == -10 && WEIR_E_THREAD == -11);
PIN(WEIR_LOG_DEBUG == 1 && WEIR_LOG_INFO == 2 && WEIR_LOG_WARN == 3 && WEIR_LOG_ERROR == 4);
PIN(WEIR_STATE_STARTING == 1 && WEIR_STATE_RUNNING == 2 && WEIR_STATE_DEGRADED == 3 && WEIR_STATE_RETRYING == 4);
PIN(WEIR_STATE_FAILED == 5 && WEIR_STATE_STOPPED == 6 && WEIR_WATCH_READ == 1 && WEIR_WATCH_WRITE == 2 &&
    WEIR_WATCH_ERROR == 4);
PIN(WEIR_PLUGIN_MAGIC == 0x52494557u);
