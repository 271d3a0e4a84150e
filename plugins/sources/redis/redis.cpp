// The plugin. As a source: one connection for pub/sub, or Streams. As a sink: a Publisher. While the hub is full
// pub/sub is not read from, and the server ends a connection that is read too slowly; what is lost then is told by a
// gap, as after every break. Threads: [strand]; no threads of its own.
#include <hiredis/hiredis.h>

#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "config.hpp"
#include "connection.hpp"
#include "publisher.hpp"
#include "streams.hpp"
#include "weir/sdk/plugin.hpp"

namespace weir::redis {
namespace {

class Redis final : public sdk::Source, public sdk::Sink {
 public:
  Redis(const sdk::Host& host, const sdk::json::Value& config)
      : host_(host),
        config_(parse_config(config)),
        emitter_(host),
        kind_(config_.text ? sdk::Data::text : sdk::Data::any) {
    emitter_.on_invalid_event(
        [this](const weir_event& event) { not_taken(sdk::to_view(event.cursor), sdk::to_view(event.subject)); });
  }

  void start() override {
    host_.state(sdk::State::starting, "connecting");
    ticks_.start(host_, 250, 250, [this] { tick(); });
    publisher_ = std::make_unique<Publisher>(host_, config_, [this](const std::string& why) {
      publishing_ = why;
      say_state();
    });
    if (!reads()) return publisher_->open();
    if (config_.stream) {
      streams_ = std::make_unique<Streams>(
          host_, config_,
          Streams::Told{[this](bool running, const std::string& why) {
                          reads_well_ = running;
                          reading_ = why;
                          say_state();
                        },
                        [this](const std::string& key, const EntryId& id, const redisReply& fields,
                               std::uint64_t cursor) { entry(key, id, fields, cursor); },
                        [this](const std::string& key, const std::string& why) { gap(key, 1, why); },
                        [this] { return emitter_.full(); }});
      return streams_->open();
    }
    connection_ =
        std::make_unique<Connection>(host_, config_.address,
                                     Connection::Told{[this] { ready(); }, [this](redisReply& reply) { heard(reply); },
                                                      [this](const std::string& why) {
                                                        if (!away_since_)
                                                          away_since_ = held_since_.value_or(host_.steady_ms());
                                                        reads_well_ = false;
                                                        reading_ = why;
                                                        say_state();
                                                      }});
    connection_->open();
  }
  void pause() override {
    emitter_.pause();
    hold();
  }
  void resume() override {
    if (!emitter_.resume()) return;
    pinged_ms_ = 0;
    if (connection_) connection_->pause(false);
    if (!streams_) return;
    streams_->pause(false);
    streams_->ask();
  }
  void accepted(std::string_view cursor) override {
    std::uint64_t number = 0;
    if (streams_ && std::from_chars(cursor.data(), cursor.data() + cursor.size(), number).ec == std::errc())
      streams_->accepted(number);
  }
  // The connection for it is opened with the first event.
  std::size_t deliver(std::span<const sdk::Outgoing> events) override { return publisher_->deliver(events); }

  void stop() override {
    constexpr std::int64_t kFinishMs = 500;
    ticks_.cancel();
    emitter_.flush();
    if (publisher_) {
      publisher_->finish(kFinishMs);
      say_published();
    }
    publisher_.reset();
    streams_.reset();
    connection_.reset();
  }

 private:
  bool reads() const { return config_.stream || !config_.channels.empty() || !config_.patterns.empty(); }
  void say_state() {
    if (reads() && !reads_well_)
      return host_.state(reading_.empty() ? sdk::State::starting : sdk::State::retrying, reading_);
    if (!publishing_.empty()) return host_.state(reads() ? sdk::State::degraded : sdk::State::retrying, publishing_);
    host_.state(sdk::State::running, reading_);
  }

  // Where the hub takes no more, nothing more is read.
  void hold() {
    if (streams_) streams_->pause(true);
    if (!connection_) return;
    connection_->pause(true);
    ++holds_;
    if (connection_->ready() && !away_since_ && !held_since_) held_since_ = host_.steady_ms();
  }
  void add(const sdk::Event& event) {
    ++messages_;
    if (!emitter_.add(event) && !emitter_.closed()) gap(event.subject, 1, "more was read than the hub had room for");
    if (emitter_.full()) hold();
  }
  void gap(std::string_view subject, std::uint64_t count, const std::string& why) {
    emitter_.gap(subject, count, why);
    ++gaps_;
  }

  // The hub's log says what is wrong with it.
  void not_taken(std::string_view cursor, std::string_view subject) {
    host_.gap(subject, 1, "a message makes an event that the hub does not take");
    ++gaps_;
    std::uint64_t number = 0;
    if (streams_ && std::from_chars(cursor.data(), cursor.data() + cursor.size(), number).ec == std::errc())
      streams_->refused(number);
  }

