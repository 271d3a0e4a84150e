#include "support/redis_server.hpp"

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <chrono>
#include <thread>

namespace weir::test {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);  // longer than any server stands still

std::string text(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_INTEGER) return std::to_string(reply.integer);
  if (reply.type == REDIS_REPLY_NIL) return "nil";
  if (reply.type != REDIS_REPLY_ARRAY) return {reply.str, static_cast<std::size_t>(reply.len)};
  std::string out = "[";
  for (std::size_t i = 0; i < reply.elements; ++i) (out += i == 0 ? "" : ",") += text(*reply.element[i]);
  return out + "]";
}

}  // namespace

RedisServer::RedisServer(const std::string& folder, std::vector<std::string> options)
    : folder_(folder), options_(std::move(options)), port_(free_port()) {
  start();
}

void RedisServer::start() {
  std::vector<std::string> command = {"redis-server",
                                      "--port",
                                      std::to_string(port_),
                                      "--bind",
                                      "127.0.0.1",
                                      "--dir",
                                      folder_,
                                      "--save",
                                      "",
                                      "--appendonly",
                                      "yes",
                                      "--logfile",
                                      folder_ + "/redis.log"};
  command.insert(command.end(), options_.begin(), options_.end());
  process_.run(command, folder_ + "/redis.out");
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!answers(port_)) {
    ASSERT_LT(std::chrono::steady_clock::now(), until)
        << "redis-server does not answer; see " << folder_ << "/redis.log";
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

RedisClient::RedisClient(std::uint16_t port, std::string password, int patience_s)
    : port_(port), password_(std::move(password)), patience_s_(patience_s) {}
RedisClient::~RedisClient() {
  if (context_ != nullptr) redisFree(context_);
}

void RedisClient::ask(const std::vector<std::string>& command, const std::function<void(const redisReply&)>& heard) {
  std::vector<const char*> words;
  std::vector<std::size_t> sizes;
  for (const auto& word : command) {
    words.push_back(word.data());
    sizes.push_back(word.size());
  }
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < until) {
    if (context_ == nullptr || context_->err != 0) {
      if (context_ != nullptr) redisFree(context_);
      context_ = redisConnectWithTimeout("127.0.0.1", port_, {1, 0});
      redisSetTimeout(context_, {patience_s_, 0});
      if (context_->err == 0 && !password_.empty())
        freeReplyObject(redisCommand(context_, "AUTH %s", password_.c_str()));
    }
    if (context_->err == 0) {
      auto* reply = static_cast<redisReply*>(
          redisCommandArgv(context_, static_cast<int>(words.size()), words.data(), sizes.data()));
      if (reply != nullptr) {
        const bool answered = !text(*reply).starts_with("LOADING");
        if (answered) heard(*reply);
        freeReplyObject(reply);
        if (answered) return;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ADD_FAILURE() << command[0] << ": no answer from the server";
}

std::string RedisClient::say(const std::vector<std::string>& command) {
  std::string out;
  ask(command, [&](const redisReply& reply) { out = text(reply); });
  return out;
}

std::vector<std::string> RedisClient::values(const std::string& stream, const std::string& field) {
  std::vector<std::string> out;
  ask({"XRANGE", stream, "-", "+"}, [&](const redisReply& entries) {
    for (std::size_t i = 0; i < entries.elements; ++i) {
      const redisReply& fields = *entries.element[i]->element[1];
      for (std::size_t at = 0; at + 1 < fields.elements; at += 2)
        if (text(*fields.element[at]) == field) out.push_back(text(*fields.element[at + 1]));
    }
  });
  return out;
}

std::int64_t RedisClient::number(const std::vector<std::string>& command) {
  const std::string reply = say(command);
  char* end = nullptr;
  const auto value = std::strtoll(reply.c_str(), &end, 10);
  EXPECT_TRUE(!reply.empty() && *end == '\0') << command[0] << ": " << reply;
  return value;
}

std::int64_t RedisClient::subscribers(const std::string& channel) {
  const std::string reply = say({"PUBSUB", "NUMSUB", channel});  // [channel,N]
  return std::strtoll(reply.c_str() + reply.rfind(',') + 1, nullptr, 10);
}

void RedisClient::add(const std::string& stream, int n, const std::string& field, const std::string& value) {
  const std::string reply = say({"XADD", stream, std::to_string(n) + "-0", field, value});
  EXPECT_TRUE(reply == std::to_string(n) + "-0" || reply.find("equal or smaller") != std::string::npos) << reply;
}

}  // namespace weir::test
