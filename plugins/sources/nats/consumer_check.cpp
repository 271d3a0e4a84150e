// How a consumer stands: asked for after each connect, and whenever something is missing.
#include <nats/nats.h>

#include <algorithm>
#include <memory>

#include "consumer.hpp"

namespace weir::nats {

struct Consumer::Check {
  std::string problem;  // empty: all is well
  bool made = false;    // the consumer was not there
  bool ours = true;     // it is one that can be read from here
  bool anew = false;    // the stream is not the one that we have read from
  std::int64_t stream_created = 0, consumer_created = 0;
  std::uint64_t first = 0;  // of the stream
  std::uint64_t delivered_stream = 0, delivered_consumer = 0, pending = 0;
  std::int64_t waiting = 0;  // requests of anybody
  std::int64_t ack_wait_ms = 0;
  std::size_t in_flight = 0;  // here, when it was asked
};

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
  drop_held();
  phase_ = Phase::checking;
  send_acknowledgements();
  listen_anew();
  later_.cancel();
  // Behind the acknowledgements, so that what was accepted is none of those that are pending.
  (void)link_.after_writing([this, host = host_, config = config_, last_now = last_, created = stream_created_,
                             unaccepted = in_flight_.empty() ? last_ + 1 : in_flight_.front().sequence,
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
      c.stream_created = stream->Created;
      c.anew = (created != 0 && created != c.stream_created) || last > stream->State.LastSeq;
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
          wanted.OptStartSeq = unaccepted;
        } else if (config.from == From::sequence) {
          wanted.DeliverPolicy = js_DeliverByStartSequence;
          wanted.OptStartSeq = config.sequence;
        } else if (config.from == From::time) {
          wanted.DeliverPolicy = js_DeliverByStartTime;
          // cnats writes a fraction of a second without the zeros at its front (3.4 and before), so .050 would become
          // .5, and what lies between be left out: rather a few more.
          const std::int64_t fraction = config.time_ms % 1'000;
          wanted.OptStartTime = (config.time_ms - (fraction < 100 ? fraction : 0)) * 1'000'000;
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
      c.consumer_created = info->Created;
      c.delivered_stream = info->Delivered.Stream;
      c.delivered_consumer = info->Delivered.Consumer;
      c.pending = static_cast<std::uint64_t>(std::max<std::int64_t>(0, info->NumAckPending));
      c.waiting = info->NumWaiting;
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
    told_.state(sdk::State::retrying, c.problem + "; looked at again every 2 s");
    return later(2'000, [this] { check(); });
  }
  // What was accepted meanwhile may be pending for the server, or not. Nothing new is taken, so there is an end to it.
  if (waited_ && !c.anew && c.in_flight != in_flight_.size()) return check();
  if (c.ack_wait_ms > 0) ack_wait_ms_ = c.ack_wait_ms;
  stream_created_ = c.stream_created;
  if (c.anew) {
    last_ = known_ = expected_ = missing_ = 0;
    waited_ = false;
    nothing_owed();
    in_flight_.clear();
    told_.lost(0, "the stream " + config_.stream + " was removed and made anew; it is read from its beginning");
  }
  // Another one has nothing here in flight until it has sent that again.
  const bool other = consumer_created_ != c.consumer_created;
  consumer_created_ = c.consumer_created;
  if (other)
    for (InFlight& f : in_flight_) f.reply.clear();
  // What it had delivered before we asked it for anything is somebody else's, or pending; later all above last_ is
  // unread, delivered or not.
  const bool first_look = expected_ == 0;
  if (first_look) known_ = std::max({known_, c.delivered_stream, c.made && c.first != 0 ? c.first - 1 : 0});
  if (const auto before = std::max(last_, known_); before != 0 && c.first > before + 1) {
    told_.lost(config_.subject.empty() ? c.first - before - 1 : 0,
               "the stream " + config_.stream + " has thrown away the messages " + std::to_string(before + 1) + " to " +
                   std::to_string(c.first - 1) + " before they were read (its limits)");
    known_ = c.first - 1;
  }
  const std::uint64_t here = first_look ? 0 : expected_ - 1;
  if (c.made) {
    missing_ = 0;  // it comes from the new one
    nothing_owed();
    if (last_ != 0)
      host_.warn("the consumer " + config_.durable + " was gone and has been made anew behind what was accepted");
    phase_ = Phase::reading;
  } else if (waited_) {
    // Nobody has asked for anything here since the messages were lost, and what was asked for over a connection of
    // before, by this instance or the hub that was here earlier, is over by now: whoever waits is somebody else.
    const std::int64_t now = host_.steady_ms();
    if (c.waiting > 0 && now - connected_ms_ > kExpiresMs + 5'000) others_ms_ = now;
    // It is time: what is not acknowledged and not in flight here comes again now.
    left_again_ =
        static_cast<std::int64_t>(c.pending) -
        std::count_if(in_flight_.begin(), in_flight_.end(), [](const InFlight& f) { return !f.reply.empty(); });
    counted_.clear();
    phase_ = Phase::again;
    // Where no number tells what is missing, it is counted, once: the server forgets what it gives up.
    if (missing_ == 0 && left_again_ > 0 && (first_look || !config_.subject.empty())) {
      missing_ = static_cast<std::uint64_t>(left_again_);
      known_ = std::max(known_, c.delivered_stream);
    }
    if (left_again_ <= 0) {
      phase_ = Phase::reading;
      nothing_owed();
    }
  } else {
    // Of one that we have not read from yet all that is not acknowledged may have been lost with whoever read it.
    const std::uint64_t lost = owed_ || other                ? c.pending
                               : c.delivered_consumer > here ? c.delivered_consumer - here
                                                             : 0;
    if (lost != 0) return recover(lost);
    phase_ = Phase::reading;
    nothing_owed();
  }
  waited_ = false;
  expected_ = c.delivered_consumer + 1;
  runs({});
  ask();
}

void Consumer::runs(const std::string& why) {
  if (!others_ms_) return told_.state(sdk::State::running, why);
  told_.state(sdk::State::degraded,
              "somebody else reads from the consumer " + config_.durable + " of " + config_.stream +
                  ", perhaps another hub, and each takes the other's messages for lost ones; give each hub a `durable` "
                  "of its own");
}

void Consumer::nothing_owed() {
  owed_ = false;
  counted_.clear();
  stuck_ = std::numeric_limits<std::int64_t>::max();
  if (const auto count = std::exchange(missing_, 0); count != 0)
    told_.lost(count, "messages of the stream " + config_.stream + " up to " + std::to_string(known_) +
                          " were sent and not acknowledged, and the server does not send them again");
}

void Consumer::recover(std::uint64_t count) {
  drop_held();
  const std::int64_t ms = ack_wait_ms_ + 500;
  phase_ = Phase::waiting;
  owed_ = true;
  listen_anew();
  ++counts_.recoveries;
  runs(std::to_string(count) + " messages did not come here; the server sends them again within " +
       std::to_string((ms + 999) / 1000) + " s");
  later(ms, [this] {
    waited_ = true;
    check();
  });
}

}  // namespace weir::nats
