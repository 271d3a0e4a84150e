// The plugin: a Listener (NOTIFY) or an Outbox (a table in the order of commits). While the hub is full neither is read
// on. Threads: [strand].
#include <charconv>
#include <memory>
#include <string>

#include "config.hpp"
#include "listener.hpp"
#include "outbox.hpp"
#include "payload.hpp"
#include "weir/sdk/plugin.hpp"

namespace weir::postgres {
namespace {

class Postgres final : public sdk::Source {
 public:
  Postgres(const sdk::Host& host, const sdk::json::Value& config)
      : host_(host), config_(parse_config(config)), emitter_(host), reader_(config_.payload) {
    emitter_.on_invalid([this](std::string_view cursor) { refused(cursor); });
  }

  void start() override {
    host_.state(sdk::State::starting, "connecting");
    ticks_.start(host_, 100, 100, [this] { tick(); });
    if (config_.outbox) {
      outbox_ = std::make_unique<Outbox>(
          host_, config_.address, *config_.outbox, config_.ping_ms,
          Outbox::Told{
              [this](sdk::State state, const std::string& why) { host_.state(state, why); },
              [this](const Outbox::Row& row) { add(row); },
              [this](std::string_view topic, std::uint64_t count, const std::string& why) { gap(topic, count, why); },
              [this] { return emitter_.full(); }});
      return outbox_->open();
    }
    listener_ = std::make_unique<Listener>(
        host_, config_,
        Listener::Told{[this](bool running, const std::string& why) {
                         host_.state(running ? sdk::State::running : sdk::State::retrying, why);
                       },
                       [this](std::string_view channel, std::string_view payload) { notified(channel, payload); },
                       [this](std::int64_t away_ms) { lost(away_ms); }});
    listener_->open();
  }
  void pause() override {
    emitter_.pause();
    if (listener_) listener_->pause(true);
  }
  void resume() override {
    if (!emitter_.resume()) return;
    if (listener_) listener_->pause(false);
    if (outbox_) outbox_->go();
  }
  void accepted(std::string_view cursor) override {
    std::uint64_t number = 0;
    if (outbox_ && std::from_chars(cursor.data(), cursor.data() + cursor.size(), number).ec == std::errc())
      outbox_->accepted(number);
  }
  void stop() override {
    ticks_.cancel();
    emitter_.flush();
    if (outbox_) outbox_->stop();
    outbox_.reset();
    listener_.reset();
  }

 private:
  void gap(std::string_view subject, std::uint64_t count, const std::string& why) {
    emitter_.flush();  // behind what came before it
    host_.gap(subject, count, why);
    ++gaps_;
  }

  // The hub's log says what is wrong with it. A cursor is the row's number, a space and its topic, or a subject alone.
  void refused(std::string_view cursor) {
    std::uint64_t number = 0;
    const char* const end = cursor.data() + cursor.size();
    if (outbox_) {
      const auto [at, error] = std::from_chars(cursor.data(), end, number);
      if (error != std::errc() || at == end) return;
      cursor.remove_prefix(static_cast<std::size_t>(at - cursor.data()) + 1);
    }
    host_.gap(cursor, 1,
              outbox_ ? "a row makes an event that the hub does not take"
                      : "a notification makes an event that the hub does not take");
    ++gaps_;
    if (outbox_) outbox_->refused(number);
  }

  void add(const Outbox::Row& row) {
    cursor_ = std::to_string(row.number);
    (cursor_ += ' ') += row.topic;
    ++messages_;
    // Never refused for want of room: nothing is handed over while the emitter is full.
    (void)emitter_.add({.subject = row.topic,
                        .event = row.event,
                        .data = row.data,
                        .id = row.id,
                        .key = row.key,
                        .cursor = cursor_,
                        .time_ms = row.time_ms});
  }

  void notified(std::string_view channel, std::string_view payload) {
    ++messages_;
    sdk::Event event;
    if (!reader_.event_of(channel, payload, event)) return gap(channel, 1, "a notification is no JSON");
    event.cursor = event.subject;
    if (!emitter_.add(event) && !emitter_.closed()) gap(event.subject, 1, "more was read than the hub had room for");
    if (emitter_.full()) listener_->pause(true);
  }
  void lost(std::int64_t away_ms) {
    const std::string why = "the connection to PostgreSQL was down for " + std::to_string((away_ms + 999) / 1000) +
                            " s; what was sent meanwhile did not come here";
    if (!config_.payload.subject.is_channel()) return gap("", 0, why);
    for (const std::string& channel : config_.listen) gap(channel, 0, why);
  }

  void tick() {
    if (listener_) listener_->tick();
    host_.metric("messages", static_cast<double>(messages_));
    host_.metric("gaps", static_cast<double>(gaps_));
    host_.metric("reconnects", static_cast<double>(outbox_ ? outbox_->reconnects() : listener_->reconnects()));
    if (!outbox_) return;
    const auto& counts = outbox_->counts();
    host_.metric("in_flight", static_cast<double>(outbox_->in_flight()));
    host_.metric("pages", static_cast<double>(counts.pages));
    host_.metric("stored", static_cast<double>(counts.stored));
    host_.metric("removed", static_cast<double>(counts.removed));
  }

  sdk::Host host_;
  const Config config_;
  sdk::Emitter emitter_;
  PayloadReader reader_;
  // From start() to stop().
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Outbox> outbox_;
  sdk::Timer ticks_;
  std::string cursor_;  // of the row that is being handed over
  std::uint64_t messages_ = 0, gaps_ = 0;
};

}  // namespace
}  // namespace weir::postgres

WEIR_PLUGIN("postgres", "0.1.0", weir::postgres::kManifest, weir::postgres::Postgres);
