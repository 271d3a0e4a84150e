// Requests as the CloudEvents specification (HTTP binding and JSON format, 1.0.2) shows them.
#include "cloud_event.hpp"

#include <gtest/gtest.h>

#include "body.hpp"
#include "ingest_rig.hpp"
#include "refused.hpp"

namespace weir::http_ingest {
namespace {

using test::Asked;
using test::Headers;

struct Seen {
  std::string data;
  sdk::Data kind;
  std::string id, source, type, subject, extension;
  std::int64_t time_ms;
};
std::vector<Seen> read(const Headers& headers, const std::string& body, bool envelope = false) {
  const Asked asked(headers, body);
  std::vector<Seen> out;
  for (const Draft& d : read_events(asked.request(), asked.body(), {.envelope = envelope}))
    out.push_back({std::string(d.data()), d.kind, std::string(d.attribute("id")), std::string(d.attribute("source")),
                   std::string(d.attribute("type")), std::string(d.attribute("subject")),
                   std::string(d.attribute("comexampleothervalue")), d.time_ms});
  return out;
}
std::string refusal(const Headers& headers, const std::string& body) {
  try {
    read(headers, body);
    return "taken";
  } catch (const Refused& e) {
    return std::to_string(e.status()) + " " + e.what();
  }
}

const Headers kBinary = {{"ce-specversion", "1.0"},
                         {"ce-type", "com.example.someevent"},
                         {"ce-time", "2018-04-05T03:56:24Z"},
                         {"ce-id", "1234-1234-1234"},
                         {"ce-source", "/mycontext/subcontext"},
                         {"content-type", "application/json; charset=utf-8"}};
const Headers kStructured = {{"content-type", "application/cloudevents+json; charset=UTF-8"}};

Headers with(Headers headers, const std::string& name, const std::string& value) {
  std::erase_if(headers, [&](const auto& h) { return h.first == name; });
  if (!value.empty()) headers.emplace_back(name, value);
  return headers;
}

TEST(CloudEventTest, BinaryMode) {
  const auto seen = read(kBinary, R"({"appinfoA" : "abc"})");
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].data, R"({"appinfoA" : "abc"})");
  EXPECT_EQ(seen[0].kind, sdk::Data::json);
  EXPECT_EQ(seen[0].type, "com.example.someevent");
  EXPECT_EQ(seen[0].id, "1234-1234-1234");
  EXPECT_EQ(seen[0].source, "/mycontext/subcontext");
  EXPECT_EQ(seen[0].time_ms, 1'522'900'584'000);
  const auto xml = read(with(kBinary, "content-type", "application/xml"), "<much wow=\"xml\"/>");
  EXPECT_EQ(xml.at(0).data, "<much wow=\"xml\"/>");
  EXPECT_EQ(xml.at(0).kind, sdk::Data::text);
  EXPECT_EQ(read(kBinary, "").at(0).data, "");  // an event without data
}

