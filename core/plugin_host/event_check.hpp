// Looks at what a source hands over before anything else of the hub does: sizes, lengths, UTF-8, JSON.
// Threads: [any].
#pragma once
#include <cstdint>
#include <string>

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
// Empty when the event is right, else what is wrong with it.
std::string wrong_with_event(const weir_event& event, std::uint32_t stride, const EventBounds& bounds);

inline const weir_event& event_at(const weir_event* events, std::uint32_t stride, std::uint32_t index) {
  return *reinterpret_cast<const weir_event*>(reinterpret_cast<const char*>(events) + std::size_t{index} * stride);
}

}  // namespace weir
