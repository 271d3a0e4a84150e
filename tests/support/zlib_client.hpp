// Compressed messages as a client makes and reads them that knows nothing of our code: zlib, and RFC 7692 section 7.2.
// Threads: any; pure.
#pragma once
#include <zlib.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace weir::testing {

// With a window of 2^bits. Out of zlib in small parts, so that it has nothing to reach back to but that window.
inline std::string inflate_as_client(std::string_view payload, int bits = 15) {
  z_stream z{};
  if (inflateInit2(&z, -bits) != Z_OK) throw std::runtime_error("inflateInit2");
  std::string in(payload), out;
  in.append("\x00\x00\xff\xff", 4);
  z.next_in = reinterpret_cast<Bytef*>(in.data());
  z.avail_in = static_cast<uInt>(in.size());
  char part[100];
  int result = Z_OK;
  do {
    z.next_out = reinterpret_cast<Bytef*>(part);
    z.avail_out = sizeof part;
    result = ::inflate(&z, Z_SYNC_FLUSH);
    out.append(part, sizeof part - z.avail_out);
  } while (result == Z_OK && z.avail_out == 0);
  const bool whole = (result == Z_OK || result == Z_BUF_ERROR) && z.avail_in == 0;
  inflateEnd(&z);
  if (!whole) throw std::runtime_error("a client could not inflate this");
  return out;
}

// Flushed, with the tail cut off; or in one final block, as section 7.2.3.4 allows.
inline std::string deflate_as_client(std::string_view message, int level = 6, bool final_block = false) {
  z_stream z{};
  if (deflateInit2(&z, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::runtime_error("deflateInit2");
  std::string out(message.size() + message.size() / 100 + 1000, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(message.data()));
  z.avail_in = static_cast<uInt>(message.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  const int result = ::deflate(&z, final_block ? Z_FINISH : Z_SYNC_FLUSH);
  out.resize(z.total_out);
  deflateEnd(&z);
  if (result != (final_block ? Z_STREAM_END : Z_OK)) throw std::runtime_error("deflate");
  if (final_block)
    out += '\0';
  else
    out.resize(out.size() - 4);
  return out;
}

}  // namespace weir::testing
