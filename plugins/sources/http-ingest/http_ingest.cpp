// The plugin: requests that the hub hands over become events, and are answered when these have their place. A request
// is taken as a whole or not at all: it is read and checked completely, what came before is left out, and the rest must
// fit into the emitter, which keeps it while the hub is full.
// Threads: [strand]; no threads of its own.
#include <algorithm>
#include <charconv>
#include <deque>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "config.hpp"
#include "gunzip.hpp"
#include "refused.hpp"
#include "seen_ids.hpp"
#include "text.hpp"
#include "under_way.hpp"
#include "weir/sdk/plugin.hpp"
#include "weir/sdk/text.hpp"

namespace weir::http_ingest {
namespace {

constexpr std::size_t kWaitingMax = 4096;  // requests; each of them is a connection that is kept open
constexpr std::size_t kIdMax = 255;        // the hub's bounds of an event

class HttpIngest final : public sdk::Source, public sdk::HttpHandler {
 public:
  HttpIngest(const sdk::Host& host, const sdk::json::Value& config)
      : host_(host),
        config_(parse_config(config)),
        emitter_(host),
        seen_(config_.window_ms, config_.ids_max),
        signatures_(config_.signature ? config_.signature->remembered_ms() : 0,
                    config_.signature ? config_.signature->remembered_max : 0),
        under_way_([this](const UnderWay::Request& r) {
          if (r.signature) signatures_.forget(*r.signature, r.number);
        }) {
    emitter_.on_invalid([this](std::string_view cursor) { invalid(number_of(cursor)); });
  }

  void start() override {
    running_ = true;
    host_.state(sdk::State::running, config_.unsigned_webhooks ? "without `signature`: anybody can send" : "");
    ticks_.start(host_, 1000, 1000, [this] { tick(); });
  }
  void pause() override { emitter_.pause(); }
  void resume() override { emitter_.resume(); }
  void accepted(std::string_view cursor) override {
    const std::uint64_t number = number_of(cursor);
    while (!ids_under_way_.empty() && ids_under_way_.front().event <= number) ids_under_way_.pop_front();
    under_way_.accepted(number);
  }
  void refused(std::string_view cursor) override {
    const std::uint64_t number = number_of(cursor);
    forget_ids(under_way_.accepted_up_to() + 1, number);
    under_way_.no_place(number);
    ++no_place_;
  }
  void stop() override {
    running_ = false;
    ticks_.cancel();
    emitter_.flush();
    under_way_.give_up();
  }

  void handle(const sdk::HttpRequest& request, sdk::HttpReply reply) override {
    ++requests_;
    try {
      if (!running_ || emitter_.closed()) return reply.error(WEIR_E_UNAVAILABLE, "the hub is stopping; try again soon");
      take(request, reply);
    } catch (const Refused& e) {
      ++refused_;
      answer(reply, e);
    }
  }
  // Nobody learns any more what became of it, and who sends it again without ids doubles what was taken.
  void cancel(std::uint64_t token) override {
    const UnderWay::Request* r = under_way_.find(token);
    if (r == nullptr || r->first > r->last || emitter_.kept() == 0) return;
    if (r->first < number_of(emitter_.next_cursor())) return;  // the hub has some of it
    emitter_.drop_if([&](const weir_event& e) { return r->owns(number_of(sdk::to_view(e.cursor))); });
    forget_ids(r->first, r->last);
    under_way_.take_back(token);
  }

 private:
  // An event that is ready to be emitted.
  struct Ready {
    const Draft* draft;
    std::string subject, event, key, id;
    std::optional<HashedId> hashed_id;
    std::uint32_t place;  // in the request, from 1
    std::size_t size() const {
      return subject.size() + event.size() + key.size() + id.size() + draft->data().size() + 20;
    }
  };

  static std::size_t size_of(const std::vector<Ready>& events) {
    std::size_t bytes = 0;
    for (const Ready& e : events) bytes += e.size();
    return bytes;
  }
  static std::uint64_t number_of(std::string_view cursor) {
    std::uint64_t out = 0;
    std::from_chars(cursor.data(), cursor.data() + cursor.size(), out);
    return out;
  }

  static void answer(sdk::HttpReply& reply, const Refused& e) {
    if (e.status() == 400) return reply.error(WEIR_E_INVALID, e.what());
    const char* code = e.status() == 413 ? "too_large" : "bad_request";
    std::string headers;
    if (!e.header_name().empty())
      headers = ",\"headers\":{" + sdk::json::quoted(e.header_name()) + ":" + sdk::json::quoted(e.header_value()) + "}";
    reply.raw("{\"status\":" + std::to_string(e.status()) + headers + ",\"body\":{\"error\":{\"code\":\"" + code +
              "\",\"message\":" + sdk::json::quoted(e.what()) + "}}}");
  }

