#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "key_text.hpp"
#include "weir/sdk/testing.hpp"

extern "C" const weir_plugin weir_plugin_entry;

namespace {

using weir::api_key::make_key;
using weir::api_key::NewKey;
using weir::sdk::testing::AuthRig;
using weir::sdk::testing::FakeHost;
using weir::sdk::testing::SeenAnswer;

struct ApiKeyTest : testing::Test {
  ApiKeyTest() {
    folder =
        std::filesystem::path(testing::TempDir()) / ("weir-keys-" + std::to_string(::getpid()) + "-" +
                                                     testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder);
    path = (folder / "keys.json").string();
  }
  ~ApiKeyTest() override {
    std::filesystem::remove_all(folder);
    EXPECT_TRUE(hub.mistakes.empty()) << hub.mistakes.front();
  }
  void write(const std::string& entries) const {
    std::ofstream(path, std::ios::trunc) << "{\"keys\":[" << entries << "]}";
  }
  // As careful programs do it.
  void write_by_rename(const std::string& text) const {
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
  }
  std::string config(const std::string& more = "") const { return R"({"file":")" + path + "\"" + more + "}"; }
  static std::string with(const NewKey& key, const std::string& more) {
    return key.entry_json.substr(0, key.entry_json.size() - 1) + "," + more + "}";
  }
  static std::string header(const std::string& key) {
    return R"({"peer":"10.0.0.1","headers":{"x-api-key":")" + key + "\"}}";
  }

  FakeHost hub;
  std::filesystem::path folder;
  std::string path;
};

TEST_F(ApiKeyTest, TheKeyIsFoundWhereverItMayStand) {
  const NewKey key = make_key("ci");
  write(key.entry_json);
  AuthRig auth(hub, weir_plugin_entry, config());
  ASSERT_EQ(auth.start(), WEIR_OK) << auth.error().message;
  EXPECT_EQ(auth.answer(header(key.key)).json, R"({"subject":"ci","scopes":[],"key":"ci"})");
  EXPECT_EQ(auth.answer(R"({"headers":{"authorization":"bearer  )" + key.key + "\"}}").status, WEIR_OK);
  EXPECT_EQ(auth.answer(R"({"query":{"api_key":")" + key.key + "\"}}").status, WEIR_OK);
  EXPECT_EQ(auth.answer(R"({"headers":{},"token":")" + key.key + "\"}").status, WEIR_OK);
  EXPECT_EQ(auth.answer(header(key.key + "x")).status, WEIR_E_UNAUTHORIZED);
  EXPECT_EQ(auth.answer(header(std::string(5000, 'a'))).status, WEIR_E_UNAUTHORIZED);
  EXPECT_EQ(hub.last_state(), WEIR_STATE_RUNNING);
}

TEST_F(ApiKeyTest, WhatIsNotForItIsLeftToTheNextProvider) {
  write("");
  AuthRig auth(hub, weir_plugin_entry, config());
  auth.start();
  EXPECT_EQ(auth.answer("{}").status, WEIR_E_NO_CREDENTIAL);
  EXPECT_EQ(auth.answer(R"({"headers":{"authorization":"Basic YTpi"}})").status, WEIR_E_NO_CREDENTIAL);
  EXPECT_EQ(auth.answer(R"({"headers":{"authorization":"Bearer eyJhbGciOi.eyJzdWIi.sig"}})").status,
            WEIR_E_NO_CREDENTIAL);
  EXPECT_EQ(auth.answer(R"({"headers":{"authorization":"Bearer wk_a_b"}})").status, WEIR_E_UNAUTHORIZED);
}

TEST_F(ApiKeyTest, HeaderAndQueryCanHaveOtherNames) {
  const NewKey key = make_key("ci");
  write(key.entry_json);
  AuthRig auth(hub, weir_plugin_entry, config(R"(,"header":"X-Omni-Key","query":"")"));
  auth.start();
  EXPECT_EQ(auth.answer(R"({"headers":{"x-omni-key":")" + key.key + "\"}}").status, WEIR_OK);
  EXPECT_EQ(auth.answer(R"({"query":{"api_key":")" + key.key + "\"}}").status, WEIR_E_NO_CREDENTIAL);
}

TEST_F(ApiKeyTest, ADisabledKeyAndAnExpiredOneAreRefused) {
  const NewKey off = make_key("off"), old = make_key("old");
  write(with(off, R"("disabled":true)") + "," + with(old, R"("expires_at":"2026-09-21T00:00:00Z")"));
  hub.set_now_ms(1'789'948'799'999);  // a millisecond before
  AuthRig auth(hub, weir_plugin_entry, config());
  auth.start();
  EXPECT_EQ(auth.answer(header(off.key)).json, R"({"message":"the API key is disabled"})");
  EXPECT_EQ(auth.answer(header(old.key)).status, WEIR_OK);
  hub.advance(1);
  EXPECT_EQ(auth.answer(header(old.key)).json, R"({"message":"the API key has expired"})");
}

