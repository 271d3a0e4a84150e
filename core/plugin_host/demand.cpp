#include "plugin_host/demand.hpp"

namespace weir {

void Demand::want(std::string subject, std::string who, Awake awake_fn, std::function<void()> asleep) {
  wish(std::move(subject), std::move(who), {true, std::move(awake_fn), std::move(asleep)});
}

void Demand::unwant(std::string subject, std::string who) { wish(std::move(subject), std::move(who), {}); }

void Demand::wish(std::string subject, std::string who, Wish wish) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = wishes_.empty();
    Wish& last = wishes_[{std::move(subject), std::move(who)}];
    if (!wish.wanted) wish.asleep = std::move(last.asleep);
    last = std::move(wish);
  }
  if (first) ports_.post([this] { look(); });
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
  const auto [it, fresh] = entries_.try_emplace(subject);
  Entry& e = it->second;
  if (e.timer != 0) ports_.timer_cancel(std::exchange(e.timer, 0));
  e.wanted_by.insert(who);
  e.asleep[who] = std::move(wish.asleep);
  if (!fresh && e.answered) return wish.awake({});
  e.waiting.push_back(std::move(wish.awake));
  if (!fresh) return;
  e.activation = ++activations_;
  asked_[e.activation] = subject;
  // One by one: what else waits for the strand has its turn between them.
  ports_.post([this, subject, activation = e.activation] { ports_.activate(subject, activation); });
}

void Demand::answered(std::uint32_t activation, Result<void> how) {
  ports_.post([this, activation, how = std::move(how)] { awake(activation, how); });
}

void Demand::awake(std::uint32_t activation, const Result<void>& how) {
  const auto asked = asked_.find(activation);
  if (asked == asked_.end()) return;
  const auto it = entries_.find(asked->second);
  asked_.erase(asked);
  Entry& e = it->second;
  e.answered = true;
  const auto waiting = std::exchange(e.waiting, {});
  if (!how) {  // whoever asks again is looked for again
    if (e.timer != 0) ports_.timer_cancel(e.timer);
    entries_.erase(it);
  }
  for (const Awake& each : waiting) each(how);
}

void Demand::unwant_now(const std::string& subject, const std::string& who, Wish wish) {
  const auto it = entries_.find(subject);
  if (it == entries_.end()) {
    if (wish.asleep) wish.asleep();  // `who` believes that it was asked for
    return;
  }
  Entry& e = it->second;
  e.wanted_by.erase(who);
  if (wish.asleep) e.asleep[who] = std::move(wish.asleep);
  if (e.wanted_by.empty() && e.timer == 0)
    e.timer = ports_.timer_start(linger_ms_, [this, subject] { let_go(subject); });
}

void Demand::let_go(const std::string& subject) {
  const auto it = entries_.find(subject);
  if (it == entries_.end() || !it->second.wanted_by.empty()) return;
  const Entry gone = std::move(it->second);
  entries_.erase(it);
  asked_.erase(gone.activation);
  // Behind its activation, which may be in the queue still.
  ports_.post([this, subject, told = gone.asleep] {
    ports_.deactivate(subject);
    for (const auto& [who, asleep] : told) asleep();
  });
}

}  // namespace weir
