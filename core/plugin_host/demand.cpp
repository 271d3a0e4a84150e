#include "plugin_host/demand.hpp"

#include <utility>

namespace weir {

void Demand::want(std::string subject, std::string who, Awake awake_fn, std::function<void()> asleep) {
  ports_.post([this, subject = std::move(subject), who = std::move(who), awake_fn = std::move(awake_fn),
               asleep = std::move(asleep)]() mutable {
    const auto [it, fresh] = entries_.try_emplace(subject);
    Entry& e = it->second;
    if (e.timer != 0) ports_.timer_cancel(std::exchange(e.timer, 0));
    e.wanted_by.insert(who);
    e.asleep[who] = std::move(asleep);
    if (!fresh && e.answered) return awake_fn({});
    e.waiting.push_back(std::move(awake_fn));
    if (!fresh) return;
    e.life = ++lives_;
    ports_.activate(subject, [this, subject, life = e.life](Result<void> how) {
      ports_.post([this, subject, life, how = std::move(how)] { awake(subject, life, how); });
    });
  });
}

void Demand::awake(const std::string& subject, std::uint64_t life, const Result<void>& how) {
  const auto it = entries_.find(subject);
  if (it == entries_.end() || it->second.life != life || it->second.answered) return;
  Entry& e = it->second;
  e.answered = true;
  const auto waiting = std::exchange(e.waiting, {});
  if (!how) {  // whoever asks again is looked for again
    if (e.timer != 0) ports_.timer_cancel(e.timer);
    entries_.erase(it);
  }
  for (const Awake& each : waiting) each(how);
}

void Demand::unwant(std::string subject, std::string who) {
  ports_.post([this, subject = std::move(subject), who = std::move(who)] {
    const auto it = entries_.find(subject);
    if (it == entries_.end()) return;
    Entry& e = it->second;
    e.wanted_by.erase(who);
    if (e.wanted_by.empty() && e.timer == 0)
      e.timer = ports_.timer_start(linger_ms_, [this, subject] { let_go(subject); });
  });
}

void Demand::let_go(const std::string& subject) {
  const auto it = entries_.find(subject);
  if (it == entries_.end() || !it->second.wanted_by.empty()) return;
  Entry gone = std::move(it->second);
  entries_.erase(it);
  ports_.deactivate(subject);
  for (const Awake& each : gone.waiting) each({});
  for (const auto& [who, asleep] : gone.asleep) asleep();
}

}  // namespace weir
