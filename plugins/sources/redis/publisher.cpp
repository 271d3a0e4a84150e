#include "publisher.hpp"

#include <hiredis/hiredis.h>

#include <chrono>
#include <utility>

namespace weir::redis {

Publisher::Publisher(const sdk::Host& host, const Config& config, std::function<void(const std::string&)> away)
    : host_(host),
      config_(config.publish),
      ping_ms_(config.ping_ms),
      away_(std::move(away)),
      connection_(host, config.address,
                  Connection::Told{[this] { ready(); }, [this](redisReply& reply) { answered(reply); },
                                   [this](const std::string& why) {
                                     up_ = false;
                                     away_(why);
                                   }}) {}

void Publisher::open() {
  if (!std::exchange(opened_, true)) connection_.open();
}

std::size_t Publisher::deliver(std::span<const sdk::Outgoing> events) {
  open();
  std::size_t taken = 0;
  for (const sdk::Outgoing& event : events) {
    if (!up_ || !room()) {
      short_ = true;
      break;
    }
    if (event.subject.empty()) {
      if (taken == 0) throw sdk::Failure(WEIR_E_INVALID, "an event without a subject can't be published");
      break;  // it will be the first one then
    }
    if (kept_.empty()) asked_ms_ = host_.steady_ms();
    kept_.push_back(keep(event));
    bytes_ += kept_.back().bytes;
    ++taken;
    connection_.append(kept_.back().command);
  }
  connection_.flush();
  return taken;
}

Publisher::Kept Publisher::keep(const sdk::Outgoing& event) const {
  Kept kept;
  std::vector<std::string>& command = kept.command;
  const auto add = [&](std::string_view word) { command.emplace_back(word); };
  if (!config_.stream) {
    for (const auto word : {std::string_view("PUBLISH"), event.subject, event.data}) add(word);
  } else {
    add("XADD");
    add(event.subject);
    if (config_.max_length != 0)
      for (const auto& word : {std::string("MAXLEN"), std::string("~"), std::to_string(config_.max_length)}) add(word);
    const std::string time = std::to_string(event.time_ms);
    for (const auto word :
         {std::string_view("*"), std::string_view("event"), event.event, std::string_view("data"), event.data,
          std::string_view("id"), event.id, std::string_view("time"), std::string_view(time)})
      add(word);
    if (!event.key.empty()) {
      add("key");
      add(event.key);
    }
  }
  kept.bytes = 256;
  for (const auto& word : command) kept.bytes += word.size() + sizeof word;
  return kept;
}

// A server that is still loading its data refuses commands until the moment in which it has: of many that are on their
// way the later ones would be taken. So it is asked first.
void Publisher::ready() {
  asked_ms_ = host_.steady_ms();
  connection_.send({"PING"});
}

void Publisher::go_on() {
  up_ = true;
  away_({});
  asked_ms_ = host_.steady_ms();
  counts_.again += kept_.size();
  // One that fails ends the connection, and then this list is not the one to go on with.
  for (std::size_t i = 0; i < kept_.size() && up_; ++i) connection_.append(kept_[i].command);
  connection_.flush();
  if (!short_ || !up_ || !room()) return;
  short_ = false;
  host_.sink_ready();
}

void Publisher::answered(const redisReply& reply) {
  if (!up_) {
    if (reply.type == REDIS_REPLY_ERROR) return connection_.end(std::string(text_of(&reply)));
    return go_on();
  }
  if (kept_.empty()) return;
  const std::string subject = kept_.front().command[1];
  if (reply.type == REDIS_REPLY_ERROR) {
    const std::string error(text_of(&reply));
    if (passes(error)) return connection_.end(error);
    ++counts_.lost;
    host_.error("an event for " + subject + " can't be published: " + error);
  } else {
    ++counts_.published;
  }
  connection_.well();
  asked_ms_ = host_.steady_ms();
  bytes_ -= kept_.front().bytes;
  kept_.pop_front();
  // Where there was no room it is told once there is some to speak of.
  if (!short_ || kept_.size() > kEventsMax / 2 || bytes_ > kBytesMax / 2) return;
  short_ = false;
  host_.sink_ready();
}

void Publisher::tick() {
  if (connection_.ready() && (!up_ || !kept_.empty()) && host_.steady_ms() - asked_ms_ > ping_ms_)
    connection_.end("it does not answer");
}

void Publisher::finish(std::int64_t ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (!kept_.empty() && up_) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    if (left <= 0) break;
    connection_.serve(static_cast<int>(left));
  }
  if (kept_.empty()) return;
  counts_.lost += kept_.size();
  host_.error(std::to_string(kept_.size()) + " events were taken and could not be published before the end");
}

}  // namespace weir::redis
