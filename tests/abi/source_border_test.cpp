#include <gtest/gtest.h>

#include <filesystem>

#include "hub_rig.hpp"

namespace weir::test {
namespace {

Result<std::shared_ptr<FlowInstance>> make(const std::string& plugin, const std::string& config, FlowPort& sink,
                                           std::string* pointer = nullptr) {
  return FlowInstance::create("bad", *Library::load(plugin_path(plugin)), config, sink, {}, pointer);
}

// Starts an instance of the misbehaving plugin and waits until its start() has returned.
std::shared_ptr<FlowInstance> started(const std::string& mode, FlowPort& sink) {
  auto made = make("misbehaving", "{\"mode\":\"" + mode + "\"}", sink);
  EXPECT_TRUE(made);
  (*made)->start();
  EXPECT_TRUE(settled(**made));
  return *made;
}

int metric(const Instance& instance, const std::string& name) {
  for (const auto& [key, value] : instance.metrics())
    if (key == name) return static_cast<int>(value);
  return -1000;
}

TEST(SourceBorderTest, GoodEventsArriveInOrder) {
  CollectingSink sink;
  const auto source = started("emit: good", sink);
  const auto taken = sink.taken();
  ASSERT_EQ(taken.size(), 3u);
  EXPECT_EQ(taken[1].data, "{\"a\":2}");
  EXPECT_EQ(source->counters().accepted, 3u);
  EXPECT_EQ(source->status().state, InstanceState::running);
  EXPECT_TRUE(source->stop());
  EXPECT_EQ(source->status().state, InstanceState::stopped);
}

class BadEventTest : public testing::TestWithParam<const char*> {};

TEST_P(BadEventTest, IsNamedByItsIndexAndThoseBeforeItAreTaken) {
  CollectingSink sink;
  const auto source = started(GetParam(), sink);
  EXPECT_EQ(metric(*source, "status"), WEIR_E_INVALID);
  EXPECT_EQ(metric(*source, "accepted"), 1);
  EXPECT_EQ(sink.taken().size(), 1u);
  EXPECT_EQ(source->counters().refused_invalid, 1u);
  EXPECT_EQ(source->counters().misbehaved, 1u);
}
INSTANTIATE_TEST_SUITE_P(Modes, BadEventTest,
                         testing::Values("emit: struct size", "emit: flags", "emit: json", "emit: utf8",
                                         "emit: no name", "emit: huge length", "emit: null text",
                                         "emit: too long as json"));

// Each becomes 600 KiB of JSON: they are handed over in pieces, in order.
TEST(SourceBorderTest, MuchThatIsNoJsonGoesInPieces) {
  CollectingSink sink;
  const auto source = started("emit: much as text", sink);
  const auto taken = sink.taken();
  ASSERT_EQ(taken.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(taken[i].data.size(), (100 * 1024 - i) * 6 + 2);
  EXPECT_EQ(metric(*source, "accepted"), 20);
  EXPECT_EQ(metric(*source, "status"), WEIR_OK);
  EXPECT_EQ(source->counters().emitted, 20u);
  EXPECT_GT(sink.calls(), 1u);

  CollectingSink small(9);
  const auto waits = started("emit: much as text", small);
  EXPECT_EQ(small.taken().size(), 9u);
  EXPECT_EQ(metric(*waits, "accepted"), 9);
  EXPECT_EQ(metric(*waits, "status"), WEIR_E_FULL);
  EXPECT_EQ(waits->counters().refused_invalid, 0u);
}

TEST(SourceBorderTest, WhatIsNoJsonBecomesSome) {
  CollectingSink sink;
  const auto source = started("emit: any data", sink);
  std::vector<std::string> data;
  for (const auto& event : sink.taken()) data.push_back(event.data);
  EXPECT_EQ(data, (std::vector<std::string>{R"({"a":1})", R"("7")", R"("{\"a\":")", R"({"base64":"//4h"})",
                                            R"( {"b":2})", R"("")"}));
  EXPECT_EQ(source->counters().refused_invalid, 0u);
}

class BadBatchTest : public testing::TestWithParam<const char*> {};

TEST_P(BadBatchTest, IsRefusedAsAWhole) {
  CollectingSink sink;
  const auto source = started(GetParam(), sink);
  EXPECT_EQ(metric(*source, "status"), WEIR_E_INVALID);
  EXPECT_EQ(metric(*source, "accepted"), 0);
  EXPECT_TRUE(sink.taken().empty());
  EXPECT_EQ(source->counters().misbehaved, 1u);
}
INSTANTIATE_TEST_SUITE_P(Modes, BadBatchTest, testing::Values("emit: stride 0", "emit: stride odd", "emit: null"));

class OtherMisbehaviourTest : public testing::TestWithParam<const char*> {};

TEST_P(OtherMisbehaviourTest, IsCountedAndDoesNoHarm) {
  CollectingSink sink;
  const auto source = started(GetParam(), sink);
  EXPECT_GE(source->counters().misbehaved, 1u);
  EXPECT_EQ(source->status().state, InstanceState::running);
  EXPECT_TRUE(source->stop());
}
INSTANTIATE_TEST_SUITE_P(Modes, OtherMisbehaviourTest,
                         testing::Values("emit: no accepted", "state: garbage", "metric: garbage",
                                         "done: from a source", "post: null", "timer: other thread"));

TEST(SourceBorderTest, AStateOfThePluginsOwnStays) {
  CollectingSink sink;
  const auto source = started("state: good", sink);
  EXPECT_EQ(source->status().state, InstanceState::retrying);
  EXPECT_EQ(source->status().reason, "the sea is away");
  EXPECT_GT(source->status().since, 0);
}

TEST(SourceBorderTest, CreateWithAGarbageStatusIsAnInternalError) {
  CollectingSink sink;
  const auto made = make("misbehaving", R"({"mode":"create: garbage status"})", sink);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::internal);
  EXPECT_NE(made.error().message.find("create() returned the status 77, which is none"), std::string::npos)
      << made.error().message;
}

TEST(SourceBorderTest, CreateWithoutAnInstanceIsAnInternalError) {
  CollectingSink sink;
  const auto made = make("misbehaving", R"({"mode":"create: no instance"})", sink);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::internal);
}

TEST(SourceBorderTest, AnErrorTextWithoutAnEndIsCutAtItsField) {
  CollectingSink sink;
  std::string pointer;
  const auto made = make("misbehaving", R"({"mode":"create: endless message"})", sink, &pointer);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::bad_request);
  EXPECT_EQ(pointer.size(), 128u);
}

