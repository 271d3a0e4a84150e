#include "rules/kv.hpp"

#include <charconv>
#include <cmath>

#include "rules/values.hpp"

namespace weir {
namespace {
constexpr std::size_t kEntryBytes = 112;   // a node of the map and two strings, beside what they hold
constexpr SteadyMs kSweepEveryMs = 1'000;  // what is over and not asked for goes at the latest when room is wanted
}  // namespace

std::size_t Kv::weight(std::string_view key, std::string_view value) { return kEntryBytes + key.size() + value.size(); }

Kv::Part& Kv::part(std::string_view key) { return parts_[std::hash<std::string_view>()(key) % parts_.size()]; }

void Kv::erase(Part& part, StringMap<Entry>::iterator entry) {
  bytes_.fetch_sub(weight(entry->first, entry->second.value), std::memory_order_relaxed);
  entries_.fetch_sub(1, std::memory_order_relaxed);
  part.entries.erase(entry);
}

StringMap<Kv::Entry>::iterator Kv::find(Part& part, std::string_view key, SteadyMs now) {
  const auto found = part.entries.find(key);
  if (found == part.entries.end() || !over(found->second, now)) return found;
  erase(part, found);
  return part.entries.end();
}

// Takes the bytes if there is room, perhaps once what is over in this part has gone.
bool Kv::take_room(Part& part, std::size_t bytes, SteadyMs now) {
  const auto take = [&] {
    if (bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= bytes_max_) return true;
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  };
  if (take()) return true;
  if (now - part.swept_at < kSweepEveryMs) return false;
  part.swept_at = now;
  for (auto entry = part.entries.begin(); entry != part.entries.end();) {
    const auto next = std::next(entry);
    if (over(entry->second, now)) erase(part, entry);
    entry = next;
  }
  return take();
}

Kv::Put Kv::put(Part& part, std::string_view key, std::string_view value, SteadyMs until, SteadyMs now) {
  const auto found = find(part, key, now);
  if (found != part.entries.end()) {
    Entry& e = found->second;
    if (value.size() > e.value.size() && !take_room(part, value.size() - e.value.size(), now)) return Put::full;
    if (value.size() < e.value.size()) bytes_.fetch_sub(e.value.size() - value.size(), std::memory_order_relaxed);
    e.value = value;
    e.until = until;
    return Put::done;
  }
  if (!take_room(part, weight(key, value), now)) return Put::full;
  part.entries.emplace(key, Entry{std::string(value), until});
  entries_.fetch_add(1, std::memory_order_relaxed);
  return Put::done;
}

bool Kv::get(std::string_view key, SteadyMs now, std::string& value) {
  Part& p = part(key);
  const std::lock_guard lock(p.mutex);
  const auto found = find(p, key, now);
  if (found == p.entries.end()) return false;
  value = found->second.value;
  return true;
}

Kv::Put Kv::set(std::string_view key, std::string_view value, SteadyMs until, bool only_new, SteadyMs now) {
  Part& p = part(key);
  const std::lock_guard lock(p.mutex);
  if (only_new && find(p, key, now) != p.entries.end()) return Put::there;
  return put(p, key, value, until, now);
}

void Kv::remove(std::string_view key) {
  Part& p = part(key);
  const std::lock_guard lock(p.mutex);
  if (const auto found = p.entries.find(key); found != p.entries.end()) erase(p, found);
}

std::optional<double> Kv::add(std::string_view key, double by, SteadyMs until, SteadyMs now, bool& not_a_number) {
  Part& p = part(key);
  const std::lock_guard lock(p.mutex);
  double number = 0;
  if (const auto found = find(p, key, now); found != p.entries.end()) {
    const std::string& text = found->second.value;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    not_a_number = read.ec != std::errc() || read.ptr != text.data() + text.size();
    if (not_a_number) return std::nullopt;
    until = found->second.until;
  }
  number += by;
  not_a_number = !std::isfinite(number);
  if (not_a_number) return std::nullopt;
  std::string text;
  rules::append_number(text, number);
  if (put(p, key, text, until, now) != Put::done) return std::nullopt;
  return number;
}

}  // namespace weir
