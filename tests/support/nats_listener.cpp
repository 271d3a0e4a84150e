#include "support/nats_listener.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace weir::test {

std::string header_of(natsMsg* message, const char* name) {
  const char* value = nullptr;
  return natsMsgHeader_Get(message, name, &value) == NATS_OK && value != nullptr ? value : "";
}

void answer_with(natsConnection* connection, natsMsg* message, const std::string& data,
                 const std::vector<std::pair<std::string, std::string>>& headers) {
  natsMsg* reply = nullptr;
  ASSERT_EQ(natsMsg_Create(&reply, natsMsg_GetReply(message), nullptr, data.data(), static_cast<int>(data.size())),
            NATS_OK);
  for (const auto& [name, value] : headers) natsMsgHeader_Set(reply, name.c_str(), value.c_str());
  (void)natsConnection_PublishMsg(connection, reply);
  natsMsg_Destroy(reply);
}

NatsListener::NatsListener(const std::string& url, const std::string& subject, Answer answer)
    : answer_(std::move(answer)) {
  natsOptions* options = nullptr;
  EXPECT_EQ(natsOptions_Create(&options), NATS_OK);
  natsOptions_SetURL(options, url.c_str());
  natsOptions_SetMaxReconnect(options, -1);
  natsOptions_SetReconnectWait(options, 20);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  natsStatus status = NATS_OK;
  while ((status = natsConnection_Connect(&connection_, options)) != NATS_OK &&
         std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  natsOptions_Destroy(options);
  EXPECT_EQ(status, NATS_OK);
  status = natsConnection_Subscribe(
      &subscription_, connection_, subject.c_str(),
      [](natsConnection* connection, natsSubscription*, natsMsg* message, void* closure) {
        auto& self = *static_cast<NatsListener*>(closure);
        {
          const std::lock_guard lock(self.mutex_);
          self.heard_.push_back({natsMsg_GetSubject(message),
                                 {natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))},
                                 header_of(message, "Nats-Msg-Id"),
                                 header_of(message, "Weir-Event"),
                                 header_of(message, "Weir-Key"),
                                 header_of(message, "Weir-Time")});
        }
        if (self.answer_) self.answer_(connection, message);
        natsMsg_Destroy(message);
      },
      this);
  EXPECT_EQ(status, NATS_OK);
  natsSubscription_SetPendingLimits(subscription_, -1, -1);
  EXPECT_EQ(natsConnection_FlushTimeout(connection_, 10'000), NATS_OK);
}

NatsListener::~NatsListener() {
  (void)natsSubscription_Drain(subscription_);
  (void)natsSubscription_WaitForDrainCompletion(subscription_, 10'000);
  natsSubscription_Destroy(subscription_);
  natsConnection_Destroy(connection_);
}

std::vector<Heard> NatsListener::heard() const {
  const std::lock_guard lock(mutex_);
  return heard_;
}

std::size_t NatsListener::count() const {
  const std::lock_guard lock(mutex_);
  return heard_.size();
}

}  // namespace weir::test
