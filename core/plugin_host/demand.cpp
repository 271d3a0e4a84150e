#include "plugin_host/demand.hpp"

#include <algorithm>

namespace weir {

bool Demand::want(std::string subject, std::string who, Awake awake_fn, std::function<void()> asleep) {
  Wish wanted{true, std::move(awake_fn), std::move(asleep)};
  if (wish(std::move(subject), std::move(who), wanted)) return true;
  wanted.awake(fail(Errc::unavailable, "too many wait for the source"), false);
  return false;
}

void Demand::unwant(std::string subject, std::string who) {
  Wish none;
  wish(std::move(subject), std::move(who), none);
}

// False, and `wish` is not taken: there is no room for it. Who wanted something before may always take it back.
bool Demand::wish(std::string subject, std::string who, Wish& wish) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = wishes_.empty();
    std::pair<std::string, std::string> key(std::move(subject), std::move(who));
    if (wish.wanted && wishes_.size() >= kWishesMax && !wishes_.contains(key)) return false;
    Wish& last = wishes_[std::move(key)];
    if (!wish.wanted) wish.asleep = std::move(last.asleep);
    last = std::move(wish);
  }
  if (first) ports_.post([this] { look(); });
  return true;
}

void Demand::look() {
  decltype(wishes_) wishes;
  {
    const std::lock_guard lock(mutex_);
    wishes.swap(wishes_);
  }
  for (auto& [what, wish] : wishes) {
    if (wish.wanted)
      want_now(what.first, what.second, std::move(wish));
    else
      unwant_now(what.first, what.second, std::move(wish));
  }
}

void Demand::want_now(const std::string& subject, const std::string& who, Wish wish) {
  Entry& e = entries_[subject];
  if (e.timer != 0) ports_.timer_cancel(std::exchange(e.timer, 0));
  Interest& interest = e.of[who];
  if (!std::exchange(interest.wanted, true)) ++e.wanted;
  interest.asleep = std::move(wish.asleep);
  if (e.at_work) return wish.awake({}, false);
  interest.awake = std::move(wish.awake);
  activate(subject);  // at once, also where the next attempt would come later
}

void Demand::activate(const std::string& subject) {
  const auto it = entries_.find(subject);
  if (it == entries_.end()) return;
  Entry& e = it->second;
  if (e.activation != 0 || e.wanted == 0) return;  // a timer that was cancelled too late
  e.timer = 0;
  e.activation = ++activations_;
  {
    const std::lock_guard lock(mutex_);
    asked_[e.activation] = subject;
  }
  // One by one: what else waits for the strand has its turn between them.
  ports_.post([this, subject, activation = e.activation] { ports_.activate(subject, activation); });
}

void Demand::answered(std::uint32_t activation, Result<void> how) {
  std::string subject;
  {
    const std::lock_guard lock(mutex_);
    auto asked = asked_.extract(activation);
    if (asked.empty()) return void(++late_);  // what a plugin says again and again must not reach its strand's queue
    subject = std::move(asked.mapped());
  }
  ports_.post(
      [this, subject = std::move(subject), activation, how = std::move(how)] { awake(subject, activation, how); });
}

void Demand::awake(const std::string& subject, std::uint32_t activation, const Result<void>& how) {
  const auto it = entries_.find(subject);
  if (it == entries_.end() || it->second.activation != activation) return;  // it has been let go of meanwhile
  Entry& e = it->second;
  e.at_work = how.has_value();
  for (auto& [who, interest] : e.of) {
    if (interest.awake) interest.awake(how, e.failed != 0);
    if (how) interest.awake = nullptr;
  }
  if (how) return;
  e.activation = 0;
  if (how.error().code != Errc::unavailable) return forget(it);
  if (e.wanted == 0) return;  // it lingers
  const std::int64_t wait_ms = std::min(kAgainMinMs << std::min(e.failed++, 16U), kAgainMaxMs);
  e.timer = ports_.timer_start(wait_ms, [this, subject] { activate(subject); });
}

// It is not active. Whoever asks again is looked for again; those who have left hear that it is over.
void Demand::forget(std::map<std::string, Entry>::iterator it) {
  if (it->second.timer != 0) ports_.timer_cancel(it->second.timer);
  const Entry gone = std::move(it->second);
  entries_.erase(it);
  for (const auto& [who, interest] : gone.of)
    if (!interest.wanted && interest.asleep) interest.asleep();
}

void Demand::unwant_now(const std::string& subject, const std::string& who, Wish wish) {
  const auto it = entries_.find(subject);
  if (it == entries_.end()) {
    if (wish.asleep) wish.asleep();  // `who` believes that it was asked for
    return;
  }
  Entry& e = it->second;
  if (wish.asleep) e.of[who].asleep = std::move(wish.asleep);
  if (const auto found = e.of.find(who); found != e.of.end()) {
    found->second.awake = nullptr;
    if (std::exchange(found->second.wanted, false)) --e.wanted;
  }
  if (e.wanted != 0) return;
  if (e.activation == 0 && e.timer != 0) ports_.timer_cancel(std::exchange(e.timer, 0));  // of the next attempt
  if (e.timer == 0) e.timer = ports_.timer_start(linger_ms_, [this, subject] { let_go(subject); });
}

void Demand::let_go(const std::string& subject) {
  const auto it = entries_.find(subject);
  if (it == entries_.end() || it->second.wanted != 0) return;
  it->second.timer = 0;
  if (it->second.activation == 0) return forget(it);
  const Entry gone = std::move(it->second);
  entries_.erase(it);
  {
    const std::lock_guard lock(mutex_);
    asked_.erase(gone.activation);
  }
  // Behind its activation, which may be in the queue still.
  ports_.post([this, subject, told = gone.of] {
    ports_.deactivate(subject);
    for (const auto& [who, interest] : told)
      if (interest.asleep) interest.asleep();
  });
}

}  // namespace weir
