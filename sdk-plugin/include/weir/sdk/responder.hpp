// The base of a responder written in C++: it answers methods (`[[method]] plugin = "..."` in the manifest).
//   void request(const Request& request, Reply reply) override {
//     reply.result(R"({"ok":true})");
//   }
// Threads: called on the [strand]; a Reply may be moved anywhere and given from any thread.
#pragma once
#include <cstdint>
#include <string_view>

#include "weir/abi/responder.h"
#include "weir/sdk/pending.hpp"

namespace weir::sdk {

// Lives for the call only.
struct Request {
  std::string_view method;         // as the client named it
  std::string_view subject;        // what the manifest makes of it: the method's name when it says nothing
  std::string_view params_json;    // any JSON
  std::string_view identity_json;  // who asks; "null" when nobody is known
  std::uint32_t deadline_ms = 0;   // from now on; afterwards nobody waits
};

class Reply : public Pending {
 public:
  using Pending::Pending;
  void result(std::string_view json) { give(WEIR_OK, json); }
  void unavailable(std::string_view message) { give_error(WEIR_E_UNAVAILABLE, message); }
  void timeout(std::string_view message) { give_error(WEIR_E_TIMEOUT, message); }
  void error(weir_status status, std::string_view message) { give_error(status, message); }
  // code: one of the protocol's ("bad_request", "not_found", ...).
  void error(weir_status status, std::string_view code, std::string_view message) {
    give(status, "{\"code\":" + json::quoted(code) + ",\"message\":" + json::quoted(message) + "}");
  }
};

class Responder {
 public:
  Responder() = default;
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;
  virtual ~Responder() = default;

  virtual void start() {}
  virtual void request(const Request& request, Reply reply) = 0;
  virtual void cancel(std::uint64_t /*token*/) {}  // nobody waits for that reply any more
  virtual void stop() {}
};

}  // namespace weir::sdk