TEST(SourceBorderTest, AStartThatFailsIsShownWithItsReason) {
  CollectingSink sink;
  const auto source = started("start: fails", sink);
  EXPECT_EQ(source->status().state, InstanceState::failed);
  EXPECT_EQ(source->status().reason, "there is no tide today");
  EXPECT_TRUE(source->stop());
  EXPECT_EQ(source->status().state, InstanceState::failed);
}

TEST(SourceBorderTest, AStartWithAGarbageStatusIsAFailure) {
  CollectingSink sink;
  EXPECT_EQ(started("start: garbage status", sink)->status().state, InstanceState::failed);
}

TEST(SourceBorderTest, AStopThatHangsIsLeftBehindAndTheHubGoesOn) {
  CollectingSink sink;
  auto source = started("stop: hangs", sink);
  EXPECT_FALSE(source->stop(200));
  EXPECT_EQ(source->status().state, InstanceState::failed);
  EXPECT_NE(source->status().reason.find("wedged: stop() does not return"), std::string::npos)
      << source->status().reason;
  source.reset();
  const auto next = started("emit: good", sink);
  EXPECT_EQ(sink.taken().size(), 3u);
}

// Symptom: while the strand hung, each further batch of which something was refused left one more cursor to be told.
TEST(SourceBorderTest, CursorsThatWaitForAStrandThatHangsAreBounded) {
  CollectingSink sink;
  const auto source = started("", sink);
  Fact<bool> hangs, goes_on;
  struct Both {
    Fact<bool>&hangs, &goes_on;
  } both{hangs, goes_on};
  const weir_host* host = source->host();
  ASSERT_EQ(host->post(
                host->ctx,
                [](void* arg) {
                  static_cast<Both*>(arg)->hangs.set(true);
                  static_cast<Both*>(arg)->goes_on.wait_for(true);
                },
                &both),
            WEIR_OK);
  ASSERT_TRUE(hangs.wait_for(true));
  for (int i = 0; i < 5000; ++i) {
    source->refused("r");
    source->accepted("a");
  }
  goes_on.set(true);
  EXPECT_TRUE(settled(*source));
  EXPECT_LE(metric(*source, "cursors"), 1025);
}

