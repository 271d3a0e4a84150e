// The plugin: messages come in on threads of cnats, wait in an Inbox, and become events on the strand while the hub has
// room. Core NATS keeps nothing for who is not there: after a break and after an overflow subscribers get a gap.
// Threads: [strand]; cnats has its own, and a Link has one for what blocks.
#include <nats/nats.h>

#include <charconv>
#include <memory>
#include <string>
#include <vector>

#include "config.hpp"
#include "consumer.hpp"
#include "link.hpp"
#include "message.hpp"
#include "weir/sdk/plugin.hpp"

namespace weir::nats {
namespace {

class Nats final : public sdk::Source {
 public:
  Nats(const sdk::Host& host, const sdk::json::Value& config)
      : host_(host), config_(parse_config(config)), emitter_(host), reader_(config_.message) {
    emitter_.on_invalid([this](std::string_view cursor) { refused(cursor); });
  }

  void start() override {
    inbox_ = std::make_unique<Inbox>([this, host = host_] { (void)host.post([this] { drain(); }); });
    link_ = std::make_unique<Link>(
        host_, config_.link,
        Link::Told{[this](bool again) { connected(again); }, [this](const std::string& why) { away(why); }});
    if (config_.stream) {
      consumer_ = std::make_unique<Consumer>(
          host_, *config_.stream, *link_, *inbox_,
          Consumer::Told{[this](bool running, const std::string& why) {
                           host_.state(running ? sdk::State::running : sdk::State::retrying, why);
                         },
                         [this](std::uint64_t count, const std::string& why) { gap(count, why); }});
    }
    std::string why;
    for (const auto& subject : config_.subjects)
      if (!link_->subscribe(subject, config_.queue, config_.pending_messages, config_.pending_bytes, *inbox_, why))
        throw sdk::Failure(WEIR_E_INTERNAL, why);
    host_.state(sdk::State::starting, "connecting");
    link_->open();
    ticks_.start(host_, 1000, 1000, [this] { tick(); });
  }
  void pause() override {
    emitter_.pause();
    if (consumer_) consumer_->pause(true);
  }
  void resume() override {
    if (!emitter_.resume()) return;
    if (consumer_) consumer_->pause(false);
    drain();
  }
  void accepted(std::string_view cursor) override {
    std::uint64_t sequence = 0;
    if (std::from_chars(cursor.data(), cursor.data() + cursor.size(), sequence).ec == std::errc() && consumer_)
      consumer_->accepted(sequence);
  }
  void stop() override {
    ticks_.cancel();
    emitter_.flush();
    if (inbox_) inbox_->close();
    for (; next_ < batch_.size(); ++next_) natsMsg_Destroy(batch_[next_]);
    consumer_.reset();
    link_.reset();
    inbox_.reset();
  }

 private:
  void connected(bool again) {
    if (consumer_) return consumer_->connected();
    host_.state(sdk::State::running);
    if (!again) return;
    drain();
    const std::int64_t ms = away_since_ == 0 ? 0 : host_.now_ms() - away_since_;
    away_since_ = 0;
    gap(0, "the connection to NATS was down for " + std::to_string((ms + 999) / 1000) +
               " s; what was sent meanwhile did not come here");
  }
  void away(const std::string& why) {
    if (away_since_ == 0) away_since_ = host_.now_ms();
    if (consumer_) consumer_->away();
    host_.state(sdk::State::retrying, why);
  }
  // The hub's log says what is wrong with it.
  void refused(std::string_view cursor) {
    host_.gap("", 1, "a message makes an event that the hub does not take");
    ++gaps_;
    std::uint64_t sequence = 0;
    if (consumer_ && std::from_chars(cursor.data(), cursor.data() + cursor.size(), sequence).ec == std::errc())
      consumer_->refused(sequence);
  }
  void gap(std::uint64_t count, const std::string& why) {
    emitter_.flush();  // behind what came before it
    host_.gap("", count, why);
    ++gaps_;
  }

  // One slice; more of it is posted, so that the strand is free in between. What was taken and does not fit waits.
  void drain() {
    if (!inbox_) return;
    constexpr int kTurns = 16;
    constexpr std::size_t kAtOnce = 64;
    bool more = true;
    for (int turn = 0; more && turn < kTurns && !emitter_.full(); ++turn) {
      if (next_ == batch_.size()) {
        batch_.clear();
        next_ = 0;
        more = inbox_->take(batch_, kAtOnce);
      }
      while (next_ < batch_.size() && !emitter_.full()) {
        natsMsg* message = batch_[next_++];
        handle(message);
        natsMsg_Destroy(message);
      }
    }
    emitter_.flush();
    if (consumer_) {
      consumer_->pause(emitter_.full());
      consumer_->ask();
    }
    if ((more || next_ != batch_.size()) && !emitter_.full()) (void)host_.post([this] { drain(); });
  }

  void handle(natsMsg* message) {
    std::uint64_t sequence = 0;
    if (consumer_ && !consumer_->take(message, sequence)) return;
    sdk::Event event = reader_.event_of(message);
    if (consumer_) {
      cursor_ = std::to_string(sequence);
      event.cursor = cursor_;
      if (event.id.empty()) {
        id_ = config_.stream->stream + "." + cursor_;
        event.id = id_;
      }
    }
    ++messages_;
    if (!emitter_.add(event) && !emitter_.closed()) gap(1, "more was read than the hub had room for");
  }

  void tick() {
    if (const auto dropped = link_->dropped(); dropped != 0) {
      dropped_ += dropped;
      gap(dropped, "the hub was full, and more messages waited than `pending` allows");
    }
    host_.metric("messages", static_cast<double>(messages_));
    host_.metric("reconnects", static_cast<double>(link_->reconnects()));
    host_.metric("gaps", static_cast<double>(gaps_));
    if (!consumer_) return host_.metric("dropped", static_cast<double>(dropped_));
    const auto& counts = consumer_->counts();
    host_.metric("in_flight", static_cast<double>(consumer_->in_flight()));
    host_.metric("acknowledged", static_cast<double>(counts.acknowledged));
    host_.metric("came_again", static_cast<double>(counts.again));
    host_.metric("recoveries", static_cast<double>(counts.recoveries));
  }

  sdk::Host host_;
  const Config config_;
  sdk::Emitter emitter_;
  MessageReader reader_;
  // From start() to stop().
  std::unique_ptr<Inbox> inbox_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<Consumer> consumer_;
  sdk::Timer ticks_;
  std::vector<natsMsg*> batch_;  // taken from the inbox; those from next_ on are still to be handled
  std::size_t next_ = 0;
  std::string cursor_, id_;  // of the message that is being handled
  std::int64_t away_since_ = 0;
  std::uint64_t messages_ = 0, gaps_ = 0, dropped_ = 0;
};

}  // namespace
}  // namespace weir::nats

WEIR_PLUGIN("nats", "0.1.0", weir::nats::kManifest, weir::nats::Nats);
