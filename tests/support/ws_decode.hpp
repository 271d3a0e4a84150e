// Reads unmasked WebSocket frames as a client would, byte by byte according to RFC 6455 section 5.2.
// Threads: any; pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::testing {

struct WsFrame {
  unsigned opcode = 0;
  bool compressed = false;  // RSV1 (RFC 7692); the payload is as it was sent
  std::string_view payload;
  std::size_t size = 0;  // header and payload
};

// The first frame of `bytes`; nothing if it is not whole, is fragmented, masked, or its length is not in its shortest
// form.
inline std::optional<WsFrame> decode_ws(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (bytes.size() < 2 || (at(0) & 0xB0) != 0x80 || (at(1) & 0x80) != 0) return std::nullopt;
  std::size_t header = 2;
  std::uint64_t length = at(1);
  if (length >= 126) {
    const std::size_t count = length == 126 ? 2 : 8;
    if (bytes.size() < 2 + count) return std::nullopt;
    length = 0;
    for (std::size_t i = 0; i < count; ++i) length = length << 8 | at(2 + i);
    if (length < (count == 2 ? 126U : 65536U)) return std::nullopt;
    header += count;
  }
  if (bytes.size() - header < length) return std::nullopt;
  return WsFrame{at(0) & 0x0FU, (at(0) & 0x40) != 0, bytes.substr(header, length),
                 header + static_cast<std::size_t>(length)};
}

}  // namespace weir::testing