TEST(CloudEventTest, HeaderValuesArePercentEncoded) {
  EXPECT_EQ(decode_header_value("Euro%20%E2%82%AC%20%F0%9F%98%80"), "Euro \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(decode_header_value("%e2%82%ac"), "\xe2\x82\xac");
  EXPECT_EQ(decode_header_value("%41%2520"), "A%20");  // one round only
  EXPECT_EQ(decode_header_value(R"("a \"b\" \\ c")"), R"(a "b" \ c)");
  EXPECT_EQ(decode_header_value(R"(x"y z"%21)"), "xy z!");
  for (const char* bad : {"%C0%A0", "%", "100%", "%2", "%zz", "\"open", "\"\\", "%FF"})
    EXPECT_FALSE(decode_header_value(bad)) << bad;
  EXPECT_EQ(read(with(kBinary, "ce-subject", "a%20b"), "1").at(0).subject, "a b");
  EXPECT_NE(refusal(with(kBinary, "ce-subject", "%C0%A0"), "1").find("400 not a CloudEvent: the header \"ce-subject\""),
            std::string::npos);
}

TEST(CloudEventTest, WhatIsMissingOrWrongIsNamed) {
  for (const std::string name : {"specversion", "type", "id", "source"}) {
    EXPECT_EQ(refusal(with(kBinary, "ce-" + name, ""), "1"),
              "400 not a CloudEvent: the attribute " + name + " is missing");
  }
  EXPECT_EQ(refusal(with(kBinary, "ce-specversion", "0.3"), "1"),
            "400 not a CloudEvent: specversion is \"0.3\"; \"1.0\" is taken");
  EXPECT_NE(refusal(with(kBinary, "ce-time", "yesterday"), "1").find("time is \"yesterday\""), std::string::npos);
  EXPECT_NE(refusal(with(kBinary, "ce-datacontenttype", "text/plain"), "1").find("Content-Type says"),
            std::string::npos);
  EXPECT_NE(refusal(with(kBinary, "ce-my_ext", "1"), "1").find("a-z and 0-9"), std::string::npos);
  EXPECT_NE(refusal(with(kBinary, "ce-subject", "a%0Ab"), "1").find("control character"), std::string::npos);
  EXPECT_NE(refusal(with(kBinary, "ce-subject", "a%C2%85b"), "1").find("control character"), std::string::npos);
  EXPECT_NE(refusal(kBinary, "{").find("the data of the CloudEvent is not JSON at byte 1"), std::string::npos);
}

TEST(CloudEventTest, StructuredMode) {
  const auto binary = read(kStructured, R"({
    "specversion" : "1.0", "type" : "com.example.someevent", "source" : "/mycontext", "id" : "A234-1234-1234",
    "time" : "2018-04-05T17:31:00Z", "comexampleextension1" : "value", "comexampleothervalue" : 5,
    "datacontenttype" : "application/vnd.apache.thrift.binary", "data_base64" : "AP8BAg=="})");
  EXPECT_EQ(binary.at(0).data, std::string("\x00\xff\x01\x02", 4));
  EXPECT_EQ(binary.at(0).kind, sdk::Data::text);
  EXPECT_EQ(binary.at(0).extension, "5");
  EXPECT_EQ(binary.at(0).time_ms, 1'522'949'460'000);
  const auto xml = read(kStructured, R"({
    "specversion" : "1.0", "type" : "com.example.someevent", "source" : "/mycontext", "id" : "B234-1234-1234",
    "unsetextension": null, "datacontenttype" : "application/xml", "data" : "<much wow=\"xml\"/>"})");
  EXPECT_EQ(xml.at(0).data, R"("<much wow=\"xml\"/>")");
  const auto object = read(kStructured, R"({
    "specversion" : "1.0", "type" : "com.example.someevent", "source" : "/mycontext", "subject": null,
    "id" : "C234-1234-1234", "datacontenttype" : "application/json",
    "data" : { "appinfoA" : "abc", "appinfoB" : 123, "appinfoC" : true }})");
  EXPECT_EQ(object.at(0).data, R"({ "appinfoA" : "abc", "appinfoB" : 123, "appinfoC" : true })");
  EXPECT_EQ(object.at(0).subject, "");
  const std::string plain =
      R"({"specversion":"1.0","type":"t","source":"/s","id":"D234-1234-1234","data":"I'm just a string"})";
  EXPECT_EQ(read(kStructured, plain).at(0).data, R"("I'm just a string")");
  EXPECT_EQ(read(kStructured, R"({"specversion":"1.0","type":"t","source":"/s","id":"1"})").at(0).data, "");
  EXPECT_EQ(read(kStructured, R"({"specversion":"1.0","type":"t","source":"/s","id":"1","data":null})").at(0).data,
            "null");
}

