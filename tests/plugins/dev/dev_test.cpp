#include <gtest/gtest.h>

#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace {

using weir::sdk::testing::AuthRig;
using weir::sdk::testing::FakeHost;

struct DevTest : testing::Test {
  ~DevTest() override { EXPECT_TRUE(hub.mistakes.empty()) << hub.mistakes.front(); }
  weir_status ask(const std::string& peer, const std::string& headers = "") {
    AuthRig dev(hub, weir_plugin_entry, "{}");
    dev.start();
    const auto answer = dev.answer(R"({"path":"/ws","peer":")" + peer + R"(","headers":{)" + headers + "}}");
    hub.answers.clear();
    return answer.status;
  }
  FakeHost hub;
};

TEST_F(DevTest, WhoeverIsOnThisMachineIsLetIn) {
  for (const char* peer : {"127.0.0.1", "127.1.2.3", "127.255.255.255", "::1", "::ffff:127.0.0.1"})
    EXPECT_EQ(ask(peer), WEIR_OK) << peer;
}

TEST_F(DevTest, EverybodyElseIsNot) {
  for (const char* peer : {"", "10.0.0.1", "128.0.0.1", "::2", "fe80::1", "::ffff:10.0.0.1", "127.evil.example",
                           "127.0.0.1.example", "127.0.0", "1127.0.0.1", "127.0.0.1."})
    EXPECT_EQ(ask(peer), WEIR_E_UNAUTHORIZED) << peer;
}

TEST_F(DevTest, AProxysHeaderShutsTheDoor) {
  for (const char* header : {"x-forwarded-for", "forwarded", "x-real-ip"})
    EXPECT_EQ(ask("127.0.0.1", std::string("\"") + header + "\":\"127.0.0.1\""), WEIR_E_UNAUTHORIZED) << header;
  EXPECT_EQ(ask("127.0.0.1", R"("host":"localhost")"), WEIR_OK);
}

TEST_F(DevTest, TheIdentityIsTheConfigs) {
  AuthRig dev(hub, weir_plugin_entry, R"({"subject":"ann","scopes":["a:b","c"],"attributes":{"team":"x"}})");
  dev.start();
  EXPECT_EQ(dev.answer(R"({"peer":"::1"})").json,
            R"({"subject":"ann","scopes":["a:b","c"],"attributes":{"team":"x"}})");
}

TEST_F(DevTest, WithoutConfigEverybodyMayDoEverything) {
  AuthRig dev(hub, weir_plugin_entry, "{}");
  dev.start();
  EXPECT_EQ(dev.answer(R"({"peer":"::1"})").json, R"({"subject":"dev","scopes":["*"]})");
}

TEST_F(DevTest, AnEmptySubjectIsRefused) {
  const AuthRig dev(hub, weir_plugin_entry, R"({"subject":""})");
  EXPECT_EQ(dev.status(), WEIR_E_CONFIG);
  EXPECT_STREQ(dev.error().json_pointer, "/subject");
}

TEST_F(DevTest, ARequestThatIsNoJsonIsAnInternalErrorAndNotACrash) {
  AuthRig dev(hub, weir_plugin_entry, "{}");
  dev.start();
  EXPECT_EQ(dev.answer("{\"peer\":").status, WEIR_E_INTERNAL);
}

}  // namespace
