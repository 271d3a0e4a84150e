// What becomes of requests whose events find no place, that nobody waits for any more, or that somebody sends again.
#include <gtest/gtest.h>
#include <malloc.h>

#include "ingest_rig.hpp"
#include "signature.hpp"
#include "text.hpp"

namespace weir::test {
namespace {

const Headers kJson = {{"content-type", "application/json"}};
const Headers kLines = {{"content-type", "application/x-ndjson"}};

Headers with_id(Headers headers, const std::string& id) {
  headers.emplace_back("idempotency-key", id);
  return headers;
}

// A channel that limits.channels leaves no room for: answered 202, and its id was remembered for ever after.
TEST_F(IngestTest, ARequestWhoseEventFoundNoPlaceIsSentAgain) {
  Plugin plugin(hub, "{}");
  const auto before = post(plugin, with_id(kJson, "a"), "1");
  accept_all(plugin);
  const auto lost = post(plugin, with_id(kJson, "b"), "2"), beside = post(plugin, kJson, "3");
  const auto same = post(plugin, with_id(kJson, "b"), "2");
  hub.advance(kBatchMs);
  const auto after = post(plugin, with_id(kJson, "c"), "4");
  ASSERT_EQ(hub.events.size(), 3u);
  plugin.source.refused(hub.events.back().cursor);
  EXPECT_EQ(response(lost).status, 0);
  plugin.source.accepted(hub.events.back().cursor);
  EXPECT_EQ(response(before).status, 202);
  EXPECT_EQ(response(lost).status, 503);
  EXPECT_NE(response(lost).text().find("no place"), std::string::npos);
  EXPECT_EQ(response(beside).status, 503);  // it isn't known which of them it was
  EXPECT_EQ(response(same).status, 503);
  EXPECT_EQ(settled(plugin, after).status, 202);
  const auto again = post(plugin, with_id(kJson, "b"), "2");
  EXPECT_EQ(settled(plugin, again).number("accepted"), 1);
  EXPECT_EQ(response(post(plugin, with_id(kJson, "a"), "1")).number("duplicates"), 1);
  EXPECT_EQ(response(post(plugin, with_id(kJson, "c"), "4")).number("duplicates"), 1);
}

TEST_F(IngestTest, OfARequestInSeveralBatchesOnlyTheLostOneComesAgain) {
  Plugin plugin(hub, "{}");
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += std::to_string(i) + "\n";
  const auto token = post(plugin, with_id(kLines, "r"), lines);
  hub.advance(kBatchMs);
  ASSERT_EQ(hub.events.size(), 200u);
  plugin.source.accepted(hub.events.at(63).cursor);
  plugin.source.refused(hub.events.at(127).cursor);
  plugin.source.accepted(hub.events.at(127).cursor);
  EXPECT_EQ(response(token).status, 0);
  plugin.source.accepted(hub.events.at(199).cursor);
  EXPECT_EQ(response(token).status, 503);
  const auto again = post(plugin, with_id(kLines, "r"), lines);
  EXPECT_EQ(settled(plugin, again).text(), R"({"accepted":64,"duplicates":136})");
  EXPECT_EQ(hub.events.at(200).data, "64");
}

// Nobody learns what became of a request after 30 s, so whoever has no ids doubles what is still taken.
TEST_F(IngestTest, WhatNobodyWaitsForAnyMoreIsTakenBackIfTheHubHasNothingOfIt) {
  Plugin plugin(hub, "{}");
  hub.take_only(1);
  const auto one = post(plugin, kLines, "1\n2"), two = post(plugin, with_id(kLines, "r"), "3\n4"),
             same = post(plugin, with_id(kLines, "r"), "3\n4"), three = post(plugin, kJson, "5");
  hub.advance(kBatchMs);
  plugin.http.cancel(one);  // begun: all of it comes
  plugin.http.cancel(two);
  EXPECT_EQ(response(same).status, 503);
  plugin.http.cancel(two);
  const auto again = post(plugin, with_id(kLines, "r"), "3\n4");
  plugin.source.resume();
  accept_all(plugin);
  std::string came;
  for (const auto& e : hub.events) came += e.data;
  EXPECT_EQ(came, "12534");
  EXPECT_EQ(response(three).status, 202);
  EXPECT_EQ(response(again).number("accepted"), 2);
  plugin.http.cancel(again);  // too late
  hub.advance(1000);
  EXPECT_EQ(hub.metrics["waiting"], 0);
  EXPECT_EQ(hub.metrics["ids"], 2);
}

// Each stored the number of every event that it waited for: 128 MiB for 12 KiB of body each, and an event that the hub
// refused was looked for in all of that, which held up the strand for minutes.
TEST_F(IngestTest, WhoWaitsForARequestStoresOneNumber) {
  Plugin plugin(hub, "{}");
  hub.take_only(0);
  std::string lines;
  for (int i = 0; i < 4000; ++i) lines += "{}\n";
  const auto first = post(plugin, with_id(kLines, "r"), lines);
  const auto before = ::mallinfo2().uordblks;
  std::vector<std::uint64_t> same;
  for (int i = 0; i < 100; ++i) same.push_back(post(plugin, with_id(kLines, "r"), lines));
  EXPECT_LT(::mallinfo2().uordblks, before + 500'000);
  plugin.source.resume();
  accept_all(plugin);
  EXPECT_EQ(response(first).number("accepted"), 4000);
  for (const auto token : same) EXPECT_EQ(response(token).number("duplicates"), 4000);
}

TEST_F(IngestTest, WhoWaitsForARequestThatIsNotTakenAsAWholeSendsAgain) {
  Plugin plugin(hub, R"({"id":"{data:/id}"})");
  hub.data_bytes_max = 8;
  const auto first = post(plugin, kLines, "{\"id\":1}\n{\"id\":22}\n{\"id\":3}");
  const auto other = post(plugin, kJson, "{\"id\":4}");
  const auto one = post(plugin, kLines, "{\"id\":4}\n{\"id\":1}"), two = post(plugin, kJson, "{\"id\":4}");
  hub.advance(kBatchMs);
  EXPECT_EQ(response(one).status, 503);  // has nothing to wait for any more
  EXPECT_EQ(response(two).status, 0);
  accept_all(plugin);
  EXPECT_EQ(response(first).status, 413);
  EXPECT_EQ(response(other).status, 202);
  EXPECT_EQ(response(two).status, 200);
  EXPECT_EQ(response(post(plugin, kLines, "{\"id\":4}\n{\"id\":1}")).text(),
            R"({"accepted":0,"duplicates":2,"duplicate":true})");
}

struct ReplayTest : IngestTest {
  Headers signed_at(std::int64_t seconds, const std::string& body) const {
    const std::string t = std::to_string(seconds);
    Headers out = kJson;
    out.emplace_back("x-time", t);
    out.emplace_back("x-sig", http_ingest::to_hex(http_ingest::hmac("SHA256", "s", {t, ".", body})));
    return out;
  }
  std::int64_t now_s() const { return hub.now_ms() / 1000; }
  static std::string config(const std::string& more, const std::string& in_signature = "") {
    return R"({"signature":{"secret":"s","header":"x-sig","timestamp_header":"x-time")" + in_signature + "}" + more +
           "}";
  }
};

// A recorded request was taken again when ids were remembered for a shorter time than signatures are good, or not.
TEST_F(ReplayTest, ASignedRequestIsTakenOnceHoweverFewIdsAreRemembered) {
  for (const char* few : {R"(,"idempotency":{"max":0})", R"(,"idempotency":{"window":1000})"}) {
    sdk::testing::FakeHost other;
    Plugin plugin(other, config(few));
    sdk::testing::HttpAsk ask;
    ask.body = "1";
    ask.headers_json = headers_json(signed_at(other.now_ms() / 1000 + 290, ask.body));  // its clock is ahead
    plugin.http.ask(ask);
    for (int i = 0; i < 12; ++i) {
      other.advance(48'000);
      plugin.http.ask(ask);
    }
    other.set_now_ms(other.now_ms() - 60'000);
    plugin.http.ask(ask);
    other.advance(kBatchMs);
    EXPECT_EQ(other.events.size(), 1u) << few;
  }
}

TEST_F(ReplayTest, AClockThatIsSetForgetsNothing) {
  Plugin plugin(hub, config(""));
  const std::int64_t then = hub.now_ms();
  const Headers headers = signed_at(now_s(), "1");
  const auto first = post(plugin, headers, "1"), id = post(plugin, with_id(signed_at(now_s(), "2"), "k"), "2");
  EXPECT_EQ(settled(plugin, first).status, 202);
  EXPECT_EQ(response(id).status, 202);
  hub.set_now_ms(then + 7 * 86'400'000);
  const auto meanwhile = post(plugin, signed_at(now_s(), "3"), "3");
  EXPECT_EQ(settled(plugin, meanwhile).status, 202);
  hub.set_now_ms(then);
  EXPECT_EQ(response(post(plugin, headers, "1")).number("duplicates"), 1);
  EXPECT_EQ(response(post(plugin, with_id(signed_at(now_s(), "4"), "k"), "4")).number("duplicates"), 1);
}

TEST_F(ReplayTest, ARetryThatBroughtNothingNewIsTakenOnceAsWell) {
  Plugin plugin(hub, config(R"(,"idempotency":{"window":1000})"));
  const auto first = post(plugin, with_id(signed_at(now_s(), "1"), "k"), "1");
  EXPECT_EQ(settled(plugin, first).status, 202);
  const Headers retry = with_id(signed_at(now_s() + 1, "1"), "k");
  EXPECT_EQ(response(post(plugin, retry, "1")).number("duplicates"), 1);
  hub.advance(2000);
  EXPECT_EQ(response(post(plugin, retry, "1")).number("duplicates"), 1);
}

TEST_F(ReplayTest, ASignedRequestThatFoundNoPlaceMayComeAgain) {
  Plugin plugin(hub, config(""));
  const Headers headers = signed_at(now_s(), "1");
  const auto lost = post(plugin, headers, "1"), same = post(plugin, headers, "1");
  hub.advance(kBatchMs);
  EXPECT_EQ(response(same).status, 0);
  plugin.source.refused(hub.events.at(0).cursor);
  plugin.source.accepted(hub.events.at(0).cursor);
  EXPECT_EQ(response(lost).status, 503);
  EXPECT_EQ(response(same).status, 503);
  // What comes again waits for a request that waits for another one: an id under way, and then the same signature.
  const auto id = post(plugin, with_id(signed_at(now_s(), "3"), "k"), "3");
  const Headers retry = with_id(signed_at(now_s() + 1, "3"), "k");
  const auto by_id = post(plugin, retry, "3"), by_signature = post(plugin, retry, "3");
  hub.advance(kBatchMs);
  plugin.source.refused(hub.events.back().cursor);
  EXPECT_EQ(response(by_signature).status, 0);
  plugin.source.accepted(hub.events.back().cursor);
  for (const auto token : {id, by_id, by_signature}) EXPECT_EQ(response(token).status, 503);
  const auto again = post(plugin, headers, "1"), twice = post(plugin, headers, "1");
  EXPECT_EQ(settled(plugin, again).status, 202);
  EXPECT_EQ(response(twice).status, 200);
  hub.data_bytes_max = 1;
  const Headers large = signed_at(now_s(), "22");
  const auto refused = post(plugin, large, "22");
  EXPECT_EQ(settled(plugin, refused).status, 413);
  hub.data_bytes_max = 2;
  const auto taken = post(plugin, large, "22");
  EXPECT_EQ(settled(plugin, taken).status, 202);
}

TEST_F(ReplayTest, MoreSignaturesThanMayBeRememberedWait) {
  Plugin plugin(hub, config("", R"(,"max":2,"tolerance":1000)"));
  const Headers one = signed_at(now_s(), "1");
  const auto first = post(plugin, one, "1"), second = post(plugin, signed_at(now_s(), "2"), "2"),
             third = post(plugin, signed_at(now_s(), "3"), "3");
  EXPECT_EQ(settled(plugin, first).status, 202);
  EXPECT_EQ(response(second).status, 202);
  EXPECT_EQ(response(third).status, 503);
  EXPECT_NE(response(third).text().find("signature.max"), std::string::npos);
  EXPECT_EQ(response(post(plugin, one, "1")).number("duplicates"), 1);
  hub.advance(3000);
  const auto later = post(plugin, signed_at(now_s(), "3"), "3");
  EXPECT_EQ(settled(plugin, later).status, 202);
}

}  // namespace
}  // namespace weir::test
