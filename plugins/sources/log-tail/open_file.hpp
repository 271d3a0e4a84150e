// One open log file, read line by line. It remembers offsets rather than bytes, so hundreds of files cost hundreds of
// descriptors and little memory: a line that is not finished yet is kept only while the common budget allows it, and
// is otherwise read once more from the file when its end arrives. A file that was cut and written again is recognised
// by its size, or by a fingerprint: its first 256 bytes and the last 64 before the place that was read to. What keeps
// both (the same header, as many lines, the same last bytes) passes.
// Threads: [strand].
#pragma once
#include <sys/stat.h>
#include <sys/types.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::log_tail {

inline constexpr std::size_t kChunkBytes = 64 * 1024;               // read at once; the unit of fairness between files
inline constexpr std::size_t kUnfinishedBytesMax = 512 * 1024;      // unfinished lines in memory, all files together
inline constexpr std::uint64_t kBacklogBytesMax = 4 * 1024 * 1024;  // how far back the last lines are looked for

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  auto operator<=>(const FileId&) const = default;
};
inline FileId id_of(const struct stat& st) { return {st.st_dev, st.st_ino}; }

struct Line {
  std::string_view text;    // without its end ("\n" or "\r\n"); lives until the call returns
  std::uint64_t bytes = 0;  // how long it is in the file, more than text.size() when it was cut
  bool partial = false;     // its newline never came
  bool truncated() const { return bytes > text.size(); }
};

class LineSink {
 public:
  virtual ~LineSink() = default;
  // Takes the line. False: no more for now; what comes after it stays in the file.
  virtual bool line(const Line& line) = 0;
};

// What all files of one instance share, because only one of them is read at a time.
struct ReadBuffers {
  explicit ReadBuffers(std::size_t line_bytes) : line_bytes_max(line_bytes), chunk(kChunkBytes) {}
  const std::size_t line_bytes_max;
  std::vector<char> chunk;
  std::string line;                  // a line that did not lie in one chunk
  std::size_t unfinished_bytes = 0;  // held by the files, at most kUnfinishedBytesMax
};

class OpenFile {
 public:
  // Opens a regular file for reading and stands at its beginning. `buffers` must outlive the object.
  // Errors: is_open() is false and error() is the errno; ENOTSUP when it is something else than a regular file.
  OpenFile(const std::string& path, ReadBuffers& buffers);
  OpenFile(OpenFile&& other) noexcept;
  OpenFile& operator=(OpenFile&&) = delete;
  ~OpenFile();

  bool is_open() const { return fd_ >= 0; }
  int error() const { return error_; }
  int fd() const { return fd_; }
  FileId id() const { return id_; }
  std::uint64_t offset() const { return line_start_; }  // everything before it was delivered
  bool has_unfinished() const { return scanned_ > line_start_; }
  std::uint64_t size() const;  // now; 0 when the system does not say
  void note_growth();          // remembers that there is something to read, in case it is cut away before
  bool deleted() const;        // no name leads to it any more

  void begin_at(std::uint64_t offset);         // the beginning of a line
  void begin_with_backlog(std::size_t lines);  // the last `lines` finished lines, or those in the last 4 MiB
  // Was this file read up to `offset` before, when it began and ended there with these bytes?
  bool continues(std::uint64_t offset, std::string_view head, std::string_view tail) const;
  std::string_view head() const { return head_; }
  std::string_view tail() const { return tail_; }

  enum class Outcome : std::uint8_t { more, at_end, truncated, failed };
  // Reads at most one chunk and delivers the lines that end in it. `truncated`: nothing was read; say so, then
  // restart(). `failed`: error() is the errno.
  Outcome read_chunk(LineSink& sink);
  // Delivers what stands behind the last newline, if anything does.
  void finish(LineSink& sink);
  // Begins at the front again, after the file was cut; the unfinished line is delivered first if it is still in memory.
  // True when something is known to have been lost unread.
  bool restart(LineSink& sink);

 private:
  bool same_content() const;
  bool take(std::string_view data, LineSink& sink);
  bool deliver(std::string_view text, bool partial, LineSink& sink);
  bool deliver_joined(std::string_view end, bool partial, LineSink& sink);
  void keep(std::string_view data, bool begins_line);
  void forget_kept();
  void advance(std::string_view data);
  void skip_hole();
  bool read_at(char* to, std::size_t size, std::uint64_t offset) const;

  ReadBuffers* buffers_;
  int fd_ = -1;
  int error_ = 0;
  FileId id_;
  std::uint64_t line_start_ = 0;  // where the first line begins that was not delivered
  std::uint64_t scanned_ = 0;     // no newline stands between line_start_ and here
  std::uint64_t size_seen_ = 0;   // what stood in the file when it was surely still the same
  std::string head_, tail_;       // the fingerprint: bytes [0, 256) and the 64 bytes before scanned_, as far as read
  std::string kept_;              // the unfinished line, from its start; at most line_bytes_max
  bool kept_whole_ = true;        // false: there was no room for it, read it again
};

}  // namespace weir::log_tail
