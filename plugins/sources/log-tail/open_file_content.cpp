// The half of OpenFile that looks into the file beside the reading: where to begin, and whether it is still the same.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "open_file.hpp"

namespace weir::log_tail {

ssize_t OpenFile::read_fully(int fd, char* to, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(fd, to + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return static_cast<ssize_t>(done);
}

bool OpenFile::read_at(char* to, std::size_t size, std::uint64_t offset) const {
  return read_fully(fd_, to, size, offset) == static_cast<ssize_t>(size);
}

void OpenFile::begin_at(std::uint64_t offset) {
  forget_kept();
  line_start_ = scanned_ = offset;
  head_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(offset, kHeadBytes)));
  tail_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(offset, kTailBytes)));
  if (read_at(head_.data(), head_.size(), 0) && read_at(tail_.data(), tail_.size(), offset - tail_.size())) return;
  error_ = errno;
  head_.clear();
  tail_.clear();
}

void OpenFile::begin_with_backlog(LastLines& wanted, bool over) {
  const std::uint64_t end = size();
  const std::uint64_t floor = end > wanted.bytes ? end - wanted.bytes : 0;
  std::uint64_t start = floor == 0 ? 0 : end;  // when not enough newlines are found
  std::size_t newlines = wanted.lines + 1;     // the one before the first wanted line counts as well
  char last = '\n';
  if (over && end != 0 && read_at(&last, 1, end - 1) && last != '\n') --newlines;
  for (std::uint64_t at = end; at > floor && newlines > 0;) {
    const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(kChunkBytes, at - floor));
    at -= n;
    if (!read_at(buffers_->data(), n, at)) break;
    const char* const data = buffers_->data();
    for (std::size_t left = n; left > 0 && newlines > 0;) {
      const void* found = ::memrchr(data, '\n', left);
      if (found == nullptr) break;
      left = static_cast<std::size_t>(static_cast<const char*>(found) - data);
      --newlines;
      if (newlines == 0 || floor != 0) start = at + left + 1;
    }
  }
  wanted.lines = newlines == 0 || floor != 0 ? 0 : newlines - 1;
  wanted.bytes -= end - start;
  begin_at(start);
}

Place OpenFile::place() const {
  if (skip_to_.offset > scanned_) return skip_to_;
  if (!has_unfinished()) return {scanned_, hash_of(tail_)};
  std::array<char, kTailBytes> tail;
  const std::size_t n = tail_bytes(line_start_);
  const bool known = read_at(tail.data(), n, line_start_ - n);
  return {line_start_, known ? hash_of({tail.data(), n}) : 0};
}

Place OpenFile::read_place() const { return {scanned_, hash_of(tail_)}; }

template <class Fits>
OpenFile::Content OpenFile::content_at(std::size_t size, std::uint64_t offset, Fits&& fits) {
  std::array<char, kHeadBytes> now;
  const ssize_t n = read_fully(fd_, now.data(), size, offset);
  if (n < 0) error_ = errno;
  if (n < 0) return Content::unreadable;
  return n == static_cast<ssize_t>(size) && fits(std::string_view(now.data(), size)) ? Content::same : Content::other;
}

OpenFile::Content OpenFile::continues(const Head& head, const Place& place) {
  if (head.bytes > kHeadBytes) return Content::other;
  if (packed_) {
    std::array<char, kHeadBytes> now;
    packed_->rewind();
    const std::size_t n = packed_->read(now.data(), head.bytes);  // half a megabyte without 256 bytes of text is none
    packed_->rewind();
    return n == head.bytes && hash_of({now.data(), n}) == head.hash ? Content::same : Content::other;
  }
  // What is longer than the file does not come in full.
  const auto has_hash = [](std::uint64_t hash) {
    return [hash](std::string_view now) { return hash_of(now) == hash; };
  };
  const Content beginning = content_at(head.bytes, 0, has_hash(head.hash));
  if (beginning != Content::same) return beginning;
  const std::size_t tail = tail_bytes(place.offset);
  return content_at(tail, place.offset - tail, has_hash(place.tail));
}

OpenFile::Content OpenFile::same_content() {
  const Content beginning = content_at(head_.size(), 0, [&](std::string_view now) { return now == head_; });
  if (beginning != Content::same) return beginning;
  return content_at(tail_.size(), scanned_ - tail_.size(), [&](std::string_view now) { return now == tail_; });
}

// A program that does not write with O_APPEND goes on at its old place after its file was cut, which leaves a hole at
// the front: zeros that nobody wrote and that would be read as the beginning of the first line.
void OpenFile::skip_hole() {
  const off_t data = ::lseek(fd_, 0, SEEK_DATA);
  if (data <= 0) return;
  char* const chunk = buffers_->data();
  const ssize_t n = read_fully(fd_, chunk, kChunkBytes, static_cast<std::uint64_t>(data));
  if (n <= 0) return;
  const char* const first = std::find_if(chunk, chunk + n, [](char c) { return c != '\0'; });
  begin_at(static_cast<std::uint64_t>(data) + static_cast<std::uint64_t>(first - chunk));
}

}  // namespace weir::log_tail
