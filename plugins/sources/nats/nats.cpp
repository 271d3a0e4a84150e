// The plugin. As a source: messages come in on a thread of cnats, wait in an Inbox, and become events on the strand
// while the hub has room; core NATS keeps nothing for who is not there, so after a break and after an overflow
// subscribers get a gap. As a sink: a Publisher. As a responder: Requests. All over one connection.
// Threads: [strand]; cnats has its own, and a Link has two for what blocks.
#include <nats/nats.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config.hpp"
#include "consumer.hpp"
#include "demand.hpp"
#include "link.hpp"
#include "message.hpp"
#include "publisher.hpp"
#include "requests.hpp"
#include "subject.hpp"
#include "weir/sdk/plugin.hpp"

namespace weir::nats {
namespace {

class Nats final : public sdk::Source, public sdk::Sink, public sdk::Responder {
 public:
  Nats(const sdk::Host& host, const sdk::json::Value& config)
      : host_(host), config_(parse_config(config)), emitter_(host), reader_(config_.message) {
    emitter_.on_invalid_event(
        [this](const weir_event& event) { not_taken(sdk::to_view(event.cursor), sdk::to_view(event.subject)); });
  }

  void start() override {
    // What may come from a stream is bounded by what is asked for.
    constexpr auto kAny = std::numeric_limits<std::size_t>::max();
    inbox_ = std::make_shared<Inbox>(config_.stream ? kAny : static_cast<std::size_t>(config_.pending_messages),
                                     config_.stream ? kAny : static_cast<std::size_t>(config_.pending_bytes),
                                     [this, host = host_] { (void)host.post([this] { drain(); }); });
    link_ = std::make_unique<Link>(
        host_, config_.link,
        Link::Told{[this](bool again) { opened(again); }, [this] { connected(); },
                   [this](const std::string& why) { away(why); }, [this](const std::string& why) { complained(why); }});
    if (config_.stream) {
      stream_state_ = sdk::State::retrying;
      consumer_ = std::make_unique<Consumer>(
          host_, *config_.stream, *link_, inbox_,
          Consumer::Told{[this](sdk::State state, const std::string& why) {
                           stream_state_ = state;
                           stream_ = why;
                           say_state();
                         },
                         [this](std::uint64_t count, const std::string& why) { gap("", count, why); }});
    }
    demand_ = std::make_unique<Demand>(
        Demand::Upstream{
            [this](const std::string& subject) { return link_->subscribe(subject, config_.queue, inbox_); },
            [this](std::uint32_t subscription) { link_->leave(subscription); }},
        !config_.queue.empty());
    for (const auto& subject : config_.subjects) demand_->always(subject);
    publisher_ = std::make_unique<Publisher>(host_, config_.jetstream, *link_, [this](const std::string& why) {
      publishing_ = why;
      say_state();
    });
    requests_ = std::make_unique<Requests>(host_, *link_);
    host_.state(sdk::State::starting, "connecting");
    link_->open();
    ticks_.start(host_, 250, 250, [this] { tick(); });
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
    std::uint64_t number = 0;
    if (std::from_chars(cursor.data(), cursor.data() + cursor.size(), number).ec == std::errc() && consumer_)
      consumer_->accepted(number);
  }
  // What somebody watches.
  void activate(std::string_view subject, sdk::Activation activation) override {
    const std::string upstream = from_hub(subject);
    if (config_.stream)
      return activation.refuse(WEIR_E_INVALID, "this instance reads a stream; only core subjects work on demand");
    if (upstream.empty())
      return activation.refuse(WEIR_E_INVALID, sdk::json::quoted(subject) + " is no subject of NATS");
    moved(demand_->activate(upstream));
    if (!link_->connected()) return activation.ready();  // it will come
    activations_.push_back(std::move(activation));
    say_ready();
  }
  void deactivate(std::string_view subject) override { moved(demand_->deactivate(from_hub(subject))); }

  std::size_t deliver(std::span<const sdk::Outgoing> events) override { return publisher_->deliver(events); }
  void request(const sdk::Request& request, sdk::Reply reply) override {
    requests_->request(request, std::move(reply));
  }
  void cancel(std::uint64_t token) override { requests_->cancel(token); }

  void stop() override {
    constexpr std::int64_t kFinishMs =
        500;  // the hub waits 5 s, and closing a connection that hangs may take 4 of them
    ticks_.cancel();
    looks_.cancel();
    emitter_.flush();
    if (inbox_) inbox_->close();
    let_go();
    if (requests_) requests_->away("the plugin is stopped");
    if (publisher_) publisher_->finish(kFinishMs);
    if (consumer_) {
      consumer_->pause(true);
      consumer_->ask();  // for nothing; but what was acknowledged last leaves with it, or it would come again
    }
    if (link_) link_->wait_heard(std::chrono::milliseconds(kFinishMs));
    all_ready();
    say_metrics();
    // First the link: its threads and those of cnats know the others.
    consumer_.reset();
    link_.reset();
    publisher_.reset();
    requests_.reset();
    demand_.reset();
    inbox_.reset();
  }

