// One event at its place in a channel: immutable, encoded once, shared by history and every connection.
// One buffer holds all of it: the WebSocket frame of the native protocol, ready to send (so the payload is copied
// once). The few fields that filters and replay look at are places in it; one that had to be escaped there stands
// behind the frame once more, as it is. Threads: [any]; immutable.
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
  // `draft.data` must be JSON, `epoch` plain ASCII; `draft.time_ms` must be set. `id` stands for draft.id.
  Event(std::string_view channel, std::string_view epoch, SequenceId sequence_id, const Draft& draft,
        std::string_view id);
  Event(std::string_view channel, std::string_view epoch, SequenceId sequence_id, const Draft& draft)
      : Event(channel, epoch, sequence_id, draft, draft.id) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  SequenceId sequence_id() const { return sequence_id_; }
  UnixMs time_ms() const { return time_ms_; }
  std::string_view channel() const { return view(channel_); }
  std::string_view name() const { return view(name_); }
  std::string_view id() const { return view(id_); }
  std::string_view key() const { return view(key_); }
  std::string_view data() const { return view(data_); }
  std::string_view frame() const { return {bytes_.get(), frame_size_}; }  // with isReplay false
  std::string replay_frame() const;                                       // with isReplay true
  std::size_t memory() const { return sizeof(Event) + size_; }

 private:
  struct Span {
    std::uint32_t begin = 0, size = 0;
  };
  std::string_view view(Span s) const { return {bytes_.get() + s.begin, s.size}; }

  std::unique_ptr<char[]> bytes_;
  std::uint32_t size_ = 0, frame_size_ = 0, header_size_ = 0, replay_at_ = 0;
  Span channel_, name_, id_, key_, data_;
  SequenceId sequence_id_;
  UnixMs time_ms_;
};

using EventPtr = std::shared_ptr<const Event>;

}  // namespace weir
