#include "gunzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <memory>

#include "refused.hpp"

namespace weir::http_ingest {

std::string gunzip(std::string_view bytes, std::size_t bytes_max) {
  z_stream z{};
  if (inflateInit2(&z, 15 + 16) != Z_OK) throw std::bad_alloc();  // 16: with the header of gzip
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&z, &inflateEnd);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  while (true) {
    // One byte more than allowed, to see whether there is more.
    const std::size_t had = out.size(),
                      room = std::min<std::size_t>(std::max<std::size_t>(had, 16'384), bytes_max + 1 - had);
    out.resize(had + room);
    z.next_out = reinterpret_cast<Bytef*>(out.data() + had);
    z.avail_out = static_cast<uInt>(room);
    const int result = inflate(&z, Z_NO_FLUSH);
    out.resize(had + room - z.avail_out);
    if (out.size() > bytes_max)
      throw Refused(413, "more than " + std::to_string(bytes_max) + " bytes come out of the gzip body");
    if (result == Z_STREAM_END) {
      if (z.avail_in == 0) return out;
      inflateReset(&z);  // a gzip file may have several members
    } else if (result != Z_OK || (z.avail_in == 0 && z.avail_out != 0)) {
      throw Refused(400, z.avail_in == 0 ? "the gzip body is cut off" : "the body is no gzip");
    }
  }
}

}  // namespace weir::http_ingest
