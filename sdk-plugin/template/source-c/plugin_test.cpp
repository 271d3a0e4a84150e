// The C source against a hub that is not there; the rig is C++, the plugin need not be.
#include <cstdio>

#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

int main() {
  using namespace weir::sdk::testing;
  FakeHost hub;
  SourceRig source(hub, weir_plugin_entry, "{}");
  source.start();
  hub.advance(3000);
  const bool three = hub.events.size() == 3;
  source.pause();
  hub.advance(3000);
  const bool quiet = hub.events.size() == 3;
  source.resume();
  hub.advance(1000);
  const bool again = hub.events.size() == 4 && hub.mistakes.empty();
  std::printf("three events: %d, quiet while paused: %d, goes on: %d\n", three, quiet, again);
  return three && quiet && again ? 0 : 1;
}
