// A rule tried outside of a hub: what `weir rules run` and `bench` print and count.
#include "rules/dry_run.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace weir {
namespace {

class DryRunTest : public testing::Test {
 protected:
  DryRunTest() { input_.name = "in.jsonl"; }
  void script(const std::string& lua) {
    settings_.script = "r.lua";
    settings_.path = (std::filesystem::path(testing::TempDir()) /
                      (std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ".lua"))
                         .string();
    std::ofstream(settings_.path) << lua;
  }
  DryRunTotals run(const std::string& lines) {
    std::istringstream in(lines);
    std::ostringstream out, notes;
    const auto totals = dry_run(settings_, {}, input_, in, out, notes);
    EXPECT_TRUE(totals) << totals.error().message;
    out_ = out.str();
    notes_ = notes.str();
    return totals ? *totals : DryRunTotals{};
  }
  std::string refused(const std::string& line) {
    EXPECT_EQ(run(line + "\n").unreadable, 1U);
    EXPECT_EQ(out_, "");
    return notes_;
  }
  RuleSettings settings_;
  DryRunInput input_;
  std::string out_, notes_;
};

constexpr auto kKeepAll = "return { filter = function() return true end }";
constexpr auto kDropDebug = "return { filter = function(ev) return ev.data.level ~= 'debug', 'debug line' end }";

TEST_F(DryRunTest, WhatIsKeptComesOutByteForByteAndWhatIsDroppedIsTold) {
  script(kDropDebug);
  const DryRunTotals t =
      run("{\"event\":\"line\",\"data\":{ \"id\" : 12345678901234567890, \"z\":1.0,\"a\":\"\\u00e4\"}}\n"
          "\n"
          "{\"data\":{\"level\":\"debug\"}}\r\n"
          "{\"event\":\"x\",\"id\":\"i\",\"key\":\"k\",\"time\":5,\"source\":\"s\",\"channel\":\"c/1\",\"data\":{}}\n");
  EXPECT_EQ(
      out_,
      "{\"event\":\"line\",\"data\":{ \"id\" : 12345678901234567890, \"z\":1.0,\"a\":\"\\u00e4\"}}\n"
      "{\"channel\":\"c/1\",\"event\":\"x\",\"id\":\"i\",\"key\":\"k\",\"time\":5,\"source\":\"s\",\"data\":{}}\n");
  EXPECT_EQ(notes_, "in.jsonl:3: dropped: debug line\n");
  EXPECT_EQ(t.events, 3U);
  EXPECT_EQ(t.kept, 2U);
  EXPECT_EQ(t.dropped, 1U);
  ASSERT_EQ(t.reasons.size(), 1U);
  EXPECT_EQ(t.reasons[0], (std::pair<std::string, std::uint64_t>("debug line", 1)));
  EXPECT_GT(t.operations, 0U);
  EXPECT_GE(t.slowest_ns, t.median_ns);
}

TEST_F(DryRunTest, WhatComesOutCanBeReadAgain) {
  script(kKeepAll);
  run("{\"event\":\"x\",\"id\":\"i\",\"time\":5,\"channel\":\"c\",\"data\":[1]}\n");
  const std::string once = out_;
  run(once);
  EXPECT_EQ(out_, once);
}

TEST_F(DryRunTest, TakesWhatClientsOfAHubGet) {
  script(kKeepAll);
  run("{\"type\":\"event\",\"channel\":\"a/7\",\"event\":\"done\",\"id\":\"01J\",\"epoch\":\"k3\",\"sequenceId\":42,"
      "\"emittedAt\":\"2026-02-10T12:00:00.250Z\",\"isReplay\":false,\"data\":{\"n\":1}}\n");
  EXPECT_EQ(out_,
            "{\"channel\":\"a/7\",\"event\":\"done\",\"id\":\"01J\",\"time\":1770724800250,\"data\":{\"n\":1}}\n");
}

TEST_F(DryRunTest, LinesOfALogBecomeTheEventsOfLogTail) {
  script("return { filter = function(ev) return ev.data.line ~= 'b' end }");
  input_.log_lines = true;
  input_.name = "/var/log/in.jsonl";
  run("a \"quoted\"\nb\n");
  EXPECT_EQ(out_, "{\"event\":\"line\",\"data\":{\"line\":\"a \\\"quoted\\\"\",\"file\":\"in.jsonl\"}}\n");
  EXPECT_EQ(notes_, "/var/log/in.jsonl:2: dropped\n");
}

TEST_F(DryRunTest, SplitAndPublishedEventsComeOutBehindTheirEvent) {
  script(
      "return { transform = function(ev) hub.publish('other', 'seen', {n = 1}) "
      "return hub.many{ {event='a', data={}}, {event='b', data={}} } end }");
  const DryRunTotals t = run("{\"event\":\"x\",\"data\":{}}\n");
  EXPECT_EQ(out_,
            "{\"event\":\"a\",\"data\":{}}\n{\"event\":\"b\",\"data\":{}}\n"
            "{\"channel\":\"other\",\"event\":\"seen\",\"data\":{\"n\":1}}\n");
  EXPECT_EQ(t.published, 1U);
}

TEST_F(DryRunTest, ARuleThatKeepsFailingIsNotQuarantined) {
  script("return { filter = function(ev) return ev.data.n.m == 1 end }");
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "{\"data\":{}}\n";
  const DryRunTotals t = run(lines + "{\"data\":{\"n\":{\"m\":1}}}\n");
  EXPECT_EQ(t.failed, 100U);
  EXPECT_EQ(t.kept, 1U);
  EXPECT_NE(notes_.find("in.jsonl:100: rule error: r.lua:1:"), std::string::npos) << notes_;
}

TEST_F(DryRunTest, AnInputThatBreaksOffIsTold) {
  script(kKeepAll);
  std::istringstream in("{}\n");
  in.setstate(std::ios::badbit);
  std::ostringstream out, notes;
  EXPECT_EQ(dry_run(settings_, {}, input_, in, out, notes).error().message, "in.jsonl: can't be read to its end");
  EXPECT_EQ(bench_rule(settings_, {}, input_, in, 0.01).error().message, "in.jsonl: can't be read to its end");
}

TEST_F(DryRunTest, BadLinesAreNamedAndTheOthersGoOn) {
  script(kKeepAll);
  EXPECT_EQ(refused("[1]"), "in.jsonl:1: an event is an object with event and data; this is [1]\n");
  EXPECT_EQ(refused("{\"evnt\":\"x\"}"),
            "in.jsonl:1: unknown key \"evnt\"; an event has event, data, id, key, time, source and channel\n");
  EXPECT_EQ(refused("{\"event\":7}"), "in.jsonl:1: event is 7; expected a string\n");
  EXPECT_EQ(refused("{\"event\":\"\"}"), "in.jsonl:1: event has 0 bytes; expected 1 to 255\n");
  EXPECT_EQ(refused("{\"time\":\"now\"}"), "in.jsonl:1: time is \"now\"; expected milliseconds since 1970\n");
  EXPECT_EQ(refused("{\"time\":1.5}"), "in.jsonl:1: time is 1.5; expected milliseconds since 1970\n");
  EXPECT_EQ(refused("{\"emittedAt\":\"yesterday\"}"),
            "in.jsonl:1: emittedAt is \"yesterday\"; expected a time such as \"2026-01-31T12:00:00.000Z\"\n");
  EXPECT_EQ(refused("{\"type\":\"gap\",\"data\":{}}"),
            "in.jsonl:1: type is \"gap\"; of the frames of weir.v1 only those of type \"event\" are events\n");
  EXPECT_NE(refused("{\"data\":").find("in.jsonl:1: "), std::string::npos);
  EXPECT_NE(refused("{\"channel\":\"a b\"}").find("in.jsonl:1: "), std::string::npos);
  const DryRunTotals t = run("oops\n{\"data\":1}\n");
  EXPECT_EQ(t.unreadable, 1U);
  EXPECT_EQ(t.kept, 1U);
  EXPECT_EQ(out_, "{\"event\":\"event\",\"data\":1}\n");
}

TEST_F(DryRunTest, ThePatternGivesVariables) {
  script("return { transform = function(ev, ctx) ev.data.id = ctx.vars.id return ev end }");
  input_.pattern = *Pattern::parse("agents/{id}");
  const DryRunTotals t = run("{\"channel\":\"agents/7\",\"data\":{}}\n{\"channel\":\"other\",\"data\":{}}\n");
  EXPECT_EQ(out_, "{\"channel\":\"agents/7\",\"event\":\"event\",\"data\":{\"id\":\"7\"}}\n");
  EXPECT_EQ(notes_, "in.jsonl:2: the channel \"other\" does not match the pattern \"agents/{id}\"\n");
  EXPECT_EQ(t.unreadable, 1U);
}

TEST_F(DryRunTest, ParamsThatDoNotFitAreTold) {
  script("return { params = { at_least = { type = 'string' } }, filter = function() return true end }");
  settings_.params_json = "{\"at_lest\":\"info\"}";
  std::istringstream in("{}");
  std::ostringstream out, notes;
  const auto totals = dry_run(settings_, {}, input_, in, out, notes);
  ASSERT_FALSE(totals);
  EXPECT_NE(totals.error().message.find("at_lest"), std::string::npos) << totals.error().message;
}

TEST_F(DryRunTest, BenchCountsWhatAnEventCosts) {
  script(kDropDebug);
  std::istringstream in("{\"data\":{\"level\":\"debug\"}}\n{\"data\":{\"level\":\"info\"}}\n");
  const auto totals = bench_rule(settings_, {}, input_, in, 0.01);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_GE(totals->events, 2U);
  EXPECT_EQ(totals->kept, totals->dropped);
  EXPECT_GT(totals->median_ns, 0);
  std::istringstream none("\n"), bad("{}\n[]\n");
  EXPECT_EQ(bench_rule(settings_, {}, input_, none, 0.01).error().message, "in.jsonl: no events");
  EXPECT_EQ(bench_rule(settings_, {}, input_, bad, 0.01).error().message,
            "in.jsonl:2: an event is an object with event and data; this is []");
}

}  // namespace
}  // namespace weir
