// One event at its place in a channel: immutable, encoded once, shared by history and every connection.
// One piece of memory holds all of it: behind the few numbers lies the WebSocket frame of the native protocol, ready to
// send (so the payload is copied once). The few fields that filters and replay look at are places in it; one that had
// to be escaped there stands behind the frame once more, as it is. Threads: [any]; immutable.
#pragma once
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/position.hpp"
#include "routing/draft.hpp"

namespace weir {

class Event;
using EventPtr = boost::intrusive_ptr<const Event>;

class Event : public boost::intrusive_ref_counter<Event, boost::thread_safe_counter> {
 public:
  // `draft.data` must be JSON, `epoch` plain ASCII; `draft.time_ms` must be set. `id` stands for draft.id.
  static EventPtr make(std::string_view channel, std::string_view epoch, SequenceId sequence_id, const Draft& draft,
                       std::string_view id);
  static EventPtr make(std::string_view channel, std::string_view epoch, SequenceId sequence_id, const Draft& draft) {
    return make(channel, epoch, sequence_id, draft, draft.id);
  }
  static void operator delete(void* memory) { ::operator delete(memory); }  // it is larger than sizeof(Event)
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  SequenceId sequence_id() const { return sequence_id_; }
  UnixMs time_ms() const { return time_ms_; }
  std::string_view channel() const { return view(channel_); }
  std::string_view name() const { return view(name_); }
  std::string_view id() const { return view(id_); }
  std::string_view key() const { return view(key_); }
  std::string_view data() const { return view(data_); }
  std::string_view frame() const { return {bytes(), frame_size_}; }  // with isReplay false
  std::string replay_frame() const;                                  // with isReplay true
  std::size_t memory() const { return sizeof(Event) + size_; }

 private:
  struct Span {
    std::uint32_t begin = 0, size = 0;
  };
  std::string_view view(Span s) const { return {bytes() + s.begin, s.size}; }

  Event(SequenceId sequence_id, UnixMs time_ms) : sequence_id_(sequence_id), time_ms_(time_ms) {}
  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }

  std::uint32_t size_ = 0, frame_size_ = 0, header_size_ = 0, replay_at_ = 0;
  Span channel_, name_, id_, key_, data_;
  SequenceId sequence_id_;
  UnixMs time_ms_;
};

}  // namespace weir
