#include "gzip_reader.hpp"

#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

namespace weir::log_tail {
namespace {

constexpr int kAnyFormat = 15 + 32;  // the largest window; gzip and zlib are told apart by their headers

}  // namespace

struct GzipReader::Stream {
  z_stream z{};
  bool between = false;  // a member ended here, another may follow
  std::array<unsigned char, 64 * 1024> packed;
  ~Stream() { ::inflateEnd(&z); }
};

GzipReader::GzipReader(int fd) : fd_(fd) {}
GzipReader::~GzipReader() = default;

void GzipReader::rewind() {
  stream_.reset();
  packed_ = offset_ = 0;
  ended_ = false;
  problem_.clear();
}

// False: nothing more in the file.
bool GzipReader::fill() {
  Stream& s = *stream_;
  if (s.z.avail_in != 0) return true;
  ssize_t n = 0;
  do {
    n = ::pread(fd_, s.packed.data(), s.packed.size(), static_cast<off_t>(packed_));
  } while (n < 0 && errno == EINTR);
  if (n < 0) problem_ = std::strerror(errno);
  if (n <= 0) return false;
  packed_ += static_cast<std::uint64_t>(n);
  s.z.next_in = s.packed.data();
  s.z.avail_in = static_cast<uInt>(n);
  return true;
}

std::size_t GzipReader::read(char* to, std::size_t size) {
  if (done() || size == 0) return 0;
  if (!stream_) {
    stream_ = std::make_unique<Stream>();
    if (::inflateInit2(&stream_->z, kAnyFormat) != Z_OK) {
      problem_ = "zlib has no memory";
      return 0;
    }
  }
  Stream& s = *stream_;
  const std::size_t wanted = std::min<std::size_t>(size, std::numeric_limits<uInt>::max());
  s.z.next_out = reinterpret_cast<Bytef*>(to);
  s.z.avail_out = static_cast<uInt>(wanted);
  const std::uint64_t packed_end = packed_ + kPackedMax;
  while (s.z.avail_out != 0 && problem_.empty() && packed_ < packed_end) {
    // Without more of the file there may still be bytes that zlib had no room for.
    const bool more = fill();
    if (!more && (s.between || !problem_.empty())) {
      ended_ = true;
      break;
    }
    if (s.between) {
      // Behind the last member: another one, or padding of zeros as tapes and some writers leave it.
      if (*s.z.next_in == 0) {
        ++s.z.next_in;
        --s.z.avail_in;
        continue;
      }
      ::inflateReset(&s.z);
      s.between = false;
    }
    const uInt room = s.z.avail_out;
    const int result = ::inflate(&s.z, Z_NO_FLUSH);
    if (result == Z_STREAM_END) {
      s.between = true;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      problem_ = std::string("byte ") + std::to_string(packed_ - s.z.avail_in) + " is wrong (" +
                 (s.z.msg != nullptr ? s.z.msg : "no gzip") + ")";
    } else if (!more && s.z.avail_out == room) {
      ended_ = true;
      problem_ = "it ends in the middle";
    }
  }
  const std::size_t n = wanted - s.z.avail_out;
  offset_ += n;
  if (offset_ > kBombBytes && offset_ / kBombRatio > packed_)
    problem_ = "it unpacks to more than " + std::to_string(kBombRatio) + " times its size";
  return n;
}

}  // namespace weir::log_tail