 private:
  void say_state() {
    if (!away_.empty()) return host_.state(sdk::State::retrying, away_);
    if (!link_->connected()) return;
    if (stream_state_ == sdk::State::retrying) return host_.state(stream_state_, stream_);
    if (!complaint_.empty()) return host_.state(sdk::State::degraded, complaint_);
    if (!publishing_.empty()) return host_.state(sdk::State::degraded, publishing_);
    host_.state(stream_state_, stream_);
  }
  // Told before anything is subscribed to anew, so behind all that came before the break and before all that comes now.
  void opened(bool again) {
    const auto since = std::exchange(away_since_, std::nullopt);
    if (consumer_ || !since || demand_->empty()) return;
    drain();
    const std::string why = (again ? "the connection to NATS was down for " : "there was no connection to NATS for ") +
                            std::to_string((host_.steady_ms() - *since + 999) / 1000) +
                            " s; what was sent meanwhile did not come here";
    if (demand_->has_always()) return gap("", 0, why);  // on all channels
    for (const auto& subject : demand_->active()) gap(to_hub(subject), 0, why);
  }
  void connected() {
    away_.clear();
    complaint_.clear();
    publisher_->connected();
    if (consumer_) return consumer_->connected();
    say_state();
  }
  void away(const std::string& why) {
    if (!away_since_) away_since_ = host_.steady_ms();
    away_ = why;
    stream_.clear();
    if (consumer_) consumer_->away();
    publisher_->away();
    requests_->away("the connection to NATS broke before there was an answer");
    all_ready();
    say_state();
  }
  void complained(const std::string& why) {
    complaint_ = "the server complains: " + why;
    complained_ms_.reset();
    constexpr std::string_view kPublish = "Permissions Violation for Publish to \"";
    if (const auto found = why.find(kPublish); found != std::string::npos) {
      complained_ms_ = host_.steady_ms();
      const std::string_view subject = std::string_view(why).substr(found + kPublish.size());
      const auto end = subject.find('"');  // cnats cuts off long texts
      const bool whole = end != std::string_view::npos;
      // A request has its own answer, and what we tell JetStream is no event.
      if (!requests_->refused(subject.substr(0, end)) && !subject.starts_with("$JS."))
        publisher_->refused(subject.substr(0, end), whole);
    }
    say_state();
  }
  // About a subscription it stays true; of one publish nobody knows whether the next one is like it.
  void forget_complaint() {
    constexpr std::int64_t kForgetMs = 60'000;
    if (!complained_ms_ || host_.steady_ms() - *complained_ms_ < kForgetMs) return;
    complained_ms_.reset();
    complaint_.clear();
    say_state();
  }

  // --- On demand
  void moved(const std::vector<std::string>& subjects) {
    constexpr const char* kWhy =
        "it comes by another subscription now; around this moment messages may be missing or doubled";
    // The hub knows by name who watches a subject on demand, or one without wildcards; who is fed by others it only
    // knows all together.
    const auto unknown = [this](const std::string& subject) {
      return has_wildcards(subject) &&
             std::find(config_.subjects.begin(), config_.subjects.end(), subject) != config_.subjects.end();
    };
    if (std::any_of(subjects.begin(), subjects.end(), unknown)) return gap("", 0, kWhy);
    for (const auto& subject : subjects) gap(to_hub(subject), 0, kWhy);
  }
  // Whoever asks while a flush is under way is answered by the next one.
  void say_ready() {
    if (flushing_) return;
    flushing_ = true;
    (void)link_->after_writing(
        [this, host = host_, count = activations_.size(), life = flushes_](natsConnection* connection) {
          (void)answers(connection, 2'000);
          (void)host.post([this, count, life] {
            if (life != flushes_) return;  // all_ready() has answered
            flushing_ = false;
            activations_answered(count);
            if (!activations_.empty()) say_ready();
          });
        });
  }
  void activations_answered(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) activations_[i].ready();
    activations_.erase(activations_.begin(), activations_.begin() + static_cast<std::ptrdiff_t>(count));
  }
  void all_ready() {
    ++flushes_;
    flushing_ = false;
    activations_answered(activations_.size());
  }

  // The hub's log says what is wrong with it.
  void not_taken(std::string_view cursor, std::string_view subject) {
    host_.gap(subject, 1, "a message makes an event that the hub does not take");
    ++gaps_;
    std::uint64_t number = 0;
    if (consumer_ && std::from_chars(cursor.data(), cursor.data() + cursor.size(), number).ec == std::errc())
      consumer_->refused(number);
  }
  void gap(const std::string& subject, std::uint64_t count, const std::string& why) {
    emitter_.gap(subject, count, why);
    ++gaps_;
  }

