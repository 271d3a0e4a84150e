// A C++ plugin that throws wherever it is called: config {"where": "create" | "create int" | "config" | "start" |
// "timer" | "post" | "stop" | "authenticate" | "drop"}.
#include <stdexcept>

#include "weir/sdk/plugin.hpp"

namespace {
using namespace weir::sdk;

class Thrower {
 protected:
  Thrower(Host host, const json::Value& config) : host_(std::move(host)), where_(config.string_or("where", "")) {
    at("create");
    if (where_ == "create int") throw 42;
    if (where_ == "config") throw config.required("where").wrong("anything else", "\"config\"");
  }
  void at(std::string_view place) const {
    if (where_ == place) throw std::runtime_error("thrown in " + where_);
  }
  Host host_;
  const std::string where_;
};

class ThrowingSource final : public Source, Thrower {
 public:
  ThrowingSource(Host host, const json::Value& config) : Thrower(std::move(host), config) {}
  void start() override {
    at("start");
    timer_.start(host_, 1, 0, [this] {
      host_.metric("timer", 1);
      at("timer");
    });
    host_.post([this] {
      host_.metric("post", 1);
      at("post");
    });
  }
  void pause() override {}
  void resume() override {}
  void stop() override { at("stop"); }

 private:
  Timer timer_;
};

class ThrowingAuth final : public AuthProvider, Thrower {
 public:
  ThrowingAuth(Host host, const json::Value& config) : Thrower(std::move(host), config) {}
  void authenticate(const AuthRequest&, Answer answer) override {
    at("authenticate");
    if (where_ == "drop") return;
    answer.allow({.subject = "ann"});
    answer.allow({.subject = "bob"});  // the second answer of a handle does nothing
  }
};

}  // namespace

WEIR_PLUGIN("throwing", "1.0", R"({"kinds":["source","auth"],"config_schema":{"type":"object"}})", ThrowingSource,
            ThrowingAuth);
