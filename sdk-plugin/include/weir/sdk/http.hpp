// The base of a plugin written in C++ that answers HTTP requests (`[[endpoint]] plugin = "..."` in the manifest).
//   void handle(const HttpRequest& request, HttpReply reply) override { reply.json(202, R"({"ok":true})"); }
// Threads: called on the [strand]; an HttpReply may be moved anywhere and given from any thread.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "weir/abi/http.h"
#include "weir/sdk/pending.hpp"

namespace weir::sdk {

// Lives for the call only; names of headers are lower case.
class HttpRequest {
 public:
  explicit HttpRequest(const weir_http_request& raw)
      : raw_(raw), headers_(json::parse(to_view(raw.headers_json))), query_(json::parse(to_view(raw.query_json))) {}
  std::string_view method() const { return to_view(raw_.method); }
  std::string_view path() const { return to_view(raw_.path); }  // behind the endpoint's own
  std::string_view body() const { return to_view(raw_.body); }
  std::string_view peer() const { return to_view(raw_.peer); }
  std::string_view identity_json() const { return to_view(raw_.identity_json); }
  std::optional<std::string> header(std::string_view lower_case_name) const { return text(headers_, lower_case_name); }
  std::optional<std::string> query(std::string_view name) const { return text(query_, name); }
  const json::Value& headers() const { return headers_; }

 private:
  static std::optional<std::string> text(const json::Value& from, std::string_view name) {
    const json::Value* found = from.find(name);
    if (found == nullptr || !found->is(json::Kind::string)) return std::nullopt;
    return found->text;
  }
  const weir_http_request& raw_;
  json::Value headers_, query_;
};

class HttpReply : public Pending {
 public:
  using Pending::Pending;
  void json(int status, std::string_view body_json) {
    give(WEIR_OK, "{\"status\":" + std::to_string(status) + ",\"body\":" + std::string(body_json) + "}");
  }
  void text(int status, std::string_view body) {
    give(WEIR_OK, "{\"status\":" + std::to_string(status) + ",\"body\":" + weir::sdk::json::quoted(body) + "}");
  }
  // status, headers and body, as weir/abi/http.h describes them.
  void raw(std::string_view result_json) { give(WEIR_OK, result_json); }
  // Sent as the hub sends its own errors: WEIR_E_INVALID is 400, and so on (weir/abi/http.h).
  void error(weir_status status, std::string_view message) { give_error(status, message); }
};

class HttpHandler {
 public:
  HttpHandler() = default;
  HttpHandler(const HttpHandler&) = delete;
  HttpHandler& operator=(const HttpHandler&) = delete;
  virtual ~HttpHandler() = default;

  virtual void start() {}
  virtual void handle(const HttpRequest& request, HttpReply reply) = 0;
  virtual void cancel(std::uint64_t /*token*/) {}  // nobody waits for that reply any more
  virtual void stop() {}
};

}  // namespace weir::sdk
