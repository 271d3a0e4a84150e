#include "routing/flush_list.hpp"

#include <algorithm>

#include "routing/connection.hpp"

namespace weir {

std::vector<Connection*>& FlushList::list_of(const Connection& c) {
  for (Tick& t : ticks_)
    if (t.endpoint == &c.endpoint) return t.held;
  return ticks_.emplace_back(Tick{&c.endpoint, 0, {}}).held;
}

void FlushList::add(Connection& c) {
  if (c.dirty) return;
  c.dirty = true;
  (c.endpoint.tick_ms == 0 ? at_once_ : list_of(c)).push_back(&c);
}

void FlushList::remove(Connection& c) {
  if (!c.dirty) return;
  c.dirty = false;
  std::erase(c.endpoint.tick_ms == 0 ? at_once_ : list_of(c), &c);
}

void FlushList::take(SteadyMs now, std::vector<Connection*>& out) {
  out.swap(at_once_);
  for (Tick& t : ticks_) {
    if (t.held.empty() || now < t.open_at) continue;
    t.open_at = now + t.endpoint->tick_ms;
    out.insert(out.end(), t.held.begin(), t.held.end());
    t.held.clear();
  }
  for (Connection* c : out) c->dirty = false;
}

std::optional<SteadyMs> FlushList::due() const {
  std::optional<SteadyMs> due;
  for (const Tick& t : ticks_)
    if (!t.held.empty() && (!due || t.open_at < *due)) due = t.open_at;
  return due;
}

}  // namespace weir
