// Reads a gzip or zlib file as the bytes that were packed into it, from the front to the back, through zlib: also
// several members behind each other, as `cat a.gz b.gz` makes them. Limits: about 110 KiB of memory for each that is
// being read, nothing before the first read(). What unpacks to more than kBombRatio times its size is given up once it
// passes kBombBytes: no log is packed that well. Threads: [strand].
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace weir::log_tail {

class GzipReader {
 public:
  static constexpr std::uint64_t kBombBytes = 64ULL * 1024 * 1024;
  static constexpr std::uint64_t kBombRatio = 500;
  static constexpr std::uint64_t kPackedMax = 512 * 1024;

  // `fd` is borrowed and must outlive the object; it is read with pread from its beginning.
  explicit GzipReader(int fd);
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;
  ~GzipReader();

  std::uint64_t offset() const { return offset_; }  // of what read() gives next, in the unpacked bytes
  void rewind();
  // The next bytes, at most `size`. Fewer, even none, before the end: then kPackedMax bytes of the file gave no more,
  // and the strand has other things to do.
  std::size_t read(char* to, std::size_t size);
  bool done() const { return ended_ || !problem_.empty(); }  // nothing more comes, because of its end or problem()
  const std::string& problem() const { return problem_; }    // empty: none

 private:
  struct Stream;
  bool fill();

  const int fd_;
  std::unique_ptr<Stream> stream_;
  std::uint64_t packed_ = 0;  // bytes taken from the file
  std::uint64_t offset_ = 0;
  bool ended_ = false;
  std::string problem_;
};

}  // namespace weir::log_tail
