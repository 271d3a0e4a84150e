#include "routing/event.hpp"

#include <charconv>

#include "base/json.hpp"
#include "protocol/ws_frame.hpp"

namespace weir {
namespace {
// Room that is kept free in front of the text for the frame's header, whose size depends on the text's.
constexpr std::size_t kHeaderMax = 10;
}  // namespace

Event::Event(std::string_view channel, std::string_view epoch, SequenceId sequence_id, const Draft& draft)
    : sequence_id_(sequence_id), time_ms_(draft.time_ms) {
  std::string& b = bytes_;
  b.reserve(kHeaderMax + 180 + 2 * (channel.size() + draft.event.size() + draft.id.size() + draft.key.size()) +
            epoch.size() + draft.data.size());
  // The header's size is known before the text's only by its class, so the text is built behind the largest header and
  // the header is put right in front of it; the few bytes before it are cut off.
  b.assign(kHeaderMax, '\0');
  b += "{\"type\":\"event\",\"channel\":";
  json::append_string(b, channel);
  b += ",\"event\":";
  json::append_string(b, draft.event);
  b += ",\"id\":";
  json::append_string(b, draft.id);
  if (!draft.key.empty()) {
    b += ",\"key\":";
    json::append_string(b, draft.key);
  }
  b += ",\"epoch\":\"";
  b += epoch;
  b += "\",\"sequenceId\":";
  char digits[20];
  const auto [end, ec] = std::to_chars(digits, digits + sizeof digits, sequence_id);
  b.append(digits, end);
  b += ",\"emittedAt\":\"";
  append_iso8601(b, time_ms_);
  b += "\",\"isReplay\":";
  std::size_t replay_at = b.size();
  b += "false,\"data\":";
  std::size_t data_at = b.size();
  b += draft.data;
  b += '}';
  char header[kHeaderMax];
  const std::size_t header_size = ws_header(header, 0x1, b.size() - kHeaderMax);
  b.erase(0, kHeaderMax - header_size);
  std::copy(header, header + header_size, b.begin());
  const std::size_t shift = kHeaderMax - header_size;
  header_size_ = static_cast<std::uint32_t>(header_size);
  replay_at_ = static_cast<std::uint32_t>(replay_at - shift);
  data_ = {static_cast<std::uint32_t>(data_at - shift), static_cast<std::uint32_t>(draft.data.size())};
  frame_size_ = static_cast<std::uint32_t>(b.size());
  channel_ = keep(channel);
  name_ = keep(draft.event);
  id_ = keep(draft.id);
  key_ = keep(draft.key);
}

Event::Span Event::keep(std::string_view text) {
  const Span s{static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(text.size())};
  bytes_ += text;
  return s;
}

std::string Event::replay_frame() const {
  const std::string_view all = frame();
  constexpr std::size_t kFalse = 5;
  char header[kHeaderMax];
  const std::size_t header_size = ws_header(header, 0x1, all.size() - header_size_ - 1);
  std::string out;
  out.reserve(all.size());
  out.append(header, header_size);
  out += all.substr(header_size_, replay_at_ - header_size_);
  out += "true";
  out += all.substr(replay_at_ + kFalse);
  return out;
}

}  // namespace weir
