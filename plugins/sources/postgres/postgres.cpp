// The plugin: a Listener (NOTIFY) or an Outbox (a table in the order of commits), neither of which is read on while the
// hub is full; and Functions that answer methods. Threads: [strand].
#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <string>

#include "config.hpp"
#include "functions.hpp"
#include "listener.hpp"
#include "outbox.hpp"
#include "payload.hpp"
#include "weir/sdk/plugin.hpp"

namespace weir::postgres {
namespace {

class Postgres final : public sdk::Source, public sdk::Responder {
 public:
  Postgres(const sdk::Host& host, const sdk::json::Value& config)
      : host_(host), config_(parse_config(config)), emitter_(host), reader_(config_.payload) {
    emitter_.on_invalid([this](std::string_view cursor) { not_taken(cursor); });
  }

  void start() override {
    ticks_.start(host_, 100, 100, [this] { tick(); });
    start_source();
    if (!config_.functions) return;
    functions_ = std::make_unique<Functions>(
        host_, config_.address, *config_.functions, config_.ping_ms,
        [this](sdk::State state, const std::string& why) { part_state(kFunctions, state, why); });
    functions_->open();
  }
  void start_source() {
    if (!config_.outbox && config_.listen.empty()) return;
    part_state(kSource, sdk::State::starting, "connecting");
    if (config_.outbox) {
      outbox_ = std::make_unique<Outbox>(
          host_, config_.address, *config_.outbox, config_.ping_ms,
          Outbox::Told{
              [this](sdk::State state, const std::string& why) { part_state(kSource, state, why); },
              [this](const Outbox::Row& row) { add(row); },
              [this](std::string_view topic, std::uint64_t count, const std::string& why) { gap(topic, count, why); },
              [this] { return emitter_.full(); }});
      return outbox_->open();
    }
    listener_ = std::make_unique<Listener>(
        host_, config_,
        Listener::Told{[this](sdk::State state, const std::string& why) { part_state(kSource, state, why); },
                       [this](std::string_view channel, std::string_view payload) { notified(channel, payload); },
                       [this](const std::string& why) { lost(why); },
                       [this](std::string_view channel, const std::string& why) { left_out(channel, why); }});
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
    // Rows that the hub has not been offered come again: it would not be heard of any more that it has them.
    if (!outbox_) emitter_.flush();
    if (outbox_) outbox_->stop();
    outbox_.reset();
    listener_.reset();
    if (functions_) functions_->stop();
    functions_.reset();
  }

  void request(const sdk::Request& request, sdk::Reply reply) override {
    ++requests_;
    if (!functions_)
      return reply.error(WEIR_E_INTERNAL, "the plugin answers no methods: its config has no \"functions\"");
    functions_->request(request, std::move(reply));
  }
  void cancel(std::uint64_t token) override {
    if (functions_) functions_->cancel(token);
  }

 private:
  // An instance shows one state: the worse of those of its two parts.
  enum Part : std::uint8_t { kSource, kFunctions };
  void part_state(Part part, sdk::State state, const std::string& why) {
    if (states_[part] == std::pair(state, why)) return;
    states_[part] = {state, why};
    static constexpr std::array kOrder = {sdk::State::running, sdk::State::degraded, sdk::State::starting,
                                          sdk::State::retrying};
    const auto badness = [](const auto& one) { return std::find(kOrder.begin(), kOrder.end(), one.first); };
    const auto& worse =
        badness(states_[kFunctions]) > badness(states_[kSource]) ? states_[kFunctions] : states_[kSource];
    host_.state(worse.first, worse.second);
  }

  void gap(std::string_view subject, std::uint64_t count, const std::string& why) {
    emitter_.gap(subject, count, why);
    ++gaps_;
  }

  // The hub's log says what is wrong with it. A cursor is the row's number, a space and its topic, or a subject alone.
  void not_taken(std::string_view cursor) {
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
    if (!reader_.event_of(channel, payload, event)) return left_out(channel, "a notification is no JSON");
    event.cursor = event.subject;
    if (!emitter_.add(event) && !emitter_.closed()) gap(event.subject, 1, "more was read than the hub had room for");
    if (emitter_.full()) listener_->pause(true);
  }
  // Of a channel of NOTIFY, which is a subject only where `subject` says nothing else.
  void left_out(std::string_view channel, const std::string& why) {
    gap(config_.payload.subject.is_channel() ? channel : "", 1, why);
  }
  void lost(const std::string& why) {
    if (!config_.payload.subject.is_channel()) return gap("", 0, why);
    for (const std::string& channel : config_.listen) gap(channel, 0, why);
  }

  void tick() {
    if (listener_) listener_->tick();
    if (functions_) {
      functions_->tick();
      host_.metric("requests", static_cast<double>(requests_));
      host_.metric("waiting", static_cast<double>(functions_->waiting()));
      host_.metric("connections", static_cast<double>(functions_->connections()));
    }
    if (!outbox_ && !listener_) return;
    host_.metric("messages", static_cast<double>(messages_));
    host_.metric("gaps", static_cast<double>(gaps_));
    host_.metric("reconnects", static_cast<double>(outbox_ ? outbox_->reconnects() : listener_->reconnects()));
    if (listener_ && !config_.catch_up.empty()) {
      host_.metric("caught_up", static_cast<double>(listener_->counts().caught_up));
      host_.metric("skipped", static_cast<double>(listener_->counts().skipped));
    }
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
  std::unique_ptr<Functions> functions_;
  std::array<std::pair<sdk::State, std::string>, 2> states_{
      {{sdk::State::running, {}}, {sdk::State::running, {}}}};  // of the parts
  sdk::Timer ticks_;
  std::string cursor_;  // of the row that is being handed over
  std::uint64_t messages_ = 0, gaps_ = 0, requests_ = 0;
};

}  // namespace
}  // namespace weir::postgres

WEIR_PLUGIN("postgres", "0.1.0", weir::postgres::kManifest, weir::postgres::Postgres);
