#include "protocol/deflate.hpp"

#include <zlib.h>

#include <algorithm>
#include <new>

namespace weir {
namespace {

// A window of 32 KiB, without zlib's header (negative). The memory level hardly shows in time or size (measured at 4 to
// 8 with JSON of 256 B to 64 KiB), so it is zlib's own default.
constexpr int kWindowBits = -15;
constexpr int kMemLevel = 8;

// A sync flush ends with an empty block; its last four bytes are not sent (RFC 7692 section 7.2.1).
constexpr std::string_view kTail("\x00\x00\xff\xff", 4);

constexpr std::size_t kFirstBytes = 4096, kKeepBytes = 64 * 1024;

void input(z_stream& z, std::string_view bytes) {
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
}

}  // namespace

struct Deflater::State {
  z_stream z{};
  std::string out;
};

Deflater::Deflater(int level) : state_(std::make_unique<State>()) {
  if (deflateInit2(&state_->z, level, Z_DEFLATED, kWindowBits, kMemLevel, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
}
Deflater::~Deflater() { deflateEnd(&state_->z); }

std::string_view Deflater::deflate(std::string_view message) {
  auto& [z, out] = *state_;
  if (out.size() > kKeepBytes) std::string().swap(out);
  // Room for a result that is smaller by one byte, with its tail, and for one more byte, which shows that it was done.
  if (out.size() < message.size() + kTail.size()) out.resize(message.size() + kTail.size());
  deflateReset(&z);
  input(z, message);
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(message.size() + kTail.size());
  if (::deflate(&z, Z_SYNC_FLUSH) != Z_OK || z.avail_in != 0 || z.avail_out == 0) return {};
  return std::string_view(out).substr(0, z.total_out - kTail.size());
}

struct Inflater::State {
  z_stream z{};
  std::string out;
  std::size_t size = 0, max = 0;
  bool between_blocks = false;  // it does not stand within one

  enum class Step { more, stream_end, too_large, corrupt };
  Step feed(std::string_view bytes);
};

Inflater::Inflater() : state_(std::make_unique<State>()) {
  if (inflateInit2(&state_->z, kWindowBits) != Z_OK) throw std::bad_alloc();
}
Inflater::~Inflater() { inflateEnd(&state_->z); }

// Inflates until `bytes` are used up (more), or their last block ended (stream_end).
Inflater::State::Step Inflater::State::feed(std::string_view bytes) {
  input(z, bytes);
  for (;;) {
    // One byte more than allowed, so that a message that is too large shows itself.
    if (size == out.size()) out.resize(std::min(std::max(kFirstBytes, 2 * size), max + 1));
    z.next_out = reinterpret_cast<Bytef*>(out.data() + size);
    z.avail_out = static_cast<uInt>(out.size() - size);
    const int result = ::inflate(&z, Z_SYNC_FLUSH);
    size = out.size() - z.avail_out;
    // Bit 7 of data_type, unless nothing was there to be done (Z_BUF_ERROR): then zlib does not set it.
    if (result == Z_OK) between_blocks = (z.data_type & 128) != 0;
    if (size > max) return Step::too_large;
    if (result == Z_STREAM_END) {
      // A block that was marked as the last. Another stream may follow (RFC 7692 section 7.2.3.4).
      if (z.avail_in == 0) return Step::stream_end;
      inflateReset(&z);
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return Step::corrupt;
    } else if (z.avail_out != 0) {
      return Step::more;  // with room left, it stopped for want of input
    }
  }
}

Result<std::string_view> Inflater::inflate(std::string_view payload, std::size_t max) {
  State& s = *state_;
  if (s.out.size() > kKeepBytes) std::string().swap(s.out);
  s.size = 0;
  s.max = max;
  inflateReset(&s.z);
  // Strictly, an empty message is one byte of zero; without any it can't mean anything else either.
  auto step = payload.empty() ? State::Step::stream_end : s.feed(payload);
  if (step == State::Step::more) {
    step = s.feed(kTail);
    if (step == State::Step::more && !s.between_blocks) step = State::Step::corrupt;  // it broke off within a block
  }
  if (step == State::Step::too_large)
    return fail(Errc::too_large, "the message would inflate to more than " + std::to_string(max) + " bytes");
  if (step == State::Step::corrupt) return fail(Errc::bad_frame, "the compressed message is no deflate stream");
  return std::string_view(s.out).substr(0, s.size);
}

}  // namespace weir
