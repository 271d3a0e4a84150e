#include "publisher.hpp"

#include <nats/nats.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "message.hpp"
#include "subject.hpp"
#include "weir/sdk/time.hpp"

namespace weir::nats {

// What became of what was sent over one connection. Written by the threads of the link.
struct Publisher::Progress {
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t written = 0;                                   // up to this number
  std::uint64_t confirmed = 0;                                 // and this one: the server has them
  std::vector<std::pair<std::uint64_t, std::string>> refused;  // can't be sent, and why
};

Publisher::Publisher(const sdk::Host& host, bool jetstream, Link& link, std::function<void(const std::string&)> trouble)
    : host_(host),
      jetstream_(jetstream),
      link_(link),
      trouble_(std::move(trouble)),
      progress_(std::make_shared<Progress>()) {
  if (!jetstream_) return;
  // An event has one acknowledgement, or a few when it was published more than once.
  acknowledgements_ = std::make_shared<Inbox>(
      64 * kEventsMax, kBytesMax, [this, host = host_] { (void)host.post([this] { acknowledgements(); }); });
  inbox_ = new_inbox();
  (void)link_.subscribe(inbox_ + ".*", "", acknowledgements_);
  ticks_.start(host_, 100, 100, [this] { look_again(); });
}

Publisher::~Publisher() = default;

// --- Taking ---------------------------------------------------------------------------------------------------------

std::size_t Publisher::deliver(std::span<const sdk::Outgoing> events) {
  std::vector<Kept*> now;
  std::size_t taken = 0;
  for (const sdk::Outgoing& event : events) {
    if (!link_.connected() || !room()) {
      short_ = true;
      break;
    }
    std::string wrong = unpublishable(event.subject);
    if (!wrong.empty())
      wrong = "\"" + std::string(event.subject.substr(0, 200)) + "\" is no subject to publish to: " + wrong;
    Kept made;
    if (wrong.empty()) {
      made = keep(event);
      if (made.wire_bytes > link_.max_payload())
        wrong = "an event for " + made.subject + " makes a message of " + std::to_string(made.wire_bytes) +
                " bytes; the server takes " + std::to_string(link_.max_payload()) + " at most (max_payload)";
    }
    if (!wrong.empty()) {
      if (taken == 0) throw sdk::Failure(WEIR_E_INVALID, wrong);
      break;  // it will be the first one then
    }
    bytes_ += made.bytes;
    Kept& kept = kept_.try_emplace(made.number, std::move(made)).first->second;
    ++taken;
    if (!troubles_.contains(event.subject)) now.push_back(&kept);
  }
  if (!now.empty()) send(now);
  return taken;
}

Publisher::Kept Publisher::keep(const sdk::Outgoing& event) {
  Kept kept{++number_, nullptr, std::string(event.subject), 0, 0};
  const std::string reply = jetstream_ ? inbox_ + "." + std::to_string(kept.number) : std::string();
  MessageWriter writer(kept.subject, reply, event.data);
  writer.header("Nats-Msg-Id", event.id);
  writer.header("Weir-Event", event.event);
  if (!event.key.empty()) writer.header("Weir-Key", event.key);
  writer.header("Weir-Time", sdk::iso8601(event.time_ms));
  kept.wire_bytes = writer.wire_bytes();
  kept.bytes = static_cast<std::size_t>(kept.wire_bytes) + 2 * kept.subject.size() + reply.size() + 512;
  kept.message = writer.take();
  return kept;
}

// --- Sending --------------------------------------------------------------------------------------------------------

void Publisher::send(const std::vector<Kept*>& which) {
  std::vector<std::pair<std::uint64_t, Message>> batch;
  for (Kept* kept : which) {
    if (kept->wire_bytes > link_.max_payload()) {  // the server is another one than when it was taken
      lose(*kept, "it is larger than the server takes");
      continue;
    }
    if (kept->sent_ms != 0) ++counts_.again;
    kept->stands = Stands::sent;
    kept->sent_ms = host_.steady_ms();
    batch.emplace_back(kept->number, kept->message);
  }
  (void)link_.write([this, host = host_, progress = progress_, batch = std::move(batch)](natsConnection* connection) {
    bool refused = false;
    for (const auto& [number, message] : batch) {
      std::string why;
      const bool sent = nats::send(connection, message.get(), why);
      if (!sent && why.empty()) return;  // the connection is over; all of it goes out over the next one
      const std::lock_guard lock(progress->mutex);
      progress->written = number;
      if (sent) continue;
      progress->refused.emplace_back(number, why);
      refused = true;
    }
    // The instance outlives its tasks on the strand: those that have not run when it is stopped never do.
    if (refused) (void)host.post([this, progress] { heard(progress); });
  });
  if (!jetstream_) confirm();
  settle();
}

// The server works off what it gets in order: once it has answered a PING it has what was written before.
void Publisher::confirm() {
  if (confirming_ || kept_.empty()) return;
  confirming_ = link_.after_writing([this, host = host_, progress = progress_](natsConnection* connection) {
    std::uint64_t written = 0;
    {
      const std::lock_guard lock(progress->mutex);
      written = progress->written;
    }
    if (answers(connection, 2'000)) {
      const std::lock_guard lock(progress->mutex);
      progress->confirmed = std::max(progress->confirmed, written);
      progress->changed.notify_all();
    }
    (void)host.post([this, progress] {
      if (progress == progress_) confirming_ = false;
      heard(progress);
      if (progress == progress_) confirm();
    });
  });
}

void Publisher::heard(const std::shared_ptr<Progress>& progress) {
  if (progress != progress_) return;
  std::uint64_t confirmed = 0;
  std::vector<std::pair<std::uint64_t, std::string>> refused;
  {
    const std::lock_guard lock(progress->mutex);
    confirmed = progress->confirmed;
    refused.swap(progress->refused);
  }
  for (const auto& [number, why] : refused)
    if (Kept* kept = find(number)) lose(*kept, why);
  if (!jetstream_)
    for (auto it = kept_.begin(); it != kept_.end() && it->first <= confirmed;) {
      const Kept& kept = (it++)->second;
      if (kept.stands != Stands::sent) continue;
      ++counts_.published;
      let_go(kept);
    }
  settle();
}

void Publisher::connected() {
  progress_ = std::make_shared<Progress>();
  confirming_ = false;
  std::vector<Kept*> all;
  for (auto& [number, kept] : kept_) all.push_back(&kept);
  if (!all.empty()) send(all);
  settle();
}

void Publisher::away() {
  for (auto& [number, kept] : kept_)
    if (kept.stands == Stands::sent) kept.stands = Stands::waits;
}

// --- What becomes of them -------------------------------------------------------------------------------------------

Publisher::Kept* Publisher::find(std::uint64_t number) {
  const auto found = kept_.find(number);
  return found == kept_.end() ? nullptr : &found->second;
}

void Publisher::let_go(const Kept& kept) {
  bytes_ -= kept.bytes;
  kept_.erase(kept_.find(kept.number));
}

void Publisher::lose(const Kept& kept, const std::string& why) {
  ++counts_.lost;
  host_.error("an event for " + kept.subject + " can't be published: " + why);
  let_go(kept);
}

// In core mode they are gone, and each was answered by one complaint; in that of JetStream nobody will ever acknowledge
// them, and what waits for it would hold up all other subjects in the end.
void Publisher::refused(std::string_view subject, bool whole) {
  if (!jetstream_) {
    ++counts_.lost;
    return;
  }
  for (auto it = kept_.begin(); it != kept_.end();) {
    const Kept& kept = (it++)->second;
    if (whole ? kept.subject == subject : kept.subject.starts_with(subject))
      lose(kept, "the server does not let our user publish to it");
  }
  settle();
}

// Tells the hub when there is room.
void Publisher::settle() {
  if (!short_ || !link_.connected() || !room()) return;
  short_ = false;
  host_.sink_ready();
}

void Publisher::acknowledgements() {
  std::vector<Inbox::Came> came;
  const bool more = acknowledgements_->take(came, 1'024);
  for (const auto& [message, subscription, bytes] : came) {
    const std::string_view subject = natsMsg_GetSubject(message);
    std::uint64_t number = 0;
    const auto text = subject.substr(subject.rfind('.') + 1);
    (void)std::from_chars(text.data(), text.data() + text.size(), number);
    if (Kept* kept = find(number)) answered(*kept, message);
    natsMsg_Destroy(message);
  }
  settle();
  if (more) (void)host_.post([this] { acknowledgements(); });
}

void Publisher::answered(Kept& kept, natsMsg* answer) {
  if (status_of(answer) == "503") return failed(kept, "no stream takes this subject");
  try {
    const auto json = sdk::json::parse(data_of(answer));
    const auto* error = json.find("error");
    if (error == nullptr && json.find("stream") != nullptr) {
      ++counts_.published;
      return let_go(kept);
    }
    if (error != nullptr) {
      constexpr std::int64_t kTooLarge = 10'054;  // message size exceeds maximum allowed: it does for ever
      const std::string why = error->string_or("description", "error " + std::to_string(error->integer_or("code", 0)));
      if (error->integer_or("err_code", 0) == kTooLarge) return lose(kept, why);
      return failed(kept, why);
    }
  } catch (const sdk::Failure&) {  // then it is none
  }
  failed(kept, "what answers is no stream");
}

// Several of one subject fail in one go: that is one time that it is tried again later.
void Publisher::failed(Kept& kept, const std::string& why) {
  kept.stands = Stands::failed;
  Trouble& trouble = troubles_[kept.subject];
  trouble.why = why;
  const std::int64_t now = host_.steady_ms();
  if (trouble.next_ms <= now) trouble.next_ms = now + static_cast<std::int64_t>(trouble.backoff.next_ms());
}

void Publisher::look_again() {
  if (!link_.connected()) return;
  if (acknowledgements_->unheard()) acknowledgements();
  const std::int64_t now = host_.steady_ms();
  struct Standing {
    std::size_t sent = 0, failed = 0;
    std::vector<Kept*> all;
  };
  for (auto& [number, kept] : kept_)
    if (kept.stands == Stands::sent && now - kept.sent_ms > kAcknowledgeMs)
      failed(kept, "no acknowledgement within " + std::to_string(kAcknowledgeMs / 1000) + " s");
  if (troubles_.empty()) return say_trouble();
  std::map<std::string_view, Standing> standing;
  for (auto& [number, kept] : kept_) {
    if (!troubles_.contains(kept.subject)) continue;
    Standing& s = standing[kept.subject];
    s.sent += kept.stands == Stands::sent;
    s.failed += kept.stands == Stands::failed;
    if (kept.stands != Stands::sent) s.all.push_back(&kept);
  }
  std::vector<Kept*> again;
  for (auto it = troubles_.begin(); it != troubles_.end();) {
    const Standing& s = standing[it->first];
    // All that was tried again has come through: those that waited follow, and the trouble is over.
    const bool over = s.sent == 0 && s.failed == 0;
    if (over || (s.sent == 0 && it->second.next_ms <= now)) again.insert(again.end(), s.all.begin(), s.all.end());
    it = over ? troubles_.erase(it) : std::next(it);
  }
  std::sort(again.begin(), again.end(), [](const Kept* a, const Kept* b) { return a->number < b->number; });
  if (!again.empty()) send(again);
  say_trouble();
}

void Publisher::say_trouble() {
  std::string why;
  if (!troubles_.empty()) {
    const auto& [subject, trouble] = *troubles_.begin();
    why = "events for " + subject + " are not stored: " + trouble.why + "; they are kept and tried again";
  }
  if (why == said_) return;
  said_ = why;
  if (!why.empty()) host_.warn(why);
  trouble_(why);
}

void Publisher::finish(std::int64_t ms) {
  ticks_.cancel();
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  if (link_.connected() && jetstream_) {
    const auto under_way = [this] {
      return std::any_of(kept_.begin(), kept_.end(), [](const auto& k) { return k.second.stands == Stands::sent; });
    };
    while (under_way() && std::chrono::steady_clock::now() < until) {
      acknowledgements_->wait(std::chrono::milliseconds(50));
      acknowledgements();
    }
  } else if (link_.connected() && !kept_.empty()) {
    confirming_ = false;  // one that is under way may be for less
    confirm();
    const std::uint64_t last = kept_.rbegin()->first;
    std::unique_lock lock(progress_->mutex);
    progress_->changed.wait_until(lock, until, [&] { return progress_->confirmed >= last; });
    lock.unlock();
    heard(progress_);
  }
  const std::size_t left = kept_.size();
  if (left == 0) return;
  counts_.lost += left;
  host_.error(std::to_string(left) + " events were taken and could not be published before the end");
}

}  // namespace weir::nats
