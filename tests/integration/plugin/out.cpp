// A plugin that is a sink and an HTTP handler and no source, for tests: `room` events are taken, and asked for what
// can't be sent it gives it all the same.
#include <string>

#include "weir/sdk/plugin.hpp"

namespace {
using namespace weir::sdk;

constexpr const char* kManifest = R"({"kinds": ["sink", "http"], "summary": "For tests.",
  "config_schema": {"type": "object", "properties": {"room": {"type": "integer", "default": -1}}}})";

class Out final : public Sink, public HttpHandler {
 public:
  Out(Host host, const json::Value& config) : host_(host), room_(config.integer_or("room", -1)) {}
  void start() override { started_ = true; }
  void stop() override {}
  std::size_t deliver(std::span<const Outgoing> events) override {
    early_ = early_ || !started_;
    std::size_t taken = 0;
    for (; taken < events.size() && room_ != 0; ++taken) {
      if (room_ > 0) --room_;
      (got_ += got_.empty() ? "" : " ") += std::string(events[taken].subject) + "=" + std::string(events[taken].data);
    }
    return taken;
  }
  void handle(const HttpRequest& request, HttpReply reply) override {
    if (request.path() == "/no-content") return reply.json(204, R"({"body":"that can't be sent"})");
    if (request.path() == "/long") return reply.raw(R"({"headers":{"x":")" + std::string(100'000, 'x') + "\"}}");
    reply.text(200, got_ + (early_ ? " before start()" : ""));
  }

 private:
  Host host_;
  std::int64_t room_;
  bool started_ = false, early_ = false;
  std::string got_;
};

}  // namespace

WEIR_PLUGIN("out", "1.0.0", kManifest, Out);
