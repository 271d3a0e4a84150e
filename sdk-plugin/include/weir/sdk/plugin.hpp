// Turns C++ classes into a plugin: the one exported symbol, the ELF note, and functions at the border that let no
// exception through.
//   WEIR_PLUGIN("ticker", "1.0.0", kManifestJson, Ticker)      once, at the end of one .cpp, outside of any namespace
// The classes derive from Source, Sink, Responder and HttpHandler, one class from as many of these as it is, or from
// AuthProvider; a library may offer one of each kind. kManifestJson: see weir/abi/plugin.h.
#pragma once
#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>

#include "weir/abi/http.h"
#include "weir/abi/plugin.h"
#include "weir/abi/responder.h"
#include "weir/abi/sink.h"
#include "weir/abi/source.h"
#include "weir/sdk/auth.hpp"
#include "weir/sdk/emitter.hpp"
#include "weir/sdk/host.hpp"
#include "weir/sdk/http.hpp"
#include "weir/sdk/json.hpp"
#include "weir/sdk/responder.hpp"
#include "weir/sdk/sink.hpp"
#include "weir/sdk/source.hpp"

namespace weir::sdk::detail {

// Runs `call` and says how it went.
template <class Call>
weir_status at_border(weir_error* error, Call&& call) noexcept {
  try {
    try {
      return call();
    } catch (const Failure& e) {
      fill_error(error, e.status(), e.json_pointer(), e.what());
      return e.status();
    } catch (const std::exception& e) {
      fill_error(error, WEIR_E_INTERNAL, {}, e.what());
    } catch (...) {
      fill_error(error, WEIR_E_INTERNAL, {}, "an exception of unknown type");
    }
  } catch (...) {
  }
  return WEIR_E_INTERNAL;
}

template <class T>
struct Instance {
  Instance(const weir_host* raw, const json::Value& config) : host(raw), object(host, config) {}
  Host host;  // outlives the object: it holds the tasks that were posted and not run
  T object;

  static Instance& of(void* p) { return *static_cast<Instance*>(p); }
  template <class Call>
  static void guarded(void* p, const char* where, Call&& call) noexcept {
    Host::guarded(of(p).host.raw(), where, [&] { call(of(p).object); });
  }

  static weir_status create(const weir_host* host, weir_str config_json, void** instance, weir_error* error) noexcept {
    return at_border(error, [&]() -> weir_status {
      const std::string_view text = to_view(config_json);
      const json::Value config = json::parse(text.empty() ? std::string_view("{}") : text);
      *instance = new Instance(host, config);
      return WEIR_OK;
    });
  }
  static weir_status start(void* p, weir_error* error) noexcept {
    return at_border(error, [&]() -> weir_status { return of(p).object.start(), WEIR_OK; });
  }
  static void stop(void* p) noexcept {
    guarded(p, "stop()", [](T& t) { t.stop(); });
  }
  static void destroy(void* p) noexcept { delete static_cast<Instance*>(p); }
};

template <class T>
struct SourceBorder : Instance<T> {
  static void pause(void* p) noexcept {
    Instance<T>::guarded(p, "pause()", [](T& t) { t.pause(); });
  }
  static void resume(void* p) noexcept {
    Instance<T>::guarded(p, "resume()", [](T& t) { t.resume(); });
  }
  static void accepted(void* p, weir_str cursor) noexcept {
    Instance<T>::guarded(p, "accepted()", [&](T& t) { t.accepted(to_view(cursor)); });
  }
  static void refused(void* p, weir_str cursor) noexcept {
    Instance<T>::guarded(p, "refused()", [&](T& t) { t.refused(to_view(cursor)); });
  }
  static weir_status activate(void* p, weir_str subject, std::uint64_t token, std::uint32_t /*deadline_ms*/) noexcept {
    Instance<T>::guarded(p, "activate()",
                         [&](T& t) { t.activate(to_view(subject), Activation(Instance<T>::of(p).host.raw(), token)); });
    return WEIR_PENDING;
  }
  static void deactivate(void* p, weir_str subject) noexcept {
    Instance<T>::guarded(p, "deactivate()", [&](T& t) { t.deactivate(to_view(subject)); });
  }
  static constexpr weir_source_v1 table = {sizeof(weir_source_v1),
                                           0,
                                           &Instance<T>::create,
                                           &Instance<T>::start,
                                           &pause,
                                           &resume,
                                           &accepted,
                                           &Instance<T>::stop,
                                           &Instance<T>::destroy,
                                           &activate,
                                           &deactivate,
                                           &refused};
};

template <class T>
struct SinkBorder : Instance<T> {
  // What is offered in one piece; the hub offers the rest again at once.
  static constexpr std::uint32_t kPieceMax = 256;

