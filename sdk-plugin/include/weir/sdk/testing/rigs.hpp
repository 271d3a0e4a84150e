// An instance of a plugin through its C tables, as the hub holds it: a rig makes, starts and ends it; a side is another
// table of the same instance.
// Threads: the test's, which is the strand.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "weir/abi/auth.h"
#include "weir/abi/http.h"
#include "weir/abi/plugin.h"
#include "weir/abi/responder.h"
#include "weir/abi/sink.h"
#include "weir/abi/source.h"
#include "weir/sdk/testing/fake_host.hpp"

namespace weir::sdk::testing {

// An instance of a plugin through one of its C tables, as the hub holds it.
template <class Table>
class Rig {
 public:
  // status() and error() say how create() went. Throws std::runtime_error when the plugin lacks the interface.
  Rig(FakeHost& host, const weir_plugin& plugin, std::string_view config_json, const char* interface_id)
      : host_(host), table_(static_cast<const Table*>(plugin.get_interface(interface_id))) {
    if (table_ == nullptr) throw std::runtime_error(std::string("the plugin has no ") + interface_id);
    error_.struct_size = sizeof error_;
    status_ = table_->create(host.raw(), to_str(config_json), &instance_, &error_);
    if (status_ != WEIR_OK) instance_ = nullptr;
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  ~Rig() {
    if (instance_ == nullptr) return;
    stop();
    table_->destroy(instance_);
  }

  weir_status status() const { return status_; }      // of create(), then of start()
  const weir_error& error() const { return error_; }  // what came with it
  weir_status start() {
    if (instance_ != nullptr) status_ = table_->start(instance_, &error_), started_ = true;
    return status_;
  }
  void stop() {
    if (started_) table_->stop(instance_);
    started_ = false;
    host_.close();
  }

 protected:
  FakeHost& host_;
  const Table* table_;
  void* instance_ = nullptr;

 private:
  weir_error error_{};
  weir_status status_ = WEIR_OK;
  bool started_ = false;
};

class SourceRig : public Rig<weir_source_v1> {
 public:
  SourceRig(FakeHost& host, const weir_plugin& plugin, std::string_view config_json)
      : Rig(host, plugin, config_json, WEIR_SOURCE_V1) {}
  void pause() {
    if (table_->pause != nullptr) table_->pause(instance_);
  }
  // The hub has room again.
  void resume() {
    host_.take_all();
    if (table_->resume != nullptr) table_->resume(instance_);
  }
  void accepted(std::string_view cursor) {
    if (table_->accepted != nullptr) table_->accepted(instance_, to_str(cursor));
  }
  void refused(std::string_view cursor) {
    if (table_->refused != nullptr) table_->refused(instance_, to_str(cursor));
  }
  std::uint64_t activate(std::string_view subject) {
    return host_.ask([&](std::uint64_t token) { return table_->activate(instance_, to_str(subject), token, 5'000); });
  }
  void deactivate(std::string_view subject) { table_->deactivate(instance_, to_str(subject)); }
  // The same instance through another of the plugin's tables: a sink, a responder, an HTTP handler.
  void* instance() const { return instance_; }
};

struct Sent {  // an event for a sink
  std::string subject, event = "e", data = "{}", id = "1", key{};
  std::int64_t time_ms = 1;
};

// Another side of an instance, by the table that the plugin has for it.
template <class Table>
class Side {
 protected:
  Side(const weir_plugin& plugin, void* instance, const char* interface_id)
      : table_(static_cast<const Table*>(plugin.get_interface(interface_id))), instance_(instance) {
    if (table_ == nullptr) throw std::runtime_error(std::string("the plugin has no ") + interface_id);
  }
  const Table* table_;
  void* instance_;
};

class SinkSide : Side<weir_sink_v1> {
 public:
  SinkSide(const weir_plugin& plugin, void* instance) : Side(plugin, instance, WEIR_SINK_V1) {}
  // How many it took; `status` is what it returned.
  std::size_t deliver(const std::vector<Sent>& events, weir_status* status = nullptr) {
    std::vector<weir_event> raw;
    for (const Sent& e : events)
      raw.push_back({sizeof(weir_event), WEIR_DATA_JSON, to_str(e.subject), to_str(e.event), to_str(e.data),
                     to_str(e.id), to_str(e.key), to_str(""), e.time_ms});
    std::uint32_t taken = 0;
    const weir_status said =
        table_->deliver(instance_, raw.data(), sizeof(weir_event), static_cast<std::uint32_t>(raw.size()), &taken);
    if (status != nullptr) *status = said;
    return taken;
  }
};

class ResponderSide : Side<weir_responder_v1> {
 public:
  ResponderSide(FakeHost& host, const weir_plugin& plugin, void* instance)
      : Side(plugin, instance, WEIR_RESPONDER_V1), host_(host) {}
  // Asks, and returns the token under which host.answers has, or will have, the answer.
  std::uint64_t ask(std::string_view method, std::string_view subject, std::string_view params_json,
                    std::uint32_t deadline_ms = 5'000, std::string_view identity_json = "null") {
    const weir_request raw = {sizeof(weir_request), 0, to_str(method), to_str(subject), to_str(params_json),
                              to_str(identity_json)};
    return host_.ask([&](std::uint64_t token) { return table_->request(instance_, &raw, token, deadline_ms); });
  }
  void cancel(std::uint64_t token) {
    if (table_->cancel != nullptr) table_->cancel(instance_, token);
  }

 private:
  FakeHost& host_;
};

struct HttpAsk {
  std::string method = "POST", path{}, headers_json = "{}", body{}, query_json = "{}", peer = "127.0.0.1",
              identity_json = "null";
};

class HttpSide : Side<weir_http_v1> {
 public:
  HttpSide(FakeHost& host, const weir_plugin& plugin, void* instance)
      : Side(plugin, instance, WEIR_HTTP_V1), host_(host) {}
  // Asks, and returns the token under which host.answers has, or will have, the answer.
  std::uint64_t ask(const HttpAsk& a) {
    const weir_http_request raw = {sizeof(weir_http_request),
                                   0,
                                   to_str(a.method),
                                   to_str(a.path),
                                   to_str(a.query_json),
                                   to_str(a.headers_json),
                                   to_str(a.body),
                                   to_str(a.peer),
                                   to_str(a.identity_json)};
    return host_.ask([&](std::uint64_t token) { return table_->handle(instance_, &raw, token, 5'000); });
  }
  void cancel(std::uint64_t token) {
    if (table_->cancel != nullptr) table_->cancel(instance_, token);
  }

 private:
  FakeHost& host_;
};

class AuthRig : public Rig<weir_auth_v1> {
 public:
  AuthRig(FakeHost& host, const weir_plugin& plugin, std::string_view config_json)
      : Rig(host, plugin, config_json, WEIR_AUTH_V1) {}
  // Asks, and returns the token under which host.answers has, or will have, the answer.
  std::uint64_t ask(std::string_view request_json) {
    return host_.ask(
        [&](std::uint64_t token) { return table_->authenticate(instance_, to_str(request_json), token, 10'000); });
  }
  // Asks a provider that answers at once.
  SeenAnswer answer(std::string_view request_json) {
    const auto it = host_.answers.find(ask(request_json));
    return it == host_.answers.end() ? SeenAnswer{WEIR_PENDING, ""} : it->second;
  }
  void cancel(std::uint64_t token) {
    if (table_->cancel != nullptr) table_->cancel(instance_, token);
  }
};

}  // namespace weir::sdk::testing
