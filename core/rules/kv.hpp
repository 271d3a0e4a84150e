// `hub.kv`: what rules remember together, on all shards and whatever channel they run for. Bounded by limits.kv_bytes:
// at it nothing more is taken, and nothing that was promised to last is thrown away for it. Threads: [any]; a lock for
// each of 64 parts, held for one lookup.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/string_map.hpp"

namespace weir {

class Kv {
 public:
  static constexpr std::size_t kKeyBytesMax = 255;
  explicit Kv(std::int64_t bytes_max) : bytes_max_(static_cast<std::size_t>(bytes_max)) {}
  Kv(const Kv&) = delete;
  Kv& operator=(const Kv&) = delete;

  // What an entry holds is JSON text. `until`: when it is gone; 0: never.
  bool get(std::string_view key, SteadyMs now, std::string& value);
  enum class Put : std::uint8_t { done, there, full };
  // only_new: one that is there stays as it is.
  Put set(std::string_view key, std::string_view value, SteadyMs until, bool only_new, SteadyMs now);
  void remove(std::string_view key);
  // Adds to a number, which is 0 where there is none; an entry that is there keeps its time. Returns the new one.
  // Nothing: full, or not_a_number is set.
  std::optional<double> add(std::string_view key, double by, SteadyMs until, SteadyMs now, bool& not_a_number);

  void set_bytes_max(std::int64_t bytes_max) { bytes_max_ = static_cast<std::size_t>(bytes_max); }
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  std::size_t entries() const { return entries_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    std::string value;
    SteadyMs until = 0;
  };
  struct Part {
    std::mutex mutex;
    StringMap<Entry> entries;
    SteadyMs swept_at = 0;
  };
  static bool over(const Entry& e, SteadyMs now) { return e.until != 0 && e.until <= now; }
  static std::size_t weight(std::string_view key, std::string_view value);
  Part& part(std::string_view key);
  void erase(Part& part, StringMap<Entry>::iterator entry);
  bool take_room(Part& part, std::size_t bytes, SteadyMs now);
  Put put(Part& part, std::string_view key, std::string_view value, SteadyMs until, SteadyMs now);
  StringMap<Entry>::iterator find(Part& part, std::string_view key, SteadyMs now);

  std::atomic<std::size_t> bytes_max_;
  std::atomic<std::size_t> bytes_{0}, entries_{0};
  std::array<Part, 64> parts_;
};

}  // namespace weir
