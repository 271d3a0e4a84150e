#include "plugin_host/pending.hpp"

#include <chrono>
#include <utility>

namespace weir {

PendingCalls::PendingCalls() : thread_([this] { watch_deadlines(); }) {}

PendingCalls::~PendingCalls() { close(); }

PendingCalls::Slot* PendingCalls::find(std::uint64_t token) {
  const auto index = static_cast<std::uint32_t>(token);
  if (index >= slots_.size()) return nullptr;
  Slot& slot = slots_[index];
  return slot.active && slot.generation == static_cast<std::uint32_t>(token >> 32) ? &slot : nullptr;
}

PendingCalls::Callback PendingCalls::take(std::uint64_t token) {
  Slot& slot = *find(token);
  auto [it, end] = deadlines_.equal_range(slot.deadline);
  while (it != end && it->second != token) ++it;
  if (it != end) deadlines_.erase(it);
  slot.active = false;
  if (++slot.generation == 0) slot.generation = 1;  // so that no token is ever 0
  free_.push_back(static_cast<std::uint32_t>(token));
  return std::exchange(slot.callback, nullptr);
}

std::uint64_t PendingCalls::add(std::uint32_t deadline_ms, Callback callback) {
  const std::lock_guard lock(mutex_);
  if (closed_) return 0;
  if (free_.empty()) {
    if (slots_.size() >= kWaitingMax) return 0;
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.active = true;
  slot.callback = std::move(callback);
  slot.deadline = system_clock().steady_ms() + deadline_ms;
  const std::uint64_t token = std::uint64_t{slot.generation} << 32 | index;
  const auto it = deadlines_.emplace(slot.deadline, token);
  if (it == deadlines_.begin()) changed_.notify_one();
  return token;
}

bool PendingCalls::answer(std::uint64_t token, std::int32_t status, std::string_view json) {
  Callback callback;
  {
    const std::lock_guard lock(mutex_);
    if (find(token) == nullptr) {
      ++late_;
      return false;
    }
    callback = take(token);
  }
  callback(How::answered, token, status, json);
  return true;
}

bool PendingCalls::waiting(std::uint64_t token) const {
  const std::lock_guard lock(mutex_);
  return const_cast<PendingCalls*>(this)->find(token) != nullptr;
}

bool PendingCalls::idle() const {
  const std::lock_guard lock(mutex_);
  return deadlines_.empty();
}

std::uint64_t PendingCalls::late() const {
  const std::lock_guard lock(mutex_);
  return late_;
}

void PendingCalls::close() {
  std::vector<std::pair<std::uint64_t, Callback>> left;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    while (!deadlines_.empty()) {
      const std::uint64_t token = deadlines_.begin()->second;
      left.emplace_back(token, take(token));
    }
    changed_.notify_one();
  }
  for (const auto& [token, callback] : left) callback(How::closed, token, 0, {});
  if (thread_.joinable()) thread_.join();  // a deadline's callback may be under way
}

void PendingCalls::watch_deadlines() {
  std::unique_lock lock(mutex_);
  while (!closed_) {
    if (deadlines_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto [due, token] = *deadlines_.begin();
    const SteadyMs left = due - system_clock().steady_ms();
    if (left > 0) {
      changed_.wait_for(lock, std::chrono::milliseconds(left));
      continue;
    }
    const Callback callback = take(token);
    lock.unlock();
    callback(How::deadline, token, 0, {});
    lock.lock();
  }
}

}  // namespace weir
