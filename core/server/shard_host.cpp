#include "server/shard_host.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.hpp"
#include "server/client.hpp"

namespace weir {
namespace {
constexpr int kBehindRetryMs = 10;  // how soon a shard whose mailbox was full is looked at again
constexpr std::int64_t kTickMsMax = 1000;
constexpr int kFlushRoundsMax = 16;  // replay refills outboxes while they are flushed; others must get their turn too
// How much mail is read before other handlers of the loop run: cheap mail is bounded by its count, a delivery to
// thousands of connections by time.
constexpr std::size_t kSliceMails = 256;
constexpr auto kSliceTime = std::chrono::microseconds(500);
constexpr std::size_t kLookAtClockEvery = 4;
constexpr std::size_t kKeepMails = 4096;  // room that a mailbox keeps after a burst

// What a mail keeps in memory that nothing else counts.
std::size_t weight(const Mail& mail) {
  if (const auto* d = std::get_if<mail::Delivery>(&mail)) return d->event->memory();
  if (const auto* p = std::get_if<std::unique_ptr<mail::Publish>>(&mail))
    return (*p)->draft.data.size() + (*p)->draft.index.nodes.size() * sizeof(json::Node) + 256;
  if (const auto* a = std::get_if<std::unique_ptr<mail::Ask>>(&mail)) return (*a)->params.size() + 512;
  if (const auto* a = std::get_if<std::unique_ptr<mail::Answer>>(&mail))
    return ((*a)->result ? (*a)->result->size() : 0) + 256;
  return 256;
}

// Empties it; a burst's memory is given back.
void empty(std::vector<Mail>& mails) {
  if (mails.capacity() > kKeepMails)
    std::vector<Mail>().swap(mails);
  else
    mails.clear();
}
}  // namespace

ShardHost::ShardHost(ShardId id, unsigned count, const Setup& setup, const Limits& limits, std::uint64_t seed,
                     ShardServices& services, Authenticate authenticate)
    : id_(id), limits_(limits), services_(services), authenticate_(std::move(authenticate)) {
  rules_ =
      std::make_unique<RuleEngine>(setup.programs, static_cast<RuleOutput&>(*this), system_clock(), limits, setup.kv);
  Shard::Settings s;
  s.id = id;
  s.count = count;
  s.routes = setup.routes;
  s.limits = &limits;
  s.rules = rules_.get();
  s.clock = &system_clock();
  s.seed = seed;
  for (const EndpointEntry& e : setup.manifest.endpoints)
    if (e.compression.on) s.deflate_level = std::max(s.deflate_level, e.compression.level);
  shard_ = std::make_unique<Shard>(s, static_cast<ShardPort&>(*this));
}

ShardHost::~ShardHost() { stop(); }

void ShardHost::start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), ("shard-" + std::to_string(id_)).c_str());
    loop_.run([this] { return after_burst(); });
  });
}

void ShardHost::stop() {
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
}

void ShardHost::forget() {
  std::vector<Mail>().swap(mailbox_);
  std::vector<Mail>().swap(reading_);
  outgoing_.clear();
  shard_.reset();
  rules_.reset();
}

void ShardHost::take_rules(const Setup& setup) {
  rules_->replace(setup.programs, limits_);
  shard_->reroute_channels(setup.routes);
  rules_->retire();
}

void ShardHost::list(Client& client) {
  client.listed_at_ = clients_.size();
  clients_.push_back(&client);
}

void ShardHost::unlist(Client& client) {
  clients_[client.listed_at_] = clients_.back();
  clients_[client.listed_at_]->listed_at_ = client.listed_at_;
  clients_.pop_back();
}

void ShardHost::put(Mail mail) {
  bool first;
  mailbox_bytes_.fetch_add(weight(mail), std::memory_order_relaxed);
  {
    const std::lock_guard lock(mailbox_mutex_);
    first = !std::exchange(opening_, true);
    mailbox_.push_back(std::move(mail));
    mailbox_size_.fetch_add(1, std::memory_order_relaxed);
  }
  if (first) loop_.post([this] { open_mailbox(); });
}

void ShardHost::put(std::vector<Mail>& mails) {
  if (mails.empty()) return;
  bool first;
  std::size_t bytes = 0;
  for (const Mail& m : mails) bytes += weight(m);
  mailbox_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mailbox_mutex_);
    first = !std::exchange(opening_, true);
    mailbox_size_.fetch_add(mails.size(), std::memory_order_relaxed);
    if (mailbox_.empty())
      mailbox_.swap(mails);
    else
      for (Mail& m : mails) mailbox_.push_back(std::move(m));
  }
  empty(mails);
  if (first) loop_.post([this] { open_mailbox(); });
}

