// Which ids came already, within a time and up to a number; the oldest are forgotten first. About 100 bytes each.
// Keeps a hash of 128 bits in place of an id. now_ms: of a clock that is never set, Host::steady_ms().
// Threads: [strand].
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace weir::http_ingest {

struct HashedId {
  std::array<unsigned char, 16> bytes{};
  bool operator==(const HashedId&) const = default;
  struct Hash {
    std::size_t operator()(const HashedId& id) const {  // it is a hash already
      std::size_t out = 0;
      std::memcpy(&out, id.bytes.data(), sizeof out);
      return out;
    }
  };
};
HashedId hashed(std::string_view id);

class SeenIds {
 public:
  // max 0: nothing is remembered.
  SeenIds(std::int64_t window_ms, std::size_t max) : window_ms_(window_ms), max_(max) {}

  // The number of the request that brought this id.
  std::optional<std::uint64_t> find(const HashedId& id, std::int64_t now_ms);
  void remember(const HashedId& id, std::uint64_t number, std::int64_t now_ms);
  // What that request brought did not find a place after all.
  void forget(const HashedId& id, std::uint64_t number);
  // The next one that is remembered makes it forget another too early.
  bool full(std::int64_t now_ms);
  std::size_t size() const { return numbers_.size(); }

 private:
  struct Age {
    HashedId id;
    std::uint64_t number;
    std::int64_t at_ms;
  };
  void drop_oldest();
  void expire(std::int64_t now_ms);

  const std::int64_t window_ms_;
  const std::size_t max_;
  std::unordered_map<HashedId, std::uint64_t, HashedId::Hash> numbers_;
  std::deque<Age> ages_;  // of those in numbers_, and of some that were forgotten
};

}  // namespace weir::http_ingest
