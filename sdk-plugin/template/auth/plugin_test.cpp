// The provider against a hub that is not there: see weir/sdk/testing.hpp.
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
  FakeHost hub;
  AuthRig auth(hub, weir_plugin_entry, R"({"word":"sesame seeds","scopes":["notes:read"]})");
  auth.start();
  const auto right = auth.answer(R"({"headers":{"authorization":"Bearer sesame seeds"}})");
  expect(right.status == WEIR_OK, "the right word opens");
  expect(right.json == R"({"subject":"friend","scopes":["notes:read"]})", "with the scopes of the config");
  expect(auth.answer(R"({"token":"open up, please"})").status == WEIR_E_UNAUTHORIZED, "a wrong word does not");
  expect(auth.answer("{}").status == WEIR_E_NO_CREDENTIAL, "no word is left to the next provider");
  auth.stop();
  expect(hub.mistakes.empty(), "no rule of the ABI is broken");
  const AuthRig wrong(hub, weir_plugin_entry, R"({"word":"short"})");
  expect(wrong.status() == WEIR_E_CONFIG, "a short word is refused");
  return failures == 0 ? 0 : 1;
}