  void take(const sdk::HttpRequest& request, sdk::HttpReply& reply) {
    if (request.method() != "POST")
      throw Refused(405, "the method is " + shown(request.method()) + "; POST is taken", "allow", "POST");
    std::optional<HashedId> signature;
    if (config_.signature) {
      const Verdict verdict = verify(*config_.signature, request, host_.now_ms());
      if (!verdict.good) {
        ++unauthorized_;
        host_.warn("a request was refused: " + verdict.why, "{\"peer\":" + sdk::json::quoted(request.peer()) + "}");
        return reply.error(WEIR_E_UNAUTHORIZED, "the request is not signed as it must be");
      }
      if (!verdict.replay.empty()) signature = hashed(verdict.replay);
    }
    std::string inflated;
    const std::string_view body = decoded(request, inflated);
    const std::vector<Draft> drafts = read_events(request, body, config_.body);
    std::vector<Ready> events = make_ready(request, drafts);
    // What waits for its batch only takes no room away. Before duplicates are looked for: the hub may refuse some.
    if (!emitter_.fits(events.size(), size_of(events))) emitter_.flush();

    UnderWay::Request waiting{std::move(reply), requests_, emitted_ + 1, emitted_};
    leave_out_what_came(events, signature, waiting);
    const auto full = [&](const char* what) {
      ++full_;
      waiting.reply.error(WEIR_E_FULL, std::string(what) + "; nothing of the request was taken");
    };
    if (under_way_.size() >= kWaitingMax) return full("the hub is full");
    if (waiting.signature && signatures_.full(host_.steady_ms()))
      return full("too many signed requests came within twice the tolerance (signature.max)");
    if (!emitter_.fits(events.size(), size_of(events))) {
      if (emitter_.kept() != 0) return full("the hub is full");
      ++full_;
      reply = std::move(waiting.reply);
      throw Refused(413, "all events of a request are taken together, and these are larger than the " +
                             std::to_string(sdk::Emitter::kKeptBytesMax) +
                             " bytes that may wait; send them in several");
    }
    waiting.last = emitted_ + events.size();
    for (const Ready& e : events) waiting.places.push_back(e.place);
    duplicates_ += waiting.duplicates;
    if (waiting.signature) signatures_.remember(*waiting.signature, waiting.number, host_.steady_ms());
    const std::uint64_t number = waiting.number;
    // First, since the hub may refuse one of the events while they are added.
    under_way_.add(std::move(waiting));
    for (const Ready& e : events) emit(e, number);
  }

  void emit(const Ready& e, std::uint64_t request) {
    const std::uint64_t number = ++emitted_;
    if (e.hashed_id) {
      seen_.remember(*e.hashed_id, request, host_.steady_ms());
      ids_under_way_.push_back({number, request, *e.hashed_id});
    }
    const std::string cursor = std::to_string(number);
    (void)emitter_.add({.subject = e.subject,
                        .event = e.event,
                        .data = e.draft->data(),
                        .id = e.id,
                        .key = e.key,
                        .cursor = cursor,
                        .time_ms = e.draft->time_ms,
                        .kind = e.draft->kind});  // it fits; a hub that closes meanwhile calls stop()
  }

  std::string_view decoded(const sdk::HttpRequest& request, std::string& inflated) const {
    const std::string encoding = lower(without_space(request.header("content-encoding").value_or("")));
    if (encoding.empty() || encoding == "identity") return request.body();
    if (encoding != "gzip" && encoding != "x-gzip")
      throw Refused(415, "content-encoding is " + shown(encoding) + "; gzip is taken", "accept-encoding", "gzip");
    inflated = gunzip(request.body(), config_.decompressed_max);
    return inflated;
  }

