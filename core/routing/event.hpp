// One event at its place in a channel: immutable, encoded once, shared by history and every connection.
// One buffer holds all of it: the WebSocket frame of the native protocol, ready to send (so the payload is copied
// once), and behind it the few fields that filters and replay look at. Threads: [any]; immutable.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/position.hpp"
#include "routing/draft.hpp"

namespace weir {

class Event {
 public:
  // `draft.data` must be JSON; `draft.id` and `draft.time_ms` must be set.
  Event(std::string_view channel, std::string_view epoch, SequenceId sequence_id, const Draft& draft);
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  SequenceId sequence_id() const { return sequence_id_; }
  UnixMs time_ms() const { return time_ms_; }
  std::string_view channel() const { return view(channel_); }
  std::string_view name() const { return view(name_); }
  std::string_view id() const { return view(id_); }
  std::string_view key() const { return view(key_); }
  std::string_view data() const { return view(data_); }
  std::string_view frame() const { return std::string_view(bytes_).substr(0, frame_size_); }  // with isReplay false
  std::string replay_frame() const;                                                           // with isReplay true
  std::size_t memory() const { return sizeof(Event) + bytes_.capacity(); }

 private:
  struct Span {
    std::uint32_t begin = 0, size = 0;
  };
  std::string_view view(Span s) const { return std::string_view(bytes_).substr(s.begin, s.size); }
  Span keep(std::string_view text);

  std::string bytes_;
  std::uint32_t frame_size_ = 0, header_size_ = 0, replay_at_ = 0;
  Span channel_, name_, id_, key_, data_;
  SequenceId sequence_id_;
  UnixMs time_ms_;
};

using EventPtr = std::shared_ptr<const Event>;

}  // namespace weir
