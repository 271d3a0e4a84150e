// The source against a hub that is not there: see weir/sdk/testing.hpp.
#include <cstdio>

#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace {

int failures = 0;
void expect(bool fact, const char* what) {
  std::printf("%s: %s\n", fact ? "ok" : "FAILED", what);
  failures += fact ? 0 : 1;
}

}  // namespace

int main() {
  using namespace weir::sdk::testing;
  {
    FakeHost hub;
    SourceRig source(hub, weir_plugin_entry, R"({"text":"good \"day\"","interval":"1s"})");
    source.start();
    hub.advance(2500);
    expect(hub.events.size() == 3, "three events in two and a half seconds");
    expect(!hub.events.empty() && hub.events[0].data == R"({"text":"good \"day\""})", "the text is JSON");
    source.pause();
    hub.advance(5000);
    expect(hub.events.size() == 3, "nothing while paused");
    source.resume();
    hub.advance(1500);
    expect(hub.events.size() > 3, "it goes on after resume");
    source.stop();
    expect(hub.mistakes.empty(), "no rule of the ABI is broken");
  }
  FakeHost hub;
  const SourceRig wrong(hub, weir_plugin_entry, R"({"interval":"soon"})");
  expect(wrong.status() == WEIR_E_CONFIG, "an interval that is none is refused");
  return failures == 0 ? 0 : 1;
}