TEST(CloudEventTest, WhatIsWrongInStructuredMode) {
  const auto event = [](const std::string& more) {
    return R"({"specversion":"1.0","type":"t","source":"/s","id":"1",)" + more + "}";
  };
  EXPECT_NE(refusal(kStructured, event(R"("data":1,"data_base64":"AA==")")).find("data and data_base64"),
            std::string::npos);
  EXPECT_NE(refusal(kStructured, event(R"("data_base64":"A")")).find("is no base64"), std::string::npos);
  EXPECT_NE(refusal(kStructured, event(R"("data_base64":7)")).find("is no base64"), std::string::npos);
  EXPECT_NE(refusal(kStructured, event(R"("datacontenttype":"text/plain","data":{})")).find("data is no string"),
            std::string::npos);
  EXPECT_NE(refusal(kStructured, event(R"("ext":{})")).find("\"ext\""), std::string::npos);
  EXPECT_NE(refusal(kStructured, event(R"("Ext":1)")).find("a-z and 0-9"), std::string::npos);
  EXPECT_NE(refusal(kStructured, event(R"("id":"")")).find("id is empty"), std::string::npos);
  EXPECT_NE(refusal(kStructured, event(R"("id":null)")).find("id is missing"), std::string::npos);
  EXPECT_NE(refusal(kStructured, event(R"("source":"a b")")).find("no space"), std::string::npos);
  EXPECT_NE(refusal(kStructured, "[]").find("no JSON object"), std::string::npos);
  EXPECT_NE(refusal({{"content-type", "application/cloudevents+avro"}}, "x").find("415 content-type is"),
            std::string::npos);
}

TEST(CloudEventTest, BatchedMode) {
  const Headers batch = {{"content-type", "application/cloudevents-batch+json"}};
  const std::string first = R"({"specversion":"1.0","type":"com.example.someevent","source":"/mycontext/4",
      "id":"B234-1234-1234","data_base64":"aGk="})";
  const std::string second = R"({"specversion":"1.0","type":"com.example.someotherevent","source":"/mycontext/9",
      "id":"C234-1234-1234","datacontenttype":"application/json","data":{"appinfoA":"abc"}})";
  const auto seen = read(batch, "[" + first + "," + second + "]");
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].data, "hi");
  EXPECT_EQ(seen[1].source, "/mycontext/9");
  EXPECT_TRUE(read(batch, "[]").empty());
  EXPECT_NE(refusal(batch, first).find("is a JSON array"), std::string::npos);
  EXPECT_NE(
      refusal(batch, "[" + first + ",{}]").find("event 2 of the batch is not a CloudEvent: the attribute specversion"),
      std::string::npos);
}

TEST(CloudEventTest, TheEnvelopeKeepsAllOfIt) {
  const std::string event = R"({"specversion":"1.0","type":"t","source":"/s","id":"1","ext":5,"data":[1, 2]})";
  EXPECT_EQ(read(kStructured, event, true).at(0).data, event);
  const Headers binary = {{"ce-specversion", "1.0"}, {"ce-type", "t"}, {"ce-id", "1"}, {"ce-source", "/s"}};
  EXPECT_EQ(
      read(with(binary, "content-type", "application/json"), "[1, 2]", true).at(0).data,
      R"({"specversion":"1.0","type":"t","id":"1","source":"/s","datacontenttype":"application/json","data":[1, 2]})");
  EXPECT_EQ(read(with(binary, "content-type", "text/plain"), "a\"b", true).at(0).data,
            R"({"specversion":"1.0","type":"t","id":"1","source":"/s","datacontenttype":"text/plain","data":"a\"b"})");
  EXPECT_EQ(
      read(with(binary, "content-type", "image/png"), "\xff", true).at(0).data,
      R"({"specversion":"1.0","type":"t","id":"1","source":"/s","datacontenttype":"image/png","data_base64":"/w=="})");
  EXPECT_EQ(read(binary, "", true).at(0).data, R"({"specversion":"1.0","type":"t","id":"1","source":"/s"})");
}

}  // namespace
}  // namespace weir::http_ingest
