#include "demand.hpp"

#include <algorithm>

#include "subject.hpp"

namespace weir::nats {
namespace {
std::vector<std::string> unique(std::vector<std::string> list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}
}  // namespace

void Demand::always(const std::string& subject) {
  if (!wanted_.try_emplace(subject, true).second) return;
  ++always_;
  (void)add(subject);
}

std::vector<std::string> Demand::activate(const std::string& subject) {
  if (!wanted_.try_emplace(subject, false).second) return {};
  return add(subject);
}

std::vector<std::string> Demand::add(const std::string& subject) {
  std::vector<std::string> moved;
  if (covered(subject)) return moved;
  std::vector<std::uint32_t> narrower;
  if (has_wildcards(subject))
    for (const auto& [id, s] : subscriptions_)
      if (covers(subject, s.subject)) narrower.push_back(id);
  // First the new one, then away with the old: what comes meanwhile comes twice rather than not at all, and the second
  // one is told by its number.
  subscribe(subject);
  for (const std::uint32_t id : narrower) {
    forget(id, moved);
    upstream_.leave(id);
  }
  if (narrower.empty()) return moved;
  for (const auto& [other, always] : wanted_)
    if (covers(subject, other)) moved.push_back(other);
  std::erase(moved, subject);  // it has only just begun
  return unique(std::move(moved));
}

std::vector<std::string> Demand::deactivate(const std::string& subject) {
  std::vector<std::string> moved;
  const auto found = wanted_.find(subject);
  if (found == wanted_.end() || found->second) return moved;
  wanted_.erase(found);
  const auto subscribed = by_subject_.find(subject);
  if (subscribed == by_subject_.end()) return moved;
  const std::uint32_t gone = subscribed->second;
  forget(gone, moved);
  if (has_wildcards(subject)) {
    // The widest of those that it covered stand for themselves now, unless some other one covers them.
    std::vector<std::string> narrower, wild;
    for (const auto& [other, always] : wanted_)
      if (covers(subject, other)) {
        narrower.push_back(other);
        if (has_wildcards(other)) wild.push_back(other);
      }
    for (const auto& other : narrower) {
      const bool widest =
          std::none_of(wild.begin(), wild.end(), [&](const std::string& w) { return w != other && covers(w, other); });
      if (widest && !covered(other)) subscribe(other);
    }
    moved.insert(moved.end(), narrower.begin(), narrower.end());
  }
  upstream_.leave(gone);
  return unique(std::move(moved));
}

bool Demand::takes(std::uint32_t subscription, std::string_view subject) const {
  const auto found = subscriptions_.find(subscription);
  if (found == subscriptions_.end()) return false;
  if (once_) return true;
  return std::none_of(found->second.before.begin(), found->second.before.end(), [&](std::uint32_t id) {
    const auto older = subscriptions_.find(id);
    return older != subscriptions_.end() && matches(older->second.subject, subject);
  });
}

std::vector<std::string> Demand::active() const {
  std::vector<std::string> out;
  for (const auto& [subject, always] : wanted_)
    if (!always) out.push_back(subject);
  return out;
}

bool Demand::covered(std::string_view subject) const {
  return by_subject_.contains(std::string(subject)) || std::any_of(wild_.begin(), wild_.end(), [&](std::uint32_t id) {
           return covers(subscriptions_.at(id).subject, subject);
         });
}

void Demand::subscribe(const std::string& subject) {
  const std::uint32_t id = upstream_.subscribe(subject);
  Subscription made{subject, {}};
  if (has_wildcards(subject)) {
    for (const std::uint32_t other : wild_)
      if (overlap(subscriptions_.at(other).subject, subject)) made.before.push_back(other);
    wild_.push_back(id);
  }
  subscriptions_.emplace(id, std::move(made));
  by_subject_[subject] = id;
}

// `moved` gets those whose messages it had taken for them.
void Demand::forget(std::uint32_t id, std::vector<std::string>& moved) {
  const std::string subject = subscriptions_.at(id).subject;
  by_subject_.erase(subject);
  subscriptions_.erase(id);
  if (std::erase(wild_, id) == 0) return;
  for (const std::uint32_t other : wild_) {
    Subscription& s = subscriptions_.at(other);
    if (std::erase(s.before, id) == 0) continue;
    for (const auto& [wanted, always] : wanted_)
      if (covers(s.subject, wanted) && overlap(wanted, subject)) moved.push_back(wanted);
  }
}

}  // namespace weir::nats
