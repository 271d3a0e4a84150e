// A plugin that is all kinds at once, for tests of the hub around it: what it is sent as a sink comes back as events,
// what it is asked it answers by what is asked.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "weir/abi/hub.h"
#include "weir/sdk/plugin.hpp"

namespace {
using namespace weir::sdk;

constexpr const char* kManifest = R"({
  "kinds": ["source", "sink", "responder", "http"], "summary": "For tests.", "subject_separator": ".",
  "on_demand": "patterns",
  "config_schema": {"type": "object", "properties": {
    "room": {"type": "integer", "default": -1, "description": "events that the sink takes; -1: all"},
    "backlog": {"type": "integer", "default": 3},
    "fifo": {"type": "string", "description": "a subject with \"stuck\" holds the strand until that has been opened and closed"},
    "broken": {"type": "boolean", "default": false, "description": "start() fails"}}}})";

class Loop final : public Source, public Sink, public Responder, public HttpHandler {
 public:
  Loop(Host host, const json::Value& config)
      : host_(host),
        emitter_(host),
        room_(config.integer_or("room", -1)),
        backlog_(config.integer_or("backlog", 3)),
        fifo_(config.string_or("fifo", "")),
        broken_(config.boolean_or("broken", false)) {}
  void start() override {
    if (broken_) throw Failure(WEIR_E_UNAVAILABLE, "as asked");
  }
  void stop() override { waiting_.clear(); }
  void pause() override { emitter_.pause(); }
  void resume() override { emitter_.resume(); }

  void activate(std::string_view subject, Activation activation) override {
    if (broken_) std::abort();
    const std::string name(subject);
    if (name.find("stuck") != std::string::npos) {
      const int fifo = ::open(fifo_.c_str(), O_RDONLY);
      for (char c = 0; ::read(fifo, &c, 1) > 0;) continue;
      ::close(fifo);
    }
    if (name.find("away") != std::string::npos && lives_[name]++ == 0)
      return activation.refuse(WEIR_E_UNAVAILABLE, "not just now");
    if (name.find("missing") != std::string::npos) return activation.not_found("there is no " + name);
    for (std::int64_t i = 1; i <= backlog_; ++i) say(name, "old", std::to_string(i));
    ++lives_[name];
    active_.insert(name);
    if (name.find("slow") != std::string::npos) return waiting_.push_back(std::move(activation));
    activation.ready();
  }
  void deactivate(std::string_view subject) override {
    if (broken_) std::abort();
    active_.erase(std::string(subject));
  }

  std::size_t deliver(std::span<const Outgoing> events) override {
    std::size_t taken = 0;
    for (const Outgoing& e : events) {
      if (e.event == "bad" && taken == 0) throw Failure(WEIR_E_INVALID, "no such thing can be sent");
      if (e.event == "bad") break;
      if (room_ == 0) break;
      if (room_ > 0) --room_;
      say("back." + std::string(e.subject), e.event, e.data, e.id);
      ++taken;
    }
    if (taken < events.size() && events[taken].event == "bad") host_.sink_ready();
    return taken;
  }

  void request(const Request& r, Reply reply) override {
    if (broken_) std::abort();
    if (r.method == "loop.never" || r.method == "wait.never") return waiting_replies_.push_back(std::move(reply));
    if (r.method == "loop.later") {
      waiting_replies_.push_back(std::move(reply));
      later_.start(host_, 100, 0, [this] { waiting_replies_.front().result(std::to_string(backlog_)); });
      return;
    }
    if (r.method == "loop.flow") {  // as a source with a memory does that never ends
      flow_.start(host_, 1, 1, [this] {
        while (!emitter_.full()) {
          cursor_ = std::to_string(++flowed_);
          (void)emitter_.add({.subject = "flow", .event = "e", .data = cursor_, .cursor = cursor_});
        }
      });
      return reply.result("true");
    }
    if (r.method == "loop.dropped") return;
    if (r.method == "loop.broken") return reply.result("{no json");
    if (r.method == "loop.nobody") return reply.unavailable("nobody answers");
    if (r.method == "loop.coded") return reply.error(WEIR_E_INTERNAL, "not_found", "no todo 7");
    if (r.method == "loop.room") {
      room_ = json::parse(r.params_json).integer_or("room", -1);
      host_.sink_ready();
      return reply.result("true");
    }
    if (r.method == "loop.active") {
      std::string out = "[";
      for (const std::string& name : active_) (out += out.size() > 1 ? "," : "") += json::quoted(name);
      return reply.result(out + "]");
    }
    if (r.method == "loop.say") {
      const auto params = json::parse(r.params_json);
      say(params.string_or("subject", ""), "said", json::quoted(params.string_or("text", "")));
      return reply.result("true");
    }
    reply.result("{\"method\":" + json::quoted(r.method) + ",\"subject\":" + json::quoted(r.subject) +
                 ",\"params\":" + std::string(r.params_json) + ",\"identity\":" + std::string(r.identity_json) + "}");
  }

  void handle(const HttpRequest& r, HttpReply reply) override {
    if (r.path() == "/teapot") return reply.text(418, "short and stout");
    if (r.path() == "/full") return reply.error(WEIR_E_FULL, "come back later");
    if (r.path() == "/split") return reply.raw(R"({"headers":{"x":"a\r\nb: c"}})");
    if (r.path() == "/headers") return reply.raw(R"({"status":201,"headers":{"X-One":"1"},"body":{"made":true}})");
    if (r.path() == "/figures") {
      const auto* hub = host_.extension<weir_hub_v1>(WEIR_HUB_V1);
      figures_.push_back(std::move(reply));
      hub->stats(
          host_.raw()->ctx,
          [](void* self, weir_str json) {
            auto& replies = static_cast<Loop*>(self)->figures_;
            replies.front().json(200, to_view(json));
            replies.erase(replies.begin());
          },
          this);
      return;
    }
    if (r.path() == "/log") {
      std::string lines;
      host_.extension<weir_hub_v1>(WEIR_HUB_V1)
          ->log_lines(
              host_.raw()->ctx, 0, 1000,
              [](void* out, const weir_log_line* line) {
                *static_cast<std::string*>(out) += std::string(to_view(line->component)) + ": " +
                                                   std::string(to_view(line->message)) + " " +
                                                   std::string(to_view(line->fields_json)) + "\n";
              },
              &lines);
      return reply.text(200, lines);
    }
    std::string out =
        "{\"method\":" + json::quoted(r.method()) + ",\"path\":" + json::quoted(r.path()) +
        ",\"body\":" + json::quoted(r.body()) + ",\"x\":" + json::quoted(r.header("x-thing").value_or("-")) +
        ",\"q\":" + json::quoted(r.query("q").value_or("-")) + ",\"identity\":" + std::string(r.identity_json()) + "}";
    reply.json(200, out);
  }

 private:
  void say(const std::string& subject, std::string_view event, std::string_view data, std::string_view id = {}) {
    (void)emitter_.add({.subject = subject, .event = event, .data = data, .id = id});
    emitter_.flush();
  }
  Host host_;
  Emitter emitter_;
  std::int64_t room_, backlog_;
  const std::string fifo_;
  const bool broken_;
  std::set<std::string> active_;
  std::map<std::string, int> lives_;
  std::vector<Activation> waiting_;
  std::vector<Reply> waiting_replies_;
  std::vector<HttpReply> figures_;
  Timer later_, flow_;
  std::uint64_t flowed_ = 0;
  std::string cursor_;
};

}  // namespace

WEIR_PLUGIN("loop", "1.0.0", kManifest, Loop);
