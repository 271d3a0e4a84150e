#include "routing/event.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/json.hpp"
#include "protocol/ws_frame.hpp"

namespace weir {
namespace {
// A text as it stands between the quotes of a JSON string. Few need escaping.
class Quotable {
 public:
  explicit Quotable(std::string_view text) : raw_(text), inside_(text) {
    if (json::needs_no_escape(text)) return;
    json::append_string(escaped_, text);
    inside_ = std::string_view(escaped_).substr(1, escaped_.size() - 2);
  }
  Quotable(const Quotable&) = delete;
  Quotable& operator=(const Quotable&) = delete;
  std::string_view raw() const { return raw_; }
  std::string_view inside() const { return inside_; }
  std::size_t size() const { return inside_.size(); }
  std::size_t size_behind() const { return escaped_.empty() ? 0 : raw_.size(); }

 private:
  std::string_view raw_, inside_;
  std::string escaped_;
};

constexpr std::string_view kChannel = "{\"type\":\"event\",\"channel\":\"", kName = "\",\"event\":\"",
                           kId = "\",\"id\":\"", kKey = "\",\"key\":\"", kEpoch = "\",\"epoch\":\"",
                           kNumber = "\",\"sequenceId\":", kTime = ",\"emittedAt\":\"",
                           kReplay = "\",\"isReplay\":", kFalse = "false", kData = ",\"data\":";
}  // namespace

// The size is counted first, and then every byte is written once, where it stays.
EventPtr Event::make(std::string_view channel, std::string_view epoch, SequenceId sequence_id, const Draft& draft,
                     std::string_view id) {
  const Quotable channel_text(channel), name_text(draft.event), id_text(id), key_text(draft.key);
  char digits[20];
  const std::string_view number(digits, std::to_chars(digits, digits + sizeof digits, sequence_id).ptr);
  const std::size_t text_size = kChannel.size() + channel_text.size() + kName.size() + name_text.size() + kId.size() +
                                id_text.size() + (draft.key.empty() ? 0 : kKey.size() + key_text.size()) +
                                kEpoch.size() + epoch.size() + kNumber.size() + number.size() + kTime.size() +
                                kIso8601Bytes + kReplay.size() + kFalse.size() + kData.size() + draft.data.size() + 1;
  char header[kWsHeaderMax];
  const std::size_t header_size = ws_header(header, 0x1, text_size), frame_size = header_size + text_size;
  const std::size_t size = frame_size + channel_text.size_behind() + name_text.size_behind() + id_text.size_behind() +
                           key_text.size_behind();

  auto* const event = new (::operator new(sizeof(Event) + size)) Event(sequence_id, draft.time_ms);
  EventPtr made(event);
  event->size_ = static_cast<std::uint32_t>(size);
  event->frame_size_ = static_cast<std::uint32_t>(frame_size);
  event->header_size_ = static_cast<std::uint32_t>(header_size);
  char* const begin = reinterpret_cast<char*>(event + 1);
  char* to = begin;
  char* behind = to + frame_size;
  const auto span_at = [begin](const char* at, std::size_t bytes) {
    return Span{static_cast<std::uint32_t>(at - begin), static_cast<std::uint32_t>(bytes)};
  };
  const auto put = [&](std::string_view text) { to = std::copy(text.begin(), text.end(), to); };
  const auto put_name = [&](const Quotable& text) {
    char* at = std::exchange(to, to + text.size());
    std::copy(text.inside().begin(), text.inside().end(), at);
    if (text.size_behind() != 0) at = std::exchange(behind, std::copy(text.raw().begin(), text.raw().end(), behind));
    return span_at(at, text.raw().size());
  };
  put({header, header_size});
  put(kChannel);
  event->channel_ = put_name(channel_text);
  put(kName);
  event->name_ = put_name(name_text);
  put(kId);
  event->id_ = put_name(id_text);
  if (!draft.key.empty()) {
    put(kKey);
    event->key_ = put_name(key_text);
  }
  put(kEpoch);
  put(epoch);
  put(kNumber);
  put(number);
  put(kTime);
  write_iso8601(to, draft.time_ms);
  to += kIso8601Bytes;
  put(kReplay);
  event->replay_at_ = span_at(to, 0).begin;
  put(kFalse);
  put(kData);
  event->data_ = span_at(to, draft.data.size());
  put(draft.data);
  *to = '}';
  return made;
}

std::string Event::replay_frame() const {
  const std::string_view all = frame();
  char header[kWsHeaderMax];
  const std::size_t header_size = ws_header(header, 0x1, all.size() - header_size_ - 1);
  std::string out;
  out.reserve(all.size());
  out.append(header, header_size);
  out += all.substr(header_size_, replay_at_ - header_size_);
  out += "true";
  out += all.substr(replay_at_ + kFalse.size());
  return out;
}

}  // namespace weir
