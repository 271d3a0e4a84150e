// For the tests of a plugin: a hub that is not there, and an instance as that hub holds it. The test links the plugin's
// .cpp files.
//   testing::FakeHost hub;
//   testing::SourceRig source(hub, weir_plugin_entry, R"({"interval":"1s"})");
//   source.start(); hub.advance(3000);                       timers fire, posted tasks run, in order
//   hub.run_until([&] { return hub.events.size() == 3; });   also real descriptors and real threads; the clock flows
#pragma once
#include "weir/sdk/testing/fake_host.hpp"
#include "weir/sdk/testing/rigs.hpp"
