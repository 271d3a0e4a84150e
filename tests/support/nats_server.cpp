#include "support/nats_server.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

namespace weir::test {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);  // longer than any server stands still

// Tries again until it is NATS_OK.
template <class Try>
void insist(const char* what, Try&& once) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  natsStatus status = NATS_OK;
  while (std::chrono::steady_clock::now() < until) {
    status = once();
    if (status == NATS_OK) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  FAIL() << what << ": " << natsStatus_GetText(status);
}

}  // namespace

NatsServer::NatsServer(const std::string& folder, const std::string& config, bool jetstream)
    : folder_(folder), port_(free_port()) {
  std::ofstream(folder_ + "/nats.conf") << "listen: 127.0.0.1:" << port_ << "\n"
                                        << (jetstream ? "jetstream { store_dir: \"" + folder_ + "/js\" }\n" : "")
                                        << config;
  start();
}

void NatsServer::start() {
  process_.run({"nats-server", "-c", folder_ + "/nats.conf"}, folder_ + "/nats.log");
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!answers(port_)) {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "nats-server does not answer; see " << folder_ << "/nats.log";
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

NatsClient::NatsClient(const std::string& url) {
  natsOptions* options = nullptr;
  EXPECT_EQ(natsOptions_Create(&options), NATS_OK);
  natsOptions_SetURL(options, url.c_str());
  natsOptions_SetMaxReconnect(options, -1);
  natsOptions_SetReconnectWait(options, 20);
  insist("connecting", [&] { return natsConnection_Connect(&connection_, options); });
  natsOptions_Destroy(options);
  EXPECT_EQ(natsConnection_JetStream(&js_, connection_, nullptr), NATS_OK);
}

NatsClient::~NatsClient() {
  jsCtx_Destroy(js_);
  natsConnection_Destroy(connection_);
}

void NatsClient::publish(const std::string& subject, const std::string& data,
                         const std::vector<std::pair<std::string, std::string>>& headers) {
  natsMsg* message = nullptr;
  ASSERT_EQ(natsMsg_Create(&message, subject.c_str(), nullptr, data.data(), static_cast<int>(data.size())), NATS_OK);
  for (const auto& [name, value] : headers) natsMsgHeader_Add(message, name.c_str(), value.c_str());
  EXPECT_EQ(natsConnection_PublishMsg(connection_, message), NATS_OK);
  natsMsg_Destroy(message);
}

void NatsClient::flush() {
  insist("flushing", [&] { return natsConnection_FlushTimeout(connection_, 1000); });
}

void NatsClient::add_stream(const std::string& name, const std::string& subjects, std::int64_t messages_max,
                            std::int32_t message_bytes_max) {
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  const char* list[] = {subjects.c_str()};
  config.Name = name.c_str();
  config.Subjects = list;
  config.SubjectsLen = 1;
  config.MaxMsgs = messages_max;
  config.MaxMsgSize = message_bytes_max;
  insist("making a stream", [&] { return js_AddStream(nullptr, js_, &config, nullptr, nullptr); });
}

std::vector<std::string> NatsClient::stored(const std::string& stream) {
  std::vector<std::string> out;
  jsStreamInfo* info = nullptr;
  insist("asking for a stream", [&] { return js_GetStreamInfo(&info, js_, stream.c_str(), nullptr, nullptr); });
  if (info == nullptr) return out;
  for (std::uint64_t n = info->State.FirstSeq; n <= info->State.LastSeq; ++n) {
    natsMsg* message = nullptr;
    if (js_GetMsg(&message, js_, stream.c_str(), n, nullptr, nullptr) != NATS_OK) continue;
    out.emplace_back(natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message)));
    natsMsg_Destroy(message);
  }
  jsStreamInfo_Destroy(info);
  return out;
}

void NatsClient::publish_stored(const std::string& subject, const std::string& data, const std::string& message_id) {
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.MsgId = message_id.c_str();
  options.MaxWait = 1000;
  insist("publishing", [&] {
    return js_Publish(nullptr, js_, subject.c_str(), data.data(), static_cast<int>(data.size()), &options, nullptr);
  });
}

namespace {
template <class Read>
std::int64_t info(jsCtx* js, const std::string& stream, const std::string& durable, Read&& read) {
  jsConsumerInfo* found = nullptr;
  if (js_GetConsumerInfo(&found, js, stream.c_str(), durable.c_str(), nullptr, nullptr) != NATS_OK) return -1;
  const auto value = static_cast<std::int64_t>(read(*found));
  jsConsumerInfo_Destroy(found);
  return value;
}
}  // namespace

std::int64_t NatsClient::ack_pending(const std::string& stream, const std::string& durable) {
  return info(js_, stream, durable, [](const jsConsumerInfo& i) { return i.NumAckPending; });
}
std::int64_t NatsClient::unread(const std::string& stream, const std::string& durable) {
  return info(js_, stream, durable, [](const jsConsumerInfo& i) { return i.NumPending; });
}
std::int64_t NatsClient::asking(const std::string& stream, const std::string& durable) {
  return info(js_, stream, durable, [](const jsConsumerInfo& i) { return i.NumWaiting; });
}
void NatsClient::remove_consumer(const std::string& stream, const std::string& durable) {
  insist("removing a consumer",
         [&] { return js_DeleteConsumer(js_, stream.c_str(), durable.c_str(), nullptr, nullptr); });
}
void NatsClient::remove_stream(const std::string& name) {
  insist("removing a stream", [&] { return js_DeleteStream(js_, name.c_str(), nullptr, nullptr); });
}
void NatsClient::remove_message(const std::string& stream, std::uint64_t sequence) {
  insist("removing a message", [&] { return js_DeleteMsg(js_, stream.c_str(), sequence, nullptr, nullptr); });
}
std::int64_t NatsClient::stored_ms(const std::string& stream, std::uint64_t sequence) {
  natsMsg* message = nullptr;
  insist("asking for a message", [&] { return js_GetMsg(&message, js_, stream.c_str(), sequence, nullptr, nullptr); });
  const std::int64_t ns = message == nullptr ? 0 : natsMsg_GetTime(message);
  natsMsg_Destroy(message);
  return ns / 1'000'000;
}

}  // namespace weir::test
