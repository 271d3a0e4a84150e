#include "open_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "file_time.hpp"
#include "json_line.hpp"

namespace weir::log_tail {
namespace {

constexpr std::size_t kKeptCapacity = 1024;

}  // namespace

OpenFile::OpenFile(const std::string& path, ReadBuffers& buffers, bool packed, Reach reach)
    : buffers_(&buffers), reach_(reach) {
  struct stat st;
  // Asked before opening: to open a device or a FIFO can have effects of its own.
  if (!reach_.look_at(path, st)) {
    error_ = errno;
    return;
  }
  if (!S_ISREG(st.st_mode)) {
    error_ = ENOTSUP;
    return;
  }
  fd_ = reach_.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd_ < 0) {
    error_ = errno;
    return;
  }
  if (::fstat(fd_, &st) != 0 || !S_ISREG(st.st_mode)) {
    error_ = ENOTSUP;
    ::close(std::exchange(fd_, -1));
    return;
  }
  id_ = id_of(st);
  ++buffers_->open_files;
  if (packed) packed_ = std::make_unique<GzipReader>(fd_);
}

OpenFile::OpenFile(OpenFile&& other) noexcept
    : buffers_(other.buffers_),
      reach_(other.reach_),
      fd_(std::exchange(other.fd_, -1)),
      error_(other.error_),
      id_(other.id_),
      line_start_(other.line_start_),
      scanned_(other.scanned_),
      size_seen_(other.size_seen_),
      head_(std::move(other.head_)),
      tail_(std::move(other.tail_)),
      kept_(std::exchange(other.kept_, {})),
      kept_whole_(other.kept_whole_),
      modified_ns_(other.modified_ns_),
      quiet_ns_(other.quiet_ns_),
      packed_(std::move(other.packed_)),
      packed_rest_(std::move(other.packed_rest_)),
      skip_to_(other.skip_to_) {}

OpenFile::~OpenFile() {
  forget_kept();
  rest();
}

std::string OpenFile::problem() const {
  if (packed_ && !packed_->problem().empty()) return packed_->problem();
  return std::strerror(error_);
}

void OpenFile::rest() {
  if (packed_ && buffers_->unpacking == packed_.get()) buffers_->unpacking = nullptr;
  if (fd_ < 0) return;
  ::close(std::exchange(fd_, -1));
  --buffers_->open_files;
}

bool OpenFile::wake(const std::string& path) { return fd_ >= 0 || reopen(path); }

bool OpenFile::reopen(const std::string& path) {
  OpenFile again(path, *buffers_, false, reach_);
  if (!again.is_open() || again.id() != id_) {
    error_ = again.is_open() ? ENOENT : again.error();
    return false;
  }
  std::swap(fd_, again.fd_);
  return true;
}

bool OpenFile::unchanged(const struct stat& st) const {
  return quiet_ns_ != 0 && to_ns(st.st_ctim) == quiet_ns_ && static_cast<std::uint64_t>(st.st_size) == scanned_;
}

std::uint64_t OpenFile::size() const {
  struct stat st;
  return ::fstat(fd_, &st) == 0 ? static_cast<std::uint64_t>(st.st_size) : 0;
}

std::int64_t OpenFile::changed_ns() const {
  struct stat st;
  return ::fstat(fd_, &st) == 0 ? to_ns(st.st_mtim) : 0;
}

void OpenFile::note_growth(std::uint64_t size) {
  if (packed_ || fd_ < 0) return;
  if (size > scanned_ && size > size_seen_ && same_content() == Content::same) size_seen_ = size;
}

bool OpenFile::deleted() const {
  struct stat st;
  return fd_ < 0 || (::fstat(fd_, &st) == 0 && st.st_nlink == 0);
}

void OpenFile::begin_at(const Place& place) {
  if (!packed_) return begin_at(place.offset);
  packed_->rewind();
  packed_rest_.clear();
  head_.clear();
  tail_.clear();
  forget_kept();
  line_start_ = scanned_ = 0;
  skip_to_ = place;
}

