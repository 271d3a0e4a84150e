// The plugin with a FakeHost around it, and requests as literals.
#pragma once
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <utility>
#include <vector>

#include "weir/sdk/emitter.hpp"
#include "weir/sdk/http.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace weir::test {

inline constexpr std::uint64_t kBatchMs = sdk::Emitter::kBatchMs;  // until all events have left

using Headers = std::vector<std::pair<std::string, std::string>>;

inline std::string headers_json(const Headers& headers) {
  std::string out = "{";
  for (const auto& [name, value] : headers)
    out += (out.size() > 1 ? "," : "") + sdk::json::quoted(name) + ":" + sdk::json::quoted(value);
  return out + "}";
}

// A request without a plugin. Its texts live as long as it.
class Asked {
 public:
  Asked(const Headers& headers, std::string body, std::string path = "")
      : headers_(headers_json(headers)), body_(std::move(body)), path_(std::move(path)) {
    raw_ = {sizeof raw_,         0,
            sdk::to_str("POST"), sdk::to_str(path_),
            sdk::to_str("{}"),   sdk::to_str(headers_),
            sdk::to_str(body_),  sdk::to_str("127.0.0.1"),
            sdk::to_str("null")};
  }
  sdk::HttpRequest request() const { return sdk::HttpRequest(raw_); }
  const std::string& body() const { return body_; }

 private:
  const std::string headers_, body_, path_;
  weir_http_request raw_{};
};

inline std::string gzipped(std::string_view bytes) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, bytes.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

struct IngestTest : testing::Test {
  ~IngestTest() override { EXPECT_TRUE(hub.mistakes.empty()) << hub.mistakes.front(); }

  struct Plugin {
    Plugin(sdk::testing::FakeHost& hub, std::string_view config)
        : source(hub, weir_plugin_entry, config), http(hub, weir_plugin_entry, source.instance()) {
      EXPECT_EQ(source.start(), WEIR_OK) << source.error().message;
    }
    sdk::testing::SourceRig source;
    sdk::testing::HttpSide http;
  };
  // What an answer is on the wire; status 0: there is none yet.
  struct Response {
    int status = 0;
    sdk::json::Value body, headers;
    std::string text() const { return body.to_json(); }
    std::int64_t number(std::string_view key) const { return body.integer_or(key, -1); }
  };
  std::uint64_t post(Plugin& plugin, const Headers& headers, std::string body, std::string path = "") const {
    sdk::testing::HttpAsk ask;
    ask.headers_json = headers_json(headers);
    ask.body = std::move(body);
    ask.path = std::move(path);
    return plugin.http.ask(ask);
  }
  Response response(std::uint64_t token) const {
    const auto found = hub.answers.find(token);
    if (found == hub.answers.end()) return {};
    const auto& [status, json] = found->second;
    Response out;
    const auto result = json.empty() ? sdk::json::Value() : sdk::json::parse(json);
    if (status == WEIR_OK) {
      out.status = static_cast<int>(result.integer_or("status", 200));
      if (const auto* body = result.find("body")) out.body = *body;
      if (const auto* headers = result.find("headers")) out.headers = *headers;
      return out;
    }
    out.status = status == WEIR_E_INVALID                                ? 400
                 : status == WEIR_E_UNAUTHORIZED                         ? 401
                 : status == WEIR_E_FULL || status == WEIR_E_UNAVAILABLE ? 503
                                                                         : 500;
    out.body = result;
    return out;
  }
  // Lets the batch leave and accepts all of it.
  Response settled(Plugin& plugin, std::uint64_t token) {
    accept_all(plugin);
    return response(token);
  }
  void accept_all(Plugin& plugin) {
    hub.advance(kBatchMs);
    if (!hub.events.empty()) plugin.source.accepted(hub.events.back().cursor);
  }
  sdk::testing::FakeHost hub;
};

}  // namespace weir::test