  // --- Pub/sub
  void ready() {
    for (const auto& [word, names] : {std::pair{"SUBSCRIBE", &config_.channels}, {"PSUBSCRIBE", &config_.patterns}}) {
      if (names->empty()) continue;
      std::vector<std::string> command = {word};
      command.insert(command.end(), names->begin(), names->end());
      connection_->send(command);
    }
    subscribed_ = 0;
  }
  void heard(redisReply& reply) {
    if (reply.type == REDIS_REPLY_ERROR) return connection_->end(std::string(text_of(&reply)));
    if (reply.type != REDIS_REPLY_ARRAY || reply.elements == 0) return;
    const auto what = text_of(reply.element[0]);
    if (what == "message" && reply.elements == 3) {
      add({.subject = text_of(reply.element[1]),
           .event = config_.event,
           .data = text_of(reply.element[2]),
           .kind = kind_});
    } else if (what == "pmessage" && reply.elements == 4) {
      add({.subject = text_of(reply.element[2]),
           .event = config_.event,
           .data = text_of(reply.element[3]),
           .kind = kind_});
    } else if (what == "pong") {
      // It was there after it had not been read for the last time.
      if (reply.elements == 2 && text_of(reply.element[1]) == std::to_string(holds_)) held_since_.reset();
    } else if (what == "subscribe" || what == "psubscribe") {
      if (++subscribed_ == config_.channels.size() + config_.patterns.size()) running();
    }
  }
  void running() {
    connection_->well();
    pinged_ms_ = 0;
    reads_well_ = true;
    reading_.clear();
    say_state();
    const auto since = std::exchange(away_since_, std::nullopt);
    const bool held = std::exchange(held_since_, std::nullopt).has_value();
    if (!since) return;
    const bool again = connection_->reconnects() != 0;
    gap("", 0,
        (held    ? "the hub was full, and the connection to Redis not read and then down, for "
         : again ? "the connection to Redis was down for "
                 : "there was no connection to Redis for ") +
            std::to_string((host_.steady_ms() - *since + 999) / 1000) +
            " s; what was sent meanwhile did not come here");
  }

  // --- Streams
  void entry(const std::string& key, const EntryId& id, const redisReply& fields, std::uint64_t cursor) {
    bool as_it_is = false;
    const std::string data = data_of(fields, config_.stream->field, as_it_is);
    const std::string text = id.text(), number = std::to_string(cursor);
    add({.subject = key,
         .event = config_.event,
         .data = data,
         .id = text,
         .cursor = number,
         .time_ms = static_cast<std::int64_t>(id.ms),
         .kind = as_it_is ? kind_ : sdk::Data::any});
  }

  void tick() {
    const std::int64_t now = host_.steady_ms();
    // While nothing is read nothing can be heard either.
    if (connection_ && connection_->ready() && !emitter_.full()) {
      if (pinged_ms_ != 0 && connection_->heard_ms() >= pinged_ms_) pinged_ms_ = 0;  // it has answered, or said more
      if (pinged_ms_ != 0 && now - pinged_ms_ > config_.ping_ms) {
        pinged_ms_ = 0;
        connection_->end("it does not answer");
      } else if (pinged_ms_ == 0 && (held_since_ || now - connection_->heard_ms() > config_.ping_ms)) {
        pinged_ms_ = now;
        connection_->send({"PING", std::to_string(holds_)});
      }
    }
    publisher_->tick();
    say_published();
    host_.metric("messages", static_cast<double>(messages_));
    host_.metric("gaps", static_cast<double>(gaps_));
    host_.metric("reconnects", static_cast<double>(streams_      ? streams_->reconnects()
                                                   : connection_ ? connection_->reconnects()
                                                                 : publisher_->reconnects()));
    if (!streams_) return;
    const auto& counts = streams_->counts();
    host_.metric("in_flight", static_cast<double>(streams_->in_flight()));
    host_.metric("acknowledged", static_cast<double>(counts.acknowledged));
    host_.metric("came_again", static_cast<double>(counts.again));
    host_.metric("claimed", static_cast<double>(counts.claimed));
  }

  void say_published() {
    const auto& counts = publisher_->counts();
    host_.metric("published", static_cast<double>(counts.published));
    host_.metric("published_again", static_cast<double>(counts.again));
    host_.metric("publish_lost", static_cast<double>(counts.lost));
    host_.metric("publish_in_flight", static_cast<double>(publisher_->kept()));
  }

  sdk::Host host_;
  const Config config_;
  sdk::Emitter emitter_;
  const sdk::Data kind_;
  std::unique_ptr<Connection> connection_;  // pub/sub
  std::unique_ptr<Streams> streams_;
  std::unique_ptr<Publisher> publisher_;
  std::string reading_, publishing_;  // why that does not go well
  bool reads_well_ = false;
  sdk::Timer ticks_;
  std::size_t subscribed_ = 0;
  std::optional<std::int64_t> away_since_;  // by the steady clock, as the next ones
  // Since when it was not read, until it has answered after that: it may have been cut at any time meanwhile, which
  // shows only when it is read again.
  std::optional<std::int64_t> held_since_;
  std::uint64_t holds_ = 0;  // how often that was
  std::int64_t pinged_ms_ = 0;
  std::uint64_t messages_ = 0, gaps_ = 0;
};

}  // namespace
}  // namespace weir::redis

WEIR_PLUGIN("redis", "0.1.0", weir::redis::kManifest, weir::redis::Redis);