  std::vector<Ready> make_ready(const sdk::HttpRequest& request, const std::vector<Draft>& drafts) {
    const std::string who = sdk::json::parse(request.identity_json()).string_or("subject", "");
    std::vector<Ready> out;
    out.reserve(drafts.size());
    for (const Draft& draft : drafts) {
      Ready e{&draft, {}, {}, {}, {}, {}, static_cast<std::uint32_t>(out.size() + 1)};
      const auto must = [&](const char* what, const std::string& value, std::size_t most) {
        const std::string which = drafts.size() == 1 ? "" : " of event " + std::to_string(e.place);
        if (value.size() > most)
          throw Refused(400, std::string("the ") + what + which + " has " + std::to_string(value.size()) +
                                 " bytes; at most " + std::to_string(most) + " are taken");
        if (!sdk::is_utf8(value)) throw Refused(400, std::string("the ") + what + which + " is no UTF-8");
      };
      if (config_.subject.fill(e.subject, request, draft) == nullptr)
        throw Refused(400, "the request has nothing of what makes the subject of event " + std::to_string(e.place));
      if (config_.event.fill(e.event, request, draft) == nullptr)
        throw Refused(400, "the request has nothing of what makes the name of event " + std::to_string(e.place));
      config_.key.fill(e.key, request, draft);
      must("subject", e.subject, 1024);
      must("name", e.event, 255);
      must("key", e.key, 1024);
      if (const Template* made = config_.id.fill(e.id, request, draft)) {
        // Idempotency-Key may be written as a string of a structured field, with quotes.
        if (e.id.size() > 2 && e.id.front() == '"' && e.id.back() == '"') e.id = e.id.substr(1, e.id.size() - 2);
        if (drafts.size() > 1 && !made->per_event()) e.id += "/" + std::to_string(e.place);
        must("id", e.id, 4096);
        // One sender can't use up another one's ids, and what goes elsewhere is another event.
        e.hashed_id =
            hashed(std::to_string(who.size()) + ":" + who + std::to_string(e.subject.size()) + ":" + e.subject + e.id);
        if (e.id.size() > kIdMax)
          e.id = "sha256:" + to_hex({reinterpret_cast<const char*>(hashed(e.id).bytes.data()), 16});
      }
      out.push_back(std::move(e));
    }
    return out;
  }

  // Those that have their place already, and those that are under way in others, for which the request waits.
  void leave_out_what_came(std::vector<Ready>& events, const std::optional<HashedId>& signature,
                           UnderWay::Request& waiting) {
    const std::int64_t now = host_.steady_ms();
    if (signature && signatures_.find(*signature, now)) {  // the very same request again
      waiting.duplicates = events.size();
      under_way_.wait_for_the_same(*signature, waiting);
      return events.clear();
    }
    waiting.signature = signature;
    std::vector<std::uint64_t>& others = waiting.waits_for;
    std::erase_if(events, [&](const Ready& e) {
      const auto other = e.hashed_id ? seen_.find(*e.hashed_id, now) : std::nullopt;
      if (!other) return false;
      ++waiting.duplicates;
      if (under_way_.has(*other)) others.push_back(*other);
      return true;
    });
    std::sort(others.begin(), others.end());
    others.erase(std::unique(others.begin(), others.end()), others.end());
    others.shrink_to_fit();  // it had one for each event
    if (config_.ids_max == 0 || events.size() < 2) return;
    std::unordered_set<HashedId, HashedId::Hash> once;
    std::erase_if(events, [&](const Ready& e) {
      if (!e.hashed_id || once.insert(*e.hashed_id).second) return false;
      return ++waiting.duplicates, true;
    });
  }

  void invalid(std::uint64_t number) {
    forget_ids(number, number);
    ++not_taken_;
    under_way_.refused(number);
  }

  // Of events that are not taken after all.
  void forget_ids(std::uint64_t first, std::uint64_t last) {
    const auto before = [](const IdUnderWay& id, std::uint64_t number) { return id.event < number; };
    const auto from = std::lower_bound(ids_under_way_.begin(), ids_under_way_.end(), first, before),
               to = std::lower_bound(from, ids_under_way_.end(), last + 1, before);
    for (auto it = from; it != to; ++it) seen_.forget(it->id, it->request);
    ids_under_way_.erase(from, to);
  }

  void tick() {
    const auto tell = [&](const char* name, std::uint64_t value) { host_.metric(name, static_cast<double>(value)); };
    tell("requests", requests_);
    tell("refused", refused_);
    tell("unauthorized", unauthorized_);
    tell("full", full_);
    tell("events", emitted_);
    tell("events_not_taken", not_taken_);
    tell("no_place", no_place_);
    tell("duplicates", duplicates_);
    tell("waiting", under_way_.size());
    tell("ids", seen_.size());
    tell("signatures", signatures_.size());
  }

  sdk::Host host_;
  const Config config_;
  sdk::Emitter emitter_;
  SeenIds seen_;
  SeenIds signatures_;
  UnderWay under_way_;
  struct IdUnderWay {
    std::uint64_t event, request;
    HashedId id;
  };
  std::deque<IdUnderWay> ids_under_way_;  // of events that are not accepted yet
  sdk::Timer ticks_;
  bool running_ = false;
  std::uint64_t emitted_ = 0;  // the number of the newest event
  std::uint64_t requests_ = 0, refused_ = 0, unauthorized_ = 0, full_ = 0, duplicates_ = 0, not_taken_ = 0,
                no_place_ = 0;
};

}  // namespace
}  // namespace weir::http_ingest

WEIR_PLUGIN("http-ingest", "0.1.0", weir::http_ingest::kManifest, weir::http_ingest::HttpIngest);
