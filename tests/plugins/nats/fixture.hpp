// The plugin beside a real nats-server, without a hub.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/nats_listener.hpp"
#include "support/nats_server.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace weir::test {

using sdk::testing::FakeHost;
using sdk::testing::ResponderSide;
using sdk::testing::Sent;
using sdk::testing::SinkSide;
using sdk::testing::SourceRig;

// An instance that was started; and one that has come to run.
struct Started : SourceRig {
  Started(FakeHost& hub, const std::string& config) : SourceRig(hub, weir_plugin_entry, config) {
    EXPECT_EQ(start(), WEIR_OK);
  }
};
struct Connected : Started {
  Connected(FakeHost& hub, const std::string& config) : Started(hub, config) {
    EXPECT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_RUNNING; }, 20'000));
  }
};

struct NatsPluginTest : testing::Test {
  NatsPluginTest()
      : folder(
            std::filesystem::temp_directory_path() /
            ("weir-nats-" + std::to_string(getpid()) + testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::create_directories(folder);
  }
  ~NatsPluginTest() override {
    EXPECT_TRUE(hub.mistakes.empty()) << hub.mistakes.front();
    std::filesystem::remove_all(folder);
  }
  static std::string config(const NatsServer& server, const std::string& more) {
    return "{\"url\":\"" + server.url() + "\"" + (more.empty() ? "" : ",") + more + "}";
  }
  static std::string config(std::uint16_t port, const std::string& more) {
    return "{\"url\":\"nats://127.0.0.1:" + std::to_string(port) + "\"" + (more.empty() ? "" : ",") + more + "}";
  }
  bool reaches(std::int32_t state) {
    return hub.run_until([&] { return hub.last_state() == state; }, 20'000);
  }
  bool says(const std::string& part) {
    return hub.run_until(
        [&] { return !hub.states.empty() && hub.states.back().reason.find(part) != std::string::npos; }, 20'000);
  }
  std::string reason() const { return hub.states.empty() ? "" : hub.states.back().reason; }
  // As the hub does it: what was not taken comes again once there is room. `meanwhile` is told how many were taken, and
  // whether there is room.
  template <class Meanwhile>
  bool deliver_all(SinkSide& sink, const std::vector<Sent>& events, Meanwhile&& meanwhile) {
    for (std::size_t at = 0; at < events.size();) {
      meanwhile(at, false);
      const std::size_t readies = hub.sink_readies;
      const std::size_t count = std::min<std::size_t>(64, events.size() - at);
      const auto from = events.begin() + static_cast<std::ptrdiff_t>(at);
      const std::size_t taken = sink.deliver({from, from + static_cast<std::ptrdiff_t>(count)});
      at += taken;
      if (taken == count) {
        hub.run_ready();
        continue;
      }
      meanwhile(at, true);
      if (!hub.run_until([&] { return hub.sink_readies > readies; }, 30'000)) return false;
    }
    return true;
  }
  bool deliver_all(SinkSide& sink, const std::vector<Sent>& events) {
    return deliver_all(sink, events, [](std::size_t, bool) {});
  }
  const std::filesystem::path folder;
  FakeHost hub;
};

}  // namespace weir::test
