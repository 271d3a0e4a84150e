#include "routing/audience.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace weir {
namespace {
// A filter that would have to stand in more places than this is asked instead: a list is cheap to search, and the index
// must not grow far beyond the filters themselves.
constexpr std::size_t kKeysMax = 1024;

// What the attachment wants in all: null for everything.
FilterPtr wanted(const Attachment& a) {
  if (a.grants.size() == 1) return a.grants[0].filter;
  std::vector<FilterPtr> filters;
  for (const Grant& g : a.grants) {
    if (!g.filter) return nullptr;
    filters.push_back(g.filter);
  }
  return Filter::either(filters);
}
}  // namespace

Audience::Audience() = default;
Audience::~Audience() = default;

void Audience::put(Attachment& a) {
  WEIR_ASSERT(!walking_);
  if (a.audience_group != nullptr) remove(a);
  const FilterPtr filter = wanted(a);
  Group& g = filter ? group(filter) : everything_;
  a.audience_group = &g;
  a.audience_index = static_cast<std::uint32_t>(g.members.size());
  g.members.push_back({&a, a.connection});
  ++size_;
}

void Audience::remove(Attachment& a) {
  Group& g = *static_cast<Group*>(a.audience_group);
  g.members[a.audience_index] = g.members.back();
  g.members[a.audience_index].attachment->audience_index = a.audience_index;
  g.members.pop_back();
  a.audience_group = nullptr;
  --size_;
  if (!g.members.empty() || &g == &everything_) return;
  if (walking_)
    left_empty_.push_back(&g);
  else
    drop(g);
}

Attachment& Audience::any() const {
  WEIR_ASSERT(size_ != 0);
  if (!everything_.members.empty()) return *everything_.members.back().attachment;
  return *groups_.begin()->second->members.back().attachment;  // none is empty between two calls
}

Audience::Group& Audience::group(const FilterPtr& filter) {
  if (const auto found = groups_.find(filter->text()); found != groups_.end()) return *found->second;
  auto made = std::make_unique<Group>();
  made->filter = filter;
  Group& g = *made;
  groups_.emplace(filter->text(), std::move(made));  // the text lives as long as the group
  index(g);
  return g;
}

void Audience::index(Group& g) {
  const auto cover = g.filter->cover(kKeysMax);
  if (!cover) {
    g.asked_index = static_cast<std::uint32_t>(asked_.size());
    asked_.push_back(&g);
    return;
  }
  g.exact = cover->exact;
  for (const auto& [place, key] : cover->keys) {
    std::size_t at = 0, free = places_.size();
    for (; at < places_.size(); ++at) {
      if (places_[at] == nullptr)
        free = at;
      else if (places_[at]->place == *place)
        break;
    }
    if (at == places_.size()) {
      at = free;
      if (at == places_.size()) places_.emplace_back();
      places_[at] = std::make_unique<PlaceIndex>(PlaceIndex{*place, {}});
    }
    auto& groups = places_[at]->groups[key];
    if (std::find(groups.begin(), groups.end(), &g) != groups.end()) continue;  // a value that is listed twice
    groups.push_back(&g);
    g.keys.emplace_back(at, key);
  }
}

void Audience::drop(Group& g) {
  if (g.asked_index < asked_.size() && asked_[g.asked_index] == &g) {
    asked_[g.asked_index] = asked_.back();
    asked_[g.asked_index]->asked_index = g.asked_index;
    asked_.pop_back();
  }
  for (const auto& [at, key] : g.keys) {
    auto& groups = places_[at]->groups;
    const auto found = groups.find(key);
    std::erase(found->second, &g);
    if (found->second.empty()) groups.erase(found);
    if (groups.empty()) places_[at].reset();
  }
  while (!places_.empty() && places_.back() == nullptr) places_.pop_back();
  groups_.erase(groups_.find(g.filter->text()));
}

void Audience::sweep() {
  for (Group* g : left_empty_) drop(*g);  // each once: nobody is put while walking
  left_empty_.clear();
}

void Audience::find(const EventView& event) {
  ++serial_;
  for (const auto& index : places_) {
    if (index == nullptr) continue;
    Filter::each_value(index->place, event, scratch_, [&](std::string_view key) {
      const auto at = index->groups.find(key);
      if (at == index->groups.end()) return;
      for (Group* g : at->second) {
        if (g->seen == serial_) continue;  // found by another of its equalities, or an array holds the value twice
        if (!g->exact && !g->filter->matches(event)) continue;
        g->seen = serial_;
        found_.push_back(g);
      }
    });
  }
  for (Group* g : asked_)
    if (g->filter->matches(event)) found_.push_back(g);
}

}  // namespace weir
