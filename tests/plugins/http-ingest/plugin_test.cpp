// The plugin between a hub and those who send: what is emitted, when it is answered, what happens when the hub is full,
// refuses or stops.
#include <gtest/gtest.h>

#include "ingest_rig.hpp"
#include "signature.hpp"
#include "text.hpp"

namespace weir::test {
namespace {

using http_ingest::hmac;
using http_ingest::to_hex;

const Headers kJson = {{"content-type", "application/json"}};
const Headers kLines = {{"content-type", "application/x-ndjson"}};

Headers with(Headers headers, const std::string& name, const std::string& value) {
  headers.emplace_back(name, value);
  return headers;
}

TEST_F(IngestTest, ARequestIsAnsweredWhenItsEventHasItsPlace) {
  Plugin plugin(hub, "{}");
  const auto token = post(plugin, kJson, R"({"n":1})", "/orders/eu/");
  hub.advance(10);
  ASSERT_EQ(hub.events.size(), 1u);
  EXPECT_EQ(hub.events[0].subject, "orders/eu");
  EXPECT_EQ(hub.events[0].event, "message");
  EXPECT_EQ(hub.events[0].data, R"({"n":1})");
  EXPECT_EQ(hub.events[0].id, "");
  EXPECT_EQ(response(token).status, 0);
  plugin.source.accepted(hub.events[0].cursor);
  EXPECT_EQ(response(token).status, 202);
  EXPECT_EQ(response(token).text(), R"({"accepted":1,"duplicates":0})");
}

TEST_F(IngestTest, SeveralRequestsByOneAcceptance) {
  Plugin plugin(hub, "{}");
  const auto one = post(plugin, kLines, "1\n2\n3"), two = post(plugin, kJson, "4"), three = post(plugin, kJson, "5");
  hub.advance(kBatchMs);
  plugin.source.accepted(hub.events.at(2).cursor);
  EXPECT_EQ(response(one).text(), R"({"accepted":3,"duplicates":0})");
  EXPECT_EQ(response(two).status, 0);
  plugin.source.accepted(hub.events.at(4).cursor);
  EXPECT_EQ(response(two).status, 202);
  EXPECT_EQ(response(three).status, 202);
  EXPECT_EQ(response(post(plugin, kLines, "\n")).text(), R"({"accepted":0,"duplicates":0})");
}

TEST_F(IngestTest, WhereAnEventGoesIsSaidByTheRequest) {
  Plugin plugin(hub, "{}");
  sdk::testing::HttpAsk ask;
  ask.headers_json = headers_json(with(kJson, "x-weir-event", "created"));
  ask.query_json = R"({"key":"k1","event":"other"})";
  ask.body = "1";
  plugin.http.ask(ask);
  ask.headers_json = headers_json(kJson);
  plugin.http.ask(ask);
  hub.advance(kBatchMs);
  ASSERT_EQ(hub.events.size(), 2u);
  EXPECT_EQ(hub.events[0].subject, "http");
  EXPECT_EQ(hub.events[0].event, "created");
  EXPECT_EQ(hub.events[0].key, "k1");
  EXPECT_EQ(hub.events[1].event, "other");
}

TEST_F(IngestTest, WhereAnEventGoesIsSaidByTheManifest) {
  Plugin plugin(
      hub,
      R"({"subject":"shop/{path:-1}","event":["{data:/kind}","{header:X-Kind}"],"key":"{data:/of/0}-{path:1}","id":"{data:/n}"})");
  post(plugin, kJson, R"({"kind":"paid","of":[true],"n":12})", "/a/b");
  post(plugin, with(kJson, "x-kind", "other"), R"({"kind":{},"of":[]})", "/a");
  const auto none = post(plugin, kJson, "{}", "/a");
  const auto long_name = post(plugin, with(kJson, "x-kind", std::string(256, 'x')), "{}", "/a");
  hub.advance(kBatchMs);
  ASSERT_EQ(hub.events.size(), 2u);
  EXPECT_EQ(hub.events[0].subject, "shop/b");
  EXPECT_EQ(hub.events[0].event, "paid");
  EXPECT_EQ(hub.events[0].key, "true-a");
  EXPECT_EQ(hub.events[0].id, "12");
  EXPECT_EQ(hub.events[1].event, "other");
  EXPECT_EQ(hub.events[1].key, "");
  EXPECT_EQ(response(none).status, 400);
  EXPECT_NE(response(none).text().find("the name of event 1"), std::string::npos);
  EXPECT_NE(response(long_name).text().find("256 bytes; at most 255"), std::string::npos);
}

TEST_F(IngestTest, CloudEventsHaveTheirTypeIdAndTime) {
  Plugin plugin(hub, "{}");
  const Headers headers = {{"content-type", "application/cloudevents+json"}};
  const std::string event =
      R"({"specversion":"1.0","type":"com.example.x","source":"/s","id":"7","time":"2018-04-05T17:31:00Z","data":{"a":1}})";
  const auto first = post(plugin, headers, event);
  accept_all(plugin);
  EXPECT_EQ(response(first).status, 202);
  ASSERT_EQ(hub.events.size(), 1u);
  EXPECT_EQ(hub.events[0].event, "com.example.x");
  EXPECT_EQ(hub.events[0].id, "/s 7");
  EXPECT_EQ(hub.events[0].time_ms, 1'522'949'460'000);
  EXPECT_EQ(hub.events[0].data, R"({"a":1})");
  EXPECT_EQ(response(post(plugin, headers, event)).text(), R"({"accepted":0,"duplicates":1,"duplicate":true})");
  // Of another source it is another event.
  std::string other = event;
  other.replace(other.find("/s"), 2, "/t");
  post(plugin, headers, other);
  hub.advance(kBatchMs);
  EXPECT_EQ(hub.events.size(), 2u);
  std::string far(event);
  far.replace(far.find("/s"), 2, "/" + std::string(300, 's'));
  post(plugin, headers, far);
  hub.advance(kBatchMs);
  ASSERT_EQ(hub.events.size(), 3u);
  EXPECT_EQ(hub.events[2].id.size(), 39u);  // a hash in its place
}

TEST_F(IngestTest, AWebhookOfGithub) {
  Plugin plugin(hub, R"({"profile":"github","signature":{"secret":["old","It's a Secret to Everybody"]}})");
  const std::string body = R"({"action":"opened","repository":{"full_name":"octocat/Hello-World"}})";
  const auto signed_by = [&](const std::string& secret, const std::string& what) {
    return Headers{{"content-type", "application/json"},
                   {"x-github-event", "issues"},
                   {"x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"},
                   {"x-hub-signature-256", "sha256=" + to_hex(hmac("SHA256", secret, {what}))}};
  };
  const Headers good = signed_by("It's a Secret to Everybody", body);
  const auto token = post(plugin, good, body);
  EXPECT_EQ(settled(plugin, token).status, 202);
  ASSERT_EQ(hub.events.size(), 1u);
  EXPECT_EQ(hub.events[0].subject, "github");
  EXPECT_EQ(hub.events[0].event, "issues");
  EXPECT_EQ(hub.events[0].id, "72d3162e-cc78-11e3-81ab-4c9367dc0958");
  EXPECT_EQ(hub.events[0].key, "octocat/Hello-World");
  EXPECT_EQ(response(post(plugin, good, body)).body.boolean_or("duplicate", false), true);
  const auto bad = post(plugin, signed_by("guess", body), body);
  EXPECT_EQ(response(bad).status, 401);
  EXPECT_EQ(response(bad).text(), R"({"message":"the request is not signed as it must be"})");
  EXPECT_EQ(response(post(plugin, kJson, body)).text(), response(bad).text());  // the same for who has none
  EXPECT_TRUE(hub.logged("no secret makes this signature"));
  EXPECT_TRUE(hub.logged("x-hub-signature-256 is missing"));
  EXPECT_EQ(hub.events.size(), 1u);
  // As a form, which it can be told to send.
  const std::string form = "payload=%7B%22zen%22%3A%22Design+for+failure.%22%7D";
  Headers as_form = signed_by("old", form);
  as_form[0].second = "application/x-www-form-urlencoded";
  as_form[1].second = "ping";
  as_form[2].second = "another";
  post(plugin, as_form, form);
  hub.advance(kBatchMs);
  ASSERT_EQ(hub.events.size(), 2u);
  EXPECT_EQ(hub.events[1].data, R"({"zen":"Design for failure."})");
}

TEST_F(IngestTest, TheSignatureIsOverTheBodyAsItCame) {
  Plugin plugin(hub, R"({"signature":{"secret":"s","header":"x-sig"}})");
  const std::string packed = gzipped("{\"n\":1}");
  Headers headers = with(with(kJson, "content-encoding", "gzip"), "x-sig", to_hex(hmac("SHA256", "s", {packed})));
  const auto token = post(plugin, headers, packed);
  EXPECT_EQ(settled(plugin, token).status, 202);
  EXPECT_EQ(hub.events.at(0).data, "{\"n\":1}");
}

TEST_F(IngestTest, AWebhookOfStripeAndItsReplay) {
  Plugin plugin(hub, R"({"profile":"stripe","signature":{"secret":"whsec_test"}})");
  hub.set_now_ms(1'492'774'577'000);
  const auto headers = [&](std::int64_t seconds, const std::string& body) {
    const std::string t = std::to_string(seconds);
    return with(kJson, "stripe-signature", "t=" + t + ",v1=" + to_hex(hmac("SHA256", "whsec_test", {t, ".", body})));
  };
  const std::string body =
      R"({"id":"evt_1","object":"event","type":"charge.succeeded","data":{"object":{"id":"ch_1"}}})";
  const Headers good = headers(1'492'774'577, body);
  const auto token = post(plugin, good, body);
  EXPECT_EQ(settled(plugin, token).status, 202);
  ASSERT_EQ(hub.events.size(), 1u);
  EXPECT_EQ(hub.events[0].event, "charge.succeeded");
  EXPECT_EQ(hub.events[0].id, "evt_1");
  EXPECT_EQ(hub.events[0].key, "ch_1");
  EXPECT_EQ(response(post(plugin, good, body, "/elsewhere")).number("duplicates"), 1);  // the very same request
  EXPECT_EQ(response(post(plugin, headers(1'492'774'600, body), body)).number("duplicates"), 1);  // tried again
  EXPECT_EQ(response(post(plugin, headers(1'492'774'000, body), body)).status, 401);              // too old
  EXPECT_EQ(response(post(plugin, headers(1'492'775'000, body), body)).status, 401);              // of the future
  hub.advance(kBatchMs);
  EXPECT_EQ(hub.events.size(), 1u);
}

TEST_F(IngestTest, AnIdIsTakenOnceAndItsSecondWaitsForTheFirst) {
  Plugin plugin(hub, "{}");
  const Headers headers = with(kJson, "idempotency-key", "\"8e03978e\"");
  const auto first = post(plugin, headers, "1"), second = post(plugin, headers, "1");
  hub.advance(kBatchMs);
  ASSERT_EQ(hub.events.size(), 1u);
  EXPECT_EQ(hub.events[0].id, "8e03978e");
  EXPECT_EQ(response(second).status, 0);  // its promise would be another's
  plugin.source.accepted(hub.events[0].cursor);
  EXPECT_EQ(response(first).status, 202);
  EXPECT_EQ(response(second).status, 200);
  EXPECT_EQ(response(second).text(), R"({"accepted":0,"duplicates":1,"duplicate":true})");
  // Another sender's, another subject's.
  sdk::testing::HttpAsk ask;
  ask.headers_json = headers_json(headers);
  ask.body = "2";
  ask.identity_json = R"({"subject":"anna"})";
  plugin.http.ask(ask);
  post(plugin, headers, "3", "/x");
  hub.advance(kBatchMs);
  EXPECT_EQ(hub.events.size(), 3u);
  hub.advance(86'400'000);
  post(plugin, headers, "4");
  hub.advance(kBatchMs);
  EXPECT_EQ(hub.events.size(), 4u);
}

TEST_F(IngestTest, ARequestOfSeveralEventsIsTriedAgainAsAWhole) {
  Plugin plugin(hub, "{}");
  const Headers headers = with(kLines, "idempotency-key", "r1");
  const auto first = post(plugin, headers, "1\n2");
  EXPECT_EQ(settled(plugin, first).number("accepted"), 2);
  EXPECT_EQ(hub.events.at(0).id, "r1/1");
  EXPECT_EQ(hub.events.at(1).id, "r1/2");
  EXPECT_EQ(response(post(plugin, headers, "1\n2")).text(), R"({"accepted":0,"duplicates":2,"duplicate":true})");
  const auto longer = post(plugin, headers, "1\n2\n3");
  EXPECT_EQ(settled(plugin, longer).text(), R"({"accepted":1,"duplicates":2})");
}

TEST_F(IngestTest, AnIdTwiceInOneRequest) {
  Plugin plugin(hub, R"({"id":"{data:/id}","batch":true})");
  const auto token = post(plugin, kJson, R"([{"id":1},{"id":2},{"id":1},{}])");
  EXPECT_EQ(settled(plugin, token).text(), R"({"accepted":3,"duplicates":1})");
}

TEST_F(IngestTest, AFullHubIsWaitedForAsFarAsThereIsRoom) {
  Plugin plugin(hub, "{}");
  hub.take_only(0);
  std::string lines;
  for (int i = 0; i < 3000; ++i) lines += std::to_string(i) + "\n";
  const auto fits = post(plugin, kLines, lines);
  EXPECT_EQ(response(fits).status, 0);
  const auto too_many = post(plugin, with(kLines, "idempotency-key", "k"), lines);
  EXPECT_EQ(response(too_many).status, 503);
  EXPECT_NE(response(too_many).text().find("nothing of the request was taken"), std::string::npos);
  const auto small = post(plugin, kJson, "\"small\"");
  EXPECT_EQ(response(small).status, 0);
  plugin.source.resume();
  accept_all(plugin);
  EXPECT_EQ(response(fits).number("accepted"), 3000);
  EXPECT_EQ(response(small).status, 202);
  ASSERT_EQ(hub.events.size(), 3001u);
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(hub.events[static_cast<std::size_t>(i)].data, std::to_string(i));
  const auto again = post(plugin, with(kLines, "idempotency-key", "k"), lines);  // its ids were not remembered
  EXPECT_EQ(settled(plugin, again).number("accepted"), 3000);
}

// 503, "the hub is full", because another request's event waited for its batch.
TEST_F(IngestTest, WhatWaitsForItsBatchTakesNoRoomAway) {
  Plugin plugin(hub, "{}");
  const auto small = post(plugin, kJson, "\"small\"");
  std::string lines;
  for (int i = 0; i < 4096; ++i) lines += "{}\n";
  const auto large = post(plugin, kLines, lines);
  accept_all(plugin);
  EXPECT_EQ(response(small).status, 202);
  EXPECT_EQ(response(large).number("accepted"), 4096);
}

TEST_F(IngestTest, WhatNeverFitsIsSaidSo) {
  Plugin plugin(hub, R"({"decompressed_max":"8MiB"})");
  std::string lines;
  for (int i = 0; i < 6; ++i) lines += "\"" + std::string(1'000'000, 'x') + "\"\n";
  const auto token = post(plugin, with(kLines, "content-encoding", "gzip"), gzipped(lines));
  EXPECT_EQ(response(token).status, 413);
  EXPECT_NE(response(token).text().find("send them in several"), std::string::npos);
}

TEST_F(IngestTest, AnEventThatTheHubDoesNotTakeIsNamed) {
  Plugin plugin(hub, R"({"id":"{data:/id}"})");
  hub.data_bytes_max = 100;
  const std::string large = "{\"id\":2,\"x\":\"" + std::string(100, 'x') + "\"}";
  const auto token = post(plugin, kLines, "{\"id\":1}\n" + large + "\n{\"id\":3}");
  hub.advance(kBatchMs);
  EXPECT_EQ(response(token).status, 0);
  plugin.source.accepted(hub.events.at(0).cursor);
  EXPECT_EQ(response(token).status, 0);
  plugin.source.accepted(hub.events.at(1).cursor);
  EXPECT_EQ(response(token).status, 413);
  EXPECT_EQ(response(token).number("accepted"), 2);
  EXPECT_EQ(response(token).body.required("refused").to_json(), "[2]");
  EXPECT_NE(response(token).text().find("limits.data_bytes"), std::string::npos);
  // The others have come, the refused one has not.
  const auto again = post(plugin, kLines, "{\"id\":1}\n" + large + "\n{\"id\":4}\n{\"id\":3}");
  EXPECT_EQ(settled(plugin, again).status, 413);
  EXPECT_EQ(response(again).number("accepted"), 1);
  EXPECT_EQ(response(again).number("duplicates"), 2);
  EXPECT_EQ(response(again).body.required("refused").to_json(), "[2]");
  hub.data_bytes_max = 1000;
  const auto third = post(plugin, kJson, large);
  EXPECT_EQ(settled(plugin, third).status, 202);
}

TEST_F(IngestTest, AllEventsRefusedIsAnsweredAtOnce) {
  Plugin plugin(hub, "{}");
  hub.data_bytes_max = 3;
  const auto token = post(plugin, with(kJson, "idempotency-key", "k"), "12345");
  const auto second = post(plugin, with(kJson, "idempotency-key", "k"), "12345");
  hub.advance(kBatchMs);
  EXPECT_EQ(response(token).status, 413);
  EXPECT_EQ(response(token).number("accepted"), 0);
  EXPECT_EQ(response(second).status, 503);  // what it waited for did not come true; alone it gets its own answer
  EXPECT_TRUE(hub.events.empty());
}

TEST_F(IngestTest, TheLastEventOfARequestRefused) {
  Plugin plugin(hub, "{}");
  hub.data_bytes_max = 3;
  const auto token = post(plugin, kLines, "1\n2\n12345\n12345");
  const auto next = post(plugin, kJson, "4");
  hub.advance(kBatchMs);
  plugin.source.accepted(hub.events.at(1).cursor);
  EXPECT_EQ(response(token).status, 413);
  EXPECT_EQ(response(token).number("accepted"), 2);
  EXPECT_EQ(response(token).body.required("refused").to_json(), "[3,4]");
  EXPECT_EQ(response(next).status, 0);
  plugin.source.accepted(hub.events.at(2).cursor);
  EXPECT_EQ(response(next).status, 202);
}

TEST_F(IngestTest, MethodTypeAndEncoding) {
  Plugin plugin(hub, "{}");
  sdk::testing::HttpAsk get;
  get.method = "GET";
  const auto token = plugin.http.ask(get);
  EXPECT_EQ(response(token).status, 405);
  EXPECT_EQ(response(token).headers.string_or("allow", ""), "POST");
  const auto image = post(plugin, {{"content-type", "image/png"}}, "x");
  EXPECT_EQ(response(image).status, 415);
  EXPECT_NE(response(image).text().find("application/x-ndjson"), std::string::npos);
  const auto brotli = post(plugin, with(kJson, "content-encoding", "br"), "x");
  EXPECT_EQ(response(brotli).status, 415);
  EXPECT_EQ(response(brotli).headers.string_or("accept-encoding", ""), "gzip");
  EXPECT_EQ(response(post(plugin, with(kJson, "content-encoding", "gzip"), "x")).status, 400);
  EXPECT_EQ(
      response(post(plugin, with(kJson, "content-encoding", "gzip"), gzipped(std::string(5'000'000, ' ')))).status,
      413);
  const auto bad = post(plugin, kLines, "1\n{\n");
  EXPECT_EQ(response(bad).status, 400);
  EXPECT_NE(response(bad).text().find("line 2"), std::string::npos);
  hub.advance(kBatchMs);
  EXPECT_TRUE(hub.events.empty());
}

TEST_F(IngestTest, WhoWaitsWhenTheHubStopsIsTold) {
  Plugin plugin(hub, "{}");
  const auto token = post(plugin, kJson, "1");
  plugin.source.stop();
  EXPECT_EQ(response(token).status, 503);
  EXPECT_NE(response(token).text().find("the hub is stopping"), std::string::npos);
  EXPECT_EQ(response(post(plugin, kJson, "2")).status, 503);
}

TEST_F(IngestTest, WhatItDoesIsCounted) {
  Plugin plugin(hub, R"({"profile":"github"})");
  EXPECT_NE(hub.states.at(0).reason.find("anybody"), std::string::npos);
  const Headers headers = with(with(kJson, "x-github-event", "push"), "x-github-delivery", "1");
  post(plugin, headers, "1");
  accept_all(plugin);
  post(plugin, headers, "1");
  post(plugin, headers, "{");
  post(plugin, with(with(kJson, "x-github-event", "push"), "x-github-delivery", "2"), "1");
  hub.advance(1000);
  EXPECT_EQ(hub.metrics["requests"], 4);
  EXPECT_EQ(hub.metrics["events"], 2);
  EXPECT_EQ(hub.metrics["duplicates"], 1);
  EXPECT_EQ(hub.metrics["refused"], 1);
  EXPECT_EQ(hub.metrics["waiting"], 1);
  EXPECT_EQ(hub.metrics["ids"], 2);
}

TEST_F(IngestTest, ConfigsThatCanNotBeUsed) {
  for (const auto& [config, part] : std::vector<std::pair<std::string, std::string>>{
           {R"({"subject":"{nothing}"})", "{path}"},
           {R"({"event":["a","{data:x}"]})", "{data:/pointer}"},
           {R"({"key":"{path:0}"})", "{path:1}"},
           {R"({"signature":{"secret":"x"}})", "header"},
           {R"({"profile":"github","signature":{"secret":"x","header":"y"}})", "generic"}}) {
    sdk::testing::FakeHost other;
    const sdk::testing::SourceRig rig(other, weir_plugin_entry, config);
    EXPECT_EQ(rig.status(), WEIR_E_CONFIG) << config;
    EXPECT_NE(std::string(rig.error().message).find(part), std::string::npos) << rig.error().message;
  }
}

}  // namespace
}  // namespace weir::test
