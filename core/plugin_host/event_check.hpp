// Looks at what a source hands over before anything else of the hub does: sizes, lengths, UTF-8, JSON.
// Threads: [any].
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "base/json.hpp"
#include "weir/abi/host.h"

namespace weir {

// Lengths in bytes; what is longer is wrong, never cut.
struct EventBounds {
  std::uint64_t subject_max = 1024;
  std::uint64_t name_max = 255;
  std::uint64_t data_max = 1 << 20;  // Limits::data_bytes
  std::uint64_t id_max = 255;
  std::uint64_t key_max = 1024;
  std::uint64_t cursor_max = 4096;
};

// The first size of weir_event, and so the smallest that may come.
inline constexpr std::uint32_t kEventBytesMin = 112;
inline constexpr std::uint32_t kStrideMax = 4096;

// Empty when a batch of this shape can be walked, else what is wrong with it.
std::string wrong_with_batch(const weir_event* events, std::uint32_t stride, std::uint32_t count);
// Empty when the event is right, else what is wrong with it. `made` is then the JSON that its data had to be turned
// into, empty if it is JSON already; `doc` is the index of its JSON, where it has any, and borrows it.
std::string wrong_with_event(const weir_event& event, std::uint32_t stride, const EventBounds& bounds, json::Doc& doc,
                             std::string& made);

// The indexes of a batch's events, so that nobody has to make them again: of the first ones, within bounds.
class BatchIndex {
 public:
  static constexpr std::size_t kEventsMax = 128, kNodesMax = 256 * 1024;
  void begin() { used_ = nodes_ = 0; }
  json::Doc& next() { return keeps() ? docs_[used_] : rest_; }
  void checked() {  // next() is the index of one event more
    if (!keeps()) return;
    nodes_ += docs_[used_].end_index();
    ++used_;
  }
  // Of the events from the first one on; an event without data has an index that is not whole().
  std::span<const json::Doc> kept() const { return {docs_.data(), used_}; }
  void trim();  // between batches: what a large one needed is not kept

 private:
  bool keeps() const { return used_ < kEventsMax && nodes_ < kNodesMax; }
  std::array<json::Doc, kEventsMax> docs_;
  json::Doc rest_;
  std::size_t used_ = 0, nodes_ = 0;
};

inline const weir_event& event_at(const weir_event* events, std::uint32_t stride, std::uint32_t index) {
  return *reinterpret_cast<const weir_event*>(reinterpret_cast<const char*>(events) + std::size_t{index} * stride);
}

}  // namespace weir