OpenFile::Outcome OpenFile::read_chunk(LineSink& sink) {
  struct stat st;
  if (::fstat(fd_, &st) != 0) {
    error_ = errno;
    return Outcome::failed;
  }
  modified_ns_ = to_ns(st.st_mtim);
  if (packed_) return read_packed(sink);
  if (unchanged(st)) return Outcome::at_end;
  const auto size = static_cast<std::uint64_t>(st.st_size);
  if (size < scanned_) return Outcome::truncated;
  if (tail_.size() < tail_bytes(scanned_)) begin_at(scanned_);  // it could not be read when it was to begin there
  const bool primed = tail_.size() == tail_bytes(scanned_);
  const Content content = primed ? same_content() : Content::unreadable;
  if (content == Content::unreadable) return Outcome::failed;
  if (content == Content::other) return Outcome::truncated;
  size_seen_ = size;
  if (scanned_ == 0 && size > 0) skip_hole();
  // Not beyond the size: what /proc shows has content but no size, and would look cut each time.
  if (size <= scanned_) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    quiet_ns_ = to_ns(now) - to_ns(st.st_ctim) < kTimestampSlackNs ? 0 : to_ns(st.st_ctim);
    return Outcome::at_end;
  }
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size - scanned_, kChunkBytes));
  const ssize_t n = read_fully(fd_, buffers_->data(), wanted, scanned_);
  if (n < 0) {
    error_ = errno;
    return Outcome::failed;
  }
  if (n == 0) return Outcome::at_end;
  take({buffers_->data(), static_cast<std::size_t>(n)}, sink);
  return Outcome::more;
}

OpenFile::Outcome OpenFile::read_packed(LineSink& sink) {
  if (buffers_->unpacking != nullptr && buffers_->unpacking != packed_.get()) return Outcome::more;  // not its turn
  buffers_->unpacking = packed_.get();
  const bool skipping = packed_->offset() < skip_to_.offset;
  if (!packed_rest_.empty()) {
    const std::string rest = std::exchange(packed_rest_, {});
    std::memcpy(buffers_->data(), rest.data(), rest.size());
    return take_packed({buffers_->data(), rest.size()}, sink);
  }
  const std::uint64_t wanted = skipping ? skip_to_.offset - packed_->offset() : kChunkBytes;
  const std::size_t n =
      packed_->read(buffers_->data(), static_cast<std::size_t>(std::min<std::uint64_t>(wanted, kChunkBytes)));
  const std::string_view data(buffers_->data(), n);
  if (skipping) {
    advance(data);
    line_start_ = scanned_;
    if (scanned_ < skip_to_.offset && !packed_->done()) return Outcome::more;
    // Without places there is no hash to compare: it was this same descriptor that was read up to there before.
    if (scanned_ == skip_to_.offset && (!buffers_->places || hash_of(tail_) == skip_to_.tail)) return Outcome::more;
    if (!packed_->problem().empty()) {
      buffers_->unpacking = nullptr;
      return Outcome::failed;
    }
    begin_at(Place{});
    return Outcome::other;
  }
  if (n == 0 && !packed_->done()) return Outcome::more;
  if (n == 0) {
    buffers_->unpacking = nullptr;
    return packed_->problem().empty() ? Outcome::at_end : Outcome::failed;
  }
  return take_packed(data, sink);
}

// What the sink does not want now is kept, because to get it again everything before it would have to be unpacked.
OpenFile::Outcome OpenFile::take_packed(std::string_view data, LineSink& sink) {
  const std::uint64_t base = scanned_;
  if (!take(data, sink)) packed_rest_ = data.substr(static_cast<std::size_t>(scanned_ - base));
  return Outcome::more;
}

