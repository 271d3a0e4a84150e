#include "consumer.hpp"

#include <nats/nats.h>

#include <algorithm>
#include <charconv>

#include "message.hpp"

namespace weir::nats {

struct Consumer::Check {
  std::string problem;       // empty: all is well
  bool made = false;         // the consumer was not there
  bool ours = true;          // it is one that can be read from here
  bool anew = false;         // the stream is not the one that we have read from
  std::int64_t created = 0;  // of the stream
  std::uint64_t first = 0;   // of the stream
  std::uint64_t delivered_stream = 0, delivered_consumer = 0, pending = 0;
  std::int64_t ack_wait_ms = 0;
  std::size_t in_flight = 0;  // here, when it was asked
};

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

void Consumer::connected() { check(); }

void Consumer::away() {
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

// --- How does the consumer stand? -----------------------------------------------------------------------------------

namespace {

struct Closer {
  void operator()(jsCtx* p) const { jsCtx_Destroy(p); }
  void operator()(jsStreamInfo* p) const { jsStreamInfo_Destroy(p); }
  void operator()(jsConsumerInfo* p) const { jsConsumerInfo_Destroy(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Closer>;

std::string text_of(natsStatus status, jsErrCode code) {
  natsStatus last = NATS_OK;
  const char* detail = nats_GetLastError(&last);
  std::string out = natsStatus_GetText(status);
  if (detail != nullptr && *detail != '\0' && last == status) out = detail;
  if (code != 0) out += " (JetStream error " + std::to_string(static_cast<int>(code)) + ")";
  return out;
}

}  // namespace

void Consumer::check() {
  phase_ = Phase::checking;
  send_acknowledgements();
  listen_anew();
  later_.cancel();
  // Behind the acknowledgements, so that what was accepted is none of those that are pending.
  (void)link_.after_writing([this, host = host_, config = config_, last_now = last_, created = created_,
                             in_flight = in_flight_.size(), number = ++checks_](natsConnection* connection) {
    std::uint64_t last = last_now;
    Check c;
    c.in_flight = in_flight;
    const auto look = [&]() -> std::string {
      jsOptions options;
      if (jsOptions_Init(&options) != NATS_OK) return "not enough memory";
      options.Prefix = config.api_prefix.c_str();
      options.Wait = 2'000;
      jsCtx* raw = nullptr;
      if (const auto s = natsConnection_JetStream(&raw, connection, &options); s != NATS_OK)
        return natsStatus_GetText(s);
      const Owned<jsCtx> js(raw);
      jsErrCode code{};
      jsStreamInfo* stream_raw = nullptr;
      natsStatus status = js_GetStreamInfo(&stream_raw, js.get(), config.stream.c_str(), nullptr, &code);
      const Owned<jsStreamInfo> stream(stream_raw);
      if (status == NATS_NOT_FOUND) return "there is no stream \"" + config.stream + "\"; `nats stream add` makes one";
      if (status == NATS_NO_RESPONDERS) return "the server has no JetStream (no -js), or not for this account";
      if (status != NATS_OK) return "stream \"" + config.stream + "\": " + text_of(status, code);
      c.first = stream->State.FirstSeq;
      c.created = stream->Created;
      c.anew = (created != 0 && created != c.created) || last > stream->State.LastSeq;
      if (c.anew) last = 0;

      jsConsumerInfo* info_raw = nullptr;
      status = js_GetConsumerInfo(&info_raw, js.get(), config.stream.c_str(), config.durable.c_str(), nullptr, &code);
      if (status == NATS_NOT_FOUND) {
        c.made = true;
        jsConsumerConfig wanted;
        if (jsConsumerConfig_Init(&wanted) != NATS_OK) return "not enough memory";
        wanted.Durable = config.durable.c_str();
        wanted.AckPolicy = js_AckExplicit;
        wanted.AckWait = config.ack_wait_ms * 1'000'000;
        wanted.MaxAckPending = config.in_flight;
        if (!config.subject.empty()) wanted.FilterSubject = config.subject.c_str();
        using From = StreamConfig::From;
        if (c.anew) {
          wanted.DeliverPolicy = js_DeliverAll;
        } else if (last != 0) {  // somebody has removed it while we read it
          wanted.DeliverPolicy = js_DeliverByStartSequence;
          wanted.OptStartSeq = last + 1;
        } else if (config.from == From::sequence) {
          wanted.DeliverPolicy = js_DeliverByStartSequence;
          wanted.OptStartSeq = config.sequence;
        } else if (config.from == From::time) {
          wanted.DeliverPolicy = js_DeliverByStartTime;
          wanted.OptStartTime = config.time_ms * 1'000'000;
        } else {
          wanted.DeliverPolicy = config.from == From::fresh  ? js_DeliverNew
                                 : config.from == From::last ? js_DeliverLast
                                                             : js_DeliverAll;
        }
        status = js_AddConsumer(&info_raw, js.get(), config.stream.c_str(), &wanted, nullptr, &code);
      }
      const Owned<jsConsumerInfo> info(info_raw);
      if (status != NATS_OK) return "consumer \"" + config.durable + "\": " + text_of(status, code);
      const jsConsumerConfig& has = *info->Config;
      const auto text = [](const char* t) { return std::string(t == nullptr ? "" : t); };
      if (!text(has.DeliverSubject).empty() || has.AckPolicy != js_AckExplicit)
        return "consumer \"" + config.durable +
               "\" is there already, but not one that is pulled and acknowledged one by "
               "one; name another one as `durable`";
      if (text(has.FilterSubject) != config.subject)
        return "consumer \"" + config.durable + "\" is there already, with the subject \"" + text(has.FilterSubject) +
               "\" and not \"" + config.subject + "\"; name another one as `durable`, or remove it";
      // It would send messages again in another order than they have, and so late that nobody can wait for them.
      if (has.BackOffLen > 0)
        return "consumer \"" + config.durable +
               "\" is there already, with a backoff; only one with an ack wait alone can be read in order, so name "
               "another one as `durable`, or edit it";
      c.delivered_stream = info->Delivered.Stream;
      c.delivered_consumer = info->Delivered.Consumer;
      c.pending = static_cast<std::uint64_t>(std::max<std::int64_t>(0, info->NumAckPending));
      c.ack_wait_ms = has.AckWait / 1'000'000;
      return {};
    };
    c.problem = look();
    // The instance outlives its tasks on the strand: those that have not run when it is stopped never do.
    (void)host.post([this, c, number] {
      if (number == checks_ && phase_ == Phase::checking) checked(c);
    });
  });
}

void Consumer::checked(const Check& c) {
  if (!c.problem.empty()) {
    told_.state(false, c.problem + "; looked at again every 2 s");
    return later(2'000, [this] { check(); });
  }
  // What was accepted meanwhile may be pending for the server, or not. Nothing new is taken, so there is an end to it.
  if (waited_ && !c.anew && c.in_flight != in_flight_.size()) return check();
  if (c.ack_wait_ms > 0) ack_wait_ms_ = c.ack_wait_ms;
  created_ = c.created;
  if (c.anew) {
    last_ = seen_ = expected_ = 0;
    waited_ = false;
    nothing_owed();
    in_flight_.clear();
    told_.lost(0, "the stream " + config_.stream + " was removed and made anew; it is read from its beginning");
  }
  const std::uint64_t seen = std::max(last_, c.made ? 0 : c.delivered_stream);
  if (seen != 0 && c.first > seen + 1) {
    told_.lost(config_.subject.empty() ? c.first - seen - 1 : 0,
               "the stream " + config_.stream + " has thrown away the messages " + std::to_string(seen + 1) + " to " +
                   std::to_string(c.first - 1) + " before they were read (its limits)");
  }
  seen_ = std::max({seen_, c.delivered_stream, c.first == 0 ? 0 : c.first - 1});
  const std::uint64_t here = expected_ == 0 ? 0 : expected_ - 1;
  if (c.made) {
    nothing_owed();
    if (last_ != 0)
      host_.warn("the consumer " + config_.durable + " was gone and has been made anew behind sequence " +
                 std::to_string(last_));
    in_flight_.clear();  // the new one knows nothing of them
    phase_ = Phase::reading;
  } else if (waited_) {
    // It is time: what is not acknowledged and not in flight here comes again now.
    left_again_ = static_cast<std::int64_t>(c.pending) - static_cast<std::int64_t>(in_flight_.size());
    counted_.clear();
    phase_ = Phase::again;
    if (left_again_ <= 0) {
      phase_ = Phase::reading;
      nothing_owed();
    }
  } else {
    // Of one that we have not read from yet all that is not acknowledged may have been lost with whoever read it.
    const std::uint64_t lost = owed_ || expected_ == 0       ? c.pending
                               : c.delivered_consumer > here ? c.delivered_consumer - here
                                                             : 0;
    if (lost != 0) return recover(lost);
    phase_ = Phase::reading;
    nothing_owed();
  }
  waited_ = false;
  expected_ = c.delivered_consumer + 1;
  told_.state(true, {});
  ask();
}

void Consumer::nothing_owed() {
  owed_ = false;
  floor_ = last_;
  passed_.clear();
  counted_.clear();
  stuck_ = std::numeric_limits<std::int64_t>::max();
}

void Consumer::recover(std::uint64_t count) {
  const std::int64_t ms = ack_wait_ms_ + 500;
  phase_ = Phase::waiting;
  if (!owed_) floor_ = last_;  // what is lost is behind all that came
  owed_ = true;
  listen_anew();
  ++counts_.recoveries;
  told_.state(true, std::to_string(count) + " messages did not come here; the server sends them again within " +
                        std::to_string((ms + 999) / 1000) + " s");
  later(ms, [this] {
    waited_ = true;
    check();
  });
}

// --- Messages -------------------------------------------------------------------------------------------------------

bool Consumer::take(natsMsg* message, std::uint64_t& sequence) {
  const char* reply = natsMsg_GetReply(message);
  if (const auto status = status_of(message); !status.empty() && reply == nullptr) {
    const std::string_view subject = natsMsg_GetSubject(message);
    heard_ms_ = host_.steady_ms();
    if (status != "100") over(status, description_of(message), subject.substr(subject.rfind('.') + 1));
    return false;
  }
  Place place;
  if (reply == nullptr || !read_place(reply, place)) return false;
  if (phase_ != Phase::reading && phase_ != Phase::again) return false;  // it comes again, behind what is missing
  // One of before the last look at the consumer: it is not acknowledged, so it comes again.
  if (place.consumer_sequence < expected_) return false;
  if (expected_ != 0 && place.consumer_sequence > expected_) {
    recover(place.consumer_sequence - expected_);
    return false;
  }
  if (phase_ == Phase::again && place.delivered == 1 && overtaken(place.stream_sequence)) return false;
  expected_ = place.consumer_sequence + 1;
  heard_ms_ = host_.steady_ms();
  if (!requests_.empty() && --requests_.front().left <= 0) requests_.pop_front();
  const bool again = phase_ == Phase::again;
  if (place.stream_sequence <= last_ && came_again(place.stream_sequence, reply)) return false;
  if (again) {
    passed_.insert(place.stream_sequence);
    counted_.insert(place.stream_sequence);
    --left_again_;
  }
  // Without a filter every number is a message, and one that is skipped was removed before it was read.
  const std::uint64_t before = std::max(last_, seen_);
  if (config_.subject.empty() && !again && before != 0 && place.stream_sequence > before + 1)
    told_.lost(place.stream_sequence - before - 1, "the stream " + config_.stream + " has no messages " +
                                                       std::to_string(before + 1) + " to " +
                                                       std::to_string(place.stream_sequence - 1) + " any more");
  last_ = sequence = place.stream_sequence;
  in_flight_.push_back({sequence, reply, host_.steady_ms()});
  ++counts_.messages;
  if (again && left_again_ <= 0) {
    phase_ = Phase::reading;
    nothing_owed();
  }
  return true;
}

// One up to the last that came. If it has been an event, the server has not had, or not minded, what it was told.
bool Consumer::came_again(std::uint64_t sequence, const std::string& reply) {
  ++counts_.again;
  const auto found = std::lower_bound(in_flight_.begin(), in_flight_.end(), sequence,
                                      [](const InFlight& f, std::uint64_t s) { return f.sequence < s; });
  if (found != in_flight_.end() && found->sequence == sequence) {  // it was not counted as owed either
    found->reply = reply;
    return true;
  }
  acknowledge(reply);
  if (sequence > floor_ && owed_ && !passed_.contains(sequence))
    told_.lost(1, "the message " + std::to_string(sequence) + " of the stream " + config_.stream +
                      " came only behind newer ones; it is left out");
  if (phase_ == Phase::again && counted_.insert(sequence).second && --left_again_ <= 0) {
    phase_ = Phase::reading;
    nothing_owed();
  }
  return true;
}

// A new message has come before all that is owed. True: it is left to come again, behind what is missing. False:
// twice now nothing more of that came, though it was time: the server holds it back, or has it no more.
bool Consumer::overtaken(std::uint64_t sequence) {
  if (left_again_ < stuck_) {
    stuck_ = left_again_;
    recover(static_cast<std::uint64_t>(left_again_));
    return true;
  }
  told_.lost(static_cast<std::uint64_t>(left_again_),
             "messages of the stream " + config_.stream + " before " + std::to_string(sequence) +
                 " were sent to somebody who did not acknowledge them, and the server does not send them again");
  phase_ = Phase::reading;
  nothing_owed();
  return false;
}

void Consumer::accepted(std::uint64_t sequence) {
  for (InFlight& f : in_flight_) {
    if (f.sequence > sequence) break;
    f.done = true;
  }
  settle();
}

void Consumer::refused(std::uint64_t sequence) {
  for (InFlight& f : in_flight_)
    if (f.sequence == sequence) f.done = true;
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
  acknowledgements_.push_back({reply, std::string(how)});
}

void Consumer::send_acknowledgements() {
  if (acknowledgements_.empty()) return;
  (void)link_.publish(std::move(acknowledgements_));
  acknowledgements_.clear();
}

// --- Asking for more ------------------------------------------------------------------------------------------------

void Consumer::ask() {
  send_acknowledgements();
  if (paused_ || (phase_ != Phase::reading && phase_ != Phase::again)) return;
  std::int64_t asked = 0;
  for (const Request& r : requests_) asked += r.left;
  std::int64_t room = config_.in_flight - static_cast<std::int64_t>(in_flight_.size()) - asked;
  if (phase_ == Phase::again) {  // exactly these, and no new ones among them
    constexpr std::int64_t kAgainAtOnce =
        32;  // without a bound on bytes: what is owed must not be passed over for its size
    if (requests_.empty() && room > 0) request(std::min({room, left_again_, kAgainAtOnce}), false);
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
  if (phase_ == Phase::again && nothing_more) {  // all that there was has come
    phase_ = Phase::reading;
    nothing_owed();
  }
  if (nothing_more) return ask();
  if (phase_ == Phase::reading && was.bounded && text.find("MaxBytes") != std::string_view::npos) {
    // What is left of the request is too small for the next message, or all of it is: then that one comes alone.
    if (was.left == was.count) return request(1, false);
    return ask();
  }
  told_.state(false, "the server ends requests for messages of " + config_.stream + ": " + std::string(status) + " " +
                         std::string(text) + "; tried again every 2 s");
  waited_ = phase_ == Phase::again;
  phase_ = Phase::checking;
  later(2'000, [this] { check(); });
}

void Consumer::tick() {
  if (phase_ == Phase::away) return;
  const std::int64_t now = host_.steady_ms();
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