  static weir_status deliver(void* p, const weir_event* events, std::uint32_t stride, std::uint32_t count,
                             std::uint32_t* taken) noexcept {
    *taken = 0;
    weir_status status = WEIR_E_INTERNAL;
    Instance<T>::guarded(p, "deliver()", [&](T& t) {
      std::array<Outgoing, kPieceMax> piece;
      while (*taken < count) {
        const std::uint32_t size = std::min(kPieceMax, count - *taken);
        for (std::uint32_t i = 0; i < size; ++i) {
          const auto& e = *reinterpret_cast<const weir_event*>(reinterpret_cast<const char*>(events) +
                                                               std::size_t{*taken + i} * stride);
          piece[i] = {to_view(e.subject), to_view(e.event), to_view(e.data), to_view(e.id), to_view(e.key), e.time_ms};
        }
        try {
          const std::size_t took = t.deliver({piece.data(), size});
          *taken += static_cast<std::uint32_t>(std::min<std::size_t>(took, size));
          // Who took some may have stopped before one that can't be delivered: offered again it is the first one.
          if (took == 0) return void(status = WEIR_E_FULL);
        } catch (const Failure& e) {
          Instance<T>::of(p).host.warn(e.what());
          const bool later =
              e.status() == WEIR_E_UNAVAILABLE || e.status() == WEIR_E_TIMEOUT || e.status() == WEIR_E_FULL;
          return void(status = later ? e.status() : WEIR_E_INVALID);
        }
      }
      status = WEIR_OK;
    });
    return status;
  }
  static constexpr weir_sink_v1 table = {sizeof(weir_sink_v1), 0,        &Instance<T>::create,
                                         &Instance<T>::start,  &deliver, &Instance<T>::stop,
                                         &Instance<T>::destroy};
};

template <class T>
struct ResponderBorder : Instance<T> {
  static weir_status request(void* p, const weir_request* raw, std::uint64_t token,
                             std::uint32_t deadline_ms) noexcept {
    Instance<T>::guarded(p, "request()", [&](T& t) {
      t.request({to_view(raw->method), to_view(raw->subject), to_view(raw->params_json), to_view(raw->identity_json),
                 deadline_ms},
                Reply(Instance<T>::of(p).host.raw(), token));
    });
    return WEIR_PENDING;
  }
  static void cancel(void* p, std::uint64_t token) noexcept {
    Instance<T>::guarded(p, "cancel()", [&](T& t) { static_cast<Responder&>(t).cancel(token); });
  }
  static constexpr weir_responder_v1 table = {
      sizeof(weir_responder_v1), 0, &Instance<T>::create, &Instance<T>::start, &request, &cancel, &Instance<T>::stop,
      &Instance<T>::destroy};
};

template <class T>
struct HttpBorder : Instance<T> {
  static weir_status handle(void* p, const weir_http_request* raw, std::uint64_t token,
                            std::uint32_t /*deadline_ms*/) noexcept {
    Instance<T>::guarded(p, "handle()", [&](T& t) {
      HttpReply reply(Instance<T>::of(p).host.raw(), token);
      const HttpRequest request(*raw);
      t.handle(request, std::move(reply));
    });
    return WEIR_PENDING;
  }
  static void cancel(void* p, std::uint64_t token) noexcept {
    Instance<T>::guarded(p, "cancel()", [&](T& t) { static_cast<HttpHandler&>(t).cancel(token); });
  }
  static constexpr weir_http_v1 table = {
      sizeof(weir_http_v1), 0, &Instance<T>::create, &Instance<T>::start, &handle, &cancel, &Instance<T>::stop,
      &Instance<T>::destroy};
};

template <class T>
struct AuthBorder : Instance<T> {
  // Always answers through done(): then there is one way only, however the provider came to its answer.
  static weir_status authenticate(void* p, weir_str request_json, std::uint64_t token,
                                  std::uint32_t /*deadline_ms*/) noexcept {
    Instance<T>::guarded(p, "authenticate()", [&](T& t) {
      Answer answer(Instance<T>::of(p).host.raw(), token);
      const AuthRequest request(to_view(request_json));
      t.authenticate(request, std::move(answer));
    });
    return WEIR_PENDING;
  }
  static void cancel(void* p, std::uint64_t token) noexcept {
    Instance<T>::guarded(p, "cancel()", [&](T& t) { t.cancel(token); });
  }
  static constexpr weir_auth_v1 table = {sizeof(weir_auth_v1), 0,       &Instance<T>::create, &Instance<T>::start,
                                         &authenticate,        &cancel, &Instance<T>::stop,   &Instance<T>::destroy};
};

template <class... Types>
const void* get_interface(const char* id) noexcept {
  const void* found = nullptr;
  const std::string_view wanted = id == nullptr ? "" : id;
  const auto look = [&]<class T>(std::type_identity<T>) {
    static_assert(std::is_base_of_v<Source, T> || std::is_base_of_v<Sink, T> || std::is_base_of_v<Responder, T> ||
                      std::is_base_of_v<HttpHandler, T> || std::is_base_of_v<AuthProvider, T>,
                  "a plugin's class derives from weir::sdk::Source, Sink, Responder, HttpHandler or AuthProvider");
    if constexpr (std::is_base_of_v<Source, T>)
      if (wanted == WEIR_SOURCE_V1) found = &SourceBorder<T>::table;
    if constexpr (std::is_base_of_v<Sink, T>)
      if (wanted == WEIR_SINK_V1) found = &SinkBorder<T>::table;
    if constexpr (std::is_base_of_v<Responder, T>)
      if (wanted == WEIR_RESPONDER_V1) found = &ResponderBorder<T>::table;
    if constexpr (std::is_base_of_v<HttpHandler, T>)
      if (wanted == WEIR_HTTP_V1) found = &HttpBorder<T>::table;
    if constexpr (std::is_base_of_v<AuthProvider, T>)
      if (wanted == WEIR_AUTH_V1) found = &AuthBorder<T>::table;
  };
  (look(std::type_identity<Types>{}), ...);
  return found;
}

}  // namespace weir::sdk::detail

#define WEIR_PLUGIN(name, version, manifest_json, ...)                                              \
  WEIR_PLUGIN_NOTE();                                                                               \
  extern "C" {                                                                                      \
  WEIR_EXPORT extern const weir_plugin weir_plugin_entry;                                           \
  constinit const weir_plugin weir_plugin_entry = {WEIR_PLUGIN_MAGIC,                               \
                                                   sizeof(weir_plugin),                             \
                                                   WEIR_ABI_MAJOR,                                  \
                                                   WEIR_ABI_MINOR,                                  \
                                                   0,                                               \
                                                   name,                                            \
                                                   version,                                         \
                                                   manifest_json,                                   \
                                                   &weir::sdk::detail::get_interface<__VA_ARGS__>}; \
  }                                                                                                 \
  static_assert(true, "a semicolon may follow")