void ShardHost::open_mailbox() {
  if (reading_at_ == reading_.size()) {
    empty(reading_);
    reading_at_ = 0;
    const std::lock_guard lock(mailbox_mutex_);
    reading_.swap(mailbox_);
  }
  const std::size_t from = reading_at_, to = std::min(reading_.size(), from + kSliceMails);
  const auto end = std::chrono::steady_clock::now() + kSliceTime;
  while (reading_at_ < to) {
    Mail& m = reading_[reading_at_++];
    mailbox_bytes_.fetch_sub(weight(m), std::memory_order_relaxed);
    shard_->deliver(std::move(m));
    if ((reading_at_ - from) % kLookAtClockEvery == 0 && std::chrono::steady_clock::now() >= end) break;
  }
  mailbox_size_.fetch_sub(reading_at_ - from, std::memory_order_relaxed);
  mails_read_ += reading_at_ - from;
  if (reading_at_ == reading_.size()) {
    empty(reading_);
    reading_at_ = 0;
    const std::lock_guard lock(mailbox_mutex_);
    opening_ = !mailbox_.empty();
    if (!opening_) return;
  }
  loop_.post([this] { open_mailbox(); });  // the rest, behind what else is ready
}

void ShardHost::mail(ShardId to, Mail mail) { outgoing_[to].push_back(std::move(mail)); }
bool ShardHost::full(ShardId of) const {
  return of != id_ && (all_[of]->full() || outgoing_[of].size() >= static_cast<std::size_t>(limits_.mailbox_messages));
}
void ShardHost::authenticate(Connection& connection, std::string token, std::string id) {
  authenticate_(*this, connection, std::move(token), std::move(id));
}
void ShardHost::publish(std::string channel, Draft draft) { shard_->publish(channel, std::move(draft), {}); }

void ShardHost::flush() {
  for (int round = 0;; ++round) {
    shard_->take_flushes(flushing_);
    if (flushing_.empty()) return;
    for (Connection* c : flushing_) static_cast<net::WsSocket&>(c->port).offer(batch_);
    batch_.finish();
    flushing_.clear();
    if (round == kFlushRoundsMax) return loop_.post([] {});
  }
}

std::optional<std::uint64_t> ShardHost::quiet() {
  shard_->flush_exits();
  bool more = shard_->owes_sinks() || mailbox_size_.load(std::memory_order_relaxed) != 0;
  for (std::size_t to = 0; to < outgoing_.size(); ++to) {
    more = more || !outgoing_[to].empty();
    all_[to]->put(outgoing_[to]);
  }
  return more ? std::nullopt : std::optional(mails_read_);
}

std::optional<std::int64_t> ShardHost::after_burst() {
  const SteadyMs now = system_clock().steady_ms();
  if ((tick_at_ != 0 && now >= tick_at_) || shard_->counters().opened != opened_seen_) {
    opened_seen_ = shard_->counters().opened;
    const auto next = shard_->tick();
    tick_at_ = next ? now + *next : 0;
  }
  const auto timer = rules_->timers();
  const bool behind = shard_->tell_those_behind(), exits = shard_->flush_exits();
  for (std::size_t to = 0; to < outgoing_.size(); ++to) all_[to]->put(outgoing_[to]);
  flush();
  for (std::size_t to = 0; to < outgoing_.size(); ++to) all_[to]->put(outgoing_[to]);
  gauges_.connections.store(shard_->connections(), std::memory_order_relaxed);
  gauges_.subscriptions.store(shard_->subscribers().subscriptions(), std::memory_order_relaxed);
  gauges_.channels.store(shard_->channels().size(), std::memory_order_relaxed);
  std::optional<std::int64_t> wake;
  if (tick_at_ != 0) wake = std::max<std::int64_t>(0, tick_at_ - now);
  if (const auto due = shard_->flushes_due())
    wake = std::min<std::int64_t>(wake.value_or(kTickMsMax), std::max<std::int64_t>(0, *due - now));
  if (timer) wake = std::min<std::int64_t>(wake.value_or(kTickMsMax), std::max<std::int64_t>(0, *timer - now));
  if (behind) wake = std::min<std::int64_t>(wake.value_or(kBehindRetryMs), kBehindRetryMs);
  if (exits) wake = 0;
  return wake;
}

}  // namespace weir
