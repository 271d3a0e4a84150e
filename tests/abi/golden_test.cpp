// A plugin of ABI 1.0 with this hub.
#include <gtest/gtest.h>

#include "hub_rig.hpp"

namespace weir::test {
namespace {

int metric(const Instance& instance, const std::string& name) {
  for (const auto& [key, value] : instance.metrics())
    if (key == name) return static_cast<int>(value);
  return -1000;
}

TEST(GoldenPluginTest, ASourceOfAbiOneZeroRunsWithPauseAndAcknowledgement) {
  CollectingSink sink(2);
  const auto source = *FlowInstance::create("old", *Library::load(plugin_path("golden")), "{}", sink);
  source->start();
  ASSERT_TRUE(settled(*source));     // start() is over
  ASSERT_TRUE(settled(*source, 2));  // so is its timer
  EXPECT_EQ(metric(*source, "status"), WEIR_E_FULL);
  EXPECT_EQ(sink.taken().size(), 2u);
  EXPECT_EQ(source->status().state, InstanceState::running);
  EXPECT_EQ(source->status().reason, "as in 1.0");
  sink.make_room(10);
  source->resume();
  ASSERT_TRUE(settled(*source));
  ASSERT_EQ(sink.taken().size(), 3u);
  EXPECT_EQ(sink.taken()[2].data, "{\"n\":2}");
  source->accepted("c2");
  EXPECT_TRUE(settled(*source));
  EXPECT_EQ(metric(*source, "acknowledged"), 2);
  EXPECT_TRUE(source->stop());
  EXPECT_EQ(source->counters().misbehaved, 0u);
}

TEST(GoldenPluginTest, AnAuthProviderOfAbiOneZeroAnswers) {
  const auto auth = *AuthInstance::create("old", *Library::load(plugin_path("golden")), "{}", nullptr);
  auth->start();
  Fact<std::string> subject;
  auth->authenticate("{}", 10'000, [&](Result<AuthIdentity> identity, bool) {
    subject.set(identity ? identity->subject : identity.error().message);
  });
  EXPECT_TRUE(subject.wait_for("golden")) << subject.get();
}

}  // namespace
}  // namespace weir::test
