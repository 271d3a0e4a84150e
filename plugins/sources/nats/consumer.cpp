#include "consumer.hpp"

#include <nats/nats.h>

#include <algorithm>
#include <charconv>

namespace weir::nats {

Consumer::Consumer(const sdk::Host& host, const StreamConfig& config, Link& link, std::shared_ptr<Inbox> inbox,
                   Told told)
    : host_(host),
      config_(config),
      link_(link),
      box_(std::move(inbox)),
      told_(std::move(told)),
      ack_wait_ms_(config.ack_wait_ms) {
  listen_anew();
  ticks_.start(host_, 250, 250, [this] { tick(); });
}

// Requests live as long as somebody listens on the subject that they name. On a new one nothing comes any more that
// the server sends for those of before, also over a connection that was never down for it.
void Consumer::listen_anew() {
  if (subscription_ != 0) link_.leave(subscription_);
  requests_.clear();
  inbox_ = new_inbox();
  subscription_ = link_.subscribe(inbox_ + ".*", "", box_);
}

void Consumer::connected() {
  connected_ms_ = host_.steady_ms();
  others_ms_.reset();
  check();
}

void Consumer::away() {
  drop_held();
  phase_ = Phase::away;
  waited_ = false;
  stuck_ = std::numeric_limits<std::int64_t>::max();
  ++checks_;
  later_.cancel();
  requests_.clear();
  acknowledgements_.clear();  // their messages come again
}

void Consumer::later(std::int64_t ms, std::function<void()> call) {
  later_.start(host_, static_cast<std::uint64_t>(ms), 0, std::move(call));
}

// --- Messages -------------------------------------------------------------------------------------------------------

Consumer::Take Consumer::take(const Inbox::Came& came, Place& place) {
  natsMsg* const message = came.message;
  if (came.subscription != subscription_) return Take::none;  // of a request of before: it comes again
  const char* reply = natsMsg_GetReply(message);
  if (const auto status = status_of(message); !status.empty() && reply == nullptr) {
    const std::string_view subject = natsMsg_GetSubject(message);
    heard_ms_ = host_.steady_ms();
    if (status != "100") over(status, description_of(message), subject.substr(subject.rfind('.') + 1));
    return Take::none;
  }
  if (reply == nullptr || !read_place(reply, place)) return Take::none;
  if (there_ || (phase_ != Phase::reading && phase_ != Phase::again))
    return Take::none;  // it comes again, behind what is missing
  // The numbers of a consumer only grow, so this is another one of its name, perhaps of another stream.
  if (place.consumer_sequence < expected_) {
    check();
    return Take::none;
  }
  if (place.consumer_sequence > expected_) {
    recover(place.consumer_sequence - expected_);
    return Take::none;
  }
  const bool overtakes = phase_ == Phase::again && place.delivered == 1;
  if (overtakes && !given_up()) return Take::none;
  expected_ = place.consumer_sequence + 1;
  heard_ms_ = host_.steady_ms();
  if (!requests_.empty() && --requests_.front().left <= 0) requests_.pop_front();
  if (place.stream_sequence <= last_) {
    came_again(place.stream_sequence, reply);
    return Take::none;
  }
  if (phase_ == Phase::again) {
    hold(came, place.stream_sequence);
    there_ = there_ || overtakes;
    return Take::held;
  }
  const std::uint64_t sequence = place.stream_sequence;
  if (const auto count = skipped(sequence); count != 0) tell_skipped(count, sequence - count, sequence - 1);
  becomes_event(sequence, reply);
  return Take::event;
}

// Without a filter every number is a message, and one that is skipped will not come any more.
std::uint64_t Consumer::skipped(std::uint64_t sequence) const {
  const std::uint64_t before = std::max(last_, known_);
  return config_.subject.empty() && before != 0 && sequence > before ? sequence - before - 1 : 0;
}

void Consumer::tell_skipped(std::uint64_t count, std::uint64_t from, std::uint64_t to) {
  told_.lost(count, "of the messages " + std::to_string(from) + " to " + std::to_string(to) + " of the stream " +
                        config_.stream + " " + std::to_string(count) +
                        " did not come here: they were removed, or the server holds them back");
}

void Consumer::becomes_event(std::uint64_t sequence, const std::string& reply) {
  last_ = sequence;
  in_flight_.push_back({++counts_.messages, sequence, reply, host_.steady_ms()});
}

void Consumer::hold(const Inbox::Came& came, std::uint64_t sequence) {
  const auto [at, fresh] = held_.try_emplace(sequence, Held{came.message, came.bytes});
  if (!fresh) {  // once more, as it took so long
    natsMsg_Destroy(std::exchange(at->second.message, came.message));
    return;
  }
  held_bytes_ += came.bytes;
  if (counted_.insert(sequence).second) --left_again_;
  put_off();
  there_ = left_again_ <= 0;
}

// The highest ones, where there is no room, and then all that are above these.
void Consumer::put_off() {
  while (held_.size() > 1) {
    const auto highest = std::prev(held_.end());
    const bool behind = !put_off_.empty() && highest->first > *put_off_.begin();
    if (!behind && held_bytes_ <= kHeldBytesMax) return;
    held_bytes_ -= highest->second.bytes;
    natsMsg_Destroy(highest->second.message);
    put_off_.insert(highest->first);
    held_.erase(highest);
  }
}

std::vector<natsMsg*> Consumer::sorted() {
  std::vector<natsMsg*> out;
  if (!there_) return out;
  const std::uint64_t before = std::max(last_, known_);
  std::uint64_t holes = 0;
  for (const auto& [sequence, held] : std::exchange(held_, {})) {
    holes += skipped(sequence);
    if (sequence <= known_ && missing_ != 0) --missing_;
    becomes_event(sequence, natsMsg_GetReply(held.message));
    out.push_back(held.message);
  }
  if (holes != 0) tell_skipped(holes, before + 1, last_);
  held_bytes_ = 0;
  there_ = false;
  if (const auto more = std::exchange(put_off_, {}).size(); more != 0) {
    recover(more);
  } else {
    phase_ = Phase::reading;
    nothing_owed();
  }
  return out;
}

// They have not been acknowledged, so they come again.
void Consumer::drop_held() {
  for (const auto& [sequence, held] : held_) natsMsg_Destroy(held.message);
  held_.clear();
  held_bytes_ = 0;
  put_off_.clear();
  there_ = false;
}

// One up to the last that came. If it has been an event, the server has not had, or not minded, what it was told.
void Consumer::came_again(std::uint64_t sequence, const std::string& reply) {
  ++counts_.again;
  const auto found = std::lower_bound(in_flight_.begin(), in_flight_.end(), sequence,
                                      [](const InFlight& f, std::uint64_t s) { return f.sequence < s; });
  if (found != in_flight_.end() && found->sequence == sequence) {
    // One that this consumer had sent before was not counted as owed.
    if (!std::exchange(found->reply, reply).empty()) return;
  } else {
    acknowledge(reply);
  }
  if (phase_ != Phase::again || !counted_.insert(sequence).second) return;
  if (missing_ != 0) --missing_;
  there_ = --left_again_ <= 0;
}

// A new message has come before all that is owed: it is left to come again, behind what is missing. When twice nothing
// more of that came, though it was time, the server holds it back, or has it no more: then that is so.
bool Consumer::given_up() {
  if (left_again_ >= stuck_) return true;
  stuck_ = left_again_;
  recover(static_cast<std::uint64_t>(left_again_));
  return false;
}

void Consumer::accepted(std::uint64_t number) {
  for (InFlight& f : in_flight_) {
    if (f.number > number) break;
    f.done = true;
  }
  settle();
}

void Consumer::refused(std::uint64_t number) {
  for (InFlight& f : in_flight_)
    if (f.number == number) f.done = true;
  settle();
}

void Consumer::settle() {
  while (!in_flight_.empty() && in_flight_.front().done) {
    acknowledge(in_flight_.front().reply);
    in_flight_.pop_front();
    ++counts_.acknowledged;
  }
  ask();
}

void Consumer::pause(bool paused) {
  if (paused_ && !paused) heard_ms_ = host_.steady_ms();
  paused_ = paused;
}

void Consumer::acknowledge(const std::string& reply, std::string_view how) {
  if (!reply.empty()) acknowledgements_.push_back({reply, std::string(how)});
}

void Consumer::send_acknowledgements() {
  if (acknowledgements_.empty()) return;
  (void)link_.publish(std::move(acknowledgements_));
  acknowledgements_.clear();
}

// --- Asking for more ------------------------------------------------------------------------------------------------

void Consumer::ask() {
  send_acknowledgements();
  if (paused_ || there_ || (phase_ != Phase::reading && phase_ != Phase::again)) return;
  std::int64_t asked = 0;
  for (const Request& r : requests_) asked += r.left;
  std::int64_t room = config_.in_flight - static_cast<std::int64_t>(in_flight_.size()) - asked;
  if (phase_ == Phase::again) {  // exactly these, and no new ones among them
    // Without a bound on bytes, as what is owed must not be passed over for its size: each may be as large as any.
    const std::int64_t at_once =
        std::clamp<std::int64_t>(kBytesMax / std::max<std::int64_t>(1, link_.max_payload()), 1, 32);
    if (requests_.empty() && room > 0) request(std::min({room, left_again_, at_once}), false);
    return;
  }
  // Two requests at most, so that one is under way while the other one is used up.
  if (requests_.size() >= 2 || room <= 0) return;
  if (!requests_.empty() && room < config_.in_flight / 4) return;
  request(std::min(room, std::max<std::int64_t>(1, config_.in_flight / 2)));
}

void Consumer::request(std::int64_t count, bool bounded) {
  const std::uint64_t number = ++requests_made_;
  std::string body = "{\"batch\":" + std::to_string(count) + ",\"expires\":" + std::to_string(kExpiresMs * 1'000'000) +
                     ",\"idle_heartbeat\":" + std::to_string(kHeartbeatMs * 1'000'000);
  if (bounded) body += ",\"max_bytes\":" + std::to_string(kBytesMax);
  body += '}';
  if (!link_.publish({{config_.api_prefix + ".CONSUMER.MSG.NEXT." + config_.stream + "." + config_.durable, body,
                       inbox_ + "." + std::to_string(number)}}))
    return;
  const std::int64_t now = host_.steady_ms();
  if (requests_.empty()) heard_ms_ = now;
  requests_.push_back({number, count, count, now + kExpiresMs + 5'000, bounded});
}

// The server has ended a request: 408 its time is over, 409 for many reasons that its text tells apart, 503 nobody is
// there.
void Consumer::over(std::string_view status, std::string_view text, std::string_view request_number) {
  std::uint64_t number = 0;
  (void)std::from_chars(request_number.data(), request_number.data() + request_number.size(), number);
  const auto found =
      std::find_if(requests_.begin(), requests_.end(), [&](const Request& r) { return r.number == number; });
  if (found == requests_.end()) return;
  const Request was = *found;
  requests_.erase(found);
  const bool nothing_more = status == "408" || status == "404";
  if (phase_ == Phase::again && nothing_more) there_ = true;  // all that there was has come
  if (nothing_more) return ask();
  if (phase_ == Phase::reading && was.bounded && text.find("MaxBytes") != std::string_view::npos) {
    // What is left of the request is too small for the next message, or all of it is: then that one comes alone.
    if (was.left == was.count) return request(1, false);
    return ask();
  }
  told_.state(sdk::State::retrying, "the server ends requests for messages of " + config_.stream + ": " +
                                        std::string(status) + " " + std::string(text) + "; tried again every 2 s");
  waited_ = phase_ == Phase::again;
  phase_ = Phase::checking;
  later(2'000, [this] { check(); });
}

void Consumer::tick() {
  if (phase_ == Phase::away) return;
  const std::int64_t now = host_.steady_ms();
  if (others_ms_ && now - *others_ms_ > std::max<std::int64_t>(60'000, 3 * ack_wait_ms_)) {
    others_ms_.reset();
    if (phase_ != Phase::checking) runs({});
  }
  if (paused_) heard_ms_ = now;
  while (!paused_ && !requests_.empty() && requests_.front().until_ms < now) requests_.pop_front();
  // Where a request waits the server says that it does. One that says nothing has lost it, or the consumer.
  if (!requests_.empty() && now - heard_ms_ > 2 * kHeartbeatMs + 1'000) {
    requests_.clear();
    return check();
  }
  // The hub has them, only not yet a place for them: the server must not think that they are lost.
  for (InFlight& f : in_flight_) {
    if (now - f.told_ms < ack_wait_ms_ / 3) break;
    acknowledge(f.reply, "+WPI");
    f.told_ms = now;
  }
  ask();
}

}  // namespace weir::nats
