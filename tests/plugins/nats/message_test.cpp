#include "message.hpp"

#include <gtest/gtest.h>
#include <nats/nats.h>

#include <memory>

#include "weir/sdk/json_check.hpp"

namespace weir::nats {
namespace {

struct Closer {
  void operator()(natsMsg* m) const { natsMsg_Destroy(m); }
};

std::unique_ptr<natsMsg, Closer> message(const char* subject, const char* data) {
  static const natsStatus opened = nats_Open(-1);  // else only a connection does it
  EXPECT_EQ(opened, NATS_OK);
  natsMsg* raw = nullptr;
  EXPECT_EQ(natsMsg_Create(&raw, subject, nullptr, data, static_cast<int>(std::string_view(data).size())), NATS_OK);
  natsMsgHeader_Set(raw, "Type", "order.created");
  return std::unique_ptr<natsMsg, Closer>(raw);
}

sdk::json::Value text(const std::string& value) { return sdk::json::parse(sdk::json::quoted(value)); }

std::string filled(const std::string& value, const char* subject = "a.bc.d") {
  std::string out = "left from before";
  Template(text(value)).fill(out, message(subject, "1").get(), subject);
  return out;
}

TEST(NatsTemplateTest, PlacesAreFilled) {
  EXPECT_EQ(filled("plain"), "plain");
  EXPECT_EQ(filled(""), "");
  EXPECT_EQ(filled("{subject}"), "a.bc.d");
  EXPECT_EQ(filled("<{1}|{2}|{3}>"), "<a|bc|d>");
  EXPECT_EQ(filled("<{-1}|{-2}|{-3}>"), "<d|bc|a>");
  EXPECT_EQ(filled("<{4}|{-4}>"), "<|>");
  EXPECT_EQ(filled("{1}{-1}", "alone"), "alonealone");
  EXPECT_EQ(filled("{header:Type}/{header:Missing}."), "order.created/.");
}

TEST(NatsTemplateTest, OtherPlacesAreRefusedByName) {
  for (const char* wrong : {"{", "{subject", "{0}", "{x}", "{header:}", "{101}", "{1x}", "{}"}) {
    try {
      (void)Template(text(wrong));
      ADD_FAILURE() << wrong;
    } catch (const sdk::Failure& f) {
      EXPECT_NE(std::string(f.what()).find("{header:Name}"), std::string::npos) << f.what();
      EXPECT_NE(std::string(f.what()).find(std::string(wrong).substr(0, 1)), std::string::npos) << f.what();
    }
  }
}

TEST(NatsMessageTest, BecomesAnEvent) {
  MessageConfig config;
  config.event = Template(text("{header:Type}"));
  config.key = Template(text("{2}"));
  MessageReader reader(config);
  const auto m = message("shop.eu.7", "{\"n\":1}");
  const sdk::Event event = reader.event_of(m.get());
  EXPECT_EQ(event.subject, "shop.eu.7");
  EXPECT_EQ(event.event, "order.created");
  EXPECT_EQ(event.key, "eu");
  EXPECT_EQ(event.id, "");
  EXPECT_EQ(event.data, "{\"n\":1}");
  EXPECT_EQ(event.kind, sdk::Data::any);
}

TEST(NatsMessageTest, AnEventAlwaysHasANameThatTheHubTakes) {
  MessageConfig config;
  config.event = Template(text("{header:Missing}"));
  EXPECT_EQ(MessageReader(config).event_of(message("a", "1").get()).event, "message");
  config.event = Template(text(std::string(250, 'x') + "{subject}"));
  EXPECT_EQ(MessageReader(config).event_of(message("abcdefgh", "1").get()).event, std::string(250, 'x') + "abcde");
}

TEST(NatsMessageTest, TheTimeIsThatOfAHeader) {
  MessageConfig config;
  config.time = Template(text("{header:Weir-Time}"));
  MessageReader reader(config);
  const auto time = [&](const char* value) {
    const auto m = message("a", "1");
    natsMsgHeader_Set(m.get(), "Weir-Time", value);
    return reader.event_of(m.get()).time_ms;
  };
  EXPECT_EQ(time("2026-02-10T12:00:00.123Z"), 1'770'724'800'123);
  EXPECT_EQ(time("1770724800123"), 1'770'724'800'123);
  for (const char* none : {"", "yesterday", "-5", "12x"}) EXPECT_EQ(time(none), 0) << none;
}

std::string with_headers(const std::vector<std::string>& headers, natsMsg* m, sdk::Data payload = sdk::Data::any) {
  MessageConfig config;
  config.headers = headers;
  config.payload = payload;
  MessageReader reader(config);
  (void)reader.event_of(m);
  const sdk::Event event = reader.event_of(m);  // nothing is left of the one before
  EXPECT_EQ(event.kind, sdk::Data::json);
  EXPECT_TRUE(sdk::json::is_json(event.data)) << event.data;
  return std::string(event.data);
}

TEST(NatsMessageTest, HeadersStandBesideThePayload) {
  const auto m = message("a", "{\"n\": 1}");
  natsMsgHeader_Add(m.get(), "X-B", "1");
  natsMsgHeader_Add(m.get(), "X-B", "2");
  natsMsgHeader_Add(m.get(), "X-A", "");
  natsMsgHeader_Add(m.get(), "x-c", "3");
  EXPECT_EQ(with_headers({"Type"}, m.get()), R"({"headers":{"Type":"order.created"},"data":{"n": 1}})");
  EXPECT_EQ(with_headers({"X-*"}, m.get()), R"({"headers":{"X-A":"","X-B":["1","2"]},"data":{"n": 1}})");
  EXPECT_EQ(with_headers({"*", "Type"}, m.get()),
            R"({"headers":{"Type":"order.created","X-A":"","X-B":["1","2"],"x-c":"3"},"data":{"n": 1}})");
  EXPECT_EQ(with_headers({"type", "X", "Missing-*"}, m.get()), R"({"headers":{},"data":{"n": 1}})");
}

TEST(NatsMessageTest, APayloadBesideHeadersIsWhatItIsWithoutThem) {
  const auto data = [](const char* payload, sdk::Data kind = sdk::Data::any) {
    const std::string all = with_headers({"None"}, message("a", payload).get(), kind);
    const std::string_view before = R"({"headers":{},"data":)";
    EXPECT_TRUE(all.starts_with(before) && all.ends_with("}")) << all;
    return all.substr(before.size(), all.size() - before.size() - 1);
  };
  EXPECT_EQ(data("text"), "\"text\"");
  EXPECT_EQ(data(""), "\"\"");
  EXPECT_EQ(data("\xff"), "{\"base64\":\"/w==\"}");
  EXPECT_EQ(data("1,\"data\":2"), "\"1,\\\"data\\\":2\"");
  EXPECT_EQ(data("[1]", sdk::Data::text), "\"[1]\"");
  // As deep as a hub takes, with one level around it.
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(data(nested(63).c_str()), nested(63));
  EXPECT_EQ(data(nested(64).c_str()), "\"" + nested(64) + "\"");
}

TEST(NatsMessageTest, AHeaderMayHoldAnything) {
  const auto m = message("a", "1");
  natsMsgHeader_Set(m.get(), "Type", "\x01\t\x7f\"\\");
  natsMsgHeader_Add(m.get(), "Bytes", "\xff");
  natsMsgHeader_Add(m.get(), "Bytes", "gr\xc3\xbc\xc3\x9f");
  natsMsgHeader_Add(m.get(), "N\xff", "no name that JSON could have");
  EXPECT_EQ(with_headers({"*"}, m.get()),
            "{\"headers\":{\"Bytes\":[{\"base64\":\"/w==\"},\"gr\xc3\xbc\xc3\x9f\"],"
            "\"Type\":\"\\u0001\\u0009\x7f\\\"\\\\\"},\"data\":1}");
}

TEST(NatsMessageTest, AnAnswerIsAlwaysJson) {
  EXPECT_EQ(as_json(""), "null");
  EXPECT_EQ(as_json(" {\"a\":[1,2]}"), " {\"a\":[1,2]}");
  EXPECT_EQ(as_json("{\"a\":"), "\"{\\\"a\\\":\"");
  EXPECT_EQ(as_json("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"");
  EXPECT_EQ(as_json("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\"");
  // Cut off, too long a form, a surrogate, beyond Unicode, a byte that begins nothing.
  for (const char* wrong :
       {"\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80", "\x80", "\"\xff\""})
    EXPECT_EQ(as_json(wrong).substr(0, 11), "{\"base64\":\"") << wrong;
  EXPECT_EQ(as_json("\xff"), "{\"base64\":\"/w==\"}");
  EXPECT_EQ(as_json("\xff\xfe"), "{\"base64\":\"//4=\"}");
  EXPECT_EQ(as_json("\xff\xfe\xfd"), "{\"base64\":\"//79\"}");
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_EQ(as_json(deep), "\"" + deep + "\"");  // more than a hub takes
}

TEST(NatsPlaceTest, OldAndNewServers) {
  Place place;
  ASSERT_TRUE(read_place("$JS.ACK.ORDERS.weir.2.17.9.1770724800123456789.4", place));
  EXPECT_EQ(place.delivered, 2U);
  EXPECT_EQ(place.stream_sequence, 17U);
  EXPECT_EQ(place.consumer_sequence, 9U);
  EXPECT_EQ(place.time_ms, 1'770'724'800'123);
  Place newer;
  ASSERT_TRUE(read_place("$JS.ACK.hub.ACCOUNT.ORDERS.weir.2.17.9.1770724800123456789.4", newer));
  EXPECT_EQ(newer.stream_sequence, 17U);
  ASSERT_TRUE(read_place("$JS.ACK._.ACCOUNT.ORDERS.weir.2.18.9.1770724800123456789.4.r4nd0m", newer));
  EXPECT_EQ(newer.stream_sequence, 18U);
  for (const char* wrong :
       {"", "_INBOX.abc", "$JS.ACK.ORDERS.weir.2", "$JS.ACK.a.b.c.d.e.f.g", "$JS.ACK.O.w.1.2.3.4.5.6"})
    EXPECT_FALSE(read_place(wrong, place)) << wrong;
}

}  // namespace
}  // namespace weir::nats