// `data` lies in the buffers, which have room for the bytes that stand before it.
bool OpenFile::take(std::string_view data, LineSink& sink) {
  const std::uint64_t base = scanned_;
  std::memcpy(buffers_->data() - tail_.size(), tail_.data(), tail_.size());
  const auto place_of = [&](std::size_t end) {
    Place place{base + end, 0};
    if (!buffers_->places) return place;
    const std::size_t n = std::min(tail_bytes(place.offset), end + tail_.size());
    place.tail = hash_of({data.data() + end - n, n});
    return place;
  };
  std::size_t at = 0;
  while (at < data.size()) {
    const void* found = std::memchr(data.data() + at, '\n', data.size() - at);
    if (found == nullptr) break;
    const std::size_t end = static_cast<std::size_t>(static_cast<const char*>(found) - data.data());
    const std::string_view piece = data.substr(at, end - at);
    const Place place = place_of(end + 1);
    const bool go_on =
        at != 0 || line_start_ == base ? deliver(piece, place, sink) : deliver_joined(piece, place, false, sink);
    at = end + 1;
    line_start_ = base + at;
    if (!go_on) {
      advance(data.substr(0, at));
      return false;
    }
  }
  keep(data.substr(at), at != 0 || line_start_ == base);
  advance(data);
  return true;
}

void OpenFile::advance(std::string_view data) {
  if (head_.size() < kHeadBytes && head_.size() == scanned_) head_ += data.substr(0, kHeadBytes - head_.size());
  tail_ += data.substr(data.size() - std::min(data.size(), kTailBytes));
  if (tail_.size() > kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  scanned_ += data.size();
}

void OpenFile::forget_kept() {
  buffers_->unfinished_bytes -= kept_.size();
  if (kept_.capacity() > kKeptCapacity)
    std::string().swap(kept_);  // hundreds of files must not hold on to their longest line
  kept_.clear();
  kept_whole_ = true;
}

void OpenFile::keep(std::string_view data, bool begins_line) {
  if (begins_line) forget_kept();
  if (data.empty() || !kept_whole_) return;
  const std::string_view part =
      data.substr(0, buffers_->line_bytes_max - std::min(buffers_->line_bytes_max, kept_.size()));
  if (!packed_ && buffers_->unfinished_bytes + part.size() > kUnfinishedBytesMax) {  // packed: not to be read again
    forget_kept();
    kept_whole_ = false;
    return;
  }
  kept_ += part;
  buffers_->unfinished_bytes += part.size();
}

bool OpenFile::deliver(std::string_view text, const Place& end, LineSink& sink) {
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  Line line{.text = text, .bytes = text.size(), .end = end};
  if (text.size() > buffers_->line_bytes_max)
    line.text = text.substr(0, cut_at_character(text, buffers_->line_bytes_max));
  return sink.line(line);
}

// The line began in an earlier chunk and ends with `end`.
bool OpenFile::deliver_joined(std::string_view end, const Place& place, bool partial, LineSink& sink) {
  std::string& text = buffers_->line;
  const std::uint64_t before = scanned_ - line_start_;
  std::uint64_t bytes = before + end.size();
  const char last = !end.empty() ? end.back() : tail_.empty() ? '\0' : tail_.back();
  if (last == '\r') --bytes;
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, buffers_->line_bytes_max));
  if (kept_whole_) {
    text = kept_;
  } else {
    text.resize(static_cast<std::size_t>(std::min<std::uint64_t>(before, wanted)));
    const ssize_t n = read_fully(fd_, text.data(), text.size(), line_start_);
    text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  }
  if (text.size() < wanted) text += end.substr(0, wanted - text.size());
  if (text.size() > wanted) text.resize(wanted);
  forget_kept();
  Line line{.text = text, .bytes = bytes, .end = place, .partial = partial};
  if (bytes > wanted) line.text = std::string_view(text).substr(0, cut_at_character(text, wanted));
  return sink.line(line);
}

void OpenFile::finish(LineSink& sink) {
  if (!has_unfinished()) return;
  deliver_joined({}, {scanned_, hash_of(tail_)}, true, sink);
  line_start_ = scanned_;
}

bool OpenFile::restart(LineSink& sink) {
  bool lost = size_seen_ > scanned_;
  if (kept_whole_) {
    finish(sink);
  } else if (has_unfinished()) {
    lost = true;  // what the file holds at that place now is something else
  }
  begin_at(std::uint64_t{0});
  size_seen_ = 0;
  quiet_ns_ = 0;
  return lost;
}

}  // namespace weir::log_tail