// A stopped instance leaves a tombstone behind, but no thread and no descriptor: a hub that is reloaded for years must
// not run out.
TEST(SourceBorderTest, StoppedInstancesHoldNoThreadsAndNoDescriptors) {
  const auto entries = [](const char* folder) {
    const std::filesystem::directory_iterator all(folder);
    return std::distance(begin(all), end(all));
  };
  CollectingSink sink;
  EXPECT_TRUE(started("emit: good", sink)->stop());
  const auto threads = entries("/proc/self/task"), files = entries("/proc/self/fd");
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(started("emit: good", sink)->stop());
  EXPECT_EQ(entries("/proc/self/fd"), files);
  EXPECT_EQ(entries("/proc/self/task"), threads);
}

TEST(SourceBorderTest, AfterStopEmitIsClosed) {
  CollectingSink sink;
  const auto source = started("emit: good", sink);
  const weir_host* host = source->host();
  EXPECT_TRUE(source->stop());
  weir_event event{};
  event.struct_size = sizeof event;
  event.event = {"e", 1};
  std::uint32_t accepted = 7;
  EXPECT_EQ(host->emit(host->ctx, &event, sizeof event, 1, &accepted), WEIR_E_CLOSED);
  EXPECT_EQ(accepted, 0u);
  EXPECT_EQ(host->post(
                host->ctx, [](void*) { FAIL(); }, nullptr),
            WEIR_E_CLOSED);
  EXPECT_EQ(sink.taken().size(), 3u);
  EXPECT_EQ(source->counters().refused_closed, 1u);
  EXPECT_EQ(source->counters().calls_after_stop, 2u);
}

TEST(SourceBorderTest, ADestroyThatEmitsGetsNothingThrough) {
  CollectingSink sink;
  const auto source = started("destroy: emits", sink);
  EXPECT_TRUE(source->stop());
  EXPECT_TRUE(sink.taken().empty());
  EXPECT_EQ(source->counters().calls_after_stop, 1u);
}

TEST(ThrowingPluginTest, AnExceptionInCreateIsARefusalWithItsText) {
  CollectingSink sink;
  const auto made = make("throwing", R"({"where":"create"})", sink);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::internal);
  EXPECT_NE(made.error().message.find("thrown in create"), std::string::npos) << made.error().message;
}

TEST(ThrowingPluginTest, EvenAnIntIsCaught) {
  CollectingSink sink;
  const auto made = make("throwing", R"({"where":"create int"})", sink);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("an exception of unknown type"), std::string::npos) << made.error().message;
}

TEST(ThrowingPluginTest, AFailureNamesThePlaceInTheConfig) {
  CollectingSink sink;
  std::string pointer;
  const auto made = make("throwing", R"({"where":"config"})", sink, &pointer);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::bad_request);
  EXPECT_EQ(pointer, "/where");
}

TEST(ThrowingPluginTest, AnExceptionInStartMakesItFailed) {
  CollectingSink sink;
  const auto made = *make("throwing", R"({"where":"start"})", sink);
  made->start();
  EXPECT_TRUE(settled(*made));
  EXPECT_EQ(made->status().state, InstanceState::failed);
  EXPECT_EQ(made->status().reason, "thrown in start");
}

class ThrowingCallbackTest : public testing::TestWithParam<const char*> {};

TEST_P(ThrowingCallbackTest, IsCaughtAndTheInstanceGoesOn) {
  CollectingSink sink;
  const auto made = *make("throwing", std::string(R"({"where":")") + GetParam() + "\"}", sink);
  made->start();
  EXPECT_TRUE(settled(*made));     // start() is over
  EXPECT_TRUE(settled(*made, 2));  // so are the task that it posted and its timer
  EXPECT_EQ(metric(*made, "timer"), 1);
  EXPECT_EQ(metric(*made, "post"), 1);
  EXPECT_EQ(made->status().state, InstanceState::running);
  EXPECT_TRUE(made->stop());
}
INSTANTIATE_TEST_SUITE_P(Places, ThrowingCallbackTest, testing::Values("timer", "post", "stop"));

}  // namespace
}  // namespace weir::test
