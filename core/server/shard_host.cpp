#include "server/shard_host.hpp"

#include <pthread.h>

#include "base/log.hpp"

namespace weir {
namespace {
constexpr int kBehindRetryMs = 10;   // how soon a shard whose mailbox was full is looked at again
constexpr int kFlushRoundsMax = 16;  // replay refills outboxes while they are flushed; others must get their turn too

// What a mail keeps in memory that nothing else counts.
std::size_t weight(const Mail& mail) {
  if (const auto* d = std::get_if<mail::Delivery>(&mail)) return d->event->memory();
  if (const auto* p = std::get_if<std::unique_ptr<mail::Publish>>(&mail)) return (*p)->draft.data.size() + 256;
  return 256;
}
}  // namespace

ShardHost::ShardHost(ShardId id, unsigned count, const Setup& setup, std::uint64_t seed, Authenticate authenticate)
    : id_(id), mailbox_max_(static_cast<std::size_t>(setup.manifest.limits.mailbox_messages)),
      mailbox_bytes_max_(static_cast<std::size_t>(setup.manifest.limits.mailbox_bytes)), authenticate_(std::move(authenticate)) {
  rules_ = std::make_unique<RuleEngine>(setup.programs, static_cast<RuleOutput&>(*this), system_clock(), setup.manifest.limits);
  Shard::Settings s;
  s.id = id;
  s.count = count;
  s.routes = setup.routes;
  s.limits = &setup.manifest.limits;
  s.rules = rules_.get();
  s.clock = &system_clock();
  s.seed = seed;
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

void ShardHost::clear() {
  mailbox_.clear();
  reading_.clear();
  outgoing_.clear();
}

void ShardHost::put(Mail mail) {
  bool first;
  mailbox_bytes_.fetch_add(weight(mail), std::memory_order_relaxed);
  {
    const std::lock_guard lock(mailbox_mutex_);
    first = mailbox_.empty();
    mailbox_.push_back(std::move(mail));
    mailbox_size_.store(mailbox_.size(), std::memory_order_relaxed);
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
    first = mailbox_.empty();
    if (first) mailbox_.swap(mails);
    else for (Mail& m : mails) mailbox_.push_back(std::move(m));
    mailbox_size_.store(mailbox_.size(), std::memory_order_relaxed);
  }
  mails.clear();
  if (first) loop_.post([this] { open_mailbox(); });
}

void ShardHost::open_mailbox() {
  {
    const std::lock_guard lock(mailbox_mutex_);
    reading_.swap(mailbox_);
    mailbox_size_.store(0, std::memory_order_relaxed);
  }
  for (Mail& m : reading_) {
    mailbox_bytes_.fetch_sub(weight(m), std::memory_order_relaxed);
    shard_->deliver(std::move(m));
  }
  reading_.clear();
}

void ShardHost::mail(ShardId to, Mail mail) { outgoing_[to].push_back(std::move(mail)); }
bool ShardHost::full(ShardId of) const { return of != id_ && (all_[of]->full() || outgoing_[of].size() >= mailbox_max_); }
void ShardHost::authenticate(Connection& connection, std::string token, std::string id) {
  authenticate_(*this, connection, std::move(token), std::move(id));
}
void ShardHost::publish(std::string channel, Draft draft) { shard_->publish(channel, std::move(draft), {}); }

void ShardHost::flush() {
  for (int round = 0; !shard_->dirty().empty(); ++round) {
    if (round == kFlushRoundsMax) return loop_.post([] {});
    flushing_.swap(shard_->dirty());
    for (Connection* c : flushing_) {
      c->dirty = false;
      static_cast<net::WsSocket&>(c->port).flush();
    }
    flushing_.clear();
  }
}

std::optional<std::int64_t> ShardHost::after_burst() {
  const SteadyMs now = system_clock().steady_ms();
  if ((tick_at_ != 0 && now >= tick_at_) || shard_->counters().opened != opened_seen_) {
    opened_seen_ = shard_->counters().opened;
    const auto next = shard_->tick();
    tick_at_ = next ? now + *next : 0;
  }
  const bool behind = shard_->tell_those_behind();
  for (std::size_t to = 0; to < outgoing_.size(); ++to) all_[to]->put(outgoing_[to]);
  flush();
  for (std::size_t to = 0; to < outgoing_.size(); ++to) all_[to]->put(outgoing_[to]);
  gauges_.connections.store(shard_->connections(), std::memory_order_relaxed);
  gauges_.subscriptions.store(shard_->subscribers().subscriptions(), std::memory_order_relaxed);
  gauges_.channels.store(shard_->channels().size(), std::memory_order_relaxed);
  std::optional<std::int64_t> wake;
  if (tick_at_ != 0) wake = std::max<std::int64_t>(0, tick_at_ - now);
  if (behind) wake = std::min<std::int64_t>(wake.value_or(kBehindRetryMs), kBehindRetryMs);
  return wake;
}

}  // namespace weir