  // One slice; more of it is posted, so that the strand is free in between. What was taken and does not fit waits.
  // While messages come it looks again by itself, as often as batches leave: to be woken for each burst costs more.
  void drain() {
    if (!inbox_) return;
    constexpr int kTurns = 16;
    constexpr std::size_t kAtOnce = 64;
    bool more = true, some = false;
    for (int turn = 0; more && turn < kTurns && !emitter_.full(); ++turn) {
      if (next_ == batch_.size()) {
        let_go();
        more = inbox_->take(batch_, kAtOnce, std::size_t(-1), true);
        some = some || !batch_.empty();
      }
      while (next_ < batch_.size() && !emitter_.full()) {
        Inbox::Came& came = batch_[next_++];
        if (consumer_)
          consume(came);
        else if (demand_->takes(came.subscription, natsMsg_GetSubject(came.message)))
          handle(came.message);
      }
    }
    // As each message wakes a thread of cnats.
    if (next_ == batch_.size()) let_go();
    if (consumer_) {
      consumer_->pause(emitter_.full());
      consumer_->ask();
    }
    const bool left = (more || next_ != batch_.size()) && !emitter_.full();
    if (left && host_.post([this] { drain(); })) return;
    if (left || some) looks_.start(host_, sdk::Emitter::kBatchMs, 0, [this] { drain(); });
  }

  void let_go() {
    for (const Inbox::Came& came : batch_) natsMsg_Destroy(came.message);
    batch_.clear();
    next_ = 0;
  }

  // One of those that came again, sorted.
  static constexpr std::uint32_t kSorted = std::numeric_limits<std::uint32_t>::max();

  void consume(Inbox::Came& came) {
    Place place;
    if (came.subscription == kSorted)
      return read_place(natsMsg_GetReply(came.message), place) ? handle(came.message, place) : void();
    const auto take = consumer_->take(came, place);
    if (take == Consumer::Take::event) return handle(came.message, place);
    if (take == Consumer::Take::held) came.message = nullptr;
    std::vector<Inbox::Came> sorted;
    for (natsMsg* message : consumer_->sorted()) sorted.push_back({message, kSorted, 0});
    batch_.insert(batch_.begin() + static_cast<std::ptrdiff_t>(next_), sorted.begin(), sorted.end());  // `came` is gone
  }

  void handle(natsMsg* message, const Place& place = {}) {
    sdk::Event event = reader_.event_of(message);
    ++messages_;
    if (consumer_) {
      cursor_ = std::to_string(messages_);  // in the order of the Consumer, which numbers them as well
      event.cursor = cursor_;
      if (event.id.empty()) {
        id_ = config_.stream->stream + "." + std::to_string(place.stream_sequence);
        event.id = id_;
      }
      if (event.time_ms == 0) event.time_ms = place.time_ms;
    }
    if (!emitter_.add(event) && !emitter_.closed()) gap("", 1, "more was read than the hub had room for");
  }

  void tick() {
    if (const auto dropped = inbox_->dropped(); dropped != 0) {
      dropped_ += dropped;
      gap("", dropped, "the hub was full, and more messages waited than `pending` allows");
    }
    if (inbox_->unheard()) drain();
    forget_complaint();
    say_metrics();
  }
  void say_metrics() {
    if (!link_) return;
    host_.metric("messages", static_cast<double>(messages_));
    host_.metric("reconnects", static_cast<double>(link_->reconnects()));
    host_.metric("gaps", static_cast<double>(gaps_));
    const auto& sent = publisher_->counts();
    host_.metric("published", static_cast<double>(sent.published));
    host_.metric("published_again", static_cast<double>(sent.again));
    host_.metric("publish_lost", static_cast<double>(sent.lost));
    host_.metric("publish_in_flight", static_cast<double>(publisher_->kept()));
    host_.metric("requests", static_cast<double>(requests_->asked()));
    host_.metric("requests_in_flight", static_cast<double>(requests_->waiting()));
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
  std::shared_ptr<Inbox> inbox_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<Consumer> consumer_;
  std::unique_ptr<Demand> demand_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<Requests> requests_;
  sdk::Timer ticks_, looks_;
  std::vector<sdk::Activation> activations_;  // until the server has their subscriptions
  bool flushing_ = false;
  std::uint64_t flushes_ = 0;
  // What say_state() makes a state of.
  std::string away_, complaint_, publishing_, stream_;
  sdk::State stream_state_ = sdk::State::running;  // without a stream for ever
  std::vector<Inbox::Came>
      batch_;  // taken from the inbox; those from next_ on are still to be handled, the others to be destroyed
  std::size_t next_ = 0;
  std::string cursor_, id_;                    // of the message that is being handled
  std::optional<std::int64_t> away_since_;     // by the steady clock, as the next one
  std::optional<std::int64_t> complained_ms_;  // of complaint_, if it is about something that was published
  std::uint64_t messages_ = 0, gaps_ = 0, dropped_ = 0;
};

}  // namespace
}  // namespace weir::nats

WEIR_PLUGIN("nats", "0.1.0", weir::nats::kManifest, weir::nats::Nats);
