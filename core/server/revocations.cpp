#include "server/revocations.hpp"

namespace weir {

Revocations::Mark Revocations::mark() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

void Revocations::add(std::string_view provider, std::string_view key, std::string_view reason) {
  const SteadyMs now = clock_.steady_ms();
  const std::lock_guard lock(mutex_);
  while (!entries_.empty() && (entries_.front().at + keep_ms_ < now || entries_.size() >= kRevocationsMax))
    entries_.pop_front();
  entries_.push_back({++last_, now, std::string(provider), std::string(key), std::string(reason)});
}

std::optional<std::string> Revocations::since(Mark mark, const Identity& identity) const {
  const std::lock_guard lock(mutex_);
  for (auto e = entries_.rbegin(); e != entries_.rend() && e->number > mark; ++e)
    if (e->provider == identity.provider && e->key == identity.key) return e->reason;
  return std::nullopt;
}

std::size_t Revocations::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace weir
