// The head of an unmasked, unfragmented WebSocket frame (RFC 6455 section 5.2), as a server sends it.
// Threads: [any].
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace weir {

inline constexpr std::size_t kWsHeaderMax = 10;
inline constexpr unsigned kWsCompressed = 0x40;  // RSV1, beside the opcode of a compressed message (RFC 7692 section 6)

// Writes the header for a final frame of that opcode (1 text, 2 binary, 8 close, 9 ping, 10 pong); returns its size.
// The opcode may have kWsCompressed with it.
inline std::size_t ws_header(char* out, unsigned opcode, std::size_t payload) {
  out[0] = static_cast<char>(0x80 | opcode);
  if (payload < 126) {
    out[1] = static_cast<char>(payload);
    return 2;
  }
  const int bytes = payload <= 0xFFFF ? 2 : 8;
  out[1] = static_cast<char>(bytes == 2 ? 126 : 127);
  for (int i = bytes - 1; i >= 0; --i, payload >>= 8) out[2 + i] = static_cast<char>(payload & 0xFF);
  return 2 + static_cast<std::size_t>(bytes);
}

inline std::string ws_frame(unsigned opcode, std::string_view payload) {
  char header[kWsHeaderMax];
  const std::size_t header_size = ws_header(header, opcode, payload.size());
  std::string out;
  out.reserve(header_size + payload.size());
  return (out.append(header, header_size) += payload);
}

// What stands behind the header of a frame that was made here.
inline std::string_view ws_payload(std::string_view frame) {
  const unsigned size = static_cast<unsigned char>(frame[1]);
  return frame.substr(size < 126 ? 2 : size == 126 ? 4 : 10);
}

}  // namespace weir
