// Any bytes as a client's frame: a frame, or a refusal that says why and closes only where the bytes are no frame at
// all.
#include <cstdint>
#include <cstdlib>

#include "protocol/client_frame.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  weir::json::Doc doc;
  const auto frame = weir::read_client_frame(text, doc, 64);
  if (!frame) {
    if (frame.error().error.message.empty()) std::abort();
    weir::json::Doc check;
    (void)check.parse(text);
    const bool object = check.whole() && check.root().is(weir::json::Kind::object);
    if (frame.error().close.has_value() == object) std::abort();
    return 0;
  }
  if (frame->type == weir::ClientFrame::Type::publish) {
    weir::json::Doc check;
    if (!check.parse(frame->data) || frame->event.empty() || frame->channel.empty()) std::abort();
  }
  if (frame->type == weir::ClientFrame::Type::subscribe && frame->channels.empty()) std::abort();
  return 0;
}