// Symptom: `weir check` found a manifest right whose hub could not start, because the file was read at the start only.
TEST_F(ApiKeyTest, WithoutAFileThatIsRightItIsNotMade) {
  const AuthRig gone(hub, weir_plugin_entry, config());
  EXPECT_EQ(gone.status(), WEIR_E_CONFIG);
  EXPECT_NE(std::string(gone.error().message).find(path), std::string::npos) << gone.error().message;
  write(R"({"id":"x"})");
  const AuthRig broken(hub, weir_plugin_entry, config());
  EXPECT_EQ(broken.status(), WEIR_E_CONFIG);
  EXPECT_NE(std::string(broken.error().message).find("hash"), std::string::npos) << broken.error().message;
  const AuthRig none(hub, weir_plugin_entry, "{}");
  EXPECT_EQ(none.status(), WEIR_E_CONFIG);
}

TEST_F(ApiKeyTest, AChangeBetweenCheckAndStartCounts) {
  write("");
  AuthRig auth(hub, weir_plugin_entry, config());
  ASSERT_EQ(auth.status(), WEIR_OK);
  const NewKey key = make_key("ci");
  write_by_rename("{\"keys\":[" + key.entry_json + "]}");
  ASSERT_EQ(auth.start(), WEIR_OK);
  EXPECT_EQ(auth.answer(header(key.key)).status, WEIR_OK);
}

TEST_F(ApiKeyTest, AChangedFileIsReadAgainAndLostKeysAreRevoked) {
  const NewKey stays = make_key("stays"), leaves = make_key("leaves"), off = make_key("off"),
               changes = make_key("changes");
  write(stays.entry_json + "," + leaves.entry_json + "," + off.entry_json + "," + changes.entry_json);
  AuthRig auth(hub, weir_plugin_entry, config());
  auth.start();
  const NewKey added = make_key("added");
  write_by_rename("{\"keys\":[" + stays.entry_json + "," + with(off, R"("disabled":true)") + "," +
                  with(changes, R"("scopes":["x"])") + "," + added.entry_json + "]}");
  ASSERT_TRUE(hub.run_until([&] { return hub.logged("were read again"); }));
  std::string revoked;
  for (const auto& r : hub.revocations) revoked += r.key + ": " + r.reason + "; ";
  EXPECT_EQ(revoked,
            "leaves: the API key was removed; off: the API key was disabled; changes: the API key was changed; ");
  EXPECT_EQ(auth.answer(header(stays.key)).status, WEIR_OK);
  EXPECT_EQ(auth.answer(header(added.key)).status, WEIR_OK);
  EXPECT_EQ(auth.answer(header(leaves.key)).status, WEIR_E_UNAUTHORIZED);
  EXPECT_EQ(auth.answer(header(off.key)).status, WEIR_E_UNAUTHORIZED);
  EXPECT_EQ(hub.metrics.at("keys"), 4);
}

TEST_F(ApiKeyTest, ABrokenFileKeepsTheOldKeysAndSaysSo) {
  const NewKey key = make_key("ci");
  write(key.entry_json);
  AuthRig auth(hub, weir_plugin_entry, config());
  auth.start();
  write_by_rename("{\"keys\":[");
  ASSERT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_DEGRADED; }));
  EXPECT_NE(hub.states.back().reason.find("not JSON at byte 9"), std::string::npos) << hub.states.back().reason;
  EXPECT_NE(hub.states.back().reason.find("the keys from before stay in force"), std::string::npos);
  EXPECT_EQ(auth.answer(header(key.key)).status, WEIR_OK);
  EXPECT_TRUE(hub.revocations.empty());
  write_by_rename("{\"keys\":[" + key.entry_json + "]}");
  EXPECT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_RUNNING; }));
}

TEST_F(ApiKeyTest, ARemovedFileKeepsTheOldKeys) {
  const NewKey key = make_key("ci");
  write(key.entry_json);
  AuthRig auth(hub, weir_plugin_entry, config());
  auth.start();
  std::filesystem::remove(path);
  ASSERT_TRUE(hub.run_until([&] { return hub.last_state() == WEIR_STATE_DEGRADED; }));
  EXPECT_EQ(auth.answer(header(key.key)).status, WEIR_OK);
}

TEST_F(ApiKeyTest, WithoutInotifyThePollFindsTheChange) {
  // The clock alone: descriptors are not served by advance().
  const NewKey key = make_key("ci"), other = make_key("other");
  write(key.entry_json);
  AuthRig auth(hub, weir_plugin_entry, config());
  auth.start();
  write_by_rename("{\"keys\":[" + other.entry_json + "]}");
  hub.advance(1999);
  EXPECT_EQ(auth.answer(header(key.key)).status, WEIR_OK);
  hub.advance(1);
  EXPECT_EQ(auth.answer(header(key.key)).status, WEIR_E_UNAUTHORIZED);
  EXPECT_EQ(auth.answer(header(other.key)).status, WEIR_OK);
}

}  // namespace
