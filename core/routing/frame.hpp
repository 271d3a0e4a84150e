// Bytes on their way out of one shard: a whole WebSocket frame (or what Beast writes itself), shared by the outboxes of
// that shard, with its compressed twin where somebody takes that. The count is a plain integer, because a Frame never
// leaves its shard; the event inside may be shared by all. Threads: [shard].
#pragma once
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/deflate.hpp"
#include "protocol/ws_frame.hpp"
#include "routing/event.hpp"

namespace weir {

// Bytes that frames of several connections show, where they are no event's. Counted once. Threads: [shard].
class SharedBytes {
 public:
  SharedBytes(std::shared_ptr<const void> keeps, std::string_view bytes);
  ~SharedBytes();
  SharedBytes(const SharedBytes&) = delete;
  SharedBytes& operator=(const SharedBytes&) = delete;
  std::string_view bytes() const { return bytes_; }

 private:
  std::shared_ptr<const void> keeps_;
  std::string_view bytes_;
};

class Frame : public boost::intrusive_ref_counter<Frame, boost::thread_unsafe_counter> {
 public:
  enum class For : std::uint8_t { one, several };  // connections
  explicit Frame(EventPtr event, For whom = For::one) : event_(std::move(event)), bytes_(event_->frame()), for_(whom) {
    alive_ += bytes_.size();
  }
  explicit Frame(std::shared_ptr<const SharedBytes> shared) : shared_(std::move(shared)), bytes_(shared_->bytes()) {}
  explicit Frame(std::string own) : own_(std::move(own)), bytes_(own_) { alive_ += bytes_.size(); }
  ~Frame() {
    if (!shared_) alive_ -= bytes_.size();
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  std::string_view bytes() const { return bytes_; }
  std::string_view payload() const { return ws_payload(bytes_); }
  bool for_several() const { return for_ == For::several; }

  // The same text message compressed, made when it is asked for first and kept as long as this one; null where that
  // would not be smaller.
  const boost::intrusive_ptr<const Frame>& deflated(Deflater& deflater) const {
    if (!deflate_tried()) deflate(deflater);
    return twin_;
  }
  bool deflate_tried() const { return tried_; }

  // What all frames of this thread hold, each counted once however many outboxes share it: limits.outboxes_bytes.
  static std::size_t alive() { return alive_; }

 private:
  friend class SharedBytes;
  void deflate(Deflater& deflater) const {
    tried_ = true;
    if (const std::string_view payload = deflater.deflate(this->payload()); !payload.empty())
      twin_.reset(new Frame(ws_frame(0x1 | kWsCompressed, payload)));
  }

  static inline thread_local std::size_t alive_ = 0;
  EventPtr event_;
  std::shared_ptr<const SharedBytes> shared_;
  std::string own_;
  std::string_view bytes_;
  mutable boost::intrusive_ptr<const Frame> twin_;
  mutable bool tried_ = false;
  For for_ = For::one;
};

inline SharedBytes::SharedBytes(std::shared_ptr<const void> keeps, std::string_view bytes)
    : keeps_(std::move(keeps)), bytes_(bytes) {
  Frame::alive_ += bytes_.size();
}
inline SharedBytes::~SharedBytes() { Frame::alive_ -= bytes_.size(); }

using FramePtr = boost::intrusive_ptr<const Frame>;
inline FramePtr text_frame(std::string_view json) { return FramePtr(new Frame(ws_frame(0x1, json))); }

}  // namespace weir
